"""``veo cost --reconcile``: the ledger beside a provider's own list of charges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veo_commands import exit_codes
from veo_commands.commands.totals import dollars
from veo_commands.format import describe_outcome, format_usd
from veo_commands.output import out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.client import Client
    from veo.ledger import Record
    from veo.ledger.spending import JobFilter
    from veo.reconcile.charges import Bill, Listed
    from veo.reconcile.result import Pair, Question, Reconciled, Terms
    from veo_commands.commands.reconciling import Reconciling


def reconciled(client: Client, scope: JobFilter, asked: Reconciling) -> int:
    """Compare, tell, and settle if that was asked for.

    Raises:
        UsageError: The list cannot be read, or what was said of jobs and tasks is not so.
        UnknownJobError: There is no such job.
    """
    from veo.ledger.spending import find_jobs
    from veo.reconcile.charges import load
    from veo.reconcile.match import reconcile

    listed = load(str(asked.reconcile)).since(scope.since)
    records = find_jobs(client.ledger, scope)
    terms = _terms(client, scope, asked, listed, records)
    found = reconcile(records, listed, terms)
    settled = _settle(client, found, listed, terms) if asked.settle else []
    (_as_json if out.options.json else _as_text)(found, settled)
    _offer(found, settled=asked.settle)
    still = [question for question in found.questions if question.verdict == "open"]
    return (
        exit_codes.UNKNOWN if still or (found.questions and not asked.settle) else exit_codes.DONE
    )


def _terms(
    client: Client, scope: JobFilter, asked: Reconciling, listed: Listed, records: Sequence[Record]
) -> Terms:
    """What may be concluded, every word of the user checked."""
    from veo.errors import UsageError
    from veo.reconcile.result import DAY_S, Terms

    tasks = dict(_split(client, each) for each in asked.task or ())
    unpaid = {_doubted(client, name).id for name in asked.unpaid or ()}
    known = {bill.task for bill in listed.bills}
    taken = {record.task_id: record.id for record in records if record.task_id}
    for job, task in tasks.items():
        if task not in known:
            raise UsageError(f"--task: the list has no task {task!r}")
        if taken.get(task, job) != job:
            raise UsageError(f"--task: {task} is the task of job {taken[task]}")
        if job in unpaid:
            raise UsageError(f"job {job} is said to be paid and unpaid")
    if len(set(tasks.values())) < len(tasks):
        raise UsageError("--task: one task is given to several jobs")
    return Terms(
        since=scope.since,
        settled_after=asked.settled_after or DAY_S,
        taskless=frozenset(n for n, facts in client.providers().items() if not facts.tasks),
        tasks=tasks,
        unpaid=frozenset(unpaid),
    )


def _split(client: Client, said: str) -> tuple[str, str]:
    from veo.errors import UsageError

    name, _, task = said.partition("=")
    if not name.strip() or not task.strip():
        raise UsageError(f"--task {said!r}: write JOB=TASK")
    return _doubted(client, name.strip()).id, task.strip()


def _doubted(client: Client, name: str) -> Record:
    """A job by its name.

    Raises:
        UsageError: Its outcome and its money are known.
    """
    from veo.errors import UsageError
    from veo.ledger import State

    record = client.ledger.find_job(name)
    open_ = record.has_ended and (record.reserved or not record.certain)
    if record.state is not State.UNKNOWN and not open_:
        raise UsageError(f"job {record.id} is {record.state}: there is nothing to settle")
    return record


def _settle(client: Client, found: Reconciled, listed: Listed, terms: Terms) -> list[Record]:
    from veo.reconcile.settle import confirm, settle

    sure = confirm(client.ledger, found.matched, listed.source)
    return [*settle(client.ledger, found.questions, listed.source, terms.taskless), *sure]


def _as_json(found: Reconciled, settled: Sequence[Record]) -> None:
    for name in ("differing", "ahead"):
        for pair in getattr(found, name):
            out.print_result({"kind": name, **_pair(pair)}, None)
    for record in found.ours:
        out.print_result({"kind": "ours", "job": record.id, "ours": dollars(record.charged)}, None)
    for bill in found.theirs:
        out.print_result({"kind": "theirs", **_bill(bill)}, None)
    for question in found.questions:
        out.print_result({"kind": "question", **_question(question)}, None)
    out.print_result(
        {"kind": "summary", **_counts(found), "settled": [r.id for r in settled]}, None
    )


def _counts(found: Reconciled) -> dict[str, Any]:
    both = sum(pair.bill.amount for pair in found.matched)
    return {
        "matched": len(found.matched),
        "matched_usd": dollars(both),
        "differing": len(found.differing),
        "ours": len(found.ours),
        "ours_usd": dollars(sum(record.charged for record in found.ours)),
        "theirs": len(found.theirs),
        "theirs_usd": dollars(sum(bill.amount for bill in found.theirs)),
        "ahead": len(found.ahead),
        "outside": len(found.outside),
        "questions": len(found.questions),
        "agrees": found.agrees,
    }


def _pair(pair: Pair) -> dict[str, Any]:
    ours = dollars(pair.record.charged)
    return {"job": pair.record.id, "ours": ours, **_bill(pair.bill)}


def _bill(bill: Bill) -> dict[str, Any]:
    return {
        "task": bill.task,
        "theirs": dollars(bill.amount),
        "at": bill.at,
        "model": bill.model,
        "route": bill.label,
    }


def _question(question: Question) -> dict[str, Any]:
    return {
        "job": question.record.id,
        "amount": dollars(question.amount),
        "about": "an earlier send" if question.earlier else "its outcome",
        "verdict": question.verdict,
        "why": question.why,
        "task": question.bill.task if question.bill else None,
        "candidates": [bill.task for bill in question.candidates],
    }


def _as_text(found: Reconciled, settled: Sequence[Record]) -> None:
    out.print_result({}, out.key_values(_facts(found)))
    rows = [
        *(("differing", *_cells(pair)) for pair in found.differing),
        *(("ours only", r.id, format_usd(r.charged), "-", _what(r)) for r in found.ours),
        *(("theirs only", "-", "-", format_usd(b.amount), b.task) for b in found.theirs),
        *(("ahead of us", *_cells(pair)) for pair in found.ahead),
    ]
    if rows:
        out.print_table(("", "JOB", ">OURS", ">THEIRS", "WHAT"), rows)
    if found.questions:
        out.print_table(("JOB", ">MAY BE", "SAID", "TASK", "WHY"), map(_asked, found.questions))
    for record in settled:
        out.info(f"settled: {describe_outcome(record)}", dim=True)
        if not record.has_ended:
            out.hint(f"{out.command('resume', record.id)} fetches its video.")


def _facts(found: Reconciled) -> list[tuple[str, str]]:
    counts = _counts(found)
    by_time = sum(not pair.by_task for pair in found.matched)
    how = f", {by_time} of them by model, amount and time" if by_time else ""
    both = format_usd(sum(pair.bill.amount for pair in found.matched))
    facts = [("matched", f"{counts['matched']}, {both} on both sides{how}")]
    facts += [(name, str(counts[name])) for name in ("differing", "ours", "theirs")]
    if found.outside:
        facts.append(("outside", f"{len(found.outside)} jobs are older than the list"))
    return [(f"{name} only" if name in {"ours", "theirs"} else name, text) for name, text in facts]


def _cells(pair: Pair) -> tuple[str, str, str, str]:
    record, bill = pair.record, pair.bill
    return record.id, format_usd(record.charged), format_usd(bill.amount), _what(record)


def _what(record: Record) -> str:
    return f"{record.state} {record.provider}/{record.model} {record.task_id or ''}"


def _asked(question: Question) -> tuple[str, str, str, str, str]:
    task = question.bill.task if question.bill else "-"
    why = question.why
    if question.candidates:
        why += f": {', '.join(bill.task for bill in question.candidates)}"
    about = " (an earlier send)" if question.earlier else ""
    return question.record.id, format_usd(question.amount), question.verdict, task, why + about


def _offer(found: Reconciled, *, settled: bool) -> None:
    """Say what can still be settled, and how."""
    ready = [question for question in found.questions if question.verdict != "open"]
    paid = sum(question.verdict == "paid" for question in ready)
    if ready and not settled:
        out.hint(f"--settle writes it down: {paid} paid, {len(ready) - paid} not.")
    if len(ready) < len(found.questions):
        out.hint("What is open: --task JOB=TASK or --unpaid JOB says how it was, with --settle.")
