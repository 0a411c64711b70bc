"""What a provider reports: one small value for every route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veo.errors import VeoError


class Stage(StrEnum):
    """How far the provider says it is."""

    SUBMITTED = "submitted"  # accepted, waiting
    RUNNING = "running"  # being made
    READY = "ready"  # made: ``video`` says where it is
    FAILED = "failed"  # not made: ``error`` says why


@dataclass(frozen=True, slots=True)
class RemoteVideo:
    """A finished video at the provider.

    Attributes:
        uri: Where it is, in the provider's own terms: a URL, a path, a name.
        mime: As told by the provider.
        expires_at: When it will be gone, Unix seconds, if the provider said so.
    """

    uri: str
    mime: str = "video/mp4"
    expires_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One report about one task.

    Attributes:
        stage: How far it is.
        task_id: The provider's name for the task, if the route has one.
        progress: 0..1, or None where the provider does not say.
        message: A line for a person, if there is one.
        video: The finished video; there when ``stage`` is ready.
        error: Why it failed; there when ``stage`` is failed.
        poll_after: Seconds until the next poll, if the provider hints at it.
    """

    stage: Stage
    task_id: str | None = None
    progress: float | None = None
    message: str | None = None
    video: RemoteVideo | None = None
    error: VeoError | None = None
    poll_after: float | None = None


Report = Callable[[Update], None]
