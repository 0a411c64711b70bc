"""What ``veo batch`` prints before it starts, for each item, and at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from veo.batch.batch import Batch
from veo.batch.entry import Entry
from veo.batch.match import Action
from veo.batch.result import (
    count_states,
    highest_exit_code,
    list_quotes,
    read_spending,
    sum_new_charges,
    write_result,
)
from veo.errors import InvalidBatchError, MissingVideoError
from veo.money import format_micros, format_quotes, sum_amounts, to_micros
from veo_commands import exit_codes
from veo_commands.format import (
    STATE_STYLES,
    clip_differences,
    describe_outcome,
    format_cost,
    format_duration,
    shorten_path,
)
from veo_commands.output import Cell, out, shorten_line

_MAX_ROWS = 40  # a longer table scrolls the summary out of sight
_MAX_MESSAGE_CHARS = 300
_MAX_CELL_CHARS = 120
_STATE_ORDER = (
    *("done", "skipped", "downloading", "ready", "running", "submitted", "submitting"),
    *("planned", "waiting", "failed", "expired", "unknown", "not sent", "invalid"),
)
_HAS_VIDEO = {"done", "skipped"}
_COLORS = {"failed": "red", "expired": "red", "unknown": "yellow"}
_STYLES = {**STATE_STYLES, "skipped": "dim", "not sent": "yellow"}
_ACTION_TEXTS = {
    "make": "to make",
    "keep": "made already",
    "changed": "made already, file changed since",
    "fetch": "made already, to be downloaded again",
    "gone": "sent before, video missing",
    "paid": "failed before, charged or in doubt",
    "join": "in progress",
    "ask": "of unknown outcome",
}


def print_problems(error: InvalidBatchError) -> int:
    out.print_error(error)
    for problem in error.problems:
        location = {"index": problem.location.index, "line": problem.location.line}
        body = InvalidBatchError([problem]).to_public_json() | {"message": problem.message}
        out.print_result({**location, "job": None, "error": body}, None)
    return error.exit_code


def announce_batch(batch: Batch) -> None:
    _print_warnings(batch)
    count = len(batch.entries)
    items = f"{count} item{'s' if count > 1 else ''}"
    out.info(f"{items}: {_summarize_actions(batch)}{out.play_money_note}", dim=True)
    if columns := dict.fromkeys(name for entry in batch.entries for name in entry.new_job.columns):
        out.info(f"columns: {shorten_line(', '.join(columns), _MAX_CELL_CHARS)}", dim=True)
    if error := batch.context.budget_error(to_micros(sum_amounts(list_quotes(batch)))):
        out.warn(f"{error.message}; only the items that fit are sent")


def print_plan(batch: Batch) -> int:
    """Print the action for each item and the price of all (``--dry-run``)."""
    _print_warnings(batch)
    if out.options.json:
        for entry, action in batch.planned_actions:
            out.print_result(_plan_json(entry, action), None)
    else:
        titles = ("#", "PLAN", "MODEL", ">PRICE", "VIDEO")
        out.print_table(titles, [_plan_row(*planned) for planned in batch.planned_actions])
        out.print_result({}, f"\n{_summarize_actions(batch)}\nnothing was sent")
    return InvalidBatchError.exit_code if batch.validation.problems else exit_codes.DONE


def print_entry(entry: Entry) -> None:
    """Print an ended item on stdout: its JSON, or its file when quiet."""
    has_video = entry.state in _HAS_VIDEO and out.options.quiet
    out.print_result(entry.to_json(), entry.record.output if has_video and entry.record else None)


def print_outcome(entry: Entry) -> None:
    """Print how an item ended on stderr, errors even when quiet.

    Items that were not sent are summed up at the end instead, by ``_print_unsent``.
    """
    if entry.state == "not sent" or (entry.is_skipped and not entry.note):
        return
    print_line = out.notice if entry.error else out.info
    color = _COLORS.get(entry.state)
    print_line(_outcome_line(entry), **({"fg": color} if color else {"dim": True}))
    for difference in _list_differences(entry):
        out.warn(f"{entry.location}: {difference}")


def _list_differences(entry: Entry) -> list[str]:
    return clip_differences(entry.record) if entry.record and entry.state == "done" else []


def needs_attention(entry: Entry) -> bool:
    """Return whether an item ended with a remark, an error, or a video that was not requested."""
    if _list_differences(entry):
        return True
    return entry.note is not None or (entry.error is not None and entry.state != "not sent")


def format_counts(counts: Mapping[str, int]) -> list[str]:
    """Return texts like ``3 done``, in the order of a job's life."""
    return [f"{counts[state]} {state}" for state in _STATE_ORDER if counts.get(state)]


def print_summary(batch: Batch, took_s: float, *, interrupted: bool = False) -> int:
    """Print the items, their cost and how long it took, and return the exit code.

    Jobs in flight go on at the provider: after Ctrl-C, or with ``--detach``.
    """
    in_flight = len(batch.in_flight)
    batch.detach(is_intended=not interrupted)
    for entry in batch.pop_ended():
        print_entry(entry)
    if not (interrupted or out.options.json or out.options.quiet):
        _print_table(batch.entries)
    _print_totals(batch, took_s)
    _print_unsent(batch.entries)
    if not interrupted:
        _print_hints(batch)
    if in_flight:
        resume = out.command("resume")
        out.hint(f"{in_flight} in progress: {resume} or the same command fetches them.")
    if interrupted:
        out.hint("Run the same command again to continue; finished videos cost nothing.")
        return exit_codes.INTERRUPTED
    return highest_exit_code(batch)


