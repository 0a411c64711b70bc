"""A comparison as table cells and sentences, the same on a terminal and on an HTML page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from veo.compare.metrics import STEPS, ProviderMetrics
from veo.money import CHARGE_TIMES, format_average, format_micros, format_quotes

if TYPE_CHECKING:
    from veo.compare.cost_model import BreakEven, MeasuredCost
    from veo.compare.result import ComparisonResult, Simulation

Row = tuple[str, list[str]]

# From this ratio on a factor ("4.2 times as much") reads better than a percentage.
MIN_RATIO_AS_FACTOR = 3


def metric_rows(result: ComparisonResult) -> list[Row]:
    columns = list(result.metrics.values())
    quotes = [metrics.quote for metrics in columns]
    rows: list[Row] = [
        ("model", [m.model for m in columns]),
        ("price", [f"{format_quotes([q])} {CHARGE_TIMES[q.charged]}" for q in quotes]),
        ("made / failed / open", [f"{m.made} / {m.failed} / {m.open}" for m in columns]),
        ("charged for videos", [format_micros(m.spending.for_done) for m in columns]),
        ("charged for failed jobs", [format_micros(m.spending.for_nothing) for m in columns]),
        ("charged for open jobs", [format_micros(m.spending.for_open) for m in columns]),
        ("reserved, not charged", [format_micros(m.spending.held) for m in columns]),
        ("possibly charged", [format_micros(m.spending.in_doubt) for m in columns]),
        ("cost per video", [format_usd(m.per_video) for m in columns]),
    ]
    if result.simulation:
        rows += _simulation_rows(result.simulation)
    for step in STEPS:
        times = [_format_times(m, step) for m in columns]
        rows.append((f"time to {step.replace('_', ' ')}, median / p95", times))
    return [
        *rows,
        ("polls", [f"{m.polls} ({m.polls / m.requests:.1f} per job)" for m in columns]),
        ("bytes", [f"{m.bytes / 1e6:.2f} MB" for m in columns]),
        ("retries of refused requests", [str(m.retries) for m in columns]),
        ("video, as measured", [m.summarize_media("video_summary") for m in columns]),
        ("audio, as measured", [m.summarize_media("audio_summary") for m in columns]),
        ("after a timeout", [m.on_timeout for m in columns]),
    ]


def describe_result(result: ComparisonResult) -> list[str]:
    """Return the result of a comparison in sentences, the cheapest candidate first."""
    best = result.cheapest
    if best is None:
        return ["No provider made a video."]
    least = result.metrics[best].per_video or 0.0
    sentences = [f"{best} is the cheapest: {format_usd(least)} per finished video."]
    for name, metrics in result.metrics.items():
        if name != best:
            sentences.append(_describe_difference(name, metrics, least))
    return sentences


def describe_break_evens(result: ComparisonResult) -> list[str]:
    """Return the break-even points of all candidates in sentences, without repetitions."""
    sentences = [
        sentence
        for point in result.break_evens
        for sentence in _describe_break_even(point, result.loss_rate)
    ]
    return list(dict.fromkeys(sentences))


def _describe_break_even(point: BreakEven, loss_rate: float) -> list[str]:
    share = f"{loss_rate:.0%} of requests lost"
    first, second = point.pays_on_accept, point.pays_on_success
    if point.loss_rate <= 0:
        comparison = (
            f"{second} never costs more than {first}: its price per request is not higher, "
            "and failures are free."
        )
    else:
        comparison = (
            f"{first} is cheaper than {second} while less than {point.loss_rate:.1%} "
            "of its requests are lost, and more expensive above that."
        )
    limit = (
        f"With {share}, {first} is cheaper only than a provider that charges more than "
        f"{format_usd(point.price)} per video."
    )
    sentences = [comparison, limit]
    if point.deadline is not None:
        sentences.append(
            f"With {share}, the client must wait at least {point.deadline:.0f} s for {first} "
            f"to stay cheaper than {second}: a request is charged even if the client stops waiting."
        )
    return sentences


def describe_agreement(name: str, cost: MeasuredCost) -> str:
    if not math.isfinite(cost.cost):
        return f"{name}: no video was made, so there is no cost to compare."
    verb = "agrees with" if cost.agrees else "DISAGREES with"
    interval = (
        f"95 % interval {format_usd(cost.low)} to {format_usd(cost.high)}"
        if cost.high > cost.low
        else "no sampling error: charged per finished video"
    )
    return f"{name}: {format_usd(cost.cost)} {verb} {format_usd(cost.expected)} ({interval})."


def format_usd(amount: float | None) -> str:
    """Return USD to a tenth of a cent; infinity means that no video is made for any money."""
    return "no video" if amount == math.inf else format_average(amount)


def _simulation_rows(simulation: Simulation) -> list[Row]:
    measured, billed = simulation.measured, simulation.billed
    return [
        ("expected cost per video", [format_usd(measured[name].expected) for name in measured]),
        ("95 % interval", [_format_interval(cost) for cost in measured.values()]),
        ("charges listed by the sandbox", [format_micros(billed[name]) for name in measured]),
    ]


def _format_interval(cost: MeasuredCost) -> str:
    return f"{format_usd(cost.low)} to {format_usd(cost.high)}" if cost.high > cost.low else "exact"


def _describe_difference(name: str, metrics: ProviderMetrics, least: float) -> str:
    cost = metrics.per_video
    if cost is None:
        return f"{name} made no video and charged {format_micros(metrics.spending.charged)}."
    if math.isclose(cost, least):
        return f"{name} costs the same."
    lost = metrics.spending.for_nothing + metrics.spending.for_open
    extra = f"; {format_micros(lost)} of it was charged for videos never received" if lost else ""
    ratio = cost / least if least else math.inf
    if ratio < MIN_RATIO_AS_FACTOR:
        difference = f"{ratio - 1:.0%} more"
    else:
        difference = f"{ratio:.1f} times as much" if least else "more"
    return f"{name} costs {format_usd(cost)}, {difference}{extra}."


def _format_times(metrics: ProviderMetrics, step: str) -> str:
    spread = metrics.time_spread(step)
    return f"{spread.median:.1f} s / {spread.p95:.1f} s" if spread else "-"
