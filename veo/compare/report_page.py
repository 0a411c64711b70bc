"""A comparison as an HTML page: the result, the plots, and the videos side by side."""

from __future__ import annotations

import math
import os
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from veo.compare import text
from veo.compare.media import render_poster
from veo.ledger.statement import RULES, describe_price
from veo.money import to_usd
from veo.report import html, plots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from veo.compare.result import ComparisonResult, Simulation

# Base64 adds a third, so that the page stays below about 32 MB.
MAX_EMBEDDED_BYTES = 24_000_000
TITLE = "What a video really costs"
# Up to 90 %: towards 100 % the cost goes to infinity.
_LOSS_RATES = [percent / 100 for percent in range(91)]


def render_page(result: ComparisonResult, clips: Mapping[str, Path | None], page: Path) -> str:
    """Return the page; videos that are too large for it become a still image with a link."""
    figures = _render_clips(clips, page)
    has_player = any("<video" in figure for figure in figures)
    break_evens = text.describe_break_evens(result)
    button = '<p><button id="together" type="button">Play all together</button></p>'
    parts = [
        _render_head(result),
        _render_plots(result),
        html.render_section("Break-even points", *map(html.render_text, break_evens))
        if break_evens
        else "",
        html.render_section(
            "The same request, side by side",
            button if has_player else "",
            html.render_grid(figures),
        )
        if figures
        else "",
        html.render_section("All metrics", _render_table(result)),
        _render_method(result),
    ]
    script = html.PLAY_ALL_SCRIPT if has_player else ""
    return html.build_page(TITLE, filter(None, parts), script=script)


def _render_head(result: ComparisonResult) -> str:
    play = "play money" if result.is_play_money else ""
    kind = "simulated" if result.simulation else play or "real requests"
    badge = f'<span class="badge{"" if kind == "real requests" else " play"}">{kind}</span>'
    summary, *details = text.describe_result(result)
    count = max(metrics.requests for metrics in result.metrics.values())
    lead = f"{count} request{'s' if count > 1 else ''} per candidate: “{result.prompt}”"
    costs = [(name, text.format_usd(m.per_video)) for name, m in result.metrics.items()]
    return "\n".join(
        [
            f"<header>{badge}<h1>{TITLE}</h1>",
            html.render_text(lead, "soft"),
            html.render_text(summary, "lead"),
            *map(html.render_text, details),
            "</header>",
            html.render_section("Cost per finished video", html.render_numbers(costs)),
        ]
    )


def _render_plots(result: ComparisonResult) -> str:
    columns = result.metrics
    bars = [_cost_bar(result, name) for name, m in columns.items() if m.per_video is not None]
    times = {name: metrics.times["on_disk"] for name, metrics in columns.items()}
    charges = {
        "for finished videos": [float(to_usd(m.spending.for_done)) for m in columns.values()],
        "without a video": [
            float(to_usd(m.spending.for_nothing + m.spending.for_open)) for m in columns.values()
        ],
    }
    deadline = result.simulation.deadline if result.simulation else None
    cards = [
        ("Cost per video", plots.draw_bars(bars), _bars_caption(result)) if bars else None,
        ("Charges", plots.draw_stacked_bars(list(columns), charges), "Everything charged."),
        (
            "Time until the video is on disk",
            plots.draw_completion_curves(times, deadline),
            _times_caption(result),
        )
        if any(times.values())
        else None,
        ("The cost of failures", _draw_cost_curves(result, deadline), _curves_caption(result)),
    ]
    sections = [
        html.render_section(title, html.render_figure(svg, caption))
        for title, svg, caption in filter(None, cards)
    ]
    return html.render_grid(sections, "plots")


def _cost_bar(result: ComparisonResult, name: str) -> plots.Bar:
    cost = result.metrics[name].per_video or 0.0
    if not result.simulation:
        return plots.Bar(name, cost)
    measured = result.simulation.measured[name]
    has_interval = measured.high > measured.low
    low, high = (measured.low, measured.high) if has_interval else (None, None)
    return plots.Bar(name, cost, low, high, measured.expected)


