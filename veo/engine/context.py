"""A job in the hands of this process, and what every step of its life needs."""

from __future__ import annotations

import contextlib
import json
import threading
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from veo.engine.poll_schedule import Durations, ProgressTracker, poll_delay
from veo.errors import LeaseLostError, StillRunningError, VeoError
from veo.ledger.record import State
from veo.problems import Remedy
from veo.provider import Asking

if TYPE_CHECKING:
    from collections.abc import Callable

    from veo.engine.rate_limit import RateLimiter
    from veo.files.images import ImageStore
    from veo.ledger import Ledger, Record
    from veo.model import Facts
    from veo.provider import Asked, Provider

WAIT_FOR_CAPACITY = float("inf")
BACKOFF_S = (2.0, 4.0, 8.0, 16.0, 30.0, 60.0)


@dataclass(slots=True, eq=False)
class ActiveJob:
    """What is known of a job beyond its row: only worth knowing while it is worked on.

    Attributes:
        record: The job as this process last wrote or read it.
        told: Called after every change that a watcher may want to see.
        wait_s: Seconds to wait for it from its submit on; None: for ever.
        deadline: When that waiting ends, Unix seconds.
        progress: 0..1 as last reported, or None.
        message: The provider's last line, or what was done to a picture.
        received: Bytes on disk so far, while downloading.
        total: Bytes of the whole file, if known.
        error: Why the work stopped; also set when the job itself failed.
        failures: Tries in a row that the current verb failed.
        shrink: How often pictures were made smaller after a 413.
        refreshed: Whether the place of the video was asked for again.
        stopped: Whether this process gave the job up before its end.
        parked: Whether it has waited for room at its provider.
        asked: A poll that was sent and whose answer was not read yet.
    """

    record: Record
    on_change: Callable[[ActiveJob], None] = field(default=lambda _: None)
    wait_s: float | None = None
    deadline: float | None = None
    progress: float | None = None
    message: str | None = None
    watch: ProgressTracker | None = None
    received: int = 0
    total: int | None = None
    error: VeoError | None = None
    failures: int = 0
    polls: int = 0
    shrink: int = 0
    refreshed: bool = False
    stopped: bool = False
    parked: bool = False
    asked: Asked | None = None


@dataclass(slots=True)
class ProviderHandle:
    """A provider as the engine drives it.

    Attributes:
        asking: The provider, if its polls can be read later than they are sent.
    """

    provider: Provider
    facts: Facts
    limiter: RateLimiter
    asking: Asking | None = field(init=False)

    def __post_init__(self) -> None:
        self.asking = self.provider if isinstance(self.provider, Asking) else None


@dataclass(slots=True)
class StepContext:
    """What the steps of a job's life share.

    Attributes:
        route: Gives the route of a provider name; raises ``SetupError`` when it cannot be had.
        clock: Unix seconds.
    """

    ledger: Ledger
    images: ImageStore
    find_provider: Callable[[str], ProviderHandle]
    clock: Callable[[], float]
    _known: dict[tuple[str, str], Durations] = field(default_factory=dict)
    _learning: threading.Lock = field(default_factory=threading.Lock)

    def move(self, work: ActiveJob, state: State | None = None, **changes: Any) -> None:
        """Write a change of the job to the ledger, then tell the watcher."""
        work.record = self.ledger.move_job(work.record, state, **changes)
        work.on_change(work)

    def end_job(self, work: ActiveJob, state: State, error: VeoError, **changes: Any) -> None:
        """The job fails, expires, or becomes unknown: written down, lease given up."""
        work.error = error
        self.move(
            work,
            state,
            message=error.message,
            owner=None,
            error=json.dumps(error.to_json(), ensure_ascii=False),
            ended_at=None if state is State.UNKNOWN else self.clock(),
            polls=work.record.polls + work.polls,
            **changes,
        )
        self.release_capacity(work)

    def release_capacity(self, work: ActiveJob) -> None:
        """The job does not count as in flight any more."""
        with contextlib.suppress(VeoError):
            self.find_provider(work.record.provider).limiter.release(work.record.id)

    def stop_work(self, work: ActiveJob, error: VeoError) -> None:
        """Stop working on a job and leave it as it is, so that it can be resumed."""
        work.error, work.stopped = error, True
        self.release_capacity(work)
        if not isinstance(error, LeaseLostError):
            self.ledger.release_leases(str(work.record.owner), [work.record.id])
        work.on_change(work)

    def later(self, work: ActiveJob, seconds: float) -> float:
        """The time ``seconds`` from now, but not after the end of the waiting."""
        when = self.clock() + seconds
        return min(when, work.deadline) if work.deadline is not None else when

    def retry(self, work: ActiveJob, error: VeoError) -> float:
        """When to try the same verb again: as the server says, else later each time."""
        step = BACKOFF_S[min(work.failures, len(BACKOFF_S) - 1)]
        work.failures += 1
        jitter = 0.75 + (zlib.crc32(f"{work.record.id}{work.failures}".encode()) % 512) / 1024
        return self.later(work, error.retry_after or step * jitter)

    def stop_if_overdue(self, work: ActiveJob) -> bool:
        """Whether the waiting has ended; if so, the work is stopped."""
        if work.deadline is None or self.clock() < work.deadline:
            return False
        self.stop_work(work, still_running_error(work))
        return True

    def next_poll(self, work: ActiveJob, hint: float | None) -> float:
        """When to poll a task next."""
        record = work.record
        elapsed = max(0.0, self.clock() - (record.submitted_at or record.created_at))
        known = self.learn_durations(record.provider, record.model)
        tells = self.find_provider(record.provider).facts.progress
        return self.later(work, poll_delay(elapsed, known, work.watch, hint, tells=tells))

    def learn_durations(self, provider: str, model: str) -> Durations:
        """How long a model takes, learned once a process from the ledger's past."""
        key = (provider, model)
        if found := self._known.get(key):  # without the lock: every poll comes by here
            return found
        with self._learning:
            if key not in self._known:
                facts = self.find_provider(provider).facts
                prior = Durations(facts.median_s, facts.spread)
                self._known[key] = prior.learn(self.ledger.read_durations(*key))
            return self._known[key]


def still_running_error(work: ActiveJob) -> StillRunningError:
    """The end of the waiting for a job, not of the job."""
    return StillRunningError(
        f"still {work.record.state} after {work.wait_s or 0:.0f} s",
        hint="The job continues.",
        remedies=[Remedy("resume", work.record.id)],
    )
