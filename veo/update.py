"""The report of a provider about one task, the same for all providers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from veo.bucket import find_bucket_path

if TYPE_CHECKING:
    from decimal import Decimal

    from veo.errors import VeoError


_OPTIONAL_KEYS = frozenset({"id", "seconds", "sha256"})


class Stage(StrEnum):
    """How far a task is, by the provider's report."""

    SUBMITTED = "submitted"  # accepted, in the queue
    RUNNING = "running"  # being made
    READY = "ready"  # done: ``video`` is set
    FAILED = "failed"  # ended without a video: ``error`` is set


@dataclass(frozen=True, slots=True)
class RemoteVideo:
    """A finished video at the provider.

    Attributes:
        uri: Its address in the provider's own terms: a URL, a path, or a name.
        mime: The media type that the provider reports.
        expires_at: When the provider deletes it, Unix seconds, if it says so.
        id: The provider's handle to continue or change it, where that is not its address.
        seconds: Its length, where that is known.
        sha256: Hash of a local file that is not at the provider yet; see ``of_file``.
    """

    uri: str
    mime: str = "video/mp4"
    expires_at: float | None = None
    id: str | None = None
    seconds: float | None = None
    sha256: str | None = None

    @classmethod
    def of_file(cls, path: Path, sha256: str, seconds: float | None = None) -> RemoteVideo:
        """Return a reference to a local file, which is uploaded before a request uses it."""
        return cls(path.as_uri(), seconds=seconds, sha256=sha256)

    @property
    def local_path(self) -> Path | None:
        """The file of a video that must be uploaded first; None for one at the provider."""
        from urllib.request import url2pathname  # noqa: PLC0415 - imports the whole of HTTP

        parts = urlsplit(self.uri)
        if parts.scheme == "file":
            return Path(url2pathname(parts.path))
        return find_bucket_path(self.uri) if self.sha256 else None

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        # Left out where unknown, so that requests have the fingerprints that older versions stored.
        return {
            name: value
            for name, value in values.items()
            if name not in _OPTIONAL_KEYS or value is not None
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One report about one task.

    Attributes:
        task_id: The provider's id of the task, if it has tasks. What follows a ``#`` is a note of
            the client, which a list of charges does not have.
        progress: 0..1, or None if the provider does not report it.
        message: A line for the user, if there is one.
        video: The finished video; set when ``stage`` is ready.
        error: The reason; set when ``stage`` is failed.
        poll_after: Seconds until the next poll, if the provider asks for it.
        charge: USD that the task cost by the provider's own usage report; None without a report.
            Set when ``stage`` is ready or failed. It replaces the quote as the charge.
    """

    stage: Stage
    task_id: str | None = None
    progress: float | None = None
    message: str | None = None
    video: RemoteVideo | None = None
    error: VeoError | None = None
    poll_after: float | None = None
    charge: Decimal | None = None


UpdateCallback = Callable[[Update], None]
# Called with the bytes that are sent so far, and with those of the whole file.
UploadCallback = Callable[[int, int], None]
