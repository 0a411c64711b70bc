"""What a ledger has cost, as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from veo.ledger.spending import Dimension, JobFilter, Spending, group_spending, sum_spending
from veo.money import format_amount, to_usd
from veo.report import html as page
from veo.report import plots

if TYPE_CHECKING:
    from veo.ledger import Ledger

_FOOT = "Every amount can be traced to the events of its job in the ledger."
_TITLES = ("jobs", "videos", "charged", "for nothing", "reserved", "perhaps more", "a video")
_DAYS = 31
_MOST = 40


def render(ledger: Ledger, scope: JobFilter) -> str:
    """The page about the jobs of a scope."""
    whole = sum_spending(ledger, scope)
    days = dict(list(group_spending(ledger, ["day"], scope).items())[-_DAYS:])
    parts = [
        "<header><h1>What the videos have cost</h1></header>",
        page.section("All together", page.numbers(_numbers(whole)), *_remarks(whole)),
        page.grid([_by_day(days), _by_provider(ledger, scope)], "plots") if whole.jobs else "",
        _table(ledger, scope, "By provider and model", ["provider", "model"], whole),
        _table(ledger, scope, "By outcome", ["outcome"], whole),
        _table(ledger, scope, "By day", ["day"], whole),
        _table(ledger, scope, "By batch", ["batch"], whole),
    ]
    return page.page("What the videos have cost", filter(None, parts), _FOOT)


def _numbers(whole: Spending) -> list[tuple[str, str]]:
    each = whole.per_video
    return [
        ("charged", _money(whole.charged)),
        ("of it for nothing", _money(whole.for_nothing)),
        ("videos", str(whole.videos)),
        ("a video that was kept", f"${each:.3f}" if each is not None else "-"),
        ("reserved for jobs under way", _money(whole.reserved)),
        ("perhaps charged besides", _money(whole.unknown)),
    ]


def _remarks(whole: Spending) -> list[str]:
    said = []
    if whole.uncertain:
        text = f"{_money(whole.uncertain)} of what was charged is not certain: documents differ."
        said.append(page.text(text, "soft"))
    if whole.unknown:
        text = f"The most that can have been charged is {_money(whole.most)}."
        said.append(page.text(text, "soft"))
    return said


def _by_day(days: dict[tuple[str, ...], Spending]) -> str:
    names = [day[5:] for (day,) in days]
    drawn = plots.stacks(names, _parts(list(days.values())), upright=True)
    caption = f"What was charged for the jobs of each day that had any, of the last {_DAYS}."
    return page.section("Day by day", page.figure(drawn, caption))


def _by_provider(ledger: Ledger, scope: JobFilter) -> str:
    found = group_spending(ledger, ["provider"], scope)
    drawn = plots.stacks([name for (name,) in found], _parts(list(found.values())))
    return page.section("By provider", page.figure(drawn, "What each provider has charged."))


def _parts(groups: list[Spending]) -> dict[str, list[float]]:
    return {
        "for videos": [float(to_usd(each.for_done)) for each in groups],
        "for nothing": [float(to_usd(each.for_nothing)) for each in groups],
        "still open": [float(to_usd(each.for_open)) for each in groups],
    }


def _table(
    ledger: Ledger, scope: JobFilter, title: str, by: list[Dimension], whole: Spending
) -> str:
    found = group_spending(ledger, by, scope)
    # Days and batches may be many: the newest days, the dearest batches.
    ranked = sorted(found, key=lambda key: found[key].most) if by == ["batch"] else list(found)
    shown = ranked[::-1][:_MOST] if by in (["batch"], ["day"]) else ranked
    rows = [[*key, *_cells(found[key])] for key in shown]
    left = len(found) - len(shown)
    more = [page.text(f"and {left} more", "soft")] if left else []
    last = ["all", *[""] * (len(by) - 1), *_cells(whole)]
    text = range(1, len(by))
    return page.section(title, page.table([*by, *_TITLES], rows, last, prose=list(text)), *more)


def _cells(account: Spending) -> list[str]:
    each = account.per_video
    return [
        str(account.jobs),
        str(account.videos),
        _money(account.charged),
        _money(account.for_nothing),
        _money(account.reserved),
        _money(account.unknown),
        f"${each:.3f}" if each is not None else "-",
    ]


def _money(amount: int) -> str:
    return format_amount(to_usd(amount))
