"""A comparison in words and cells, the same on a terminal and in a page. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from veo.compare.metrics import STEPS, Figures
from veo.money import format_amount, to_usd

if TYPE_CHECKING:
    from veo.compare.cost_model import BreakEven, Measured
    from veo.compare.result import Outcome

Row = tuple[str, list[str]]


def rows(outcome: Outcome) -> list[Row]:
    """One line a fact: its name, and its value for each route."""
    every = list(outcome.figures.values())
    lines: list[Row] = [
        ("model", [f.model for f in every]),
        ("price", [_price(f) for f in every]),
        ("made / failed / open", [f"{f.made} / {f.failed} / {f.open}" for f in every]),
        ("charged for made", [_money(f.for_made) for f in every]),
        ("charged for failed", [_money(f.for_failed) for f in every]),
        ("charged for open", [_money(f.for_open) for f in every]),
        ("held, not charged", [_money(f.held) for f in every]),
        ("perhaps charged", [_money(f.unknown) for f in every]),
        ("cost per kept video", [dollars(f.per_video) for f in every]),
    ]
    if outcome.simulation:
        lines += _theory(outcome)
    for step in STEPS:
        lines.append(
            (f"time to {step.replace('_', ' ')}, median / p95", [_times(f, step) for f in every])
        )
    return [
        *lines,
        ("polls", [_each(f.polls, f) for f in every]),
        ("bytes", [f"{f.bytes / 1e6:.2f} MB" for f in every]),
        ("retries of refused requests", [str(f.retries) for f in every]),
        ("picture, measured", [f.seen("picture") for f in every]),
        ("sound, measured", [f.seen("sound") for f in every]),
        ("when it is late", [f.late for f in every]),
    ]


def verdict(outcome: Outcome) -> list[str]:
    """What it comes to, a sentence each."""
    best = outcome.cheapest
    if best is None:
        return ["No route made a video."]
    least = outcome.figures[best].per_video or 0.0
    said = [f"{best} is the cheapest: {dollars(least)} for each video that can be kept."]
    for name, figures in outcome.figures.items():
        if name != best:
            said.append(_against(name, figures, least))
    return said


def crossings(outcome: Outcome) -> list[str]:
    """Where routes overtake each other, a sentence each."""
    said = [line for point in outcome.break_evens for line in crossing(point, outcome.lost)]
    return list(dict.fromkeys(said))


def crossing(point: BreakEven, lost: float) -> list[str]:
    """Where one route overtakes another, a sentence each."""
    share = f"{lost:.0%} of requests lost"
    said = []
    if point.loss_rate <= 0:
        said.append(
            f"{point.safe} is never dearer than {point.gamble}: it asks no more for a request, "
            "and nothing for a failure."
        )
    else:
        said.append(
            f"{point.gamble} is cheaper than {point.safe} while less than {point.loss_rate:.1%} "
            "of its requests are lost, dearer from there on."
        )
    said.append(
        f"At {share}, {point.gamble} wins only over a route that charges more than "
        f"{dollars(point.price)} a video."
    )
    if point.deadline is not None:
        said.append(
            f"At {share}, {point.gamble} has to be listened to for {point.deadline:.0f} s at least "
            f"to stay cheaper than {point.safe}: what is left earlier is paid for all the same."
        )
    return said


def agreement(name: str, found: Measured) -> str:
    """Whether a measured cost is what theory says, with the error."""
    if not math.isfinite(found.cost):
        return f"{name}: no video was made, so there is no cost to compare."
    verb = "agrees with" if found.agrees else "DISAGREES with"
    interval = (
        f"95 % interval {dollars(found.low)} to {dollars(found.high)}"
        if found.high > found.low
        else "without sampling error: it charges for what it makes"
    )
    return f"{name}: {dollars(found.cost)} {verb} {dollars(found.expected)} ({interval})."


def dollars(amount: float | None) -> str:
    """USD to a tenth of a cent."""
    if amount is None:
        return "-"
    return f"${amount:,.3f}".removesuffix("0") if math.isfinite(amount) else "no video"


def _theory(outcome: Outcome) -> list[Row]:
    assert outcome.simulation  # noqa: S101 - for the type checker; the caller has looked
    found = outcome.simulation.measured
    billed = outcome.simulation.billed
    return [
        ("in closed form", [dollars(found[name].expected) for name in outcome.figures]),
        ("95 % interval", [_interval(found[name]) for name in outcome.figures]),
        ("the sandbox's own bills", [_money(billed[name]) for name in outcome.figures]),
    ]


def _interval(found: Measured) -> str:
    return f"{dollars(found.low)} to {dollars(found.high)}" if found.high > found.low else "exact"


def _against(name: str, figures: Figures, least: float) -> str:
    cost = figures.per_video
    if cost is None:
        return f"{name} made no video, and charged {_money(figures.charged)}."
    lost = figures.for_failed + figures.for_open
    extra = f", of it {_money(lost)} for videos that never came" if lost else ""
    dearer = (
        f"{cost / least - 1:.0%} more"
        if least and cost / least < 3
        else f"{cost / least:.1f} times as much"
        if least
        else "more"
    )
    if math.isclose(cost, least):
        return f"{name} costs the same."
    return f"{name} costs {dollars(cost)}, {dearer}{extra}."


def _price(figures: Figures) -> str:
    when = "on success" if figures.quote.charged == "on_success" else "on acceptance"
    return f"{format_amount(figures.quote.amount)} {when}"


def _money(amount: int) -> str:
    return format_amount(to_usd(amount))


def _times(figures: Figures, step: str) -> str:
    spread = figures.spread(step)
    return f"{spread.median:.1f} s / {spread.p95:.1f} s" if spread else "-"


def _each(count: int, figures: Figures) -> str:
    return f"{count} ({count / figures.asked:.1f} a job)"
