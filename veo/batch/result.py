"""What became of a batch: counts, money, and the file that says so."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from veo.batch.match import Action
from veo.batch.paths import RESULT_FILE
from veo.files.atomic import open_atomic
from veo.money import to_micros, to_usd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from veo.batch.batch import Batch
    from veo.batch.entry import Entry


def count_states(batch: Batch) -> dict[str, int]:
    """How many items are in which state; those with problems are ``invalid``."""
    found = Counter(entry.state for entry in batch.entries)
    wrong = {problem.location.index for problem in batch.validation.problems}
    return dict(found) | ({"invalid": len(wrong)} if wrong else {})


def sum_quotes(batch: Batch) -> int:
    """What the items cost that are to be made, millionths of a USD."""
    making = {Action.MAKE}
    making |= {Action.GONE} if batch.options.remake else set()
    making |= {Action.ASK} if batch.options.resubmit_unknown else set()
    return sum(
        to_micros(entry.new_job.quote.amount)
        for entry, what in batch.planned_actions
        if what in making
    )


def sum_new_charges(batch: Batch) -> int:
    """What was charged since this run began to look, millionths of a USD."""
    return sum(_new_charge(entry) for entry in batch.entries)


def _new_charge(entry: Entry) -> int:
    if entry.job is None:
        return 0
    before = entry.existing if entry.existing and entry.existing.id == entry.job.id else None
    return entry.job.record.charged - (before.charged if before else 0)


def highest_exit_code(batch: Batch) -> int:
    """The highest code of its items; 2 for those that were left out because of problems."""
    codes = [entry.exit_code for entry in batch.entries]
    return max([*codes, 2 if batch.validation.problems else 0])


def summary_json(batch: Batch) -> dict[str, Any]:
    """The batch as a whole as JSON: its counts, its money in USD over all its runs."""
    sums = batch.client.ledger.sums(batch.run)
    money = {
        name: float(to_usd(getattr(sums, name))) for name in ("reserved", "charged", "doubtful")
    }
    problems = [
        {"index": problem.location.index, "line": problem.location.line, "message": problem.message}
        for problem in batch.validation.problems
    ]
    return {
        "run": batch.run,
        "exit_code": highest_exit_code(batch),
        "counts": count_states(batch),
        "cost": {**money, "currency": "USD"},
        "problems": problems,
    }


def write_result(batch: Batch) -> Path | None:
    """Write ``batch-result.json`` into the output folder, whole or not at all.

    It is the summary, and ``items``: what ``--json`` prints of each, in order.

    Returns:
        The file; None where the folder cannot be written.
    """
    path = batch.validation.folder / RESULT_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic(path) as file:
            # A file name that is not valid UTF-8 is written with the escapes of JSON.
            parts = _format_result(batch)
            file.writelines(part.encode("utf-8", "backslashreplace") for part in parts)
    except OSError:
        return None
    return path


def _format_result(batch: Batch) -> Iterator[str]:
    """The file piece by piece, an item a line: in one piece it would outweigh the batch."""
    head = json.dumps(summary_json(batch), indent=2, ensure_ascii=False)
    yield f'{head[:-2]},\n  "items": ['
    for number, entry in enumerate(batch.entries):
        body = json.dumps(entry.to_json(), ensure_ascii=False)
        yield f"{',' if number else ''}\n    {body}"
    yield "\n  ]\n}\n"
