"""Ask before real money is spent: one rule for every command that pays."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from veo.errors import BudgetError, UsageError
from veo.money import format_amount, format_quotes, sum_amounts
from veo.problems import Remedy
from veo_commands.output import out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.config import Config
    from veo.money import Quote
    from veo_commands.options import PayOptions


def confirm_cost(quotes: Sequence[Quote], config: Config, options: PayOptions) -> None:
    """Ask on a terminal whether to pay for requests that cost more than ``confirm_above``.

    Nothing is asked for play money, with ``--yes``, or with ``--max-cost``, which is a consent.

    Raises:
        UsageError: The user does not want to pay it.
        BudgetError: There is no terminal to ask on.
    """
    consents = options.yes or options.max_cost is not None
    if out.sandbox or consents or sum_amounts(quotes) <= config.confirm_above:
        return
    if not is_interactive():
        raise BudgetError(
            f"{format_quotes(quotes)} is above confirm_above of "
            f"{format_amount(config.confirm_above)}, and there is no terminal to confirm it on",
            remedies=[Remedy("confirm_cost")],
        )
    try:
        confirmed = typer.confirm(f"Pay {format_quotes(quotes, 'up to {}')}?", err=True)
    except typer.Abort:
        raise KeyboardInterrupt from None
    if not confirmed:
        raise UsageError("not confirmed: nothing was sent")


def is_interactive() -> bool:
    """Return whether a user can read a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not out.options.json