def _print_table(entries: Sequence[Entry]) -> None:
    """Print all items of a small batch, and only those without a video of a large one."""
    shown = [
        entry for entry in entries if len(entries) <= _MAX_ROWS or entry.state not in _HAS_VIDEO
    ]
    if shown:
        titles = ("#", "STATE", ">TIME", ">COST", "VIDEO OR REASON")
        out.print_table(titles, [_entry_row(entry) for entry in shown[:_MAX_ROWS]])
    if len(shown) > _MAX_ROWS:
        out.info(f"and {len(shown) - _MAX_ROWS} more without a video", dim=True)


def _print_totals(batch: Batch, took_s: float) -> None:
    spending = read_spending(batch)
    new_charges = sum_new_charges(batch)
    money = [f"charged {format_micros(new_charges) if new_charges else 'nothing'}"]
    if spending.charged != new_charges:
        money.append(f"{format_micros(spending.charged)} in all runs")
    money += [f"{format_micros(spending.held)} reserved"] if spending.held else []
    money += [f"{format_micros(spending.in_doubt)} in doubt"] if spending.in_doubt else []
    path = write_result(batch)
    counts = ", ".join(format_counts(count_states(batch)))
    out.info(f"{counts} in {format_duration(took_s)}; {', '.join(money)}")
    if path:
        out.info(f"full result: {shorten_path(str(path))}", dim=True)
    else:
        out.warn(f"cannot write batch-result.json to {batch.validation.output_dir}")


def _print_hints(batch: Batch) -> None:
    if any(entry.error and entry.state == "unknown" for entry in batch.entries):
        listing = out.command("jobs", "--state unknown")
        out.hint(f"{listing} lists the jobs that may have been paid for.")
        out.hint("--resubmit-unknown sends them again, which may pay twice.")
    ended = [entry for entry in batch.entries if entry.error]
    failed = [
        entry
        for entry in ended
        if entry.state in {"failed", "expired"} or isinstance(entry.error, MissingVideoError)
    ]
    # A retry does not help where the job has spent its money: the error says what does.
    paid = [entry for entry in failed if entry.record and entry.record.covers_request]
    errors = [entry.error for entry in paid if entry.error]
    for line in dict.fromkeys(line for error in errors for line in out.advice(error)):
        out.hint(line)
    if len(failed) > len(paid):
        out.hint("Run the same command again to retry the failed items.")


def _print_unsent(entries: Iterable[Entry]) -> None:
    errors = [entry.error for entry in entries if entry.state == "not sent" and entry.error]
    # Items that were not sent for one reason share one error object.
    for error in dict.fromkeys(errors):
        reason = error.message.removeprefix("not sent: ")
        out.notice(f"{errors.count(error)} not sent: {reason}", fg="yellow")
        for line in out.advice(error):
            out.hint(line)


def _print_warnings(batch: Batch) -> None:
    for problem in batch.validation.problems:
        out.warn(f"left out: {problem}")
    for warning in batch.validation.warnings:
        out.warn(warning)


def _summarize_actions(batch: Batch) -> str:
    counts = Counter(action.value for _, action in batch.planned_actions)
    parts = [f"{counts[action]} {text}" for action, text in _ACTION_TEXTS.items() if counts[action]]
    quotes = list_quotes(batch)
    return ", ".join(parts) + (f"; {format_quotes(quotes)} to pay" if quotes else "")


def _outcome_line(entry: Entry) -> str:
    record = entry.record
    if entry.state == "done" and record:
        return f"{entry.location} {describe_outcome(record)}: {shorten_path(record.output)}"
    reason = str(entry.error) if entry.error else entry.note
    job_id = f" {entry.job.id}" if entry.job else ""
    suffix = f": {shorten_line(reason, _MAX_MESSAGE_CHARS)}" if reason else ""
    return f"{entry.location}{job_id} {entry.state}{suffix}"


def _entry_row(entry: Entry) -> list[Any]:
    record = entry.record if entry.job else None
    took = record.ended_at - record.created_at if record and record.ended_at else None
    if entry.state in _HAS_VIDEO and entry.record:
        video = shorten_path(entry.record.output)
    else:
        reason = str(entry.error) if entry.error and entry.state != "not sent" else entry.note
        video = shorten_line(reason or "", _MAX_CELL_CHARS)
    return [
        str(entry.location.number),
        Cell(entry.state, _STYLES.get(entry.state, "cyan")),
        format_duration(took) if took is not None else "",
        format_cost(record) if record else "-",
        video,
    ]


def _plan_row(entry: Entry, action: Action) -> list[Any]:
    job = entry.new_job
    return [
        str(entry.location.number),
        _ACTION_TEXTS[action.value],
        f"{job.provider}/{job.model}",
        format_quotes([job.quote]) if action.value == "make" else "-",
        shorten_path(job.output),
    ]


def _plan_json(entry: Entry, action: Action) -> dict[str, Any]:
    return {
        **entry.to_json(),
        "plan": action.value,
        "request": entry.new_job.request.to_json(),
        "quote": entry.new_job.quote.to_json(),
    }
