"""Plots as SVG that can stand inside a page: small, sharp at any size, their text still text."""

from __future__ import annotations

import io
import itertools
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from veo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

INK, SOFT, LINE = "#16202e", "#5b6778", "#dfe4ea"
# Told apart by all common kinds of colour vision, and in print by their lightness.
HUES = ("#2456c8", "#e07b16", "#12917f", "#a23b8f", "#7a828e", "#b3231f")
GOOD, LOST, HELD = "#2456c8", "#e07b16", "#c3cad3"
_WIDTH = 4.6
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
    """A measured number of one thing.

    Attributes:
        name: The thing.
        value: USD.
        low: Where the 95 % interval begins; None: without one.
        high: Where it ends.
        expected: What theory says; None: nothing.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    expected: float | None = None


def check_installed() -> None:
    """Make sure that plots can be drawn, before anything is spent on what they show.

    Raises:
        ConfigError: The extra is not installed; says how.
    """
    from importlib.util import find_spec  # noqa: PLC0415 - only reports need it

    if find_spec("matplotlib") is None:
        raise ConfigError(
            "a report needs matplotlib, which is not installed",
            hint='pip install "veo-video[report]"',
        )


def bars(values: Sequence[Bar]) -> str:
    """Horizontal bars in USD: a whisker for the interval, a diamond for what theory says."""
    with _drawing(0.55 * len(values) + 0.9, "Cost per kept video") as (axes, done):
        for index, bar in enumerate(values):
            _bar(axes, index, bar)
        axes.set_yticks(range(len(values)), [bar.name for bar in values])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, max([bar.high or bar.value for bar in values] + [0.01]) * 1.28)
        _in_dollars(axes.xaxis)
    return done[0]


def stacks(
    names: Sequence[str], parts: Mapping[str, Sequence[float]], *, upright: bool = False
) -> str:
    """Stacked bars in USD: the parts of each name; upright for days."""
    hues = dict(zip(parts, (GOOD, LOST, HELD), strict=False))
    height = 2.9 if upright else 0.5 * len(names) + 1.2
    with _drawing(height, "Where the money went") as (axes, done):
        before = [0.0] * len(names)
        for part, values in parts.items():
            places = list(range(len(names)))
            if upright:
                axes.bar(places, values, 0.8, bottom=before, color=hues[part], label=part)
            else:
                axes.barh(places, values, 0.55, left=before, color=hues[part], label=part)
            before = [low + value for low, value in zip(before, values, strict=True)]
        _name(axes, names, upright=upright)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(parts), borderaxespad=0.2)
    return done[0]


def shares(times: Mapping[str, Sequence[float]], deadline: float | None = None) -> str:
    """Which share of the requests had their video on disk after how many seconds.

    Args:
        times: Seconds, by route, of each request that has a video; one at least.
        deadline: Seconds, drawn as a line.
    """
    with _drawing(2.9, "Time until the video is on disk") as (axes, done):
        every = sorted(second for seconds in times.values() for second in seconds)
        # A single straggler must not press all others against the axis.
        most = max(every[int(0.99 * (len(every) - 1))], deadline or 0.0) * 1.1
        for hue, (name, seconds) in zip(itertools.cycle(HUES), times.items(), strict=False):
            found = sorted(seconds)
            steps = [(rank + 1) / len(found) for rank in range(len(found))]
            ends = [0.0, *found, max(most, *found, 0.0)]
            axes.step(ends, [0.0, *steps, 1.0], where="post", color=hue, label=name, linewidth=1.8)
        if deadline:
            axes.axvline(deadline, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(xlabel="seconds since the request was sent", xlim=(0, most), ylim=(0, 1.02))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.legend(loc="lower right")
    return done[0]


def curves(
    rates: Sequence[float], costs: Mapping[str, Sequence[float]], mark: float | None = None
) -> str:
    """What a kept video costs at which failure rate, a line a route.

    Args:
        rates: 0 to below 1.
        costs: USD at each of them, by route.
        mark: The rate that was simulated or seen, drawn as a line.
    """
    with _drawing(2.9, "Cost per kept video by failure rate") as (axes, done):
        for index, (name, values) in enumerate(costs.items()):
            # Lines that coincide are all seen: the first is the widest.
            wide = 1.6 + 1.2 * (len(costs) - 1 - index)
            axes.plot(rates, values, color=HUES[index % len(HUES)], label=name, linewidth=wide)
        if mark is not None:
            axes.axvline(mark, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        top = 1.6 * max(0.01, *(values[0] for values in costs.values()))
        axes.set(xlabel="share of requests that fail", xlim=(0, max(rates)), ylim=(0, top))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        _in_dollars(axes.yaxis)
        axes.legend(loc="best")
    return done[0]


def _bar(axes: Any, index: int, bar: Bar) -> None:
    axes.barh(index, bar.value, 0.5, color=HUES[index % len(HUES)])
    end = bar.value
    if bar.low is not None and bar.high is not None:
        axes.plot([bar.low, bar.high], [index, index], color=INK, linewidth=1.3)
        end = bar.high
    if bar.expected is not None:
        axes.plot(bar.expected, index, "D", color="#ffffff", markeredgecolor=INK, markersize=5)
        end = max(end, bar.expected)
    axes.annotate(
        f"${bar.value:.3f}" if bar.value < 10 else f"${bar.value:.2f}",
        (end, index),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontweight="bold",
    )


def _name(axes: Any, names: Sequence[str], *, upright: bool) -> None:
    axes.grid(visible=False, axis="x" if upright else "y")
    _in_dollars(axes.yaxis if upright else axes.xaxis)
    if upright:
        axes.set_xlim(-0.7, max(len(names), 7) - 0.3)
        axes.margins(y=0.08)
        step = max(1, -(-len(names) // 6))
        axes.set_xticks(range(0, len(names), step), names[::step])
    else:
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()


def _in_dollars(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - as all of matplotlib

    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(_dollars)


def _dollars(value: float, _: Any) -> str:
    return f"${value:,.2f}" if abs(value) < 100 else f"${value:,.0f}"


@contextmanager
def _drawing(height: float, title: str) -> Iterator[tuple[Any, list[str]]]:
    """Axes to draw on; the list holds the SVG when the block is over.

    Raises:
        ConfigError: The extra is not installed.
    """
    check_installed()
    from matplotlib import rc_context  # noqa: PLC0415 - a tenth of a second, and an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    done: list[str] = []
    # Ids of several plots in one page must not be alike.
    with rc_context({**_STYLE, "svg.hashsalt": f"plot-{next(_ids)}"}):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure.add_subplot(), done
        drawn = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(drawn, format="svg", transparent=True, metadata=nothing)
    done.append(_inline(drawn.getvalue(), title))


def _inline(svg: str, title: str) -> str:
    """The SVG without what only a file of its own needs, and with the letters of its page."""
    svg = svg[svg.index("<svg") :]
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(?:xmlns(?::\w+)?|width|height|version)="[^"]*"', "", head)
    rest = re.sub(r"\s*<style.*?</style>", "", rest, flags=re.DOTALL)
    rest = re.sub(r'<g id="[^"]*"', "<g", rest).replace("xlink:href", "href")
    rest = re.sub(r"font-family:[^;\"]*;?", "", rest)
    return f'{head} role="img" aria-label="{title}">{rest}'
