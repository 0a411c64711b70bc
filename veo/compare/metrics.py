"""Metrics of one candidate of a comparison: outcomes, charges, times and media."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from veo.ledger.record import ENDED, State
from veo.ledger.rows import split_chunks
from veo.ledger.schema import events
from veo.ledger.spending import Spending, sum_records
from veo.money import Quote, to_usd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from veo.compare.media import MediaInfo
    from veo.ledger import Ledger, Record

# The milestones whose times are compared, in the order in which a job passes them.
STEPS = ("accepted", "generated", "on_disk")
_COUNTS = ("made", "failed", "open", "states", "polls", "bytes", "submits", "retries")
ACCEPTED_STATES = (State.SUBMITTED, State.RUNNING, State.READY)


@dataclass(frozen=True, slots=True)
class Spread:
    """The distribution of some times, seconds."""

    count: int
    median: float
    p95: float

    @classmethod
    def from_times(cls, seconds: Sequence[float]) -> Spread | None:
        if not seconds:
            return None
        # The last of the 19 cut points of 20 groups is the 95th percentile.
        high = quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
        return cls(len(seconds), median(seconds), high)

    def to_json(self) -> dict[str, float]:
        return {
            "count": self.count,
            "median": round(self.median, 3),
            "p95": round(self.p95, 3),
        }


@dataclass(frozen=True, slots=True)
class ProviderMetrics:
    """The metrics of one candidate. Times are in seconds."""

    provider: str
    model: str
    quote: Quote
    requests: int
    states: dict[str, int]  # jobs by state
    spending: Spending
    # from the submit to each of ``STEPS``, for the jobs that reached it
    times: dict[str, list[float]]
    polls: int
    bytes: int  # of all videos
    submits: int  # paid requests sent
    media: list[MediaInfo] = field(default_factory=list)
    on_timeout: str = ""  # what happens to a late video, for a person

    @property
    def made(self) -> int:
        return self.states.get(State.DONE, 0)

    @property
    def failed(self) -> int:
        return sum(self.states.get(state, 0) for state in ENDED - {State.DONE})

    @property
    def open(self) -> int:
        """Number of jobs that have not ended, or whose outcome is unknown."""
        return self.requests - self.made - self.failed

    @property
    def per_video(self) -> float | None:
        """USD charged per video on disk; None if there is none."""
        amount = self.spending.per_video
        return None if amount is None else float(amount)

    @property
    def retries(self) -> int:
        """Number of paid requests beyond the first of each job; only refused ones are repeated."""
        # A job that was never sent has no submit, so the difference may be negative.
        return max(0, self.submits - self.requests)

    def time_spread(self, step: str) -> Spread | None:
        return Spread.from_times(self.times[step])

    def summarize_media(self, name: str) -> str:
        """Return the most frequent values of ``video_summary`` or ``audio_summary``."""
        found = Counter(getattr(media, name) for media in self.media).most_common(3)
        if len(found) == 1:
            return str(found[0][0])
        return "; ".join(f"{value} ({count})" for value, count in found) or "no video"

    def to_json(self) -> dict[str, Any]:
        """Return the values that ``--json`` prints, amounts in USD; the keys are a contract."""
        spreads = {step: self.time_spread(step) for step in STEPS}
        amounts = {
            "charged": self.spending.charged,
            "charged_for_made": self.spending.for_done,
            "charged_for_failed": self.spending.for_nothing,
            "charged_for_open": self.spending.for_open,
            "held": self.spending.held,
            "unknown": self.spending.in_doubt,
        }
        return {
            "route": self.provider,
            "model": self.model,
            "quote": self.quote.to_json(),
            "asked": self.requests,
            **{name: getattr(self, name) for name in _COUNTS},
            **{name: float(to_usd(amount)) for name, amount in amounts.items()},
            "per_video": self.per_video,
            "seconds": {name: spread and spread.to_json() for name, spread in spreads.items()},
            "media": [media.to_json() for media in self.media],
            "on_timeout": self.on_timeout,
            "currency": "USD",
        }


def compute_metrics(
    records: Sequence[Record],
    accepted: Mapping[str, float],
    media: Sequence[MediaInfo] = (),
    on_timeout: str = "",
    speed: float = 1.0,
) -> ProviderMetrics:
    """Compute the metrics of one candidate; its times are multiplied by ``speed``."""
    first, done = records[0], [record for record in records if record.state is State.DONE]
    ends = {
        "accepted": [(record, accepted.get(record.id)) for record in records],
        "generated": [(record, record.ready_at) for record in records],
        "on_disk": [(record, record.ended_at) for record in done],
    }
    return ProviderMetrics(
        provider=first.provider,
        model=first.model,
        quote=first.parse_quote(),
        requests=len(records),
        states=dict(Counter(str(record.state) for record in records)),
        spending=sum_records(records),
        times={step: _seconds_since_submit(pairs, speed) for step, pairs in ends.items()},
        polls=sum(record.polls for record in records),
        bytes=sum(record.bytes or 0 for record in done),
        submits=sum(record.submits for record in records),
        media=list(media),
        on_timeout=on_timeout,
    )


def read_acceptance_times(ledger: Ledger, jobs: Sequence[str]) -> dict[str, float]:
    """Return the time at which each job was first accepted, Unix seconds, by job id."""
    times: dict[str, float] = {}
    with ledger.database.read() as connection:
        for some in split_chunks(jobs):
            query = (
                select(events.c.job, func.min(events.c.at).label("first"))
                .where(events.c.job.in_(some), events.c.state.in_(ACCEPTED_STATES))
                .group_by(events.c.job)
            )
            times |= {row.job: row.first for row in connection.execute(query)}
    return times


def _seconds_since_submit(
    pairs: Sequence[tuple[Record, float | None]], speed: float
) -> list[float]:
    return [
        # The system clock may have been set back in between.
        max(0.0, at - record.submitted_at) * speed
        for record, at in pairs
        if at is not None and record.submitted_at is not None
    ]
