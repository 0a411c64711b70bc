"""What a provider is: three verbs. It never sleeps, never retries, never writes to disk."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from veo.errors import UnknownProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from importlib.metadata import EntryPoints

    from veo.key import Key
    from veo.model import Facts, Model
    from veo.request import Request
    from veo.update import RemoteVideo, Report, Update

    PollCoroutine = Coroutine[Any, Any, Update]

GROUP = "veo.providers"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ByteStream:
    """The bytes of a remote video, from an offset on.

    Attributes:
        chunks: The bytes, in pieces of any size.
        offset: Where they really start: 0 when the server ignored the offset asked for.
        total: Length of the whole file in bytes, if the server told it.
        tag: A validator (ETag) that changes when the file does, if the server gave one.
        close: Gives the connection back; safe to call more than once.
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
        return await asyncio.to_thread(poll, self, task_id)

    return poll_in_thread


class Provider(Protocol):
    """One route to Veo.

    Every verb raises only errors of ``veo.errors``, or returns. What an error of ``submit``
    says in ``charged`` decides what becomes of the job: False means certainly not accepted,
    None that nobody can tell, True that the money is gone.
    """

    @property
    def name(self) -> str:
        """The name that configuration and command line use."""

    @property
    def models(self) -> Mapping[str, Model]:
        """The models it offers, by name, the preferred first."""

    def submit(self, request: Request, report: Report) -> Update:
        """Send the paid request, once.

        ``request.model`` is set, the request has passed ``check``, and every image carries its
        bytes, fitted to the model's limits. Returns when there is something durable: a task id
        (stage submitted), or the finished video (stage ready). A route that makes the video
        within the call reports along the way, first of all the moment it is accepted.
        """

    async def poll(self, task_id: str) -> Update:
        """Query the task once; free of charge. A failed task is an ``Update``, not an error.

        It runs on the event loop that all polls share, so it must not block. A provider that has
        no asynchronous client writes ``poll = run_in_thread(_poll)``.
        """

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """The bytes of a finished video, from an offset if the server can.

        Raises:
            NotReadyError: Ask again a little later.
            GoneError: The file is gone for good.
        """


@runtime_checkable
class Pingable(Protocol):
    """A provider that can prove its key without spending anything."""

    def ping(self) -> str:
        """One line for a person about what the provider said; raises what ``poll`` raises."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What a provider is made with.

    Attributes:
        base_url: Where its API is.
        key: The API key, or None for a provider that finds its credentials by itself.
        models: Its models, the user's overrides applied.
        options: Everything else of its configuration table, unread.
    """

    base_url: str
    key: Key | None
    models: Mapping[str, Model]
    options: Mapping[str, Any] = field(default_factory=dict)


class ProviderClass(Protocol):
    """What an entry point of the group ``veo.providers`` names."""

    @property
    def facts(self) -> Facts:
        """What is known without a key: cheap, no SDK is imported for it."""

    def __call__(self, connection: Connection) -> Provider:
        """A provider ready to be used from many threads."""


@cache
def installed_providers() -> dict[str, ProviderClass]:
    """Every installed provider by name; one that cannot be loaded is left out with a warning."""
    found: dict[str, ProviderClass] = {}
    for point in sorted(_points()):
        try:
            found[point.name] = point.load()
        except Exception as error:  # noqa: BLE001 - somebody else's broken package is not our end
            _log.warning("provider %s (%s) cannot be loaded: %s", point.name, point.value, error)
    return found


def find_provider(name: str) -> ProviderClass:
    """The installed provider of that name.

    Raises:
        UnknownProviderError: There is none; the message lists those there are.
    """
    points = _points()
    for point in points.select(name=name):
        cls: ProviderClass = point.load()
        return cls
    raise UnknownProviderError(
        f"there is no provider {name!r}",
        hint=f"Installed: {', '.join(sorted(points.names))}.",
    )


@cache
def _points() -> EntryPoints:
    from importlib.metadata import entry_points  # noqa: PLC0415 - 10 ms that --help can spare

    return entry_points(group=GROUP)
