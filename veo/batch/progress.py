"""How far a running batch is, and how long the rest will take."""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veo.batch.result import count_states, read_spending
from veo.ledger import IN_FLIGHT, State
from veo.runtime.remaining import estimate_job_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from veo.batch.batch import Batch
    from veo.batch.entry import Entry
    from veo.ledger.spending import Spending

# From this many videos of the same run on, their median predicts better than older jobs do.
_MIN_DURATIONS = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    total: int
    ended: int  # items that need no more work in this run
    counts: dict[str, int]  # items by state
    spending: Spending  # of all runs of this batch
    cap: int | None  # the lowest limit on a run, millionths of a USD
    remaining_s: float | None  # until the last video is made; None if unknown


def take_snapshot(batch: Batch) -> Snapshot:
    caps = [cap.limit for cap in batch.context.current_caps() if cap.run is not None]
    return Snapshot(
        total=len(batch.entries),
        ended=sum(entry.is_over for entry in batch.entries),
        counts=count_states(batch),
        spending=read_spending(batch),
        cap=min(caps, default=None),
        remaining_s=_estimate_batch_s(batch),
    )


def estimate_remaining_s(
    left: Sequence[float], waiting: int, usual: float, slots: int, per_minute: int
) -> float:
    """Estimate the seconds until all jobs of one provider are done.

    ``left`` are the seconds that each job in flight still takes, ``waiting`` is the number of
    jobs still to be sent, and ``usual`` the seconds that a job usually takes.
    """
    longest = max(left, default=0.0)
    if not waiting:
        return longest
    by_slots = (sum(left) + waiting * usual) / min(slots, len(left) + waiting)
    by_rate = usual + 60.0 * (waiting - 1) / per_minute
    return max(by_slots, longest, by_rate)


def _estimate_batch_s(batch: Batch) -> float | None:
    unfinished: dict[str, list[Entry]] = defaultdict(list)
    # While a cap holds the waiting items back, nobody knows whether they will be made at all.
    for entry in [*batch.in_flight, *(() if batch.is_cap_reached else batch.waiting)]:
        unfinished[entry.new_job.provider].append(entry)
    durations = _durations_by_provider(batch.entries)
    estimates = (
        _estimate_provider_s(batch, provider, entries, durations[provider])
        for provider, entries in unfinished.items()
    )
    return max(estimates, default=None)


def _estimate_provider_s(
    batch: Batch, provider: str, unfinished: list[Entry], durations: list[float]
) -> float:
    now = time.time()
    jobs = [entry.job for entry in unfinished if entry.job]
    sent = [job for job in jobs if job.state in IN_FLIGHT]
    waiting = len(unfinished) - len(jobs) + sum(job.state is State.PLANNED for job in jobs)
    if len(durations) >= _MIN_DURATIONS:
        usual = statistics.median(durations)
    else:
        models = Counter(entry.new_job.model for entry in unfinished)
        known = [batch.session.runner.median_s(provider, model) for model in models]
        usual = statistics.fmean(known, list(models.values()))
    left = [
        estimate_job_s(now - (job.record.submitted_at or now), usual, job.status.progress)
        for job in sent
    ]
    limiter = batch.session.connect(provider).limiter
    per_minute = limiter.limits.per_minute
    return estimate_remaining_s(left, waiting, usual, limiter.capacity, per_minute)


def _durations_by_provider(entries: Iterable[Entry]) -> dict[str, list[float]]:
    durations: dict[str, list[float]] = defaultdict(list)
    for entry in entries:
        record = entry.job.record if entry.job else None
        if record and record.ready_at and record.submitted_at:
            durations[record.provider].append(record.ready_at - record.submitted_at)
    return durations
