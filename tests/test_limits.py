"""The limits of a provider, for all processes on a ledger: jobs in flight, requests a minute."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import make_model
from sqlalchemy import update

from veo.ledger import Ledger, NewJob, Record, State
from veo.ledger.backoff import AdaptiveCapacity
from veo.ledger.heartbeat import WorkerLease, free_dead_slots
from veo.ledger.limits import WINDOW_S, Admission, Limits, lock_provider
from veo.ledger.schema import workers as workers_table
from veo.money import quote
from veo.provider import read_boot_clock
from veo.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ("ledger_databases",)
pytestmark = pytest.mark.usefixtures("database")

MINUTE_S = 60.0
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "submit", "end", "back_off", "recover", "wait"]),
        st.integers(0, 12),
    ),
    max_size=25,
)


class Workers:
    """Several processes on one ledger, whose clock a test sets."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_000_000.25
        self.ledger = Ledger(folder, clock=lambda: self.now)
        self.leases: list[WorkerLease] = []

    def start(self) -> str:
        """Start one more process; return its id."""
        self.leases.append(WorkerLease(self.ledger, lambda: self.now, 3600.0))
        return self.leases[-1].id

    def plan(self, owner: str, count: int = 1) -> list[Record]:
        """Plan jobs that a process works on."""
        request, model = Request(prompt="a lion", model="m-1"), make_model()
        new = [
            NewJob(
                run="run",
                provider="scripted",
                model="m-1",
                request=request,
                output=f"/videos/{number}.mp4",
                quote=quote(request, model),
            )
            for number in range(count)
        ]
        return self.ledger.plan_jobs(new, owner=owner).records

    def submit(self, owner: str, limits: Limits) -> tuple[Record, Admission]:
        """Plan a job and try to begin its submit."""
        return self.ledger.begin_submit(self.plan(owner)[0], limits)

    def end(self, record: Record) -> None:
        """Have a job in flight end."""
        self.ledger.move_job(record, State.FAILED, owner=None)

    def retry(self, record: Record, refused: Admission, limits: Limits) -> tuple[Record, Admission]:
        """Ask again for a job that had to wait for a time."""
        return self.ledger.begin_submit(record, limits) if refused.wait_s else (record, refused)

    def pass_time(self, seconds: float) -> None:
        """Move the clock; all processes send their heartbeats."""
        self.now += seconds
        with self.ledger.database.write() as connection:
            connection.execute(update(workers_table).values(seen_at=self.now))

    def close(self) -> None:
        for lease in self.leases:
            lease.close()
        self.ledger.close()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """A ledger without processes."""
    workers = Workers(tmp_path)
    yield workers
    workers.close()


def test_processes_share_the_slots(workers: Workers) -> None:
    """Three slots: two of one process and one of another leave none for a third."""
    limits = Limits(3, 1000)
    first, second, third = (workers.start() for _ in range(3))
    records = [workers.submit(owner, limits)[0] for owner in (first, first, second)]
    refused, admission = workers.submit(third, limits)

    assert [record.state for record in records] == [State.SUBMITTING] * 3
    assert (refused.state, admission) == (State.PLANNED, Admission(None, 3))
    workers.end(records[0])
    assert workers.ledger.begin_submit(refused, limits)[1].wait_s == 0.0


def test_a_process_leaves_others_their_share(workers: Workers) -> None:
    """The slots of one that came first go to one that waits, until both have as many."""
    limits = Limits(4, 1000)
    first, second = workers.start(), workers.start()
    records = [workers.submit(first, limits)[0] for _ in range(4)]
    waiting = workers.plan(second, 3)
    more = workers.plan(first, 3)

    def begin(record: Record) -> bool:
        return workers.ledger.begin_submit(record, limits)[1].wait_s == 0.0

    workers.end(records.pop())
    assert [begin(more[0]), begin(waiting[0])] == [False, True]
    workers.end(records.pop())
    assert [begin(more[0]), begin(waiting[1])] == [False, True]
    workers.end(records.pop())
    assert [begin(waiting[2]), begin(more[0])] == [False, True]


def test_a_process_that_is_not_waited_for_has_all_slots(workers: Workers) -> None:
    """A share is left to others only while they have something to send."""
    limits = Limits(4, 1000)
    first, second = workers.start(), workers.start()
    workers.submit(second, limits)
    assert [workers.submit(first, limits)[1].wait_s for _ in range(4)] == [0.0, 0.0, 0.0, None]


