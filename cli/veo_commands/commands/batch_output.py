"""What a batch has to say before it begins, as its items end, and in the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from veo_commands import exit_codes
from veo_commands.format import (
    STATE_STYLES,
    describe_outcome,
    format_cost,
    format_duration,
    format_usd,
    shorten_path,
)
from veo_commands.output import out, shorten_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from veo.batch.batch import Batch
    from veo.batch.entry import Entry
    from veo.batch.match import Action
    from veo.errors import InvalidBatchError

_ROWS = 40
_ORDER = (
    *("done", "skipped", "downloading", "ready", "running", "submitted", "submitting"),
    *("planned", "waiting", "failed", "expired", "unknown", "not sent", "invalid"),
)
_FINE = {"done", "skipped"}
_AGAIN = {"failed", "expired"}
_COLOURS = {"failed": "red", "expired": "red", "unknown": "yellow"}
_STYLES = {**STATE_STYLES, "skipped": "dim", "not sent": "yellow"}
_OUTLOOK = {
    "make": "to make",
    "keep": "made already",
    "changed": "made already, its file changed since",
    "fetch": "made already, its file to be fetched again",
    "gone": "made once, its video gone",
    "join": "on its way already",
    "ask": "of unknown outcome",
}


def refused(error: InvalidBatchError) -> int:
    """Print every problem of a batch of which nothing was sent."""
    out.print_error(error)
    for problem in error.problems:
        told = {"type": "InvalidBatchError", "message": problem.message}
        place = {"index": problem.location.index, "line": problem.location.line}
        out.print_result({**place, "job": None, "error": told}, None)
    return error.exit_code


def announced(batch: Batch) -> None:
    """Tell what is going to happen and what it will cost."""
    from veo.batch.result import sum_quotes

    _warn(batch)
    play = "; play money in the sandbox" if out.sandbox else ""
    out.info(f"{len(batch.entries)} items: {_outlook(batch)}{play}", dim=True)
    if short := batch.context.budget_error(sum_quotes(batch)):
        out.warn(f"{short.message}; as many are sent as fit")


def rehearsed(batch: Batch) -> int:
    """``--dry-run``: print the plan of every item and the quote of all, send nothing."""
    from veo.errors import InvalidBatchError

    _warn(batch)
    if out.options.json:
        for entry, what in batch.planned_actions:
            out.print_result(_planned(entry, what), None)
    else:
        titles = ("#", "PLAN", "MODEL", ">PRICE", "VIDEO")
        out.print_table(titles, [_row(entry, what) for entry, what in batch.planned_actions])
        out.print_result({}, f"\n{_outlook(batch)}\nnothing was sent")
    return InvalidBatchError.exit_code if batch.validation.problems else exit_codes.DONE


def result(entry: Entry) -> None:
    """Print an item that is over as a result: its JSON, or when quiet its file."""
    done = entry.state in _FINE and out.options.quiet
    out.print_result(entry.to_json(), entry.record.output if done and entry.record else None)


def tell(entry: Entry) -> None:
    """Say on stderr how an item ended, errors even when quiet; one line speaks for all not sent."""
    if entry.state == "not sent" or (entry.is_skipped and not entry.note):
        return
    say = out.notice if entry.error else out.info
    colour = _COLOURS.get(entry.state)
    say(_line(entry), **({"fg": colour} if colour else {"dim": True}))


def is_odd(entry: Entry) -> bool:
    """Whether there is something to say about an item besides that it has its video."""
    return entry.note is not None or (entry.error is not None and entry.state != "not sent")


def _line(entry: Entry) -> str:
    record = entry.record
    if entry.state == "done" and record:
        return f"{entry.location} {describe_outcome(record)}: {shorten_path(record.output)}"
    said = entry.error.message if entry.error else entry.note
    name = f" {entry.job.id}" if entry.job else ""
    return f"{entry.location}{name} {entry.state}{f': {shorten_line(said, 300)}' if said else ''}"


def counted(counts: Mapping[str, int]) -> list[str]:
    """How many items are in which state, in the order of a life."""
    return [f"{counts[state]} {state}" for state in _ORDER if counts.get(state)]


def interrupted(batch: Batch) -> int:
    """The end of a batch by Ctrl-C: what was sent goes on without us."""
    sent = len(batch.in_flight)
    batch.detach()
    _print_rest(batch)
    _closing(batch)
    _tell_not_sent(batch.entries)
    _tell_of_those_on_their_way(sent)
    out.hint("The same command goes on with the batch; what is made costs nothing.")
    return exit_codes.INTERRUPTED


def finished(batch: Batch) -> int:
    """Print a table of the items and what all of it cost; returns the exit code.

    What is still on its way was accepted and detached from.
    """
    from veo.batch.result import highest_exit_code

    sent = len(batch.in_flight)
    batch.detach(is_intended=True)
    _print_rest(batch)
    if not (out.options.json or out.options.quiet):
        _table(batch.entries)
    _closing(batch)
    _advise(batch)
    _tell_of_those_on_their_way(sent)
    return highest_exit_code(batch)


def _tell_of_those_on_their_way(count: int) -> None:
    if count:
        out.hint(f"{count} on their way: {out.command('resume')} or the same command fetches them.")


def _print_rest(batch: Batch) -> None:
    for entry in batch.pop_ended():
        result(entry)


def _table(entries: Sequence[Entry]) -> None:
    """All items where they are few, else those that have no video."""
    shown = [entry for entry in entries if len(entries) <= _ROWS or entry.state not in _FINE]
    if shown:
        titles = ("#", "STATE", ">TIME", ">COST", "VIDEO OR REASON")
        out.print_table(titles, [_ended(entry) for entry in shown[:_ROWS]])
    if len(shown) > _ROWS:
        out.info(f"and {len(shown) - _ROWS} more without a video", dim=True)


def _ended(entry: Entry) -> list[Any]:
    from rich.text import Text

    record = entry.record if entry.job else None
    took = record.ended_at - record.created_at if record and record.ended_at else None
    fine = entry.state in _FINE and entry.record is not None
    why = entry.error.message if entry.error and entry.state != "not sent" else ""
    return [
        str(entry.location.index),
        Text(entry.state, style=_STYLES.get(entry.state, "cyan")),
        format_duration(took) if took is not None else "",
        format_cost(record) if record else "-",
        shorten_path(entry.record.output)
        if fine and entry.record
        else shorten_line(why or entry.note or "", 120),
    ]


def _closing(batch: Batch) -> None:
    """The sums, and where the whole result is."""
    from veo.batch.result import count_states, sum_new_charges, write_result

    sums = batch.session.ledger.sums(batch.run)
    now = sum_new_charges(batch)
    money = [f"charged {format_usd(now) if now else 'nothing'}"]
    if sums.charged != now:
        money.append(f"{format_usd(sums.charged)} in all runs")
    money += [f"{format_usd(sums.reserved)} reserved"] if sums.reserved else []
    money += [f"{format_usd(sums.doubtful)} doubtful"] if sums.doubtful else []
    path = write_result(batch)
    out.info(f"{', '.join(counted(count_states(batch)))}; {', '.join(money)}")
    if path:
        out.info(f"all of it: {shorten_path(str(path))}", dim=True)
    if path is None:
        out.warn(f"batch-result.json cannot be written to {batch.validation.output_dir}")


def _advise(batch: Batch) -> None:
    """What can be done about items without a video, each advice once."""
    _tell_not_sent(batch.entries)
    found = Counter(entry.state for entry in batch.entries if entry.error)
    if found["unknown"]:
        out.hint(f"{out.command('jobs', '--state unknown')} lists what may have been paid for.")
        out.hint("--resubmit-unknown sends it again, which may pay twice.")
    wrong = [entry for entry in batch.entries if entry.error and entry.state in _AGAIN]
    kept = [entry for entry in wrong if entry.record and entry.record.covers_request]
    errors = [entry.error for entry in kept if entry.error]
    for line in dict.fromkeys(line for error in errors for line in out.advice(error)):
        out.hint(line)
    if len(wrong) > len(kept):
        out.hint("The same command again gives those that failed a new try.")


def _tell_not_sent(entries: Iterable[Entry]) -> None:
    errors = [entry.error for entry in entries if entry.state == "not sent" and entry.error]
    for error in dict.fromkeys(errors):
        said = error.message.removeprefix("not sent: ")
        out.notice(f"{errors.count(error)} not sent: {said}", fg="yellow")
        for line in out.advice(error):
            out.hint(line)


def _warn(batch: Batch) -> None:
    for problem in batch.validation.problems:
        out.warn(f"left out: {problem}")
    for warning in batch.validation.warnings:
        out.warn(warning)


def _outlook(batch: Batch) -> str:
    """How many items are to be made, are made, and so on, and the quote of what is to be made."""
    from veo.batch.result import sum_quotes

    found = Counter(what.value for _, what in batch.planned_actions)
    parts = [f"{found[name]} {told}" for name, told in _OUTLOOK.items() if found[name]]
    cost = sum_quotes(batch)
    return ", ".join(parts) + (f"; {format_usd(cost)} to pay" if cost else "")


def _row(entry: Entry, what: Action) -> list[Any]:
    from veo.money import format_amount

    quote = entry.new_job.quote
    return [
        str(entry.location.index),
        _OUTLOOK[what.value],
        f"{entry.new_job.provider}/{entry.new_job.model}",
        format_amount(quote.amount) if what.value == "make" else "-",
        shorten_path(entry.new_job.output),
    ]


def _planned(entry: Entry, what: Action) -> dict[str, Any]:
    """An item of a rehearsal as ``--json`` prints it."""
    return {
        **entry.to_json(),
        "plan": what.value,
        "request": entry.new_job.request.to_json(),
        "quote": entry.new_job.quote.to_json(),
    }
