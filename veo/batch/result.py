"""The outcome of a batch: counts, money, and the file ``batch-result.json``."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from veo.batch.match import paying_actions
from veo.batch.paths import RESULT_FILE
from veo.errors import InvalidBatchError
from veo.files.atomic import open_atomic
from veo.ledger.spending import JobFilter, Spending, sum_spending
from veo.money import to_usd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from veo.batch.batch import Batch
    from veo.batch.entry import Entry
    from veo.money import Quote


def count_states(batch: Batch) -> dict[str, int]:
    """Return the number of items by state; items that are not valid count as ``invalid``."""
    counts = Counter(entry.state for entry in batch.entries)
    invalid = {problem.location.index for problem in batch.validation.problems}
    return dict(counts) | ({"invalid": len(invalid)} if invalid else {})


def list_quotes(batch: Batch) -> list[Quote]:
    """Return the quotes of all items that need a paid request."""
    paying = paying_actions(batch.options)
    return [entry.new_job.quote for entry, action in batch.planned_actions if action in paying]


def sum_new_charges(batch: Batch) -> int:
    """Return what was charged since this run began, in millionths of a USD."""
    return sum(_new_charge(entry) for entry in batch.entries)


def _new_charge(entry: Entry) -> int:
    if entry.job is None:
        return 0
    is_same_job = entry.existing is not None and entry.existing.id == entry.job.id
    charged_before = entry.existing.charged if entry.existing and is_same_job else 0
    return entry.job.record.charged - charged_before


def read_spending(batch: Batch) -> Spending:
    return sum_spending(batch.session.ledger, JobFilter(run=batch.run))


def highest_exit_code(batch: Batch) -> int:
    """Return the highest exit code of the items, those left out as not valid included."""
    codes = [entry.exit_code for entry in batch.entries]
    return max([*codes, InvalidBatchError.exit_code if batch.validation.problems else 0])


def _summary_json(batch: Batch) -> dict[str, Any]:
    """Return counts, problems, and the money of all runs of the batch in USD."""
    spending = read_spending(batch)
    amounts = {
        "reserved": spending.held,
        "charged": spending.charged,
        "doubtful": spending.in_doubt,
    }
    cost = {name: float(to_usd(amount)) for name, amount in amounts.items()}
    problems = [
        {"index": problem.location.index, "line": problem.location.line, "message": problem.message}
        for problem in batch.validation.problems
    ]
    return {
        "run": batch.run,
        "exit_code": highest_exit_code(batch),
        "counts": count_states(batch),
        "cost": {**cost, "currency": "USD"},
        "problems": problems,
    }


def write_result(batch: Batch) -> Path | None:
    """Write ``batch-result.json`` whole, or return None if the folder cannot be written.

    The file holds the summary and, under ``items``, what ``--json`` prints of each item.
    """
    path = batch.validation.output_dir / RESULT_FILE
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
    """Yield the file in pieces: as one text it would take more memory than the batch itself."""
    head = json.dumps(_summary_json(batch), indent=2, ensure_ascii=False)
    yield f'{head[:-2]},\n  "items": ['  # without the "\n}" that closes the summary
    for number, entry in enumerate(batch.entries):
        body = json.dumps(entry.to_json(), ensure_ascii=False)
        yield f"{',' if number else ''}\n    {body}"
    yield "\n  ]\n}\n"
