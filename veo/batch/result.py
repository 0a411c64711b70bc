"""What became of a batch: counts, money, and the file that says so."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from veo.batch.match import Verdict
from veo.batch.paths import RESULT
from veo.money import micros, usd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from veo.batch.batch import Batch
    from veo.batch.entry import Entry


def counts(batch: Batch) -> dict[str, int]:
    """How many items are in which state; those with problems are ``invalid``."""
    found = Counter(entry.state for entry in batch.entries)
    wrong = {problem.location.index for problem in batch.checked.problems}
    return dict(found) | ({"invalid": len(wrong)} if wrong else {})


def quoted(batch: Batch) -> int:
    """What the items cost that are to be made, millionths of a USD."""
    making = {Verdict.MAKE}
    making |= {Verdict.GONE} if batch.rules.remake else set()
    making |= {Verdict.ASK} if batch.rules.resubmit_unknown else set()
    return sum(micros(entry.new.quote.amount) for entry, what in batch.outlook if what in making)


def charged_now(batch: Batch) -> int:
    """What was charged since this run began to look, millionths of a USD."""
    return sum(_charged(entry) for entry in batch.entries)


def _charged(entry: Entry) -> int:
    if entry.job is None:
        return 0
    before = entry.standing if entry.standing and entry.standing.id == entry.job.id else None
    return entry.job.record.charged - (before.charged if before else 0)


def exit_code(batch: Batch) -> int:
    """The highest code of its items; 2 for those that were left out because of problems."""
    codes = [entry.exit_code for entry in batch.entries]
    return max([*codes, 2 if batch.checked.problems else 0])


def summary(batch: Batch) -> dict[str, Any]:
    """The batch as a whole as JSON: its counts, its money in USD over all its runs."""
    sums = batch.client.ledger.sums(batch.run)
    money = {name: float(usd(getattr(sums, name))) for name in ("reserved", "charged", "doubtful")}
    problems = [
        {"index": problem.location.index, "line": problem.location.line, "message": problem.message}
        for problem in batch.checked.problems
    ]
    return {
        "run": batch.run,
        "exit_code": exit_code(batch),
        "counts": counts(batch),
        "cost": {**money, "currency": "USD"},
        "problems": problems,
    }


def write(batch: Batch) -> Path | None:
    """Write ``batch-result.json`` into the output folder, whole or not at all.

    It is the summary, and ``items``: what ``--json`` prints of each, in order.

    Returns:
        The file; None where the folder cannot be written.
    """
    path = batch.checked.folder / RESULT
    half = path.with_name(f".{RESULT}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of names that are no text the bytes are written as JSON escapes them.
        with half.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(_text(batch))
        half.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            half.unlink()
        return None
    return path


def _text(batch: Batch) -> Iterator[str]:
    """The file piece by piece, an item a line: in one piece it would outweigh the batch."""
    head = json.dumps(summary(batch), indent=2, ensure_ascii=False)
    yield f'{head[:-2]},\n  "items": ['
    for number, entry in enumerate(batch.entries):
        body = json.dumps(entry.describe(), ensure_ascii=False)
        yield f"{',' if number else ''}\n    {body}"
    yield "\n  ]\n}\n"
