"""The closed form, its break-even, and the sampling error: pure."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.compare.cost_model import Terms, break_even, measured, wilson
from veo.compare.metrics import Spread

ASYNC = Terms("async", 0.15, on_accept=False, median_s=210, spread=0.35)
SYNC = Terms("sync", 0.15, on_accept=True, median_s=260, spread=0.35, tasks=False)
SECOND = Terms("second", 0.80, on_accept=False, median_s=75, spread=0.8)


@pytest.mark.parametrize(("lost", "cost"), [(0.0, 0.15), (0.2, 0.1875), (0.5, 0.30)])
def test_acceptance_is_paid_by_those_that_succeed(lost: float, cost: float) -> None:
    """Charged on acceptance: price / (1 - p); on success: the price, whatever p is."""
    assert SYNC.cost(lost) == pytest.approx(cost)
    assert ASYNC.cost(lost) == 0.15


def test_nothing_made_has_no_price() -> None:
    """Where all is lost, a kept video costs infinitely much, if anything is charged."""
    assert SYNC.cost(1.0) == math.inf


def test_impatience_costs_only_where_there_is_no_task() -> None:
    """What is late is lost on a stream; a task can be fetched later."""
    assert SYNC.cost(0.0, deadline=260) == pytest.approx(0.30)
    assert SYNC.cost(0.0, deadline=1e6) == pytest.approx(0.15)
    assert SECOND.kept(0.1, deadline=1) == 0.9


def test_break_even() -> None:
    """The rate, the price and the patience at which both cost the same."""
    point = break_even(SYNC, SECOND, 0.2)
    assert point.deadline is not None

    assert SYNC.cost(point.loss_rate) == pytest.approx(SECOND.price)
    assert point.price == pytest.approx(SYNC.cost(0.2))
    assert SYNC.cost(0.2, point.deadline) == pytest.approx(SECOND.price)


def test_at_the_same_price_success_always_wins() -> None:
    """There is no rate below which paying on acceptance is cheaper."""
    point = break_even(SYNC, ASYNC, 0.2)

    assert (point.loss_rate, point.deadline) == (0.0, None)


@given(tries=st.integers(1, 5000), share=st.floats(0, 1))
def test_the_interval_holds_the_share(tries: int, share: float) -> None:
    """It lies within 0 and 1, and around what was seen."""
    hits = round(share * tries)
    low, high = wilson(hits, tries)

    assert 0 <= low <= hits / tries + 1e-9
    assert hits / tries - 1e-9 <= high <= 1


def test_the_interval_keeps_its_promise() -> None:
    """Of a thousand runs of 500 requests at 20 % the closed form is in about 95 of 100."""
    chance = random.Random(7)
    agreed = 0
    for _ in range(1000):
        kept = sum(chance.random() > 0.2 for _ in range(500))
        agreed += measured(SYNC, 500, kept, 0.15 * 500, SYNC.cost(0.2)).agrees

    assert 930 <= agreed <= 970


def test_a_wrong_price_does_not_agree() -> None:
    """The check can fail: a route that charged too much is found out."""
    assert not measured(SYNC, 500, 400, 75.0, SYNC.cost(0.5)).agrees
    assert not measured(ASYNC, 500, 400, 60.15, ASYNC.cost(0.2)).agrees
    assert measured(ASYNC, 500, 400, 60.0, ASYNC.cost(0.2)).agrees


def test_nothing_kept_is_said_so() -> None:
    """No video: no cost, no agreement made up."""
    assert measured(SYNC, 10, 0, 1.5, SYNC.cost(0.2)).cost == math.inf


def test_spreads() -> None:
    """The median and the 95th percentile; one time is both, none is none."""
    assert Spread.of([3.0]) == Spread(1, 3.0, 3.0)
    assert Spread.of([float(n) for n in range(101)]) == Spread(101, 50.0, 95.0)
    assert Spread.of([]) is None
