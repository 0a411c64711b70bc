"""What became of the requests of one route, and of their money. Pure over rows of a ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from veo.ledger.record import ENDED, State
from veo.ledger.rows import split_chunks
from veo.ledger.schema import events
from veo.money import to_usd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from veo.compare.media import Media
    from veo.ledger import Ledger, Record
    from veo.money import Quote

STEPS = ("accepted", "generated", "on_disk")
_SAID_YES = (State.SUBMITTED, State.RUNNING, State.READY)


@dataclass(frozen=True, slots=True)
class Spread:
    """Times of many jobs, seconds."""

    count: int
    median: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread | None:
        """The spread of some times; None of none."""
        if not seconds:
            return None
        high = quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
        return cls(len(seconds), median(seconds), high)

    def to_json(self) -> dict[str, float]:
        """As ``--json`` prints it."""
        return {
            "count": self.count,
            "median": round(self.median, 3),
            "p95": round(self.p95, 3),
        }


@dataclass(frozen=True, slots=True)
class Figures:
    """One route's side of a comparison. Money is in millionths of a USD, times are seconds.

    Attributes:
        route: The provider's name.
        model: Its model.
        quote: What one request costs, and by which rule.
        asked: Requests planned.
        states: How many jobs are in which state.
        for_made: Charged for videos on disk.
        for_failed: Charged for jobs that ended without one.
        for_open: Charged for jobs that have not ended.
        held: Reserved for those.
        unknown: May have been charged besides.
        times: For each of ``STEPS`` the seconds since the submit, of the jobs that came so far.
        polls: Made for all of them.
        bytes: Of all videos.
        submits: Paid requests sent.
        media: What the measured files are.
        late: What happens to a video that is late, for a person.
    """

    route: str
    model: str
    quote: Quote
    asked: int
    states: dict[str, int]
    for_made: int
    for_failed: int
    for_open: int
    held: int
    unknown: int
    times: dict[str, list[float]]
    polls: int
    bytes: int
    submits: int
    media: list[Media] = field(default_factory=list)
    late: str = ""

    @property
    def made(self) -> int:
        """Videos on disk."""
        return self.states.get(State.DONE, 0)

    @property
    def failed(self) -> int:
        """Jobs that ended without a video."""
        return sum(self.states.get(state, 0) for state in ENDED - {State.DONE})

    @property
    def open(self) -> int:
        """Jobs that have not ended, or whose outcome is unknown."""
        return self.asked - self.made - self.failed

    @property
    def charged(self) -> int:
        """All that was charged."""
        return self.for_made + self.for_failed + self.for_open

    @property
    def per_video(self) -> float | None:
        """USD charged for each video that can be kept; None when there is none."""
        return float(to_usd(self.charged)) / self.made if self.made else None

    @property
    def retries(self) -> int:
        """Paid requests sent beyond one for each job; only such as were certainly refused."""
        return max(0, self.submits - self.asked)

    def spread(self, step: str) -> Spread | None:
        """The times of one of ``STEPS``."""
        return Spread.of(self.times[step])

    def seen(self, what: str) -> str:
        """What the measured files say of ``picture`` or ``sound``, the most frequent first."""
        found = Counter(getattr(media, what) for media in self.media).most_common(3)
        if len(found) == 1:
            return str(found[0][0])
        return "; ".join(f"{value} ({count})" for value, count in found) or "nothing measured"

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it; money in USD."""
        spreads = {step: self.spread(step) for step in STEPS}
        return {
            "route": self.route,
            "model": self.model,
            "quote": self.quote.to_json(),
            "asked": self.asked,
            "made": self.made,
            "failed": self.failed,
            "open": self.open,
            "states": self.states,
            "charged": _usd(self.charged),
            "charged_for_made": _usd(self.for_made),
            "charged_for_failed": _usd(self.for_failed),
            "charged_for_open": _usd(self.for_open),
            "held": _usd(self.held),
            "unknown": _usd(self.unknown),
            "per_video": self.per_video,
            "seconds": {name: spread and spread.to_json() for name, spread in spreads.items()},
            "polls": self.polls,
            "bytes": self.bytes,
            "submits": self.submits,
            "retries": self.retries,
            "media": [media.to_json() for media in self.media],
            "on_timeout": self.late,
            "currency": "USD",
        }


def figures(
    records: Sequence[Record],
    accepted: Mapping[str, float],
    media: Sequence[Media] = (),
    late: str = "",
    speed: float = 1.0,
) -> Figures:
    """What became of one route's jobs.

    Args:
        records: Its jobs, one at least.
        accepted: When each was accepted, by job, as ``accepted_at`` tells.
        media: What the measured files are.
        late: What happens to a video that is late.
        speed: Seconds that count for each real one, where time was speeded up.
    """
    first, done = records[0], [record for record in records if record.state is State.DONE]
    lost = [record for record in records if record.has_ended and record.state is not State.DONE]
    rest = [record for record in records if not record.has_ended]
    unsure = [record for record in records if record.has_ended or record.state is State.UNKNOWN]
    ends = {
        "accepted": [(record, accepted.get(record.id)) for record in records],
        "generated": [(record, record.ready_at) for record in records],
        "on_disk": [(record, record.ended_at) for record in done],
    }
    return Figures(
        route=first.provider,
        model=first.model,
        quote=first.parse_quote(),
        asked=len(records),
        states=dict(Counter(str(record.state) for record in records)),
        for_made=sum(record.charged for record in done),
        for_failed=sum(record.charged for record in lost),
        for_open=sum(record.charged for record in rest),
        held=sum(record.reserved for record in rest if record.state is not State.UNKNOWN),
        unknown=sum(r.doubtful for r in records) + sum(r.reserved for r in unsure),
        times={step: _since_submit(pairs, speed) for step, pairs in ends.items()},
        polls=sum(record.polls for record in records),
        bytes=sum(record.bytes or 0 for record in done),
        submits=sum(record.submits for record in records),
        media=list(media),
        late=late,
    )


def accepted_at(ledger: Ledger, jobs: Sequence[str]) -> dict[str, float]:
    """When the provider first said yes to each of some jobs, Unix seconds, by job."""
    found: dict[str, float] = {}
    with ledger.database.read() as connection:
        for some in split_chunks(jobs):
            query = (
                select(events.c.job, func.min(events.c.at).label("first"))
                .where(events.c.job.in_(some), events.c.state.in_(_SAID_YES))
                .group_by(events.c.job)
            )
            found |= {row.job: row.first for row in connection.execute(query)}
    return found


def _since_submit(pairs: Sequence[tuple[Record, float | None]], speed: float) -> list[float]:
    return [
        max(0.0, at - record.submitted_at) * speed
        for record, at in pairs
        if at is not None and record.submitted_at is not None
    ]


def _usd(amount: int) -> float:
    return float(to_usd(amount))
