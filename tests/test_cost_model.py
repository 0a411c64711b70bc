"""Expected costs, break-even points and sampling errors."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.compare.cost_model import PricingTerms, find_break_even, measure_cost, wilson_interval
from veo.compare.metrics import Spread

ASYNC = PricingTerms("async", 0.15, on_accept=False, median_s=210, spread=0.35)
SYNC = PricingTerms("sync", 0.15, on_accept=True, median_s=260, spread=0.35, has_tasks=False)
SECOND = PricingTerms("second", 0.80, on_accept=False, median_s=75, spread=0.8)


@pytest.mark.parametrize(("lost", "cost"), [(0.0, 0.15), (0.2, 0.1875), (0.5, 0.30)])
def test_cost_per_video(lost: float, cost: float) -> None:
    """Charged on acceptance: price / (1 - p); on success: the price, whatever p is."""
    assert SYNC.cost_per_video(lost) == pytest.approx(cost)
    assert ASYNC.cost_per_video(lost) == 0.15


def test_no_video_costs_infinitely_much() -> None:
    """If all requests are lost and charged, the cost per video is infinite."""
    assert SYNC.cost_per_video(1.0) == math.inf


def test_deadline_matters_only_without_tasks() -> None:
    """A late video of a stream is lost; a task can be fetched later."""
    assert SYNC.cost_per_video(0.0, deadline=260) == pytest.approx(0.30)
    assert SYNC.cost_per_video(0.0, deadline=1e6) == pytest.approx(0.15)
    assert SECOND.success_share(0.1, deadline=1) == 0.9


def test_break_even() -> None:
    """At the loss rate, the price and the deadline of the break-even both costs are equal."""
    point = find_break_even(SYNC, SECOND, 0.2)
    assert point.deadline is not None

    assert SYNC.cost_per_video(point.loss_rate) == pytest.approx(SECOND.price)
    assert point.price == pytest.approx(SYNC.cost_per_video(0.2))
    assert SYNC.cost_per_video(0.2, point.deadline) == pytest.approx(SECOND.price)


def test_charge_on_success_wins_at_the_same_price() -> None:
    """At the same price there is no loss rate at which a charge on acceptance is cheaper."""
    point = find_break_even(SYNC, ASYNC, 0.2)

    assert (point.loss_rate, point.deadline) == (0.0, None)


@given(tries=st.integers(1, 5000), share=st.floats(0, 1))
def test_interval_contains_the_share(tries: int, share: float) -> None:
    """The interval lies between 0 and 1, and contains the observed share."""
    hits = round(share * tries)
    low, high = wilson_interval(hits, tries)

    assert 0 <= low <= hits / tries + 1e-9
    assert hits / tries - 1e-9 <= high <= 1


def test_interval_has_its_coverage() -> None:
    """About 95 % of the intervals of 1000 runs contain the expected cost."""
    draws = random.Random(7)
    agreements = 0
    for _ in range(1000):
        videos = sum(draws.random() > 0.2 for _ in range(500))
        agreements += measure_cost(SYNC, 500, videos, 0.15 * 500, SYNC.cost_per_video(0.2)).agrees

    assert 930 <= agreements <= 970


def test_wrong_charge_does_not_agree() -> None:
    """A total charge that is too high is detected."""
    assert not measure_cost(SYNC, 500, 400, 75.0, SYNC.cost_per_video(0.5)).agrees
    assert not measure_cost(ASYNC, 500, 400, 60.15, ASYNC.cost_per_video(0.2)).agrees
    assert measure_cost(ASYNC, 500, 400, 60.0, ASYNC.cost_per_video(0.2)).agrees


@pytest.mark.parametrize(("charged", "agrees"), [(60.0, True), (62.0, True), (70.0, False)])
def test_a_charge_by_usage_is_near_its_quote(charged: float, agrees: bool) -> None:
    """It differs by a few percent, which cannot be quoted."""
    terms = replace(ASYNC, by_usage=True)
    assert measure_cost(terms, 500, 400, charged, terms.cost_per_video(0.2)).agrees is agrees


def test_measured_cost_without_a_video() -> None:
    """Without a video the measured cost is infinite."""
    assert measure_cost(SYNC, 10, 0, 1.5, SYNC.cost_per_video(0.2)).cost == math.inf


def test_time_spread() -> None:
    """One time is both the median and the 95th percentile; no times have no spread."""
    assert Spread.from_times([3.0]) == Spread(1, 3.0, 3.0)
    assert Spread.from_times([float(n) for n in range(101)]) == Spread(101, 50.0, 95.0)
    assert Spread.from_times([]) is None
