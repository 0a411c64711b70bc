"""Caps on money: which hold now, and what it would take when one is in the way."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from veo.errors import BudgetError
from veo.ledger import Cap
from veo.money import format_amount, to_micros, to_usd
from veo.problems import Remedy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from veo.config import Config

MAX_COST = "max_cost"


def current_caps(config: Config, run: str, max_cost: Decimal | None = None) -> list[Cap]:
    """The caps that hold now: of the run, the day, the month (local time).

    Args:
        config: What is configured.
        run: The jobs that ``max_cost`` counts.
        max_cost: USD; the configured ones by default.
    """
    limit = max_cost if max_cost is not None else config.max_cost
    found = [Cap(MAX_COST, to_micros(limit), run=run)] if limit is not None else []
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    spans = {"daily": today, "monthly": today.replace(day=1)}
    for name, begin in spans.items():
        allowed: Decimal | None = getattr(config.budget, name)
        if allowed is not None:
            found.append(Cap(f"budget.{name}", to_micros(allowed), since=begin.timestamp()))
    return found


def over_cap_error(cap: Cap, spent: int, amount: int) -> BudgetError:
    """The error of an amount that does not fit under a cap, with what would be needed.

    Args:
        cap: The limit.
        spent: What counts against it already, millionths of a USD.
        amount: What does not fit, millionths of a USD.
    """
    return BudgetError(
        f"{format_amount(to_usd(amount))} does not fit under {cap.name} of "
        f"{format_amount(to_usd(cap.limit))}: "
        f"{format_amount(to_usd(spent))} is spent or reserved already",
        hint=f"{cap.name} would have to be at least {format_amount(to_usd(spent + amount))}.",
        remedies=[Remedy("raise_max_cost")] if cap.name == MAX_COST else (),
    )


def caps_error(spent: Mapping[Cap, int], amount: int) -> BudgetError | None:
    """The error of an amount that does not fit under every cap; None when it does.

    Args:
        spent: What counts against each cap already, millionths of a USD.
        amount: What does not fit, millionths of a USD.
    """
    tight = {cap: count for cap, count in spent.items() if count + amount > cap.limit}
    errors = [over_cap_error(cap, count, amount) for cap, count in tight.items()]
    if not errors:
        return None
    return BudgetError(
        "; ".join(error.message for error in errors),
        hint=" ".join(str(error.hint) for error in errors),
        remedies=[remedy for error in errors for remedy in error.remedies],
    )
