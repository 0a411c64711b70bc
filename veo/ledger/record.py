"""A job as the ledger stores it, and the transitions that its state may make."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from veo.bucket import parse_path
from veo.money import Quote, to_usd
from veo.request import Request
from veo.update import RemoteVideo


class State(StrEnum):
    """The state of a job; ``TRANSITIONS`` says which state can follow which."""

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


# Owner of the jobs that any worker of a queue may take; see ``ledger.queue``.
QUEUE = "queue"
ENDED = frozenset({State.DONE, State.FAILED, State.EXPIRED})
IN_FLIGHT = frozenset({State.SUBMITTING, State.SUBMITTED, State.RUNNING})
LIVE = frozenset(State) - ENDED - {State.UNKNOWN}
# A video is made within an hour of its submit, and stored for the retention time from then on.
LONGEST_GENERATION_S = 3600.0
# The last frame or the sound may last longer than the seconds that were bought.
LENGTH_TOLERANCE_S = 0.5
_AFTER_SEND = frozenset({State.READY, State.FAILED, State.EXPIRED, State.UNKNOWN})

TRANSITIONS: dict[State, frozenset[State]] = {
    State.PLANNED: frozenset({State.SUBMITTING, State.FAILED}),
    # Back to planned when the provider certainly refused the request, which may be sent again.
    State.SUBMITTING: _AFTER_SEND | {State.PLANNED, State.SUBMITTED, State.RUNNING},
    State.SUBMITTED: _AFTER_SEND | {State.RUNNING},
    State.RUNNING: _AFTER_SEND,
    # Done without a download if the file is on disk already.
    State.READY: frozenset({State.DOWNLOADING, State.DONE, State.EXPIRED, State.FAILED}),
    State.DOWNLOADING: frozenset({State.READY, State.DONE, State.EXPIRED, State.FAILED}),
    # A file that was deleted from the disk can be downloaded again while the provider keeps it.
    State.DONE: frozenset({State.READY}),
    # The response to a paid request may name a video that was not recognised.
    State.FAILED: frozenset({State.READY}),
    # One response is weak evidence: a video that was missing may be there again.
    State.EXPIRED: frozenset({State.READY, State.RUNNING}),
    # Only a late response, a reconciliation or an explicit resubmit resolves an unknown outcome.
    State.UNKNOWN: frozenset({State.PLANNED, State.SUBMITTED, State.READY, State.FAILED}),
}


def split_reservation(state: State, reserved: int) -> tuple[int, int]:
    """Split a reservation into the amount that is held and the amount that is in doubt.

    This is the only place that decides it. The rule depends on nothing but the state, so sums in
    SQL group by state and apply it to each group. A live job will release its reservation or turn
    it into a charge. If a job is not live and still has a reservation, nobody knows whether the
    provider charged it; only the provider's list of charges can tell.
    """
    return (reserved, 0) if state in LIVE else (0, reserved)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Record:
    """What the ledger holds of one job, as ``job.record`` and ``client.ledger`` return it.

    A record is one row of ``jobs``, and does not change: every change makes a new one. Times are
    Unix seconds. ``charged``, ``reserved`` and ``doubtful`` are whole millionths of a USD, as the
    ledger stores them: 300000 is $0.30. ``charged_usd`` is the charge as a ``Decimal`` in USD, as
    are ``Job.charged`` and ``Video.charged``.

    Attributes:
        id: Ten letters and digits; any unambiguous beginning of them names the job.
        run: The run or batch that planned it.
        request: JSON; see ``parse_request``.
        quote: JSON; see ``parse_quote``.
        output: The absolute path of the file.
        task_id: The provider's id of the task, once it was accepted.
        reserved: What is neither released nor charged, millionths of a USD; see ``held_amount``
            and ``in_doubt_amount``.
        charged: What was charged, by the provider's rule, millionths of a USD; see
            ``charged_usd``.
        doubtful: What may have been charged for earlier sends whose responses were lost,
            millionths of a USD.
        certain: Whether ``charged`` is beyond doubt.
        submits: How many paid requests were sent.
        error: JSON of the error that ended it; see ``error_json``.
        sha256: The hash of the finished file.
        parent: The job whose video this one extends or edits.
    """

    id: str
    run: str
    provider: str
    model: str
    state: State
    version: int  # counts every change; a change names the version that it was made from
    owner: str | None  # the worker that holds the lease
    request: str
    fingerprint: str  # hash of the request's content
    output: str
    force: bool  # whether an existing output may be replaced
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
    not_before: float = 0.0  # earliest time of the next send
    submitted_at: float | None = None
    ready_at: float | None = None
    ended_at: float | None = None
    bytes: int | None = None
    sha256: str | None = None
    etag: str | None = None  # ETag of the remote file while a part of it is on disk
    key_hash: str | None = None  # ``Key.fingerprint`` of the key of the last paid request
    parent: str | None = None
    # JSON of the provider's copy of a local file that the request extends or edits
    upload: str | None = None
    video_s: float | None = None  # length of the file, seconds
    bought_s: float | None = None  # length that was bought, as far as it is known
    # JSON of what was measured in the finished file, with how it differs from the request
    clip: str | None = None
    tags: str | None = None  # JSON list of the words that the user gave the job
    columns: str | None = None  # JSON object of the columns that its user gave it

    def __repr__(self) -> str:
        return f"<Record {self.id} {self.state}, {self.provider}/{self.model}>"

    def parse_request(self) -> Request:
        """Return the request; its images are references to stored files."""
        return _parse_request(self.request)

    def parse_quote(self) -> Quote:
        return _parse_quote(self.quote)

    def list_tags(self) -> list[str]:
        return list(json.loads(self.tags)) if self.tags else []

    def columns_json(self) -> dict[str, Any]:
        """Return the columns that the user gave the job, or its batch item."""
        return dict(json.loads(self.columns)) if self.columns else {}

    def clip_json(self) -> dict[str, Any] | None:
        """Return the size, length and sound of the finished file, as measured; None before that."""
        found: dict[str, Any] | None = json.loads(self.clip) if self.clip else None
        return found

    @property
    def path(self) -> Path:
        """The path of the output; a ``BucketPath`` for a file in a bucket."""
        return parse_path(self.output)

    def remote_video(self) -> RemoteVideo | None:
        """Return the address of the finished video, or None while it is not known."""
        return RemoteVideo(**json.loads(self.video)) if self.video else None

    def uploaded_video(self) -> RemoteVideo | None:
        """Return the provider's copy of the local file that the request extends or edits."""
        return RemoteVideo(**json.loads(self.upload)) if self.upload else None

    def error_json(self) -> dict[str, Any] | None:
        """Return the error that ended the job, in the form of ``VeoError.to_json``."""
        return json.loads(self.error) if self.error else None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def is_being_sent(self) -> bool:
        """Whether the response to the paid request has not come, as far as the ledger knows."""
        return self.state in IN_FLIGHT and self.task_id is None

    @property
    def covers_request(self) -> bool:
        """Whether a second job for the same request would be a second payment.

        False after a failure that cannot have been charged, and after a video expired that nobody
        can have been charged for.
        """
        if self.state is State.FAILED:
            return bool(self.charged or self.reserved)
        has_cost = self.reserved or self.charged or self.doubtful or self.sha256 is not None
        return self.state is not State.EXPIRED or bool(has_cost)

    @property
    def is_missing(self) -> bool:
        """Whether the provider did not have the task or the file when it was last asked."""
        return self.state in LIVE and self.error is not None

    @property
    def can_reopen(self) -> bool:
        """Whether the job expired, or its file is gone, and the provider can be asked again."""
        has_no_file = self.state is State.DONE and not self.path.exists()
        return (has_no_file or self.state is State.EXPIRED) and bool(self.video or self.task_id)

    def is_retention_over(self, retention_s: float, now: float) -> bool:
        """Whether the provider has probably deleted the video.

        Args:
            retention_s: Seconds for which the provider stores it.
            now: Unix seconds.
        """
        submitted_at = self.submitted_at or self.created_at
        return now > submitted_at + LONGEST_GENERATION_S + retention_s

    @property
    def held_amount(self) -> int:
        """What the job holds against the caps, millionths of a USD."""
        return split_reservation(self.state, self.reserved)[0]

    @property
    def in_doubt_amount(self) -> int:
        """What may have been charged on top of ``charged``, at most, millionths of a USD."""
        return self.doubtful + split_reservation(self.state, self.reserved)[1]

    @property
    def uncertain_amount(self) -> int:
        """The charge if it is not beyond doubt, else 0; millionths of a USD."""
        return 0 if self.certain else self.charged

    @property
    def has_other_length(self) -> bool:
        """Whether the video is clearly shorter or longer than what was bought."""
        if not self.video_s or not self.bought_s:
            return False
        return abs(self.video_s - self.bought_s) > LENGTH_TOLERANCE_S

    @property
    def charged_usd(self) -> Decimal:
        """What was charged, by the provider's rule, USD."""
        return to_usd(self.charged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a job's history. Its amounts are differences, so sums over time are exact.

    They are whole millionths of a USD.
    """

    id: int
    job: str
    at: float
    owner: str | None
    kind: str  # ``planned``, the state that was reached, or another name of what happened
    state: State
    message: str | None  # for a person
    reserved: int
    charged: int
    doubtful: int
    data: dict[str, Any]


@lru_cache(maxsize=64)  # the next step of a job, or of its neighbours, needs it again
def _parse_request(text: str) -> Request:
    return Request.from_json(json.loads(text))


@lru_cache(maxsize=64)  # the jobs of a batch have a few different quotes
def _parse_quote(text: str) -> Quote:
    return Quote.from_json(json.loads(text))
