"""The protocol of a provider: three methods that never sleep, retry or write to disk."""

from __future__ import annotations

import logging
import math
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from veo.errors import UnknownProviderError, UnreachableError
from veo.model import ProviderFacts, load_facts
from veo.text.spelling import find_similar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
    from importlib.metadata import EntryPoint, EntryPoints
    from pathlib import Path

    from veo.key import Key
    from veo.model import Model
    from veo.request import Request
    from veo.update import RemoteVideo, Update, UpdateCallback, UploadCallback

    PollCoroutine = Coroutine[Any, Any, Update]

GROUP = "veo.providers"
# Until when, by ``read_boot_clock``, this thread may send its paid request. A process that was
# frozen meanwhile must not send it: others count the job as unknown, and its slot as free.
SEND_BEFORE: ContextVar[float] = ContextVar("SEND_BEFORE", default=math.inf)
# ``time.monotonic`` stands still while a machine sleeps, except on Windows; these do not.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
_log = logging.getLogger(__name__)


def read_boot_clock() -> float:
    """Return the seconds of a clock that is never set, and runs while the machine sleeps."""
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)


def check_send_time() -> None:
    """Check that the paid request may still be sent; called when its body is about to leave.

    Raises:
        UnreachableError: It is too late, and the request is not sent.
    """
    if read_boot_clock() > SEND_BEFORE.get():
        raise UnreachableError("the process was stopped for a while, and did not send the request")


@dataclass(slots=True)
class ByteStream:
    """The bytes of a remote video, from an offset on.

    Attributes:
        chunks: The bytes, in chunks of any size.
        offset: The position of the first byte: 0 if the server ignored the requested offset.
        total: Length of the whole file in bytes, if the server sends it.
        etag: A validator that changes when the file does, if the server sends one.
        close: Releases the connection; safe to call more than once.
    """

    chunks: Iterator[bytes]
    offset: int = 0
    total: int | None = None
    etag: str | None = None
    close: Callable[[], None] = field(default=lambda: None)


def run_in_thread(poll: Callable[[Any, str], Update]) -> Callable[[Any, str], PollCoroutine]:
    """Turn a ``poll`` that blocks into the coroutine that ``Provider`` asks for.

    The calls share the threads of the event loop's default executor.
    """

    @wraps(poll)
    async def poll_in_thread(self: Any, task_id: str) -> Update:
        import asyncio  # noqa: PLC0415 - facts about models do not need it

        return await asyncio.to_thread(poll, self, task_id)

    return poll_in_thread


class Provider(Protocol):
    """A way to a video service. Many threads use it at the same time.

    Every method raises errors of ``veo.errors`` only. The attribute ``charged`` of an error of
    ``submit`` decides what happens to the job: False means certainly not accepted, None that it
    is not known, True that the money is gone.
    """

    @property
    def name(self) -> str:
        """The name in the configuration and on the command line."""

    @property
    def models(self) -> Mapping[str, Model]:
        """The models by name, the preferred one first."""

    def submit(self, request: Request, report: UpdateCallback) -> Update:
        """Send the paid request, once.

        ``request.model`` is set, the request has passed ``check``, and every image carries its
        bytes, fitted to the model's limits. Return a task id (stage submitted) or the finished
        video (stage ready). A provider that makes the video within the call reports its progress
        with ``report``, first of all that the request is accepted.
        """

    async def poll(self, task_id: str) -> Update:
        """Query the task once; free of charge. A failed task is an ``Update``, not an error.

        It runs on the event loop that all polls share, so it must not block. A provider that has
        no asynchronous client writes ``poll = run_in_thread(_poll)``.
        """

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """Open a finished video, at an offset if the server supports that.

        Raises:
            NotReadyError: The file is not available yet; try again later.
            GoneError: The file no longer exists.
        """


@runtime_checkable
class Pingable(Protocol):
    """A provider that can check its key free of charge."""

    def ping(self) -> str:
        """Return a line for the user about the key; raises what ``poll`` raises."""


