"""How long a batch will still take; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def estimate_remaining_s(
    ages: Sequence[float], waiting: int, usual: float, slots: int, per_minute: int
) -> float:
    """Seconds until one provider's jobs are made, if all take the usual time.

    Args:
        ages: Seconds since the submit of each job on its way.
        waiting: Jobs that are still to be sent.
        usual: Seconds that a job takes.
        slots: Jobs that may be on their way at once.
        per_minute: Jobs that may be sent in a minute.
    """
    # One that has taken longer than usual is as likely to end soon as to go on for a while.
    left = [max(usual - age, usual / 10) for age in ages]
    work = (sum(left) + waiting * usual) / min(slots, len(left) + waiting or 1)
    if not waiting:
        return max(left, default=0.0)
    return max(work, max(left, default=0.0), usual + 60.0 * (waiting - 1) / per_minute)
