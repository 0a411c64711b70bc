"""The sandbox without HTTP: time, random draws, states, money, storage."""

from pathlib import Path
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_sandbox.clips import ClipSpec
from veo_sandbox.core import Core
from veo_sandbox.faults.rules import FaultRules
from veo_sandbox.state.billing import BalanceError
from veo_sandbox.state.clock import Clock
from veo_sandbox.state.latency import Latency
from veo_sandbox.state.price_list import load_models, to_micros, to_usd
from veo_sandbox.state.settings import Settings
from veo_sandbox.state.store import Store
from veo_sandbox.state.tasks import DAY, Outcome, Task, TaskSpec, compute_state, create_task


def make_spec(number: int = 1, **facts: object) -> TaskSpec:
    """Return the spec of a tiny clip at 0.15 USD."""
    plain = {
        "route": "videos",
        "profile": "docs",
        "id": f"video_{number}",
        "model": "veo-3.1-fast",
        "prompt": "lion",
        "clip": ClipSpec("lion", 720, 1280, tiny=True),
        "amount": 150_000,
    }
    return TaskSpec(**plain | facts)  # type: ignore[arg-type]


def task(outcome: Outcome, service: float = 10.0, **facts: object) -> Task:
    """Return a task created at 1000 s."""
    return Task(1, make_spec(**facts), 1000.0, service, outcome, "file")


@pytest.fixture
def core(tmp_path: Path) -> Core:
    """A sandbox without a server, with 1000 USD."""
    core = Core(tmp_path, profile="docs", key="sandbox-key", tiny=True, clip_bytes=0)
    core.account.set_balance(1000)
    yield core
    core.close()


class TestLatency:
    """Service times."""

    @pytest.mark.parametrize("text", ["fixed:6", "uniform:2,10", "lognormal:180,0.35"])
    def test_what_is_written_reads_back(self, text: str) -> None:
        """A latency prints as it was written."""
        assert text == str(Latency.parse(text))

    def test_a_plain_number_is_fixed(self) -> None:
        """A number of seconds needs no name."""
        assert Latency.parse(6).draw_seconds(Random(0)) == 6.0

    def test_lognormal_has_the_median_it_names(self) -> None:
        """The first parameter is the median, not the mean."""
        random = Random(1)
        samples = [Latency.parse("lognormal:180,0.35").draw_seconds(random) for _ in range(4000)]

        assert pytest.approx(median(samples), rel=0.03) == 180

    @pytest.mark.parametrize(
        "text", ["", "soon", "uniform:2", "fixed:-1", "gauss:1,2", "fixed:nan"]
    )
    def test_anything_else_is_refused_with_the_forms(self, text: str) -> None:
        """The error lists the allowed forms."""
        with pytest.raises(ValueError, match="lognormal:MEDIAN,SIGMA"):
            Latency.parse(text)


class TestClock:
    """The sandbox's time."""

    def test_runs_at_its_speed_and_survives(self, tmp_path: Path) -> None:
        """A second process of the home reads the same time, and time goes on in between."""
        real = [1000.0]
        first = Clock(Store(tmp_path), lambda: real[0])
        first.set_speed(30)
        real[0] += 2
        first.advance(5)
        second = Clock(Store(tmp_path), lambda: real[0])
        real[0] += 1

        assert second.now() == 1000 + 60 + 5 + 30

    def test_never_goes_back(self, tmp_path: Path) -> None:
        """Neither by a negative advance nor by a speed of zero."""
        clock = Clock(Store(tmp_path))

        with pytest.raises(ValueError, match="never goes back"):
            clock.advance(-1)
        with pytest.raises(ValueError, match="above 0"):
            clock.set_speed(0)


class TestState:
    """The state is a pure function of facts and time."""

    @pytest.mark.parametrize(
        ("at", "name"),
        [(1000, "queued"), (1005, "running"), (1010, "completed"), (1000 + DAY, "gone")],
    )
    def test_follows_the_time(self, at: float, name: str) -> None:
        """Queued, running, completed, gone."""
        assert name == compute_state(task(Outcome()), at).name

    def test_failed_and_never(self) -> None:
        """The outcome that was fixed at create decides the end."""
        assert compute_state(task(Outcome("failed")), 1010).name == "failed"
        assert compute_state(task(Outcome("never")), 1000 + DAY - 1).name == "running"

    @given(st.floats(0, 1e6), st.floats(0, 1e6))
    def test_progress_never_falls(self, early: float, later: float) -> None:
        """Progress at a later time is never lower."""
        first, then = sorted((early, later))
        facts = task(Outcome())

        assert compute_state(facts, first).progress <= compute_state(facts, then).progress


class TestRandomDraws:
    """What is drawn at create."""

    def test_the_same_seed_draws_the_same(self) -> None:
        """Seed and number decide the service time and the end."""
        settings = Settings(latency="uniform:1,100", seed=3, fail_rate=0.3, timeout_rate=0.3)
        once = [create_task(make_spec(n), n, 0.0, settings) for n in range(50)]
        again = [create_task(make_spec(n), n, 0.0, settings) for n in range(50)]

        assert [(t.service_s, t.outcome) for t in once] == [(t.service_s, t.outcome) for t in again]

    def test_rates_are_shares(self) -> None:
        """Of many tasks, these shares fail and hang."""
        settings = Settings(fail_rate=0.2, timeout_rate=0.1)
        ends = [create_task(make_spec(n), n, 0.0, settings).outcome.end for n in range(4000)]

        assert pytest.approx(ends.count("failed") / 4000, abs=0.03) == 0.2
        assert pytest.approx(ends.count("never") / 4000, abs=0.02) == 0.1

    def test_the_latency_changes_no_outcome(self) -> None:
        """Outcomes do not depend on how many draws the latency takes."""
        fixed = Settings(latency="fixed:1", fail_rate=0.5)
        samples = Settings(latency="lognormal:9,0.3", fail_rate=0.5)

        assert [create_task(make_spec(n), n, 0.0, fixed).outcome for n in range(40)] == [
            create_task(make_spec(n), n, 0.0, samples).outcome for n in range(40)
        ]


