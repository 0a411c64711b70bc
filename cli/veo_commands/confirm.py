"""Ask before real money is spent: one rule for every command that pays."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from veo.errors import BudgetError, UsageError
from veo.money import format_amount
from veo.problems import Remedy
from veo_commands.output import out

if TYPE_CHECKING:
    from decimal import Decimal

    from veo.config import Config
    from veo_commands.options import PayOptions


def confirm_cost(amount: Decimal, config: Config, options: PayOptions) -> None:
    """Ask on a terminal whether to pay an amount, USD, above ``confirm_above``.

    Nothing is asked for play money, with ``--yes``, or with ``--max-cost``, which is a consent.

    Raises:
        UsageError: The user does not want to pay it.
        BudgetError: There is no terminal to ask on.
    """
    consents = options.yes or options.max_cost is not None
    if out.sandbox or consents or amount <= config.confirm_above:
        return
    if not is_interactive():
        raise BudgetError(
            f"{format_amount(amount)} is above confirm_above of "
            f"{format_amount(config.confirm_above)}, and there is no terminal to confirm it on",
            remedies=[Remedy("confirm_cost")],
        )
    try:
        confirmed = typer.confirm(f"Pay up to {format_amount(amount)}?", err=True)
    except typer.Abort:
        raise KeyboardInterrupt from None
    if not confirmed:
        raise UsageError("not confirmed: nothing was sent")


def is_interactive() -> bool:
    """Return whether a user can read a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not out.options.json
