"""The local dispatcher: one thread with a heap, and three pools that do the steps.

Nothing about a job's life, its money or its limits is decided here; ``step`` decides, and says
when it wants to be called again. No thread waits for a job. What takes no time and changes
nothing, which is most polls, the dispatcher does itself.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import defaultdict, deque
from time import monotonic, process_time, thread_time
from typing import TYPE_CHECKING

from veo.engine.context import WAIT_FOR_CAPACITY
from veo.engine.listener import Listener
from veo.engine.load import Load
from veo.engine.poll import hear, send
from veo.engine.step import step
from veo.engine.threads import Pool
from veo.ledger.record import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from veo.engine.context import ActiveJob, StepContext
    from veo.provider import Asked

SUBMITTERS = 256
POLLERS = 400
AT_ONCE = 64  # jobs that are handed out before the next answers are read
DOWNLOADERS = 8
PACE_S = 0.005
BUSY_S = 0.05
_AWAKE = float("-inf")


class Engine:
    """Moves many jobs along at once.

    Args:
        context: What the steps need.
        over: Called once for each job when there is nothing more to do for it, from any thread.
    """

    def __init__(self, context: StepContext, over: Callable[[ActiveJob], None]) -> None:
        self._context = context
        self._over = over
        self._inbox: deque[ActiveJob | str] = deque()
        self._listener = Listener()
        self._held: deque[ActiveJob] = deque()
        # Pairs of numbers are nothing to the garbage collector, whose rounds stop everything.
        self._heap: list[tuple[float, int]] = []
        self._added: deque[tuple[float, int]] = deque()
        self._asleep: dict[int, ActiveJob] = {}
        self._order = itertools.count()
        self._wakes = _AWAKE
        self._relieved = 0.0
        self._late = 0.0
        self._load = Load()
        self._parked: dict[str, deque[ActiveJob]] = defaultdict(deque)
        self._stopping = False
        self._submit = Pool("submit", SUBMITTERS, self._step)
        self._poll = Pool("poll", POLLERS, self._poll_step)
        self._fetch = Pool("fetch", DOWNLOADERS, self._step)
        self._pools = (self._submit, self._poll, self._fetch)
        self._thread = threading.Thread(target=self._dispatch, name="veo-dispatch", daemon=True)
        self._thread.start()

    def add(self, work: ActiveJob) -> None:
        """Work on a job from now on."""
        self._later(work, 0.0)

    def on_capacity(self, provider: str) -> None:
        """A provider may have room for one more job."""
        self._tell(provider)

    def stop(self) -> None:
        """Begin nothing new; return when every paid request under way has its answer.

        Polls and downloads under way are abandoned: they cost nothing and can be repeated.
        """
        self._stopping = True
        self._listener.ring()
        self._thread.join()
        self._listener.close()
        self._poll.close(wait=False)
        self._fetch.close(wait=False)
        self._submit.close(wait=True)

    def _dispatch(self) -> None:
        while not self._stopping:
            answered = self._sleep()
            begun, worked = monotonic(), thread_time()
            for work, asked in answered:
                self._hear(work, asked)
            for work in self._due():
                self._hand_out(work)
            while self._held and not self._listener.full:
                self._hand_out(self._held.popleft())
            starved = (monotonic() - begun) - (thread_time() - worked)
            self._late = max(self._late, starved)
            self._relieve()

    def _sleep(self) -> list[tuple[ActiveJob, Asked]]:
        """Sleep until the next job is due or there is news; gives those that were answered."""
        wakes = self._bedtime()
        now = self._context.clock()
        if self._short():
            wakes = min(wakes, now + PACE_S)
        answered = self._listener.sleep(wakes - now)
        self._wakes = _AWAKE
        if not answered and not self._inbox and not self._added:
            self._late = max(self._late, self._context.clock() - max(wakes, now))
        while self._inbox:
            self._take(self._inbox.popleft())
        return answered

    def _bedtime(self) -> float:
        """When to wake up; from now on whoever is due earlier, or has news, rings.

        No lock: a thread that lost the interpreter while it held one would keep hundreds waiting.
        What is added before the second look is seen by it, what is added after it sees the time.
        """
        self._sort()
        self._wakes = self._heap[0][0] if self._heap else WAIT_FOR_CAPACITY
        self._sort()
        if self._inbox:
            return _AWAKE
        return self._heap[0][0] if self._heap else WAIT_FOR_CAPACITY

    def _sort(self) -> None:
        """Take in those that were added since, from any thread."""
        while self._added:
            heapq.heappush(self._heap, self._added.popleft())

    def _due(self) -> list[ActiveJob]:
        due: list[ActiveJob] = []
        now = self._context.clock()
        self._sort()
        while self._heap and self._heap[0][0] <= now and len(due) < AT_ONCE:
            due.append(self._asleep.pop(heapq.heappop(self._heap)[1]))
        return due

    def _later(self, work: ActiveJob, when: float) -> None:
        """Step a job again at that time; who sleeps longer is woken up."""
        number = next(self._order)
        self._asleep[number] = work
        self._added.append((when, number))
        if when < self._wakes:
            self._listener.ring()

    def _tell(self, news: ActiveJob | str) -> None:
        """Have the dispatcher look at something, from any thread."""
        self._inbox.append(news)
        if self._wakes != _AWAKE:
            self._listener.ring()

    def _short(self) -> bool:
        return any(pool.short for pool in self._pools)

    def _relieve(self) -> None:
        """Let more threads work where work waits for them, or fewer where they wait for each other.

        A dispatcher that comes late shows that the interpreter is busy: then more threads would
        do less. That the process takes a whole core may have other reasons; they come slowly then.
        """
        now = monotonic()  # the clock of the jobs may be set back
        light, late = self._load.light(now, process_time()), self._late
        pause = PACE_S + 4 * late if light and late <= BUSY_S else BUSY_S
        if now - self._relieved < pause:
            return
        self._relieved, self._late = now, 0.0
        for pool in self._pools:
            if late > BUSY_S:
                pool.throttle()
            elif light or late < PACE_S:
                pool.relieve()

    def _take(self, news: ActiveJob | str) -> None:
        if isinstance(news, str):
            if self._parked[news]:
                self._hand_out(self._parked[news].popleft())
        elif news.asked:
            self._expect(news)
        elif news.record.task_id:
            self._hand_out(news)
        else:
            self._park(news)

    def _park(self, work: ActiveJob) -> None:
        provider = work.record.provider
        if self._context.find_provider(provider).limiter.has_room():
            self._hand_out(work)  # a place was left while this job was on its way here
        elif work.parked:
            self._parked[provider].appendleft(work)
        else:
            work.parked = True
            self._parked[provider].append(work)

    def _hand_out(self, work: ActiveJob) -> None:
        if work.record.state in {State.READY, State.DOWNLOADING}:
            self._fetch.put(work)
        elif not work.record.task_id:
            self._submit.put(work)
        elif self._full(work):
            self._held.append(work)
        elif send(self._context, work):
            self._expect(work)
        else:
            self._poll.put(work)

    def _expect(self, work: ActiveJob) -> None:
        if not (work.asked and self._listener.expect(work, work.asked)):
            self._poll.put(work)

    def _hear(self, work: ActiveJob, asked: Asked) -> None:
        """Read an answer that is there; what has to be written down is left to the threads."""
        when = hear(self._context, work, asked)
        if when is None:
            self._poll.put(work)
        else:
            self._later(work, when)

    def _full(self, work: ActiveJob) -> bool:
        """Whether enough polls are under way."""
        asking = self._context.find_provider(work.record.provider).asking
        return asking is not None and self._listener.full

    def _poll_step(self, work: ActiveJob) -> None:
        """What the dispatcher could not do itself; what cannot be sent yet goes back to it."""
        if work.asked or not self._full(work):
            self._step(work)
        else:
            self._tell(work)

    def _step(self, work: ActiveJob) -> None:
        if self._stopping:
            return
        when = step(self._context, work)
        if when is None:
            self._over(work)
        elif when == WAIT_FOR_CAPACITY or work.asked:
            self._tell(work)
        else:
            self._later(work, when)