def _draw_cost_curves(result: ComparisonResult, deadline: float | None) -> str:
    costs = {
        name: [terms.cost_per_video(rate, deadline) for rate in _LOSS_RATES]
        for name, terms in result.terms.items()
    }
    return plots.draw_cost_curves(_LOSS_RATES, costs, result.loss_rate)


def _bars_caption(result: ComparisonResult) -> str:
    caption = "Everything a candidate charged, divided by the number of its videos on disk."
    if not result.simulation:
        return caption
    return f"{caption} The line is the 95 % interval, the diamond is the expected cost."


def _times_caption(result: ComparisonResult) -> str:
    late = "; the dashed line is the client's timeout" if result.simulation else ""
    return f"Share of the finished videos that are on disk after so many seconds{late}."


def _curves_caption(result: ComparisonResult) -> str:
    origin = "simulated" if result.simulation else "observed"
    return f"Expected cost per video by failure rate. The dashed line is the {origin} rate."


def _render_clips(clips: Mapping[str, Path | None], page: Path) -> list[str]:
    figures, left = [], MAX_EMBEDDED_BYTES
    for name, file in clips.items():
        # A later, smaller video may still fit when an earlier one does not.
        size = file.stat().st_size if file and file.is_file() else 0
        fits = 0 < size <= left
        left -= size if fits else 0
        figures.append(_render_clip(name, file if size else None, page, embedded=fits))
    return figures if any(clips.values()) else []


def _render_clip(name: str, file: Path | None, page: Path, *, embedded: bool) -> str:
    title = f"<figcaption>{escape(name)}"
    if file is None:
        return f"<figure>{title}: made no video</figcaption></figure>"
    poster = render_poster(file)
    still = html.to_data_uri("image/jpeg", poster) if poster else ""
    if embedded:
        source = html.to_data_uri("video/mp4", file.read_bytes())
        frame = f' poster="{still}"' if still else ""
        video = (
            f'<video controls playsinline loop preload="metadata"{frame} src="{source}"></video>'
        )
        return f"<figure>{video}{title}</figcaption></figure>"
    image = f'<img class="poster" alt="The first frame" src="{still}">' if still else ""
    link = f'<a href="{escape(_relative_link(file, page))}">{escape(file.name)}</a>'
    size = f"{file.stat().st_size / 1e6:.0f} MB"
    return f"<figure>{image}{title}: too large for this page ({size}): {link}</figcaption></figure>"


def _relative_link(file: Path, page: Path) -> str:
    """Return a link from the page to a file; it is relative, so that both can be moved together."""
    return quote(os.path.relpath(file.absolute(), page.absolute().parent).replace(os.sep, "/"))


def _render_table(result: ComparisonResult) -> str:
    rows = [[name, *cells] for name, cells in text.metric_rows(result)]
    return html.render_table(["", *result.metrics], rows)


def _render_method(result: ComparisonResult) -> str:
    sentences = [
        f"{name}: {describe_price(metrics.quote)}; {RULES[metrics.quote.charged]}."
        for name, metrics in result.metrics.items()
    ]
    if result.simulation:
        sentences += _describe_simulation(result.simulation, agrees=result.matches_bills)
    return html.render_section("Method", *map(html.render_text, sentences))


def _describe_simulation(setup: Simulation, *, agrees: bool) -> list[str]:
    errors = [cost.sampling_error for cost in setup.measured.values()]
    worst = max(filter(math.isfinite, errors), default=0.0)
    return [
        (
            f"Simulated with seed {setup.seed}: {setup.fail_rate:.0%} of requests fail, "
            f"{setup.timeout_rate:.0%} never finish, and the client stops waiting after "
            f"{setup.deadline:.0f} s. All candidates are simulated with the same random draws. "
            f"Simulated time runs at least {min(setup.speed.values()):.0f} times as fast as real "
            "time, which multiplies the time this machine itself needs by that factor."
        ),
        *(text.describe_agreement(name, cost) for name, cost in setup.measured.items()),
        (
            f"The sampling error of a cost is at most {text.format_usd(worst)} "
            "(half the 95 % interval)."
        ),
        "For every candidate the ledger and the charges listed by the sandbox agree to the cent."
        if agrees
        else "THE LEDGER AND THE CHARGES LISTED BY THE SANDBOX DIFFER.",
    ]