@runtime_checkable
class CredentialUser(Protocol):
    """A provider that can work with other credentials than a key."""

    def check_credentials(self) -> None:
        """Look for the credentials, as the first request does; send no request.

        Raises:
            SetupError: There are none, or they are not complete.
        """


@runtime_checkable
class ModelLister(Protocol):
    """A provider that tells which models it offers to this key, free of charge."""

    def list_models(self) -> Iterable[str]:
        """Return the names of all models that the service lists, also of unknown ones."""


@runtime_checkable
class Uploader(Protocol):
    """A provider that takes a video of the user, to extend or to change it."""

    def upload(self, path: Path, report: UploadCallback) -> RemoteVideo:
        """Store a file at the provider, free of charge, and return it as a video to work on.

        It continues an interrupted transfer where the service allows that. The engine calls it
        before the paid request, and again after an error that is ``retryable``. Set
        ``expires_at`` of the result: until then the file is not uploaded again for this job.

        Args:
            path: A complete MP4 file.
            report: Called with the bytes that are sent so far, and with those of the whole file.

        Raises:
            RefusedError: The service does not take the file.
        """


@dataclass(frozen=True, slots=True)
class Connection:
    """What a provider is constructed with.

    Attributes:
        base_url: The URL of its API.
        key: The API key, or None for a provider that finds its credentials by itself.
        models: Its models, with the user's overrides.
        options: The other settings of its configuration table, not validated.
    """

    base_url: str
    key: Key | None
    models: Mapping[str, Model]
    options: Mapping[str, Any] = field(default_factory=dict)


class ProviderClass(Protocol):
    """The class that an entry point of the group ``veo.providers`` names."""

    @property
    def facts(self) -> ProviderFacts:
        """What is known without a key. It must be cheap: no SDK is imported for it."""

    def __call__(self, connection: Connection) -> Provider:
        """Construct a provider; nothing is sent."""


_registered: dict[str, ProviderClass] = {}


def register_provider(name: str, cls: ProviderClass) -> None:
    """Add a provider to this process, for a program that has one of its own.

    A distribution names its providers in the entry-point group ``veo.providers`` instead.
    """
    _registered[name] = cls
    installed_facts.cache_clear()


@cache
def installed_facts() -> dict[str, ProviderFacts]:
    """Return the facts of the providers by name; log a warning for one that cannot be loaded.

    The code of a provider is imported only if its package has no ``models.toml``.
    """
    found: dict[str, ProviderFacts] = {}
    for point in sorted(_entry_points()):
        try:
            found[point.name] = _read_facts(point)
        except Exception as error:  # noqa: BLE001 - a broken package of others must not break the rest
            _log.warning("provider %s (%s) cannot be loaded: %s", point.name, point.value, error)
    return found | {name: cls.facts for name, cls in _registered.items()}


def has_tasks(provider: str) -> bool:
    """Return whether a provider makes videos in tasks, as one that is not installed may."""
    facts = installed_facts().get(provider)
    return facts is None or facts.tasks


def _read_facts(point: EntryPoint) -> ProviderFacts:
    package = point.module.partition(".")[0]
    try:
        return load_facts(package, point.name)
    except (FileNotFoundError, KeyError):  # no ``models.toml``, or none with this provider
        cls: ProviderClass = point.load()
        return cls.facts


def find_facts(name: str) -> ProviderFacts:
    """Return the facts of a provider; see ``find_provider``."""
    return installed_facts().get(name) or find_provider(name).facts


def find_provider(name: str) -> ProviderClass:
    """Return the installed provider of that name.

    Raises:
        UnknownProviderError: There is none; the hint lists the installed providers.
    """
    if name in _registered:
        return _registered[name]
    points = _entry_points()
    for point in points.select(name=name):
        cls: ProviderClass = point.load()
        return cls
    names = sorted({*points.names, *_registered})
    similar = find_similar(name, names)
    question = f"Did you mean {similar}? " if similar else ""
    raise UnknownProviderError(
        f"there is no provider {name!r}", hint=f"{question}Installed: {', '.join(names)}."
    )


@cache
def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # noqa: PLC0415 - 10 ms that --help can spare

    return entry_points(group=GROUP)
