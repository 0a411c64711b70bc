"""Plots as SVG for embedding in an HTML page. Text stays text, so that it can be searched."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from veo.errors import ConfigError
from veo.money import format_average

INK, SOFT, LINE = "#16202e", "#5b6778", "#dfe4ea"
# These colors differ in lightness too, for color-blind readers and for print.
COLORS = ("#2456c8", "#e07b16", "#12917f", "#a23b8f", "#7a828e", "#b3231f")
GOOD, LOST, HELD = "#2456c8", "#e07b16", "#c3cad3"
_WIDTH_IN = 4.6  # inches; the page scales the plot
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.2,
}
_ids = itertools.count()


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    value: float
    low: float | None = None  # bounds of the 95 % interval
    high: float | None = None
    expected: float | None = None


def check_installed() -> None:
    """Raise a ConfigError if matplotlib, an optional dependency, is not installed."""
    from importlib.util import find_spec  # noqa: PLC0415 - only reports need it

    if find_spec("matplotlib") is None:
        raise ConfigError(
            "a report needs matplotlib, which is not installed",
            hint='pip install "veo-video[report]"',
        )


def draw_bars(values: Sequence[Bar]) -> str:
    """Draw horizontal bars in USD, with the interval as a line and the expectation as a diamond."""
    with _open_axes(0.55 * len(values) + 0.9, "Cost per video") as (axes, svg):
        for index, bar in enumerate(values):
            _draw_bar(axes, index, bar)
        axes.set_yticks(range(len(values)), [bar.name for bar in values])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        # The factor leaves room for the amount at the end of the longest bar.
        axes.set_xlim(0, max([bar.high or bar.value for bar in values] + [0.01]) * 1.28)
        _format_as_usd(axes.xaxis)
    return svg[0]


def draw_stacked_bars(
    names: Sequence[str], parts: Mapping[str, Sequence[float]], *, upright: bool = False
) -> str:
    """Draw stacked bars in USD, a bar per name; vertical bars with ``upright``."""
    colors = dict(zip(parts, (GOOD, LOST, HELD), strict=False))
    height = 2.9 if upright else 0.5 * len(names) + 1.2
    with _open_axes(height, "Charges") as (axes, svg):
        starts = [0.0] * len(names)
        for part, values in parts.items():
            positions = list(range(len(names)))
            if upright:
                axes.bar(positions, values, 0.8, bottom=starts, color=colors[part], label=part)
            else:
                axes.barh(positions, values, 0.55, left=starts, color=colors[part], label=part)
            starts = [start + value for start, value in zip(starts, values, strict=True)]
        _label_axes(axes, names, upright=upright)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(parts), borderaxespad=0.2)
    return svg[0]


def draw_completion_curves(
    times: Mapping[str, Sequence[float]], deadline: float | None = None
) -> str:
    """Draw the share of videos on disk over time, seconds; the deadline is a dashed line."""
    with _open_axes(2.9, "Time until the video is on disk") as (axes, svg):
        every = sorted(second for seconds in times.values() for second in seconds)
        # The axis ends at the 99th percentile, so that one very late video does not stretch it.
        end = max(every[int(0.99 * (len(every) - 1))], deadline or 0.0) * 1.1
        for color, (name, seconds) in zip(itertools.cycle(COLORS), times.items(), strict=False):
            ordered = sorted(seconds)
            shares = [(rank + 1) / len(ordered) for rank in range(len(ordered))]
            points = [0.0, *ordered, max(end, *ordered, 0.0)]
            axes.step(
                points, [0.0, *shares, 1.0], where="post", color=color, label=name, linewidth=1.8
            )
        if deadline:
            axes.axvline(deadline, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(xlabel="seconds since the request was sent", xlim=(0, end), ylim=(0, 1.02))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.legend(loc="lower right")
    return svg[0]


def draw_cost_curves(
    rates: Sequence[float], costs: Mapping[str, Sequence[float]], mark: float | None = None
) -> str:
    """Draw the cost per video, USD, over the failure rate; ``mark`` is a dashed line."""
    with _open_axes(2.9, "Cost per video by failure rate") as (axes, svg):
        for index, (name, values) in enumerate(costs.items()):
            # The first line is the widest, so that lines on top of each other are all visible.
            width = 1.6 + 1.2 * (len(costs) - 1 - index)
            axes.plot(rates, values, color=COLORS[index % len(COLORS)], label=name, linewidth=width)
        if mark is not None:
            axes.axvline(mark, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        # The curves rise without limit; this shows where they cross, which is near the prices.
        top = 1.6 * max(0.01, *(values[0] for values in costs.values()))
        axes.set(xlabel="share of requests that fail", xlim=(0, max(rates)), ylim=(0, top))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        _format_as_usd(axes.yaxis)
        axes.legend(loc="best")
    return svg[0]


def _draw_bar(axes: Any, index: int, bar: Bar) -> None:
    axes.barh(index, bar.value, 0.5, color=COLORS[index % len(COLORS)])
    end = bar.value
    if bar.low is not None and bar.high is not None:
        axes.plot([bar.low, bar.high], [index, index], color=INK, linewidth=1.3)
        end = bar.high
    if bar.expected is not None:
        axes.plot(bar.expected, index, "D", color="#ffffff", markeredgecolor=INK, markersize=5)
        end = max(end, bar.expected)
    axes.annotate(
        format_average(bar.value),
        (end, index),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontweight="bold",
    )


def _label_axes(axes: Any, names: Sequence[str], *, upright: bool) -> None:
    axes.grid(visible=False, axis="x" if upright else "y")
    _format_as_usd(axes.yaxis if upright else axes.xaxis)
    if upright:
        axes.set_xlim(-0.7, max(len(names), 7) - 0.3)
        axes.margins(y=0.08)
        step = max(1, -(-len(names) // 6))  # at most 6 labels fit
        axes.set_xticks(range(0, len(names), step), names[::step])
    else:
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()


def _format_as_usd(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - optional, like all of matplotlib

    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(_format_usd)


def _format_usd(value: float, _: Any) -> str:
    return f"${value:,.2f}" if abs(value) < 100 else f"${value:,.0f}"


@contextmanager
def _open_axes(height: float, title: str) -> Iterator[tuple[Any, list[str]]]:
    """Yield axes to draw on, and a list that receives the SVG at the end of the block."""
    check_installed()
    from matplotlib import rc_context  # noqa: PLC0415 - takes 0.1 s, and is optional
    from matplotlib.figure import Figure  # noqa: PLC0415

    svg: list[str] = []
    # The salt makes the ids of several plots in one page distinct.
    with rc_context({**_STYLE, "svg.hashsalt": f"plot-{next(_ids)}"}):
        figure = Figure(figsize=(_WIDTH_IN, height), layout="constrained")
        yield figure.add_subplot(), svg
        file = io.StringIO()
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=no_metadata)
    svg.append(_embed_svg(file.getvalue(), title))


def _embed_svg(svg: str, title: str) -> str:
    """Return the SVG without what only a separate file needs, and with the fonts of its page."""
    svg = svg[svg.index("<svg") :]
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(?:xmlns(?::\w+)?|width|height|version)="[^"]*"', "", head)
    rest = re.sub(r"\s*<style.*?</style>", "", rest, flags=re.DOTALL)
    rest = re.sub(r'<g id="[^"]*"', "<g", rest).replace("xlink:href", "href")
    rest = re.sub(r"font-family:[^;\"]*;?", "", rest)
    return f'{head} role="img" aria-label="{title}">{rest}'
