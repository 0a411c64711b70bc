"""How a batch is doing at one moment."""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veo.batch.estimate import estimate_remaining_s
from veo.batch.result import count_states
from veo.ledger import IN_FLIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from veo.batch.batch import Batch
    from veo.batch.entry import Entry
    from veo.ledger import Sums

_ENOUGH = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a batch is doing.

    Attributes:
        total: How many items there are, those with problems not counted.
        over: How many of them nothing more happens to.
        counts: How many are in which state.
        sums: The money of all runs of this batch.
        cap: The cap on that money, millionths of a USD; None where there is none.
        rest_s: Seconds until the last video is probably made; None where nobody can tell.
    """

    total: int
    finished: int
    counts: dict[str, int]
    sums: Sums
    cap: int | None
    remaining_s: float | None


def take_snapshot(batch: Batch) -> Snapshot:
    """Look at a batch that has begun."""
    caps = [cap.limit for cap in batch.current_caps() if cap.run is not None]
    return Snapshot(
        total=len(batch.entries),
        finished=sum(entry.is_over for entry in batch.entries),
        counts=count_states(batch),
        sums=batch.client.ledger.sums(batch.run),
        cap=min(caps, default=None),
        remaining_s=_estimate_remaining_s(batch),
    )


def _estimate_remaining_s(batch: Batch) -> float | None:
    going: dict[str, list[Entry]] = defaultdict(list)
    for entry in [*batch.in_flight, *(() if batch.is_cap_reached else batch.queue)]:
        going[entry.new_job.provider].append(entry)
    took = _measure_durations(batch.entries)
    return max(
        (_estimate_provider_s(batch, name, going[name], took[name]) for name in going), default=None
    )


def _estimate_provider_s(
    batch: Batch, provider: str, going: list[Entry], took: list[float]
) -> float:
    now = time.time()
    sent = [entry.job.record for entry in going if entry.job and entry.job.state in IN_FLIGHT]
    ages = [now - (record.submitted_at or now) for record in sent]
    waiting = sum(entry.job is None or entry.job.state == "planned" for entry in going)
    models = Counter(entry.new_job.model for entry in going)
    known = [batch.client.usual_s(provider, model) for model in models.elements()]
    usual = statistics.median(took) if len(took) >= _ENOUGH else statistics.mean(known)
    gate = batch.client.route(provider).limiter
    return estimate_remaining_s(ages, waiting, usual, gate.capacity, gate.per_minute)


def _measure_durations(entries: Iterable[Entry]) -> dict[str, list[float]]:
    """How long the videos of this run took, by provider."""
    took: dict[str, list[float]] = defaultdict(list)
    for entry in entries:
        record = entry.job.record if entry.job else None
        if record and record.ready_at and record.submitted_at:
            took[record.provider].append(record.ready_at - record.submitted_at)
    return took
