"""The local dispatcher: one thread with one event loop, and a heap of what is due.

Nothing about a job's life, its money or its limits is decided here; ``step`` decides, and returns
when it wants to be called again. A job that waits is an entry of the heap: no thread, no task.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import itertools
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass, field

from veo.engine.context import MADE, WAIT_FOR_CAPACITY, ActiveJob, StepContext
from veo.engine.step import step
from veo.engine.threads import MAX_DOWNLOADS, MAX_SUBMITS
from veo.engine.waiting import time_slices
from veo.ledger.record import State

MAX_POLLS = 640  # at a time; 2,000 polls a second of 150 ms each need 300
MAX_SLEEP_S = 1.0  # the event loop has another clock than the jobs, at least in tests
# Jobs that are due within a few milliseconds begin together: a round of the event loop costs as
# much as a tenth of a poll.
MIN_SLEEP_S = 0.005
# Garbage collector: new objects between two rounds, and how rarely the older generations are
# included. More than all polls under way hold, fifty each: with 10,000 every second had a round of
# 10 ms, in which all threads wait; with the defaults (700, 10, 10) all jobs are inspected, too.
GC_THRESHOLDS = (50_000, 1_000, 10)
_NEVER = float("inf")


@dataclass(slots=True)
class _Lane:
    """One kind of step: how many run, and the jobs that wait until one of them ends."""

    limit: int
    running: int = 0
    backlog: deque[ActiveJob] = field(default_factory=deque)


class Engine:
    """Move many jobs along at once.

    Args:
        context: What the steps need.
        on_finished: Called once for each job when there is nothing more to do for it, from any
            thread but the dispatcher's, so that it may block.
    """

    def __init__(self, context: StepContext, on_finished: Callable[[ActiveJob], None]) -> None:
        self._context = context
        self._on_finished = on_finished
        # Jobs by number: the garbage collector does not track tuples of numbers, and each of its
        # rounds stops all threads.
        self._heap: list[tuple[float, int]] = []
        self._sleeping: dict[int, ActiveJob] = {}
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = _NEVER
        self._submits, self._downloads = _Lane(MAX_SUBMITS), _Lane(MAX_DOWNLOADS)
        self._polls = _Lane(min(MAX_POLLS, _connection_limit()))
        self._without_capacity: dict[str, deque[ActiveJob]] = defaultdict(deque)
        self._tasks: dict[ActiveJob, asyncio.Task[None]] = {}
        self._is_stopping = False
        context.stopped_at = None  # that of an earlier engine
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="veo-dispatch", daemon=True)
        self._thread.start()

    def add(self, job: ActiveJob) -> None:
        """Work on a job from now on."""
        self._post(self._schedule, job, 0.0)

    def on_capacity(self, provider: str) -> None:
        """Begin a waiting job, because its provider may have capacity."""
        self._post(self._begin_waiting_job, provider)

    def stop(self) -> None:
        """Begin nothing new; return when every paid request under way has its response.

        A request without the head of a response is awaited for ``response_wait.GRACE_S``. Polls and
        downloads under way are abandoned: they are free of charge and can be repeated.
        """
        finished = asyncio.run_coroutine_threadsafe(self._finish_submits(), self._loop)
        for seconds in time_slices(None):  # a second Ctrl-C ends this wait
            if wait({finished}, seconds).done:
                break
        finished.result()
        self._post(self._loop.stop)
        self._thread.join()
        self._context.threads.close()

    def _run_loop(self) -> None:
        thresholds = gc.get_threshold()
        if thresholds[0]:  # 0 switches the collector off
            gc.set_threshold(*GC_THRESHOLDS)
        try:
            self._loop.run_forever()
        finally:
            gc.set_threshold(*thresholds)
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())  # sessions of polls
            self._loop.close()

    def _post(self, function: Callable[..., object], *args: object) -> None:
        """Call a function on the event loop, from any thread."""
        with suppress(RuntimeError):  # the loop is closed: there is nothing to do any more
            self._loop.call_soon_threadsafe(function, *args)

    def _schedule(self, job: ActiveJob, when: float) -> None:
        number = next(self._numbers)
        self._sleeping[number] = job
        heapq.heappush(self._heap, (when, number))
        if when < self._wakes_at:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._wakes_at = self._heap[0][0] if self._heap else _NEVER
        delay = min(MAX_SLEEP_S, max(MIN_SLEEP_S, self._wakes_at - self._context.timer()))
        self._timer = self._loop.call_later(delay, self._begin_due_jobs)

    def _begin_due_jobs(self) -> None:
        now = self._context.timer()
        while self._heap and self._heap[0][0] <= now:
            self._begin(self._sleeping.pop(heapq.heappop(self._heap)[1]))
        self._set_timer()

    def _begin(self, job: ActiveJob) -> None:
        lane = self._lane_of(job)
        if self._is_stopping:
            return
        if lane.running >= lane.limit:
            lane.backlog.append(job)
            return
        lane.running += 1
        # The loop itself holds tasks weakly: one that nobody references may be collected.
        self._tasks[job] = self._loop.create_task(self._take_step(job, lane))

    def _lane_of(self, job: ActiveJob) -> _Lane:
        if job.record.state in MADE:
            return self._downloads
        return self._polls if job.record.task_id else self._submits

    async def _take_step(self, job: ActiveJob, lane: _Lane) -> None:
        try:
            when = await step(self._context, job)
        finally:
            lane.running -= 1
            del self._tasks[job]
        if when is None:
            # In a thread, because the callbacks of users may block.
            self._context.threads.write.start(self._on_finished, job)
        elif when == WAIT_FOR_CAPACITY:
            self._wait_for_capacity(job)
        else:
            self._schedule(job, when)
        while lane.backlog and lane.running < lane.limit and not self._is_stopping:
            self._begin(lane.backlog.popleft())

    def _wait_for_capacity(self, job: ActiveJob) -> None:
        provider = job.record.provider
        waiting = self._without_capacity[provider]
        if self._context.find_provider(provider).limiter.has_capacity():
            self._begin(job)  # another job was released since the step looked
        elif job.has_waited:  # it was first in the queue, and stays there
            waiting.appendleft(job)
        else:
            job.has_waited = True
            waiting.append(job)

    def _begin_waiting_job(self, provider: str) -> None:
        if self._without_capacity[provider]:
            self._begin(self._without_capacity[provider].popleft())

    async def _finish_submits(self) -> None:
        self._is_stopping, self._context.stopped_at = True, self._context.timer()
        # A paid request is never cancelled: without its response the outcome is unknown.
        for job, task in self._tasks.items():
            if not _is_being_submitted(job):
                task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


def _is_being_submitted(job: ActiveJob) -> bool:
    """Whether a paid request of the job may be under way."""
    return not job.record.task_id and job.record.state not in MADE | {State.PLANNED}


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop of uvloop, which takes a quarter less CPU, where the platform has it."""
    try:
        import uvloop  # noqa: PLC0415 - an optional dependency: not on every platform
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _connection_limit() -> int:
    """Return half of the files that this process may open: each connection is one."""
    try:
        import resource  # noqa: PLC0415 - Unix only
    except ImportError:
        return 256  # Windows: select() takes 512
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_POLLS if soft == resource.RLIM_INFINITY else soft // 2
