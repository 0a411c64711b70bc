"""A handle on a job: blocking, awaitable, iterable. One class for sync and async code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any

from veo.errors import StillRunningError, VeoError
from veo.files import sidecar
from veo.ledger.record import State
from veo.money import to_usd
from veo.problems import Remedy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
    from decimal import Decimal

    from veo.engine.context import ActiveJob
    from veo.ledger import Record

_lock = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """How a job is doing at one moment.

    Attributes:
        state: Where it is in its life.
        progress: 0..1, or None where the provider does not say.
        message: The newest line about it, if there is one.
        received: Bytes on disk so far, while it downloads.
        total: Bytes of the whole file, if known.
    """

    state: State
    progress: float | None
    message: str | None
    received: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Video:
    """A finished video on disk."""

    path: Path
    bytes: int
    sha256: str
    charged: Decimal
    record: Record

    @property
    def sidecar(self) -> Path:
        """The file beside it that says how it was made."""
        return sidecar.sidecar_path(self.path)


class Job:
    """One request on its way, as this process sees it. Safe to use from any thread."""

    __slots__ = ("_callbacks", "_finished", "_finished_event", "_watchers", "_work")

    def __init__(self, work: ActiveJob) -> None:
        self._work = work
        self._finished = False
        self._finished_event: threading.Event | None = (
            None  # a kilobyte that few of many handles need
        )
        self._callbacks: tuple[Callable[[Job], object], ...] = ()
        self._watchers: tuple[Callable[[Status], object], ...] = ()
        work.on_change = self._notify_watchers

    @property
    def id(self) -> str:
        """The id of the job in the ledger."""
        return self._work.record.id

    @property
    def record(self) -> Record:
        """The row of the ledger, as this process knows it."""
        return self._work.record

    @property
    def work(self) -> ActiveJob:
        """What this process knows of it beyond its row."""
        return self._work

    @property
    def state(self) -> State:
        """Where it is in its life."""
        return self._work.record.state

    @property
    def status(self) -> Status:
        """How it is doing right now."""
        work = self._work
        return Status(work.record.state, work.progress, work.message, work.received, work.total)

    @property
    def error(self) -> VeoError | None:
        """Why there is no video; None while there may still be one."""
        if self._work.error:
            return self._work.error
        failure = self._work.record.error_json()
        return VeoError.from_json(failure) if failure else None

    def done(self) -> bool:
        """Whether this process has nothing more to do for it, with or without a video."""
        return self._finished

    def result(self, timeout: float | None = None) -> Video:
        """Wait for the video.

        Args:
            timeout: Seconds; when they are over the job goes on all the same.

        Raises:
            StillRunningError: The time is over.
            VeoError: There is no video; the error says why, and whether it was charged.
        """
        with _lock:
            waited = self._finished_event = self._finished_event or threading.Event()
        if not self._finished and not waited.wait(_clamp_timeout(timeout)):
            raise StillRunningError(
                f"job {self.id} is still {self.state} after {timeout} s",
                hint="The job continues.",
                remedies=[Remedy("resume", self.id)],
            )
        return self._get_video()

    def __await__(self) -> Generator[Any, None, Video]:
        """Await the video; raises what ``result`` raises."""
        loop = asyncio.get_running_loop()
        waited: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not waited.done():
                waited.set_result(None)

        self.add_done_callback(lambda _: _call_in_loop(loop, wake))
        yield from waited
        return self._get_video()

    def updates(self) -> Iterator[Status]:
        """Every change, from the present state on, until the job is over."""
        news: SimpleQueue[Status | None] = SimpleQueue()
        with _lock:
            self._watchers += (news.put,)
        self.add_done_callback(lambda _: news.put(None))
        yield self.status
        while (status := news.get()) is not None:
            yield status

    def add_done_callback(self, callback: Callable[[Job], object]) -> None:
        """Have a function called with the job when it is over; at once if it is already."""
        with _lock:
            if not self._finished:
                self._callbacks += (callback,)
                return
        self._run_callback(callback)

    def finish(self) -> None:
        """The engine's word that there is nothing more to do."""
        with _lock:
            self._finished = True
            callbacks, self._callbacks, self._watchers = self._callbacks, (), ()
            if self._finished_event:
                self._finished_event.set()
        for callback in callbacks:
            self._run_callback(callback)

    def _run_callback(self, callback: Callable[[Job], object]) -> None:
        try:
            callback(self)
        except Exception:  # noqa: BLE001 - as concurrent.futures does: it must not end the engine
            _log.exception("a callback of job %s broke", self.id)

    def _notify_watchers(self, _: ActiveJob) -> None:
        watchers = self._watchers
        if watchers:
            status = self.status
            for watcher in watchers:
                watcher(status)

    def _get_video(self) -> Video:
        record = self.record
        if record.state is not State.DONE:
            raise self.error or VeoError(f"job {record.id} is {record.state}")
        return Video(
            Path(record.output),
            record.bytes or 0,
            record.sha256 or "",
            to_usd(record.charged),
            record,
        )

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.state}>"


def as_completed(jobs: Iterable[Job], timeout: float | None = None) -> Iterator[Job]:
    """The jobs, each as soon as it is over, whatever its outcome.

    Raises:
        StillRunningError: The time (seconds) is over and some are not.
    """
    over: SimpleQueue[Job] = SimpleQueue()
    awaited = list(jobs)
    for job in awaited:
        job.add_done_callback(over.put)
    most = _clamp_timeout(timeout)
    end = None if most is None else monotonic() + most
    for left in range(len(awaited), 0, -1):
        try:
            yield over.get(timeout=None if end is None else max(0.0, end - monotonic()))
        except Empty:
            text = f"{left} of {len(awaited)} jobs are still running"
            raise StillRunningError(text) from None


async def completed(jobs: Iterable[Job]) -> AsyncIterator[Job]:
    """``as_completed`` for ``async for``."""
    loop = asyncio.get_running_loop()
    over: asyncio.Queue[Job] = asyncio.Queue()
    awaited = list(jobs)
    for job in awaited:
        job.add_done_callback(lambda job: _call_in_loop(loop, over.put_nowait, job))
    for _ in awaited:
        yield await over.get()


def _call_in_loop(
    loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object
) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits there
        loop.call_soon_threadsafe(function, *args)


def _clamp_timeout(timeout: float | None) -> float | None:
    """Seconds that the system can wait; infinity is more than it takes."""
    return None if timeout is None or timeout > threading.TIMEOUT_MAX else timeout
