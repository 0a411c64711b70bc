"""Hands jobs over to workers on any machine, and follows them in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from veo.errors import StillRunningError, VeoError
from veo.ledger.queue import parked_error
from veo.ledger.record import LIVE, QUEUE
from veo.problems import Remedy
from veo.runtime.follower import Follower
from veo.runtime.runner import JobRunner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.engine.context import ActiveJob
    from veo.ledger import Record


class QueueRunner(JobRunner):
    """A runner that works on no job itself: ``veo worker`` does, on any machine."""

    @property
    def worker(self) -> str:
        """The owner of the jobs that any worker may take."""
        return QUEUE

    def take_leases(self, records: Sequence[Record]) -> list[Record]:
        """Give jobs to the queue that no live process works on; return those that it owns now."""
        others = [record for record in records if record.owner != QUEUE]
        taken = {record.id: record for record in super().take_leases(others)}
        owned = [taken.get(record.id, record) for record in records]
        return [record for record in owned if record.owner == QUEUE]

    def _begin(self, job: ActiveJob) -> None:
        self._start_follower().add(job)

    def _make_follower(self) -> Follower:
        return Follower(
            self._ledger, lambda _: [], self._begin, self._finish, self._find_stop_error
        )

    def _find_stop_error(self, record: Record) -> VeoError | None:
        """Return why no worker continues a job; None if one does."""
        if record.owner is not None or record.state not in LIVE:
            return None
        return parked_error(self._ledger.read_history(record.id)) or StillRunningError(
            f"no worker continues job {record.id}", remedies=[Remedy("resume", record.id)]
        )