def test_processes_share_the_minute(workers: Workers) -> None:
    """What one process sent, another cannot send; it is told when to ask again."""
    limits = Limits(100, 3)
    first, second = workers.start(), workers.start()
    for owner in (first, second, first):
        assert workers.submit(owner, limits)[1].wait_s == 0.0
    refused, admission = workers.submit(second, limits)
    assert admission.wait_s == pytest.approx(WINDOW_S + 0.25)
    workers.now += admission.wait_s
    assert workers.ledger.begin_submit(refused, limits)[1].wait_s == 0.0


def test_providers_do_not_share(workers: Workers) -> None:
    """Each provider has limits of its own."""
    limits = Limits(1, 1)
    owner, _ = workers.start(), workers.start()
    workers.submit(owner, limits)
    (other,) = workers.plan(owner)
    with workers.ledger.database.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET provider = 'other' WHERE state = 'planned'")
    assert workers.ledger.begin_submit(replace(other, provider="other"), limits)[1].wait_s == 0.0


def test_a_process_without_heartbeat_frees_its_slots(workers: Workers) -> None:
    """Its jobs do not count any more when its last heartbeat is too old."""
    limits = Limits(1, 1000)
    workers.submit(workers.start(), limits)
    second = workers.start()
    refused, admission = workers.submit(second, limits)
    assert admission.wait_s is None
    workers.now += workers.ledger.database.lease_s + 1
    workers.leases.append(WorkerLease(workers.ledger, lambda: workers.now, 3600.0))
    assert workers.ledger.begin_submit(refused, limits)[1].wait_s == 0.0


def test_a_process_that_died_on_this_machine_frees_its_slots_at_once(workers: Workers) -> None:
    """Its lock file tells, before its heartbeat is too old."""
    limits = Limits(1, 1000)
    workers.submit(workers.start(), limits)
    workers.leases[0]._lock.release()  # as the system does when a process dies
    second, _ = workers.start(), workers.start()
    refused, _ = workers.submit(second, limits)
    assert refused.state is State.PLANNED
    free_dead_slots(workers.ledger, "scripted", workers.now)
    assert workers.ledger.begin_submit(refused, limits)[1].wait_s == 0.0


def test_a_released_job_frees_its_slot(workers: Workers) -> None:
    """A job that nobody works on does not keep others from being sent."""
    limits = Limits(1, 1000)
    first, second = workers.start(), workers.start()
    workers.submit(first, limits)
    workers.ledger.release_leases(first)
    assert workers.submit(second, limits)[1].wait_s == 0.0


def test_a_busy_provider_is_slowed_for_all_processes(workers: Workers) -> None:
    """None sends before the time, and then half as many jobs are in flight."""
    limits = Limits(8, 1000)
    first, second = workers.start(), workers.start()
    for _ in range(4):
        workers.submit(first, limits)
    assert workers.ledger.back_off("scripted", limits, 30.0, 0) == 2
    refused, admission = workers.submit(second, limits)
    assert admission == Admission(30.0, 2)
    workers.pass_time(30.0)
    assert workers.ledger.begin_submit(refused, limits)[1] == Admission(None, 2)


def test_success_of_any_process_raises_the_capacity(workers: Workers) -> None:
    """Five accepted requests for one more job, up to the limit."""
    limits = Limits(3, 1000)
    workers.ledger.back_off("scripted", limits, 0.0, 2)
    capacities = [workers.ledger.recover("scripted", limits) for _ in range(20)]
    assert (capacities[3], capacities[4], capacities[-1]) == (1, 2, 3)


