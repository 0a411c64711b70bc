"""A job that this process works on, and what every step of its life needs."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from veo.bucket import BucketPath, staging_name
from veo.engine.poll_schedule import Durations, ProgressTracker, poll_delay
from veo.engine.retry_delay import retry_delay_s
from veo.engine.threads import ThreadPools
from veo.errors import (
    AuthError,
    DownloadError,
    GoneError,
    LeaseLostError,
    MissingVideoError,
    NotReadyError,
    StillRunningError,
    TaskNotFoundError,
    VeoError,
)
from veo.ledger.record import QUEUE, State
from veo.paths import ledger_folder, part_path
from veo.problems import Remedy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from veo.engine.rate_limit import RateLimiter
    from veo.files.images import ImageStore
    from veo.key import Key
    from veo.ledger import Ledger, Record
    from veo.model import Model, ProviderFacts
    from veo.provider import Provider

WAIT_FOR_CAPACITY = float("inf")
MADE = frozenset({State.READY, State.DOWNLOADING})  # the video is made, but not on disk yet
_EVENT_ARGUMENTS = frozenset({"kind", "message", "data"})  # of ``Ledger.move_job``
# Errors that may only mean that the key belongs to another account than the task.
_MAY_BE_OTHER_KEY = (AuthError, GoneError, NotReadyError, TaskNotFoundError)


@dataclass(slots=True, eq=False)
class ActiveJob:
    """What this process knows of a job beyond its ledger row, while it works on it."""

    record: Record  # the row as this process last wrote or read it
    # Called after every change that a watcher may want to see; must not block.
    on_change: Callable[[ActiveJob], None] = field(default=lambda _: None)
    # Seconds to wait for the job from its submit on; None to wait without a limit.
    wait_s: float | None = None
    # The next four are times of ``StepContext.timer``.
    deadline: float | None = None  # the end of that wait
    started_at: float | None = None  # the submit
    not_before: float | None = None  # the next submit of a request that was refused
    not_ready_at: float | None = None  # when this process last saw that the video was not ready
    progress: float | None = None  # 0..1, as last reported
    message: str | None = None  # the provider's last line, or what was done to an image
    tracker: ProgressTracker | None = None  # once a progress was reported
    received: int = 0  # bytes on disk so far, while downloading
    total: int | None = None  # bytes of the whole file, if known
    error: VeoError | None = None  # why the work stopped; also set when the job itself failed
    failures: int = 0  # attempts in a row that failed in the current state
    retry_reason: str | None = None  # why the latest attempt failed; None once one succeeds
    retry_at: float = 0.0  # when the next one is due, Unix seconds
    poll_error: type[VeoError] | None = None  # the kind of error that the history has last
    polls: int = 0  # polls that the ledger does not count yet
    shrink_count: int = 0  # how often images were made smaller after a 413
    is_upload_repeated: bool = False  # whether its upload was gone, and is made again
    is_url_refreshed: bool = False  # whether the provider was asked again for the URL of the video
    has_waited: bool = False  # whether it has waited for capacity at its provider


@dataclass(slots=True)
class ProviderHandle:
    """A connected provider, with its facts, its limits and its key, if it has one."""

    provider: Provider
    facts: ProviderFacts
    limiter: RateLimiter
    key: Key | None = None
    is_median_set: bool = False  # whether ``facts.median_s`` is configured, for all models
    has_accepted: bool = False  # whether it has accepted a request of this process


@dataclass(slots=True)
class StepContext:
    """What the steps of a job's life share."""

    ledger: Ledger
    images: ImageStore
    # Returns a connected provider by name; raises ``SetupError`` if it cannot be used.
    find_provider: Callable[[str], ProviderHandle]
    clock: Callable[[], float]  # returns Unix seconds, for the ledger
    # Returns seconds of a clock that is never set, for all that waits.
    timer: Callable[[], float] = time.monotonic
    threads: ThreadPools = field(default_factory=ThreadPools)  # where steps block
    stopped_at: float | None = None  # when the end of all work was requested, by the timer
    stop_grace_s: float | None = None  # how long responses are awaited then
    # The worker of a queue: it owns a job only while it sends it; see ``ledger.queue``.
    queue_worker: str | None = None
    # Where the bytes of a video are whose output is in a bucket, until they are complete.
    parts_folder: Path = field(default_factory=lambda: ledger_folder() / "parts")
    _durations: dict[tuple[str, str], Durations] = field(default_factory=dict)
    _learning: threading.Lock = field(default_factory=threading.Lock)

    def part_path(self, job: ActiveJob) -> Path:
        """Return the local file that holds a job's bytes until they are complete."""
        output = job.record.path
        if isinstance(output, BucketPath):
            output = self.parts_folder / staging_name(output)
        return part_path(output, job.record.id)

    def move(self, job: ActiveJob, state: State | None = None, **changes: Any) -> None:
        """Write a change of the job to the ledger, then call its watcher."""
        # A worker of a queue gives the job back with the write that ends the sending.
        if self.queue_worker and job.record.owner == self.queue_worker:
            columns = {name: changes[name] for name in changes.keys() - _EVENT_ARGUMENTS}
            after = replace(job.record, state=state or job.record.state, **columns)
            changes = ({} if after.is_being_sent else {"owner": QUEUE}) | changes
        job.record = self.ledger.move_job(job.record, state, **changes)
        job.on_change(job)

    def record_outcome(self, job: ActiveJob, state: State, error: VeoError, **changes: Any) -> None:
        """Store that the job failed, expired or became unknown, and release its lease.

        The end of a response that was not understood is kept in the history.
        """
        job.error = error
        if error.response_end is not None:
            evidence = {"response_end": error.response_end, "urls": list(error.urls)}
            changes["data"] = (changes.get("data") or {}) | evidence
        self.move(
            job,
            state,
            message=error.message,
            owner=None,
            error=json.dumps(error.to_json(), ensure_ascii=False),
            # A job of unknown outcome may still turn out to be running.
            ended_at=None if state is State.UNKNOWN else self.clock(),
            polls=job.record.polls + job.polls,
            **changes,
        )
        self.release_capacity(job)

    def release_capacity(self, job: ActiveJob) -> None:
        """Stop counting the job as in flight."""
        with contextlib.suppress(VeoError):  # a provider that cannot be used has no limiter
            self.find_provider(job.record.provider).limiter.release(job.record.id)

    def stop_work(self, job: ActiveJob, error: VeoError) -> None:
        """Stop working on a job and leave it as it is, so that it can be resumed."""
        job.error = error
        self.release_capacity(job)
        # After a lost lease the job belongs to another process. A worker of a queue releases a job
        # with the reason in its history, or not at all: one without an owner is in no queue.
        if not isinstance(error, LeaseLostError) and self.queue_worker is None:
            self.ledger.release_leases(str(job.record.owner), [job.record.id])
        job.on_change(job)

    def stop_missing(
        self, job: ActiveJob, message: str, error: VeoError, *, charged: bool | None
    ) -> None:
        """Stop working on a job whose task or file the provider should have, and does not."""
        missing = MissingVideoError(
            f"{message}: {error.message}",
            hint=error.hint or "The retention time is not over; a new attempt pays nothing.",
            remedies=[Remedy("resume", job.record.id)],
            charged=charged,
            request_id=error.request_id,
        )
        text = json.dumps(missing.to_json(), ensure_ascii=False)
        self.move(job, kind="missing", message=missing.message, error=text)
        self.stop_work(job, missing)

    def find_model(self, job: ActiveJob) -> Model | None:
        """Return the model of a job; None if the configuration does not have it any more."""
        return self.find_provider(job.record.provider).provider.models.get(job.record.model)

    def is_retention_over(self, job: ActiveJob) -> bool:
        """Whether the provider has probably deleted the video of a job."""
        model = self.find_model(job)
        return model is not None and job.record.is_retention_over(model.retention_s, self.clock())

    def name_other_key(self, job: ActiveJob, error: VeoError) -> None:
        """Add to the hint of an error that the job was sent with another key, if it was."""
        key, stored = self.find_provider(job.record.provider).key, job.record.key_hash
        if not (key and stored) or not isinstance(error, _MAY_BE_OTHER_KEY):
            return
        if key.fingerprint(job.record.id) != stored:
            text = "The job was sent with another key than the one that is set now."
            error.hint = f"{text} {error.hint or ''}".strip()

    def capped_at_deadline(self, job: ActiveJob, seconds: float) -> float:
        """Return the time in ``seconds``, or the end of the wait if that is earlier."""
        when = self.timer() + seconds
        return min(when, job.deadline) if job.deadline is not None else when

    def retry_at(self, job: ActiveJob, error: VeoError) -> float:
        """Count a failure, and return when to try again: when the server says, else ever later."""
        delay = error.retry_after or retry_delay_s(job.record.id, job.failures)
        job.failures += 1
        return self.retry_in(job, error, delay)

    def retry_in(self, job: ActiveJob, error: VeoError, delay_s: float) -> float:
        """Return when to try again, and note for watchers why and when."""
        when = self.capped_at_deadline(job, delay_s)
        job.retry_reason, job.retry_at = error.reason, self.clock() + when - self.timer()
        job.on_change(job)
        return when

    def is_overdue(self, job: ActiveJob) -> bool:
        """Whether the wait for a job has ended."""
        return job.deadline is not None and self.timer() >= job.deadline

    def next_poll_at(self, job: ActiveJob, hint: float | None) -> float:
        """Return when to poll a task next.

        Args:
            job: An accepted job.
            hint: Seconds that the provider asks to wait.
        """
        record = job.record
        durations = self.learn_durations(record.provider, record.model)
        reports_progress = self.find_provider(record.provider).facts.progress
        elapsed = self.elapsed_s(job)
        delay = poll_delay(elapsed, durations, job.tracker, hint, reports_progress=reports_progress)
        return self.capped_at_deadline(job, delay)

    def elapsed_s(self, job: ActiveJob) -> float:
        """Return the seconds since the submit, whatever happens to the wall clock meanwhile."""
        now = self.timer()
        if job.started_at is None:  # another process sent it
            age = self.clock() - (job.record.submitted_at or job.record.created_at)
            job.started_at = now - max(0.0, age)
        return now - job.started_at

    def learn_durations(self, provider: str, model: str) -> Durations:
        """Return how long a model takes, learned once per process from the ledger."""
        key = (provider, model)
        if found := self._durations.get(key):  # without the lock, which every poll would take
            return found
        with self._learning:
            if key not in self._durations:
                handle = self.find_provider(provider)
                row = None if handle.is_median_set else handle.provider.models.get(model)
                median = (row and row.median_s) or handle.facts.median_s
                prior = Durations(median, handle.facts.spread)
                self._durations[key] = prior.learn(self.ledger.read_durations(*key))
            return self._durations[key]


def overdue_error(job: ActiveJob, reason: str = "") -> StillRunningError | DownloadError:
    """Return the error for the end of the wait for a job, which itself continues.

    Without a reason the wait has ended by its timeout.
    """
    seconds = f"{job.wait_s or 0:.0f} s"
    if job.record.state in MADE:
        return not_downloaded_error(job, reason or f"not within {seconds}")
    if not reason and job.retry_reason:
        seconds += f"; the latest attempt failed: {job.retry_reason}"
    return StillRunningError(
        f"still {job.record.state}" + (f": {reason}" if reason else f" after {seconds}"),
        hint="The job continues.",
        remedies=[Remedy("resume", job.record.id)],
    )


def not_downloaded_error(job: ActiveJob, reason: str, hint: str | None = None) -> DownloadError:
    """Return the error for a video that is made and paid for, and not on disk yet."""
    return DownloadError(
        f"the video is made, but could not be downloaded: {reason}",
        hint=hint or "A new attempt pays nothing.",
        remedies=[Remedy("resume", job.record.id)],
        charged=True,
    )
