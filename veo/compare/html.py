"""A comparison as a page for whoever pays: the verdict, the plots, the clips side by side."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from veo.compare import text as words
from veo.compare.media import poster
from veo.ledger.statement import RULES, describe_price
from veo.money import to_usd
from veo.report import html as page
from veo.report import plots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from veo.compare.result import Outcome

EMBEDDED_BYTES = 24_000_000
_RATES = [rate / 100 for rate in range(91)]
_FOOT = "Every amount can be traced to the events of its job in the ledger."


def render(
    outcome: Outcome,
    clips: Mapping[str, Path | None],
    beside: Path,
    limit: int = EMBEDDED_BYTES,
) -> str:
    """The page.

    Args:
        outcome: What was found.
        clips: One video of each route, if it has made one.
        beside: The file that the page becomes: links to videos are relative to it.
        limit: Bytes of video inside the page, at most; the others are shown as a picture and a
            link.
    """
    shown = _clips(clips, beside, limit)
    playing = any("<video" in clip for clip in shown)
    parts = [
        _head(outcome),
        _plots(outcome),
        _crossings(outcome),
        page.section("The same request, side by side", _button(playing), page.grid(shown))
        if shown
        else "",
        page.section("All figures", _table(outcome)),
        _method(outcome),
    ]
    script = page.TOGETHER if playing else ""
    return page.page("What a video really costs", filter(None, parts), _FOOT, script=script)


def _head(outcome: Outcome) -> str:
    kind = "simulated" if outcome.simulation else "play money" if outcome.play else "real requests"
    badge = f'<span class="badge{" play" if kind != "real requests" else ""}">{kind}</span>'
    first, *others = words.verdict(outcome)
    asked = max(figures.asked for figures in outcome.figures.values())
    lead = f"{asked} request{'s' if asked > 1 else ''} a route: “{outcome.prompt}”"
    return "\n".join(
        [
            f"<header>{badge}<h1>What a video really costs</h1>",
            page.text(lead, "soft"),
            page.text(first, "lead"),
            *(page.text(other) for other in others),
            "</header>",
            page.section("For each video that can be kept", page.numbers(_numbers(outcome))),
        ]
    )


def _numbers(outcome: Outcome) -> list[tuple[str, str]]:
    return [(name, words.dollars(f.per_video)) for name, f in outcome.figures.items()]


def _plots(outcome: Outcome) -> str:
    every = outcome.figures
    made = [_bar(outcome, name) for name in every if every[name].per_video is not None]
    times = {name: figures.times["on_disk"] for name, figures in every.items()}
    parts = {
        "for videos that were made": [float(to_usd(f.for_made)) for f in every.values()],
        "for nothing": [float(to_usd(f.for_failed + f.for_open)) for f in every.values()],
    }
    deadline = outcome.simulation.deadline if outcome.simulation else None
    cards = [
        ("Cost per kept video", plots.bars(made), _bars_caption(outcome)) if made else None,
        ("Where the money went", plots.stacks(list(every), parts), "All that was charged."),
        ("Time until the video is on disk", plots.shares(times, deadline), _times_caption(outcome))
        if any(times.values())
        else None,
        ("What failures cost", _curves(outcome), _curves_caption(outcome)),
    ]
    drawn = [page.section(card[0], page.figure(*card[1:])) for card in cards if card]
    return page.grid(drawn, "plots")


def _bar(outcome: Outcome, name: str) -> plots.Bar:
    cost = outcome.figures[name].per_video or 0.0
    if not outcome.simulation:
        return plots.Bar(name, cost)
    found = outcome.simulation.measured[name]
    low, high = (found.low, found.high) if found.high > found.low else (None, None)
    return plots.Bar(name, cost, low, high, found.expected)


def _curves(outcome: Outcome) -> str:
    deadline = outcome.simulation.deadline if outcome.simulation else None
    costs = {
        name: [terms.cost(rate, deadline) for rate in _RATES]
        for name, terms in outcome.terms.items()
    }
    return plots.curves(_RATES, costs, outcome.lost)


def _bars_caption(outcome: Outcome) -> str:
    if not outcome.simulation:
        return "All that a route charged, for each video that is on disk."
    return (
        "All that a route charged, for each video that is on disk. The line is the 95 % interval, "
        "the diamond what the closed form says."
    )


def _times_caption(outcome: Outcome) -> str:
    late = "; the dashed line is the deadline" if outcome.simulation else ""
    return f"Of the videos that came, the share on disk after so many seconds{late}."


def _curves_caption(outcome: Outcome) -> str:
    what = "simulated" if outcome.simulation else "seen here"
    return f"What each route costs in the long run. The dashed line is the rate {what}."


def _crossings(outcome: Outcome) -> str:
    said = [page.text(sentence) for sentence in words.crossings(outcome)]
    return page.section("Where one route overtakes another", *said) if said else ""


def _button(playing: bool) -> str:
    return (
        '<p><button id="together" type="button">Play all together</button></p>' if playing else ""
    )


def _clips(clips: Mapping[str, Path | None], beside: Path, limit: int) -> list[str]:
    shown, left = [], limit
    for name, file in clips.items():
        size = file.stat().st_size if file and file.is_file() else 0
        fits = 0 < size <= left
        left -= size if fits else 0
        shown.append(_clip(name, file if size else None, beside, inside=fits))
    return shown if any(clips.values()) else []


def _clip(name: str, file: Path | None, beside: Path, *, inside: bool) -> str:
    title = f"<figcaption>{escape(name)}"
    if file is None:
        return f"<figure>{title}: made no video</figcaption></figure>"
    picture = poster(file)
    still = page.data_uri("image/jpeg", picture) if picture else ""
    if inside:
        source = page.data_uri("video/mp4", file.read_bytes())
        frame = f' poster="{still}"' if still else ""
        video = (
            f'<video controls playsinline loop preload="metadata"{frame} src="{source}"></video>'
        )
        return f"<figure>{video}{title}</figcaption></figure>"
    shown = f'<img class="poster" alt="The first frame" src="{still}">' if still else ""
    link = f'<a href="{escape(_link(file, beside))}">{escape(file.name)}</a>'
    size = f"{file.stat().st_size / 1e6:.0f} MB"
    return f"<figure>{shown}{title}: too large for this page ({size}): {link}</figcaption></figure>"


def _link(file: Path, beside: Path) -> str:
    """A file as a link from the page: relative, so that both can be moved together."""
    import os  # noqa: PLC0415
    from urllib.parse import quote  # noqa: PLC0415

    return quote(os.path.relpath(file.absolute(), beside.absolute().parent).replace(os.sep, "/"))


def _table(outcome: Outcome) -> str:
    return page.table(
        ["", *outcome.figures], [[name, *cells] for name, cells in words.rows(outcome)]
    )


def _method(outcome: Outcome) -> str:
    said = [
        page.text(f"{name}: {describe_price(figures.quote)}; {RULES[figures.quote.charged]}.")
        for name, figures in outcome.figures.items()
    ]
    return page.section("How it was counted", *said, *_simulated(outcome))


def _simulated(outcome: Outcome) -> list[str]:
    setup = outcome.simulation
    if setup is None:
        return []
    agreed = [page.text(words.agreement(name, found)) for name, found in setup.measured.items()]
    books = (
        "For every route the ledger and the sandbox's own bills agree to the cent."
        if outcome.holds
        else "THE LEDGER AND THE SANDBOX'S BILLS DIFFER."
    )
    least = min(setup.speed.values())
    conditions = (
        f"Simulated with seed {setup.seed}: {setup.fail_rate:.0%} of requests fail, "
        f"{setup.timeout_rate:.0%} never finish, nobody waits longer than {setup.deadline:.0f} s. "
        f"Every route meets the same luck. Time ran {least:.0f} times as fast or faster, so what "
        "this machine itself needs counts as many times over."
    )
    finite = [found for found in setup.measured.values() if math.isfinite(found.error)]
    worst = max((found.error for found in finite), default=0.0)
    error = f"The sampling error of a cost is {words.dollars(worst)} at most (half of 95 %)."
    return [page.text(conditions), *agreed, page.text(error), page.text(books)]
