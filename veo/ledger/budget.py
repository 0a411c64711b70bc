"""Caps on money: which apply now, what counts against them, and the error for an amount too high.

``reserve.plan_jobs`` enforces them, in the transaction that inserts the jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from veo.errors import BudgetError
from veo.ledger.schema import jobs
from veo.money import Usd, format_micros, parse_usd, to_micros
from veo.problems import Remedy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.config import Config

MAX_COST = "max_cost"


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit on the sum of reservations, charges and amounts in doubt."""

    name: str  # of its setting, for example ``max_cost``
    limit: int  # millionths of a USD
    run: str | None = None  # count the jobs of this run; None counts all
    since: float = 0.0  # count jobs planned at or after this time, Unix seconds


def current_caps(config: Config, run: str, max_cost: Usd | None = None) -> list[Cap]:
    """Return the caps that apply now: on the run, the local day, the local month.

    ``max_cost``, USD, replaces the configured cap on the run; 0 is a cap too.
    """
    limit = parse_usd(max_cost) if max_cost is not None else config.max_cost
    caps = [Cap(MAX_COST, to_micros(limit), run=run)] if limit is not None else []
    # Local time: a budget ends with the user's day, not with that of UTC.
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    budgets = {
        "daily": (config.budget.daily, today),
        "monthly": (config.budget.monthly, today.replace(day=1)),
    }
    for name, (allowed, begin) in budgets.items():
        if allowed is not None:
            caps.append(Cap(f"budget.{name}", to_micros(allowed), since=begin.timestamp()))
    return caps


def count_spent(connection: Connection, cap: Cap) -> int:
    """Return what counts against a cap now, millionths of a USD.

    That is every amount, whatever the state: a reservation that is held or in doubt, a charge, and
    earlier sends that may have been charged.
    """
    amounts = func.sum(jobs.c.reserved + jobs.c.charged + jobs.c.doubtful)
    query = select(func.coalesce(amounts, 0))
    if cap.since:
        query = query.where(jobs.c.created_at >= cap.since)
    if cap.run is not None:
        query = query.where(jobs.c.run == cap.run)
    return int(connection.execute(query).scalar_one())


def over_cap_error(cap: Cap, spent: int, amount: int) -> BudgetError:
    """Return the error for an amount that exceeds a cap, with the cap that would be needed."""
    return BudgetError(
        f"{format_micros(amount)} does not fit under {cap.name} of {format_micros(cap.limit)}"
        + (f": {format_micros(spent)} is spent or reserved already" if spent else ""),
        hint=f"{cap.name} would have to be at least {format_micros(spent + amount)}.",
        remedies=[Remedy("raise_max_cost")] if cap.name == MAX_COST else (),
    )


def caps_error(spent: Mapping[Cap, int], amount: int) -> BudgetError | None:
    """Return the error for an amount that exceeds some caps; None if it fits under all."""
    exceeded = {cap: count for cap, count in spent.items() if count + amount > cap.limit}
    errors = [over_cap_error(cap, count, amount) for cap, count in exceeded.items()]
    if not errors:
        return None
    return BudgetError(
        "; ".join(error.message for error in errors),
        hint=" ".join(str(error.hint) for error in errors),
        remedies=[remedy for error in errors for remedy in error.remedies],
    )
