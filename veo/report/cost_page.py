"""The spending recorded in a ledger, as an HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from veo.ledger.spending import Dimension, JobFilter, Spending, group_spending, sum_spending
from veo.money import format_average, format_micros, to_usd
from veo.report import html, plots

if TYPE_CHECKING:
    from veo.ledger import Ledger

_TITLES = ("jobs", "videos", "charged", "without video", "reserved", "possibly more", "per video")
_MAX_DAYS = 31
_MAX_ROWS = 40


def render_page(ledger: Ledger, scope: JobFilter) -> str:
    whole = sum_spending(ledger, scope)
    days = dict(list(group_spending(ledger, ["day"], scope).items())[-_MAX_DAYS:])
    parts = [
        "<header><h1>What the videos cost</h1></header>",
        html.render_section(
            "Total", html.render_numbers(_summary_values(whole)), *_render_remarks(whole)
        ),
        html.render_grid([_render_days(days), _render_providers(ledger, scope)], "plots")
        if whole.jobs
        else "",
        _render_table(ledger, scope, "By provider and model", ["provider", "model"], whole),
        _render_table(ledger, scope, "By outcome", ["outcome"], whole),
        _render_table(ledger, scope, "By day", ["day"], whole),
        _render_table(ledger, scope, "By batch", ["batch"], whole),
    ]
    return html.build_page("What the videos cost", filter(None, parts))


def _summary_values(whole: Spending) -> list[tuple[str, str]]:
    return [
        ("charged", format_micros(whole.charged)),
        ("of that, without a video", format_micros(whole.for_nothing)),
        ("videos", str(whole.videos)),
        ("per finished video", format_average(whole.per_video)),
        ("reserved for jobs in progress", format_micros(whole.held)),
        ("possibly charged in addition", format_micros(whole.in_doubt)),
    ]


def _render_remarks(whole: Spending) -> list[str]:
    remarks = []
    if whole.uncertain:
        amount = format_micros(whole.uncertain)
        text = f"{amount} of this is not certain: the provider's documents contradict each other."
        remarks.append(html.render_text(text, "soft"))
    if whole.in_doubt:
        text = f"At most, the providers have charged {format_micros(whole.most)}."
        remarks.append(html.render_text(text, "soft"))
    return remarks


def _render_days(days: dict[tuple[str, ...], Spending]) -> str:
    names = [day[5:] for (day,) in days]
    svg = plots.draw_stacked_bars(names, _charges_by_outcome(list(days.values())), upright=True)
    caption = f"Charges by the day of the job, for the last {_MAX_DAYS} days that have jobs."
    return html.render_section("By day", html.render_figure(svg, caption))


def _render_providers(ledger: Ledger, scope: JobFilter) -> str:
    found = group_spending(ledger, ["provider"], scope)
    svg = plots.draw_stacked_bars(
        [name for (name,) in found], _charges_by_outcome(list(found.values()))
    )
    return html.render_section("By provider", html.render_figure(svg, "Charges of each provider."))


def _charges_by_outcome(groups: list[Spending]) -> dict[str, list[float]]:
    return {
        "for videos": [float(to_usd(each.for_done)) for each in groups],
        "without a video": [float(to_usd(each.for_nothing)) for each in groups],
        "for open jobs": [float(to_usd(each.for_open)) for each in groups],
    }


def _render_table(
    ledger: Ledger, scope: JobFilter, title: str, by: list[Dimension], whole: Spending
) -> str:
    found = group_spending(ledger, by, scope)
    # There may be many days and batches: show the newest days and the most expensive batches.
    ranked = sorted(found, key=lambda key: found[key].most) if by == ["batch"] else list(found)
    shown = ranked[::-1][:_MAX_ROWS] if by in (["batch"], ["day"]) else ranked
    rows = [[*key, *_format_row(found[key])] for key in shown]
    left = len(found) - len(shown)
    more = [html.render_text(f"and {left} more", "soft")] if left else []
    last = ["total", *[""] * (len(by) - 1), *_format_row(whole)]
    return html.render_section(
        title, html.render_table([*by, *_TITLES], rows, last, prose=range(1, len(by))), *more
    )


def _format_row(account: Spending) -> list[str]:
    return [
        str(account.jobs),
        str(account.videos),
        format_micros(account.charged),
        format_micros(account.for_nothing),
        format_micros(account.held),
        format_micros(account.in_doubt),
        format_average(account.per_video),
    ]
