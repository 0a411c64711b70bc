"""``veo cost --reconcile``: compare the ledger with a provider's list of charges."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from veo.errors import UsageError
from veo.money import format_micros
from veo_commands import exit_codes
from veo_commands.format import describe_outcome, to_json_usd
from veo_commands.options import check_dependent_options, flag, option, parse_seconds
from veo_commands.output import option_group, out

if TYPE_CHECKING:
    from veo.client import Client
    from veo.ledger import Record
    from veo.ledger.spending import JobFilter
    from veo.reconcile.charge_rows import ProviderCharge
    from veo.reconcile.charges import ChargeList
    from veo.reconcile.result import Assumptions, Match, OpenItem, Reconciliation


@option_group
class ReconcileOptions:
    panel: ClassVar[str] = "Reconciliation"

    reconcile: str | None = option(
        "Compare with a provider's list of charges, CSV or JSON.", "FILE|URL"
    )
    settle: bool = flag("Write the conclusions to the ledger: charged or not charged.")
    task: list[str] | None = option("State that TASK belongs to JOB; can be repeated.", "JOB=TASK")
    unpaid: list[str] | None = option("State that JOB was not charged; can be repeated.", "JOB")
    settled_after: float | None = option(
        "Age of a job from which on no charge for it can appear (default 24h).",
        "TIME",
        parser=parse_seconds,
    )

    @property
    def is_requested(self) -> bool:
        """Whether to reconcile."""
        check_dependent_options(self, "reconcile")
        return bool(self.reconcile)


def reconcile_charges(client: "Client", scope: "JobFilter", options: ReconcileOptions) -> int:
    """Compare the ledger with the list, print the differences, and settle if requested.

    The exit code is 5 while the outcome of a job is unknown, 0 otherwise.
    """
    from veo.ledger.spending import find_jobs
    from veo.reconcile.charges import load_charges
    from veo.reconcile.match import reconcile
    from veo.reconcile.settle import confirm_charges, settle_open_items

    charges = load_charges(str(options.reconcile)).since(scope.since)
    records = find_jobs(client.ledger, scope)
    assumptions = _read_assumptions(client, scope, options, charges, records)
    result = reconcile(records, charges, assumptions)
    settled: list[Record] = []
    if options.settle:
        ledger, source = client.ledger, charges.source
        confirmed = confirm_charges(ledger, result.matched, source)
        settled = settle_open_items(ledger, result.open_items, source, assumptions.taskless)
        settled += confirmed
    (_print_json if out.options.json else _print_text)(result, settled)
    _print_next_steps(result, settled=options.settle)
    has_open_items = any(item.verdict == "open" for item in result.open_items)
    is_unsettled = bool(result.open_items) and not options.settle
    # The exit code tells scripts that money is still in doubt.
    return exit_codes.UNKNOWN if has_open_items or is_unsettled else exit_codes.DONE


def _read_assumptions(
    client: "Client",
    scope: "JobFilter",
    options: ReconcileOptions,
    charges: "ChargeList",
    records: "Sequence[Record]",
) -> "Assumptions":
    """Return what the options say about the list; every statement is checked."""
    from veo.reconcile.result import DAY_S, Assumptions

    tasks = dict(_parse_task(client, text) for text in options.task or ())
    unpaid = {_find_unsettled(client, name, with_earlier=True).id for name in options.unpaid or ()}
    listed = {charge.task for charge in charges.charges}
    job_by_task = {record.task_id: record.id for record in records if record.task_id}
    for job, task in tasks.items():
        if task not in listed:
            raise UsageError(f"--task: the list has no task {task!r}")
        if job_by_task.get(task, job) != job:
            raise UsageError(f"--task: {task} is the task of job {job_by_task[task]}")
        if job in unpaid:
            raise UsageError(f"--task and --unpaid contradict each other for job {job}")
    if len(set(tasks.values())) < len(tasks):
        raise UsageError("--task: one task is assigned to several jobs")
    return Assumptions(
        since=scope.since,
        settled_after=options.settled_after or DAY_S,
        taskless=frozenset(n for n, facts in client.providers().items() if not facts.tasks),
        tasks=tasks,
        unpaid=frozenset(unpaid),
    )


def _parse_task(client: "Client", text: str) -> tuple[str, str]:
    name, _, task = text.partition("=")
    if not name.strip() or not task.strip():
        raise UsageError(f"--task {text!r}: write JOB=TASK")
    return _find_unsettled(client, name.strip()).id, task.strip()


def _find_unsettled(client: "Client", name: str, *, with_earlier: bool = False) -> "Record":
    """Return a job whose outcome or charge is unknown, or that of an earlier send."""
    from veo.ledger import State

    record = client.ledger.find_job(name)
    in_doubt = record.in_doubt_amount if with_earlier else record.in_doubt_amount - record.doubtful
    is_uncertain = record.has_ended and not record.certain
    if record.state is not State.UNKNOWN and not in_doubt and not is_uncertain:
        raise UsageError(f"job {record.id} is {record.state}: nothing to settle")
    return record


def _print_json(result: "Reconciliation", settled: "Sequence[Record]") -> None:
    lines: list[dict[str, Any]] = [
        *({"kind": "differing", **_match_to_json(match)} for match in result.differing),
        *({"kind": "ahead", **_match_to_json(match)} for match in result.not_ended),
        *(
            {"kind": "ours", "job": record.id, "ours": to_json_usd(record.charged)}
            for record in result.ledger_only
        ),
        *({"kind": "theirs", **_charge_to_json(charge)} for charge in result.provider_only),
        *({"kind": "question", **_open_item_to_json(item)} for item in result.open_items),
        {"kind": "summary", **_counts_to_json(result), "settled": [r.id for r in settled]},
    ]
    for line in lines:
        out.print_result(line, None)


def _counts_to_json(result: "Reconciliation") -> dict[str, Any]:
    return {
        "matched": len(result.matched),
        "matched_usd": to_json_usd(sum(match.charge.amount for match in result.matched)),
        "differing": len(result.differing),
        "ours": len(result.ledger_only),
        "ours_usd": to_json_usd(sum(record.charged for record in result.ledger_only)),
        "theirs": len(result.provider_only),
        "theirs_usd": to_json_usd(sum(charge.amount for charge in result.provider_only)),
        "ahead": len(result.not_ended),
        "outside": len(result.before_list),
        "questions": len(result.open_items),
        "agrees": result.agrees,
    }


def _match_to_json(match: "Match") -> dict[str, Any]:
    ours = to_json_usd(match.record.charged)
    return {"job": match.record.id, "ours": ours, **_charge_to_json(match.charge)}


def _charge_to_json(charge: "ProviderCharge") -> dict[str, Any]:
    return {
        "task": charge.task,
        "theirs": to_json_usd(charge.amount),
        "at": charge.at,
        "model": charge.model,
        "route": charge.label,
    }


def _open_item_to_json(item: "OpenItem") -> dict[str, Any]:
    return {
        "job": item.record.id,
        "amount": to_json_usd(item.amount),
        "about": "an earlier send" if item.is_earlier_send else "its outcome",
        "verdict": item.verdict,
        "why": item.why,
        "task": item.charge.task if item.charge else None,
        "candidates": [charge.task for charge in item.candidates],
    }


def _print_text(result: "Reconciliation", settled: "Sequence[Record]") -> None:
    out.print_result({}, out.key_values(_summarize(result)))
    rows = [
        *(("differing", *_match_cells(match)) for match in result.differing),
        *(
            ("ledger only", record.id, format_micros(record.charged), "-", _describe_job(record))
            for record in result.ledger_only
        ),
        *(
            ("provider only", "-", "-", format_micros(charge.amount), charge.task)
            for charge in result.provider_only
        ),
        *(("not ended", *_match_cells(match)) for match in result.not_ended),
    ]
    if rows:
        out.print_table(("", "JOB", ">LEDGER", ">PROVIDER", "WHAT"), rows)
    if result.open_items:
        titles = ("JOB", ">AMOUNT", "VERDICT", "TASK", "REASON")
        out.print_table(titles, map(_open_item_cells, result.open_items))
    for record in settled:
        out.info(f"settled: {describe_outcome(record)}", dim=True)
        if not record.has_ended:
            out.hint(f"{out.command('resume', record.id)} fetches its video.")


def _summarize(result: "Reconciliation") -> list[tuple[str, str]]:
    by_time = sum(not match.by_task for match in result.matched)
    note = f", {by_time} of them by model, amount and time" if by_time else ""
    amount = format_micros(sum(match.charge.amount for match in result.matched))
    values = [
        ("matched", f"{len(result.matched)}, {amount} on both sides{note}"),
        ("differing", str(len(result.differing))),
        ("ledger only", str(len(result.ledger_only))),
        ("provider only", str(len(result.provider_only))),
    ]
    if result.before_list:
        values.append(("before the list", f"{len(result.before_list)} jobs"))
    return values


def _match_cells(match: "Match") -> tuple[str, str, str, str]:
    ours, theirs = format_micros(match.record.charged), format_micros(match.charge.amount)
    return match.record.id, ours, theirs, _describe_job(match.record)


def _describe_job(record: "Record") -> str:
    return f"{record.state} {record.provider}/{record.model} {record.task_id or ''}"


def _open_item_cells(item: "OpenItem") -> tuple[str, str, str, str, str]:
    why = item.why
    if item.candidates:
        why += f": {', '.join(charge.task for charge in item.candidates)}"
    if item.is_earlier_send:
        why += " (an earlier send)"
    task = item.charge.task if item.charge else "-"
    return item.record.id, format_micros(item.amount), item.verdict, task, why


def _print_next_steps(result: "Reconciliation", *, settled: bool) -> None:
    verdicts = [item.verdict for item in result.open_items]
    paid, unpaid = verdicts.count("paid"), verdicts.count("unpaid")
    if (paid or unpaid) and not settled:
        out.hint(f"--settle records these verdicts in the ledger: {paid} paid, {unpaid} unpaid.")
    if "open" in verdicts:
        out.hint("To settle an open item, state --task JOB=TASK or --unpaid JOB with --settle.")
