"""An item of a batch that is run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from veo.errors import StillRunningError, VeoError
from veo.files import sidecar
from veo.ledger.reserve import make_job_id

if TYPE_CHECKING:
    from veo.job import Job
    from veo.ledger import NewJob, Record
    from veo.problems import ItemLocation

NOT_SENT = "not sent"
WAITING = "waiting"
SKIPPED = "skipped"


# Slots, because a batch may have ten thousand entries; `eq=False`, because each is mutable.
@dataclass(slots=True, eq=False)
class Entry:
    location: ItemLocation
    new_job: NewJob
    existing: Record | None = None  # the job that the ledger had for the item before
    job: Job | None = None  # the job of this run
    error: VeoError | None = None  # None while there may still be a video
    note: str | None = None  # for the user
    final_state: str | None = None  # None while this run works on the item

    @property
    def record(self) -> Record | None:
        """The ledger's record of the item's current job; None if there is no job."""
        return self.job.record if self.job else self.existing

    @property
    def is_over(self) -> bool:
        return self.final_state is not None

    @property
    def is_skipped(self) -> bool:
        """Whether the video was made before, and cost nothing in this run."""
        return self.final_state == SKIPPED

    @property
    def state(self) -> str:
        """The state of the job, or ``waiting``, ``skipped`` or ``not sent``."""
        return self.final_state or (str(self.job.state) if self.job else WAITING)

    @property
    def exit_code(self) -> int:
        """The exit code of the item's error; without one 0, or "still running" before the end."""
        if self.error:
            return self.error.exit_code
        return 0 if self.is_over else StillRunningError.exit_code

    def finish(self, state: str, error: VeoError | None = None) -> None:
        self.final_state, self.error = state, error

    def reset_job(self, replaced_id: str | None = None) -> None:
        """Prepare the item for a new job, which may replace the one with the given id."""
        self.job = self.error = None
        self.new_job = replace(self.new_job, id=make_job_id(), replaced_id=replaced_id)

    def to_json(self) -> dict[str, Any]:
        location = {"index": self.location.index, "line": self.location.line}
        if self.record and self.state not in {WAITING, NOT_SENT}:
            job = sidecar.job_to_json(self.record)
        else:
            unplanned = sidecar.job_to_json(self.new_job.to_record())
            job = unplanned | {"job": None, "state": self.state}
        if self.error and not job["error"]:
            job["error"] = self.error.to_public_json()
        return location | job | {"skipped": self.is_skipped}
