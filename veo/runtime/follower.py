"""Jobs that another process works on, followed in the ledger until they end or it does."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from veo.engine.context import still_running_error
from veo.errors import UnknownOutcomeError, VeoError
from veo.ledger import LIVE, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from veo.engine.context import ActiveJob
    from veo.ledger import Ledger, Record

EVERY_S = 0.5
_log = logging.getLogger(__name__)


class Follower:
    """Looks at rows of the ledger; never changes a job, but takes over those that are let go.

    Args:
        ledger: Where the jobs are.
        lease: Takes the lease of those jobs that nobody works on any more.
        begin: Works on a job whose lease was taken.
        over: Called once for each job when there is nothing more to follow.
        every_s: Seconds between two looks.
    """

    def __init__(
        self,
        ledger: Ledger,
        lease: Callable[[Sequence[Record]], list[Record]],
        begin: Callable[[ActiveJob], None],
        over: Callable[[ActiveJob], None],
        every_s: float = EVERY_S,
    ) -> None:
        self._ledger = ledger
        self._lease, self._begin, self._over = lease, begin, over
        self._works: dict[str, ActiveJob] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._follow, args=(every_s,), name="veo-follow", daemon=True
        )
        self._thread.start()

    def add(self, work: ActiveJob) -> None:
        """Follow a job from now on."""
        with self._lock:
            self._works[work.record.id] = work

    def stop(self) -> None:
        """Follow nothing any more."""
        self._stopped.set()
        self._thread.join()

    def _follow(self, every_s: float) -> None:
        while not self._stopped.wait(every_s):
            try:
                self.look()
            except VeoError as error:
                _log.warning("cannot follow the jobs of other processes: %s", error)

    def look(self) -> None:
        """Read the rows once, and act on what has changed."""
        with self._lock:
            works = dict(self._works)
        if not works:
            return
        rows = self._ledger.list_jobs(ids=works)
        going_on = [record for record in rows if self._goes_on(works[record.id], record)]
        for record in self._lease(going_on):
            works[record.id].record = record
            self._take_over(works[record.id])

    def _goes_on(self, work: ActiveJob, record: Record) -> bool:
        """Whether a job is still worth following."""
        changed = record.version != work.record.version
        work.record = record
        if changed:
            work.on_change(work)
        if record.state is State.UNKNOWN:
            work.error = UnknownOutcomeError(record.id)
        elif record.state in LIVE:
            work.error = self._impatience(work)
        if record.state in LIVE and not work.error:
            return True
        self._let_go(work)
        self._over(work)
        return False

    def _take_over(self, work: ActiveJob) -> None:
        self._let_go(work)
        self._begin(work)

    def _impatience(self, work: ActiveJob) -> VeoError | None:
        now = time.time()
        if work.deadline is None and work.record.state is not State.PLANNED:
            work.deadline = now + (work.wait_s or 0.0)
        return still_running_error(work) if work.deadline and now > work.deadline else None

    def _let_go(self, work: ActiveJob) -> None:
        with self._lock:
            self._works.pop(work.record.id, None)
