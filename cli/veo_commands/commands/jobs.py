"""``veo jobs``: list jobs, or sum up their costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from veo.errors import UsageError
from veo.money import format_micros
from veo.paths import ledger_folder
from veo_commands.completion import complete_models, complete_states
from veo_commands.format import STATE_STYLES, format_age, format_cost, shorten_path, to_json_usd
from veo_commands.options import ONLY_PROVIDERS, SINCE, ConfigOptions, flag, option
from veo_commands.output import Cell, out, shorten_line
from veo_commands.session import load_config, open_ledger

if TYPE_CHECKING:
    from veo.config import Config
    from veo.ledger import Ledger, Record, State
    from veo.ledger.spending import JobFilter, Spending

EXAMPLES = ("veo jobs", "veo jobs --state failed --limit 5", "veo jobs --cost")

_TITLES = ("JOB", "STATE", "MODEL", ">AGE", "COST", "VIDEO OR PROMPT")
_MAX_PROMPT_CHARS = 60


def jobs(
    *,
    state: list[str] | None = option(
        "Only jobs in this state; can be repeated.", "STATE", autocompletion=complete_states
    ),
    search: str | None = option("Only jobs with this text in prompt, file or task.", "TEXT"),
    provider: list[str] | None = ONLY_PROVIDERS,
    model: list[str] | None = option(
        "Only jobs of this model; can be repeated.",
        "NAME",
        "--model",
        "-m",
        autocompletion=complete_models,
    ),
    tag: list[str] | None = option("Only jobs with this word; can be repeated.", "WORD"),
    since: float | None = SINCE,
    limit: int = option("Maximum number of jobs.", "NUMBER", "--limit", "-n", default=20, min=1),
    list_all: bool = flag("List all jobs, without a limit.", "--all", "-a"),
    cost: bool = flag("Sum up the costs of all jobs instead."),
    config: ConfigOptions,
) -> None:
    """List jobs, newest first."""
    conditions: dict[str, Any] = {
        "since": since,
        "providers": provider or (),
        "states": _parse_states(state),
        "models": model or (),
        "tags": tag or (),
        "search": search,
    }
    count = None if list_all else limit
    records = None if cost or any(conditions.values()) else _list_newest(config, count)
    if records is None:
        from veo.ledger.spending import JobFilter, list_newest

        with open_ledger(config) as (settings, ledger):
            if cost:
                _print_totals(settings, ledger, JobFilter(**conditions))
                return
            records = list_newest(ledger, JobFilter(**conditions), count)
    _print_jobs(records)
    if not list_all and len(records) == limit:  # probably more; counting them costs a query
        out.info(f"Only the newest {limit} are listed; --all lists all.", dim=True)


def _list_newest(config: ConfigOptions, limit: int | None) -> list[Record] | None:
    """Return the newest of all jobs without opening the ledger; None if it has to be opened."""
    from veo.ledger import listing

    if load_config(config).config.ledger:
        return None
    return listing.list_newest(ledger_folder(sandbox=config.sandbox), limit)


def _parse_states(names: Sequence[str] | None) -> list[State] | None:
    from veo.ledger import State

    unknown = sorted(set(names or ()) - {*State})
    if unknown:
        raise UsageError(
            f"--state: {unknown[0]!r} is not a state", hint=f"States: {', '.join(State)}."
        )
    return [State(name) for name in names] if names else None


def _print_jobs(records: Sequence[Record]) -> None:
    if out.options.json or out.options.quiet:
        from veo.files.sidecar import job_to_json

        for record in records:
            out.print_result(job_to_json(record), record.id)
    elif records:
        out.print_table(_TITLES, [_job_row(record) for record in records])
    else:
        out.info("No jobs found.")


def _job_row(record: Record) -> list[Any]:
    is_done = record.state == "done"
    prompt = shorten_line(record.parse_request().prompt, _MAX_PROMPT_CHARS)
    return [
        record.id,
        Cell(record.state, STATE_STYLES.get(record.state, "cyan")),
        f"{record.provider}/{record.model}",
        format_age(record.created_at),
        format_cost(record),
        shorten_path(record.output) if is_done else prompt,
    ]


def _print_totals(config: Config, ledger: Ledger, job_filter: JobFilter) -> None:
    from veo.ledger.budget import current_caps
    from veo.ledger.spending import Spending, spending_by_state

    by_state = spending_by_state(ledger, job_filter)
    total = sum(by_state.values(), Spending())
    counts = {str(state): spending.jobs for state, spending in sorted(by_state.items())}
    # A cap on the jobs of one run does not limit all jobs.
    caps = [cap for cap in current_caps(config, run="") if cap.run is None]
    budgets = [(cap, max(0, cap.limit - ledger.count_spent(cap))) for cap in caps]
    body = {
        "jobs": counts,
        "charged": to_json_usd(total.charged),
        "uncertain": to_json_usd(total.uncertain),
        "reserved": to_json_usd(total.held),
        "doubtful": to_json_usd(total.in_doubt),
        "currency": "USD",
        "budgets": {
            cap.name: {"limit": to_json_usd(cap.limit), "free": to_json_usd(left)}
            for cap, left in budgets
        },
    }
    rows = [
        (cap.name, f"{format_micros(left)} of {format_micros(cap.limit)} left")
        for cap, left in budgets
    ]
    out.print_result(body, out.key_values([*_describe_totals(counts, total), *rows]))


def _describe_totals(counts: Mapping[str, int], total: Spending) -> list[tuple[str, str]]:
    jobs = ", ".join(f"{count} {state}" for state, count in counts.items())
    uncertain = f", of which {format_micros(total.uncertain)} probably" if total.uncertain else ""
    return [
        ("jobs", jobs or "none"),
        ("charged", f"{format_micros(total.charged)}{uncertain}"),
        ("reserved", f"{format_micros(total.held)} for jobs in progress"),
        ("in doubt", f"{format_micros(total.in_doubt)} possibly charged, outcome unknown"),
    ]
