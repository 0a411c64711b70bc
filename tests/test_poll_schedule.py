"""The poll schedule: intervals within bounds, and early enough."""

import math
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.engine.poll_schedule import Durations, ProgressTracker, poll_delay

KNOWN = st.builds(Durations, st.floats(1, 2000), st.floats(0.05, 2))
ELAPSED = st.floats(0, 1e6)
USUAL = Durations(180.0, 0.35)


@st.composite
def draw_progress(draw: st.DrawFn) -> tuple[ProgressTracker, float]:
    """Return the progress after some reports, honest or not, and the time of the last one."""
    progress, elapsed = ProgressTracker(), 0.0
    for step, value in draw(
        st.lists(st.tuples(st.floats(0, 500), st.none() | st.floats(-1, 101)), max_size=8)
    ):
        elapsed += step
        progress.record(value, elapsed)
    return progress, elapsed


class TestBounds:
    """Whatever a task reports, the next poll has a time."""

    @given(KNOWN, ELAPSED)
    def test_without_progress(self, known: Durations, elapsed: float) -> None:
        """Later than now, and not later than the median of the model."""
        assert 0 < poll_delay(elapsed, known) <= known.median

    @given(KNOWN, draw_progress(), st.floats(0, 1e4))
    def test_with_progress(
        self, known: Durations, seen: tuple[ProgressTracker, float], later: float
    ) -> None:
        """Progress that decreases, stands still or exceeds 100 % has the same bounds."""
        progress, elapsed = seen
        assert 0 < poll_delay(elapsed + later, known, progress) <= known.median

    @given(KNOWN, ELAPSED, draw_progress(), st.floats(0, 1e6))
    def test_a_hint_comes_first(
        self, known: Durations, elapsed: float, seen: tuple[ProgressTracker, float], hint: float
    ) -> None:
        """The interval that the server asks for is used, within bounds."""
        assert math.isfinite(poll_delay(elapsed, known, seen[0], hint))

    @given(KNOWN, st.lists(st.floats(-10, 1e6)))
    def test_what_is_learned_can_be_used(self, prior: Durations, past: list[float]) -> None:
        """From any past durations, invalid ones included."""
        known = prior.learn(past)
        assert known.median >= 0
        assert known.spread >= 0.05
        assert math.isfinite(known.median + known.spread)


@pytest.mark.slow
@given(KNOWN)
def test_a_task_that_never_ends_is_polled_again_and_again(known: Durations) -> None:
    """Each poll is later than the one before, and there are fewer than 2,000 of them."""
    times, elapsed = [0.0], 0.0
    while elapsed < 8 * known.median:
        elapsed += poll_delay(elapsed, known)
        times.append(elapsed)
        assert len(times) < 2000
    assert all(later > earlier for earlier, later in pairwise(times))


@given(KNOWN, st.floats(0.01, 0.99), st.integers(1, 50))
def test_honest_progress_ends_near_the_end(known: Durations, start: float, polls: int) -> None:
    """A task with even progress is seen as ready soon after it is."""
    total = known.median * (0.5 + start)
    progress, elapsed, count = ProgressTracker(), 0.0, 0
    while elapsed < total:
        progress.record(elapsed / total, elapsed)
        elapsed += poll_delay(elapsed, known, progress)
        count += 1
        assert count < 500
    assert elapsed - total <= known.max_interval_s * 3 + known.min_interval_s


class TestLearning:
    """Past durations of a model change the prior."""

    @pytest.mark.parametrize("median", [20.0, 180.0, 900.0])
    def test_many_observations_win(self, median: float) -> None:
        """After 400 observations the median is that of the past."""
        random = Random(1)
        past = [random.lognormvariate(math.log(median), 0.2) for _ in range(400)]
        known = USUAL.learn(past)
        assert known.median == pytest.approx(median, rel=0.1)
        assert known.spread == pytest.approx(0.2, abs=0.1)

    def test_one_odd_video_does_not(self) -> None:
        """A single observation does not double the median."""
        assert USUAL.learn([1800.0]).median < 2 * USUAL.median

    def test_nothing_learned_nothing_changed(self) -> None:
        """Without past durations, or with invalid ones only, the prior stays."""
        assert USUAL.learn([]) == USUAL.learn([0.0, -5.0]) == USUAL


class TestProgress:
    """Which reports count as an advance, and what is extrapolated from them."""

    def test_progress_that_does_not_increase_is_ignored(self) -> None:
        """Some servers go back to 0 when they change to another step."""
        progress = ProgressTracker()
        for value, at in [(0.3, 10.0), (0.3, 20.0), (0.1, 30.0), (None, 40.0)]:
            progress.record(value, at)
        assert (progress.last, progress.last_at, progress.advances) == (0.3, 10.0, 1)

    def test_the_remaining_time_is_extrapolated(self) -> None:
        """Half in fifty seconds: fifty more, less as time passes."""
        progress = ProgressTracker()
        progress.record(0.5, 50.0)
        assert progress.remaining_s(50.0) == pytest.approx(50.0, abs=1.0)
        assert progress.remaining_s(80.0) == pytest.approx(20.0, abs=1.0)
        assert progress.remaining_s(500.0) == 0.0

    @pytest.mark.parametrize("value", [1.0, 45.0])
    def test_full_progress_is_not_extrapolated(self, value: float) -> None:
        """100 % of a task that is still running, or a percentage taken for a fraction."""
        progress = ProgressTracker()
        progress.record(value, 10.0)
        assert progress.remaining_s(20.0) is None

    def test_coarse_progress_does_not_delay_a_poll(self) -> None:
        """Steps of 25 % never lead to a later poll than no progress at all."""
        progress = ProgressTracker()
        for value, at in [(0.25, 30.0), (0.5, 60.0)]:
            progress.record(value, at)
        assert poll_delay(60.0, USUAL, progress) <= poll_delay(60.0, USUAL)


def test_no_poll_is_spent_on_looking_for_progress_that_is_never_draw_progress() -> None:
    """The first poll comes when the task may have ended; after that nothing differs."""
    known = Durations(180.0, 0.35)

    assert poll_delay(0.0, known) == 10.0
    assert poll_delay(0.0, known, reports_progress=False) > 60.0
    assert poll_delay(100.0, known) == poll_delay(100.0, known, reports_progress=False)


def test_very_quick_models_have_intervals() -> None:
    """Hundreds of videos of a millisecond do not lead to polls without a pause."""
    known = USUAL.learn([0.001] * 500)

    assert known.median > 0
    assert poll_delay(0.0, known) > 0
    assert poll_delay(1.0, known) > 0
