"""Handles on jobs: one class for blocking calls, ``await`` and iteration."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from veo.engine.waiting import take_next, time_slices
from veo.errors import StillRunningError, VeoError
from veo.files import sidecar
from veo.ledger.record import QUEUE, State
from veo.money import format_amount, to_usd
from veo.problems import Remedy

if TYPE_CHECKING:
    from decimal import Decimal

    from veo.engine.context import ActiveJob
    from veo.ledger import Record

# One lock for all handles: it is held for microseconds, and one per handle would cost memory.
_lock = threading.Lock()
_MAX_INLINE_BYTES = 20_000_000  # in the page of a notebook
_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a job at one moment.

    Attributes:
        progress: From 0 to 1, or None if the provider does not report it.
        message: The latest message about the job, if any.
        received: Bytes on disk, while the video is downloaded.
        total: Bytes of the whole file, if known.
    """

    state: State
    progress: float | None
    message: str | None
    received: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Video:
    """A finished video on disk; ``charged`` is in USD."""

    path: Path
    bytes: int
    sha256: str
    charged: Decimal
    record: Record = field(repr=False)

    @property
    def sidecar(self) -> Path:
        """The JSON file beside the video, which describes its job."""
        return sidecar.sidecar_path(self.path)

    def __repr__(self) -> str:
        return (
            f"<Video {self.path.name}, {self.bytes} bytes, charged {format_amount(self.charged)}>"
        )

    def _repr_html_(self) -> str:
        """Return the video as a notebook shows it; a large one is only linked."""
        caption = escape(f"{self.path.name}, charged {format_amount(self.charged)}")
        source = escape(str(self.path), quote=True)
        if self.bytes <= _MAX_INLINE_BYTES and self.path.is_file():
            data = base64.b64encode(self.path.read_bytes()).decode()
            source = f"data:video/mp4;base64,{data}"
        return f'<video controls width="480" src="{source}"></video><br>{caption}'