class TestMoney:
    """Holds, charges, refunds."""

    def test_charged_once_when_due(self, core: Core) -> None:
        """A running task is held and on no bill; a completed one is charged without any poll."""
        core.accept_task(make_spec(service_s=100.0))
        now = core.clock.now()

        assert core.account.list_bills(now) == []
        assert core.account.get_balance(now) == 999.85

        core.clock.advance(101)
        for _ in range(3):
            bills = core.account.list_bills(core.clock.now())

        assert [(bill["task"], bill["state"], bill["amount"]) for bill in bills] == [
            ("video_1", "charged", 0.15)
        ]
        assert core.account.get_balance(core.clock.now()) == 999.85

    @pytest.mark.parametrize("end", ["failed", "never"])
    def test_refunded_without_a_video(self, core: Core, end: str) -> None:
        """A failed task, and one given up after its retention, cost nothing."""
        core.accept_task(make_spec(service_s=1.0, outcome=Outcome(end)))  # type: ignore[arg-type]
        core.clock.advance(DAY + 1)

        assert [bill["state"] for bill in core.account.list_bills(core.clock.now())] == ["refunded"]
        assert core.account.get_balance(core.clock.now()) == 1000.0

    def test_on_accept_is_charged_at_once_and_kept(self, core: Core) -> None:
        """The rule of the sync route: paid even if it fails."""
        core.accept_task(make_spec(service_s=1.0, billing="on_accept", outcome=Outcome("failed")))
        core.clock.advance(2)

        assert [bill["state"] for bill in core.account.list_bills(core.clock.now())] == ["charged"]
        assert core.account.get_balance(core.clock.now()) == 999.85

    def test_nothing_is_kept_without_money(self, core: Core) -> None:
        """A task that cannot be paid for leaves no task."""
        core.account.set_balance(0.1)

        with pytest.raises(BalanceError) as error:
            core.accept_task(make_spec())

        assert error.value.balance == 0.1
        assert core.tasks.list_tasks() == []

    def test_micro_dollars_are_exact(self) -> None:
        """No price loses a fraction on its way."""
        prices = [model.price_micros(8) for model in load_models().values() if model.usd_per_call]

        assert {0.15, 0.25, 0.3, 1.2} == {to_usd(price) for price in prices}
        assert to_micros(0.1) == 100_000


class TestHome:
    """What a home keeps."""

    def test_a_task_reads_back_as_it_was(self, core: Core) -> None:
        """Nothing is lost between memory and disk."""
        clip = ClipSpec("lion", 720, 1280, references=("a", "b"), tiny=True)
        stored = core.accept_task(make_spec(clip=clip, outcome=Outcome("failed"), extra={"n": 2}))

        assert [stored] == core.tasks.list_tasks()

    def test_two_processes_share_one_state(self, core: Core, tmp_path: Path) -> None:
        """A change by one process applies to the other at its next request."""
        other = Core(tmp_path, profile="docs", key="sandbox-key", tiny=True, clip_bytes=0)
        core.change_settings({"latency": "fixed:77", "speed": 5, "balance": 3})
        rules, other_rules = FaultRules(core.store), FaultRules(other.store)
        rules.add_rules([{"fault": "http_500"}])
        other.refresh()
        other_rules.refresh()

        assert other.settings.latency == "fixed:77"
        assert other.clock.speed == 5
        assert [rule["fault"] for rule in other_rules.list_rules()] == ["http_500"]
        assert other.account.get_balance(0) == 3
        other.close()

    def test_expired_videos_are_swept(self, core: Core, tmp_path: Path) -> None:
        """Opening a home deletes expired videos, and only those."""
        facts = {"clip": ClipSpec("a", 16, 16), "outcome": Outcome("failed"), "service_s": 0.0}
        old = core.accept_task(make_spec(1, **facts))
        core.clock.advance(DAY + 1)
        new = core.accept_task(make_spec(2, **facts))
        for stored in (old, new):
            core.clips.clip_path(stored).write_bytes(b"video")
        Core(tmp_path, profile="docs", key="sandbox-key", tiny=True, clip_bytes=0).close()

        assert not core.clips.clip_path(old).exists()
        assert core.clips.clip_path(new).exists()


@pytest.mark.parametrize(
    ("changes", "expected_text"),
    [
        ({"lateness": 1}, "unknown setting 'lateness'; known: balance, content_lag, delay"),
        ({"fail_rate": 2}, "fail_rate 2: must be a number from 0 to 1"),
        ({"delay": "x"}, "delay 'x': must be a number from 0 to 1e"),
        ({"latency": "soon"}, "latency 'soon'"),
        ({"balance": -1}, "balance -1"),
    ],
)
def test_a_wrong_setting_changes_nothing(
    core: Core, changes: dict[str, object], expected_text: str
) -> None:
    """The error names the setting and its range; valid settings beside it stay unchanged."""
    with pytest.raises(ValueError, match=expected_text):
        core.change_settings({"seed": 9, **changes})

    assert core.settings.seed == 0