def test_rows_of_old_requests_are_deleted(workers: Workers) -> None:
    """The table holds a minute, however long a ledger is used."""
    owner = workers.start()
    for _ in range(10):
        workers.submit(owner, Limits(100, 1000))
        workers.pass_time(30.0)
    with workers.ledger.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sends").scalar_one() <= 4


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 4), st.integers(1, 6), STEPS)
def test_never_more_than_allowed(
    tmp_path_factory: pytest.TempPathFactory, limit: int, minute: int, steps: list[tuple[str, int]]
) -> None:
    """Two processes: neither jobs in flight nor requests in any 60 s exceed the limits."""
    workers = Workers(tmp_path_factory.mktemp("limits"))
    limits, owners = Limits(limit, minute), [workers.start(), workers.start()]
    sent: list[float] = []
    for action, number in steps:
        in_flight = workers.ledger.list_jobs(states=[State.SUBMITTING])
        if action == "submit":
            record, admission = workers.submit(owners[number % 2], limits)
            for _ in range(2):  # first until the provider is not busy, then for the minute
                workers.pass_time(admission.wait_s or 0.0)
                record, admission = workers.retry(record, admission, limits)
            assert not admission.wait_s
            sent += [workers.now] if admission.wait_s == 0.0 else []
        elif action == "end" and in_flight:
            workers.end(in_flight[0])
        elif action == "back_off":
            workers.ledger.back_off("scripted", limits, float(number), len(in_flight))
        elif action == "recover":
            workers.ledger.recover("scripted", limits)
        elif action == "wait":
            workers.pass_time(2.5 * number)
        assert len(workers.ledger.list_jobs(states=[State.SUBMITTING])) <= limit
        assert len([at for at in sent if at > workers.now - MINUTE_S]) <= minute
    workers.close()


class TestCapacity:
    """After the provider asked to slow down."""

    def test_the_capacity_is_halved(self) -> None:
        """Half of the jobs in flight may remain."""
        adaptive = AdaptiveCapacity(8)
        adaptive.back_off(0.0, 30.0, 8)
        assert adaptive.capacity == 4

    def test_one_burst_of_refusals_counts_once(self) -> None:
        """All requests that were under way are refused for the same reason."""
        adaptive = AdaptiveCapacity(8)
        for second in range(8):
            adaptive.back_off(float(second), 30.0, 8)
        assert adaptive.capacity == 4
        adaptive.back_off(100.0, 30.0, 8)
        assert adaptive.capacity == 2

    def test_a_lower_limit_holds(self) -> None:
        """Of two processes with different configurations, each keeps its own limit."""
        adaptive = AdaptiveCapacity(3, value=7.0)
        assert adaptive.capacity == 3


@pytest.mark.parametrize("limit", [1, 3])
def test_many_threads_share_the_slots(workers: Workers, limit: int) -> None:
    """The last slot is never taken twice, however many ask at the same moment."""
    limits, lock = Limits(limit, 10**6), threading.Lock()
    in_flight, highest = Counter[str](), [0]
    owners = [workers.start() for _ in range(4)]

    def work(owner: str) -> None:
        for record in workers.plan(owner, 5):
            while True:
                sent, admission = workers.ledger.begin_submit(record, limits)
                if admission.wait_s == 0.0:
                    break
                time.sleep(0.001)
            with lock:
                in_flight["now"] += 1
                highest[0] = max(highest[0], in_flight["now"])
            with lock:
                in_flight["now"] -= 1
            workers.end(sent)

    threads = [threading.Thread(target=work, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= highest[0] <= limit


def test_a_request_is_counted_when_its_turn_has_come(workers: Workers) -> None:
    """Many workers may ask at the same moment: who waited for the others is not late for that."""
    (record,) = workers.plan(workers.start())
    found: list[Admission] = []
    asking = threading.Thread(
        target=lambda: found.append(workers.ledger.begin_submit(record, Limits(1, 1))[1])
    )
    with workers.ledger.database.write() as connection:
        lock_provider(connection, "scripted")
        asking.start()
        time.sleep(0.1)
        its_turn = read_boot_clock()
    asking.join()
    assert found[0].wait_s == 0.0
    assert found[0].counted_at >= its_turn


@pytest.mark.parametrize("ahead", [0.0, 5000.0])
def test_a_request_of_unknown_outcome_may_be_in_flight(workers: Workers, ahead: float) -> None:
    """It keeps its slot as long as a task usually takes, because there may be one.

    A submit in the future was stored before the clock was set back, and holds nothing.
    """
    limits = Limits(1, 1000, task_s=30.0)
    first, second = workers.start(), workers.start()
    record, _ = workers.submit(first, limits)
    record = workers.ledger.move_job(record, submitted_at=workers.now + ahead)
    workers.ledger.move_job(record, State.UNKNOWN, owner=None)
    refused, admission = workers.submit(second, limits)
    if ahead:
        assert admission.wait_s == 0.0
        return
    assert admission.wait_s is None
    workers.pass_time(31.0)
    assert workers.ledger.begin_submit(refused, limits)[1].wait_s == 0.0