class Job(Coroutine[Any, Any, "Video"]):
    """A handle on one job, as this process knows it. Safe to use from any thread.

    ``job.result()`` waits for the video, and so does ``await job``; ``asyncio.create_task(job)``
    and ``asyncio.gather`` take it like any coroutine.
    """

    __slots__ = ("_awaiting", "_callbacks", "_finished", "_finished_event", "_watchers", "work")

    def __init__(self, work: ActiveJob) -> None:
        self.work = work  # what this process knows about the job beyond its record
        self._finished = False
        # An event takes a kilobyte, so it is made only for a caller that waits.
        self._finished_event: threading.Event | None = None
        self._callbacks: tuple[Callable[[Job], object], ...] = ()
        self._watchers: tuple[Callable[[Status], object], ...] = ()
        # By task, because several may await the same job.
        self._awaiting: dict[asyncio.Task[Any] | None, Generator[Any, None, Video]] = {}

    @property
    def id(self) -> str:
        """The id of the job in the ledger."""
        return self.work.record.id

    @property
    def record(self) -> Record:
        """The ledger's record, as this process last read or wrote it."""
        return self.work.record

    @property
    def state(self) -> State:
        return self.work.record.state

    @property
    def is_accepted(self) -> bool:
        """Whether the job continues without this process."""
        return self.record.task_id is not None or self.record.owner == QUEUE

    @property
    def status(self) -> Status:
        work = self.work
        return Status(work.record.state, work.progress, work.message, work.received, work.total)

    @property
    def error(self) -> VeoError | None:
        """The reason why there is no video; None while there may still be one."""
        if self.work.error:
            return self.work.error
        if self.work.record.is_missing and not self._finished:
            return None  # the error of an earlier attempt
        failure = self.work.record.error_json()
        return VeoError.from_json(failure) if failure else None

    def done(self) -> bool:
        """Return whether this process has finished its work on the job, with or without a video."""
        return self._finished

    def result(self, timeout: float | None = None) -> Video:
        """Wait for the video.

        Args:
            timeout: Seconds to wait; the job continues afterwards.

        Raises:
            StillRunningError: The job has not finished in time.
            VeoError: There is no video; the error says why, and whether it was charged.
        """
        with _lock:
            event = self._finished_event = self._finished_event or threading.Event()
        slices = time_slices(_clamp_timeout(timeout))
        if not self._finished and not any(map(event.wait, slices)):
            raise StillRunningError(
                f"job {self.id} is still {self.state} after {timeout} s",
                hint="The job continues.",
                remedies=[Remedy("resume", self.id)],
            )
        return self._get_video()

    def __await__(self) -> Generator[Any, None, Video]:
        """Await the video; raises what ``result`` raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def set_done() -> None:
            if not future.done():  # it is, if the awaiting task was cancelled
                future.set_result(None)

        self.add_done_callback(lambda _: _call_in_loop(loop, set_done))
        yield from future
        return self._get_video()

    def send(self, value: Any) -> Any:
        """Continue the wait of the current task, as asyncio does with a coroutine."""
        task = asyncio.current_task()
        try:
            return self._awaiting.setdefault(task, self.__await__()).send(value)
        except BaseException:
            self._awaiting.pop(task, None)
            raise

    def throw(self, error: Any, *rest: Any) -> Any:
        """End the wait of the current task, which was cancelled; the job continues."""
        return self._awaiting.pop(asyncio.current_task(), self.__await__()).throw(error, *rest)

    def close(self) -> None:
        """End every wait; the job continues."""
        for waiting in self._awaiting.values():
            waiting.close()
        self._awaiting.clear()

    @property
    def charged(self) -> Decimal:
        """USD charged for the job so far, as far as is known."""
        return to_usd(self.record.charged)

    @property
    def quoted(self) -> Decimal:
        """USD that the video was expected to cost."""
        return self.record.parse_quote().amount

    def updates(self) -> Updates:
        """Return the present status and every change, until the job finishes.

        Iterate with ``for``, or with ``async for`` in a coroutine.
        """
        return Updates(self)

    def watch(self, on_status: Callable[[Status | None], object]) -> None:
        """Call a function with the status now, at each change, and with None at the end."""
        with _lock:
            self._watchers += (on_status,)
            # Not before: a bound method for each of ten thousand jobs would cost memory.
            self.work.on_change = self._notify_watchers
        on_status(self.status)
        self.add_done_callback(lambda _: on_status(None))

    def add_done_callback(self, callback: Callable[[Job], object]) -> None:
        """Call a function with the job when it finishes; at once if it has finished already."""
        with _lock:
            if not self._finished:
                self._callbacks += (callback,)
                return
        self._run_callback(callback, self)

    def finish(self) -> None:
        """Mark the job as finished in this process, and wake everything that waits for it."""
        with _lock:
            self._finished = True
            callbacks, self._callbacks, self._watchers = self._callbacks, (), ()
            if self._finished_event:
                self._finished_event.set()
        for callback in callbacks:
            self._run_callback(callback, self)

    def _run_callback(self, callback: Callable[[T], object], argument: T) -> None:
        try:
            callback(argument)
        except Exception:  # noqa: BLE001 - as in concurrent.futures: it must not stop the engine
            _log.exception("a callback of job %s failed", self.id)

    def _notify_watchers(self, _: ActiveJob) -> None:
        watchers = self._watchers
        if watchers:
            status = self.status
            for watcher in watchers:
                self._run_callback(watcher, status)

    def _get_video(self) -> Video:
        record = self.record
        if record.state is not State.DONE:
            raise self.error or VeoError(f"job {record.id} is {record.state}")
        return Video(
            record.path,
            record.bytes or 0,
            record.sha256 or "",
            to_usd(record.charged),
            record,
        )

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.state}>"


class Updates:
    """The statuses of a job, for ``for`` and ``async for``."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._statuses: SimpleQueue[Status | None] | None = None

    def __iter__(self) -> Iterator[Status]:
        return self

    def __next__(self) -> Status:
        if self._statuses is None:
            self._statuses = SimpleQueue()
            self._job.watch(self._statuses.put)
        status = take_next(self._statuses, None)
        if status is None:
            self._statuses.put(None)  # an iterator that has ended stays so
            raise StopIteration
        return status

    async def __aiter__(self) -> AsyncIterator[Status]:
        loop = asyncio.get_running_loop()
        statuses: asyncio.Queue[Status | None] = asyncio.Queue()
        self._job.watch(lambda status: _call_in_loop(loop, statuses.put_nowait, status))
        while (status := await statuses.get()) is not None:
            yield status


def as_completed(jobs: Iterable[Job], timeout: float | None = None) -> Iterator[Job]:
    """Return an iterator over jobs in the order in which they finish, whatever their outcome.

    Args:
        jobs: The jobs.
        timeout: Seconds to wait for all of them together.

    Raises:
        StillRunningError: Some have not finished in time.
    """
    finished: SimpleQueue[Job] = SimpleQueue()
    jobs = list(jobs)
    for job in jobs:
        job.add_done_callback(finished.put)
    seconds = _clamp_timeout(timeout)
    deadline = None if seconds is None else monotonic() + seconds
    for left in range(len(jobs), 0, -1):
        try:
            yield take_next(finished, deadline and max(0.0, deadline - monotonic()))
        except Empty:
            text = f"{left} of {len(jobs)} jobs are still running"
            raise StillRunningError(text) from None


async def completed(jobs: Iterable[Job]) -> AsyncIterator[Job]:
    """Return an asynchronous iterator over jobs in the order in which they finish."""
    loop = asyncio.get_running_loop()
    finished: asyncio.Queue[Job] = asyncio.Queue()
    jobs = list(jobs)
    for job in jobs:
        job.add_done_callback(lambda job: _call_in_loop(loop, finished.put_nowait, job))
    for _ in jobs:
        yield await finished.get()


def _call_in_loop(
    loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object
) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed, so no task waits in it
        loop.call_soon_threadsafe(function, *args)


def _clamp_timeout(timeout: float | None) -> float | None:
    """Return None for more seconds than the platform can wait, for example infinity."""
    return None if timeout is None or timeout > threading.TIMEOUT_MAX else timeout
