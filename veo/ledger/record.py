"""A job as the ledger keeps it, and the moves that its life allows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from veo.money import Quote, to_usd
from veo.request import Request
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from decimal import Decimal


class State(StrEnum):
    """Where a job is in its life; see ``MOVES``."""

    PLANNED = "planned"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    RUNNING = "running"
    READY = "ready"
    DOWNLOADING = "downloading"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


ENDED = frozenset({State.DONE, State.FAILED, State.EXPIRED})
IN_FLIGHT = frozenset({State.SUBMITTING, State.SUBMITTED, State.RUNNING})
LIVE = frozenset(State) - ENDED - {State.UNKNOWN}
_AFTER_SEND = frozenset({State.READY, State.FAILED, State.EXPIRED, State.UNKNOWN})

TRANSITIONS: dict[State, frozenset[State]] = {
    State.PLANNED: frozenset({State.SUBMITTING, State.FAILED}),
    State.SUBMITTING: _AFTER_SEND | {State.PLANNED, State.SUBMITTED, State.RUNNING},
    State.SUBMITTED: _AFTER_SEND | {State.RUNNING},
    State.RUNNING: _AFTER_SEND,
    # Done at once when the file turns out to be there already.
    State.READY: frozenset({State.DOWNLOADING, State.DONE, State.EXPIRED, State.FAILED}),
    State.DOWNLOADING: frozenset({State.READY, State.DONE, State.EXPIRED, State.FAILED}),
    # A file that is gone from the disk may still be at the provider's.
    State.DONE: frozenset({State.READY}),
    State.FAILED: frozenset(),
    State.EXPIRED: frozenset(),
    # Out of the unknown only by a late answer, a reconciliation, or an explicit resubmit.
    State.UNKNOWN: frozenset({State.PLANNED, State.SUBMITTED, State.READY, State.FAILED}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of ``jobs``. Money is in millionths of a USD, times are Unix seconds.

    Attributes:
        id: Ten letters and digits; any unambiguous beginning names the job.
        run: The run or batch that planned it; a cap on a run counts these.
        version: Counts every change; a change names the version that it was made from.
        owner: The worker that holds the lease, or None.
        request: The request as JSON.
        fingerprint: What was asked for, by content.
        output: The final file, absolute.
        force: Whether an existing output may be replaced.
        reserved: Held for it now.
        charged: Taken for it, by the provider's rule.
        doubtful: May have been taken for earlier sends whose answers were lost.
        certain: Whether ``charged`` is beyond doubt.
        not_before: Earliest time of the next send.
        submits: Paid requests sent.
        polls: Polls made.
        tag: Validator of the remote file while a part of it is on disk.
    """

    id: str
    run: str
    provider: str
    model: str
    state: State
    version: int
    owner: str | None
    request: str
    fingerprint: str
    output: str
    force: bool
    quote: str
    reserved: int
    created_at: float
    task_id: str | None = None
    video: str | None = None
    error: str | None = None
    charged: int = 0
    doubtful: int = 0
    certain: bool = True
    submits: int = 0
    polls: int = 0
    not_before: float = 0.0
    submitted_at: float | None = None
    ready_at: float | None = None
    ended_at: float | None = None
    bytes: int | None = None
    sha256: str | None = None
    tag: str | None = None

    def parse_request(self) -> Request:
        """The request, images by reference."""
        return Request.from_json(json.loads(self.request))

    def parse_quote(self) -> Quote:
        """The quote it was planned with."""
        return Quote.from_json(json.loads(self.quote))

    def remote_video(self) -> RemoteVideo | None:
        """Where the finished video is, once that is known."""
        return RemoteVideo(**json.loads(self.video)) if self.video else None

    def error_json(self) -> dict[str, Any] | None:
        """The error that ended it, as ``VeoError.to_json`` gave it."""
        return json.loads(self.error) if self.error else None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def covers_request(self) -> bool:
        """Whether it stands for what it was asked for: a second job would be a second payment.

        A failure does not, nor a video that was gone before it was ever on disk.
        """
        lost = self.state is State.EXPIRED and self.sha256 is None
        return self.state is not State.FAILED and not lost

    @property
    def charged_usd(self) -> Decimal:
        """USD taken for it."""
        return to_usd(self.charged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a job's history. Money columns are differences, so sums over time are exact.

    Attributes:
        kind: ``planned``, a state that was reached, or what else happened.
        message: For a person, or None.
        data: Details by name.
    """

    id: int
    job: str
    at: float
    owner: str | None
    kind: str
    state: State
    message: str | None
    reserved: int
    charged: int
    doubtful: int
    data: dict[str, Any]
