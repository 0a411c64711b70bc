"""An item on its way through a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from veo.files import sidecar
from veo.ledger.reserve import make_job_id

if TYPE_CHECKING:
    from veo.errors import VeoError
    from veo.job import Job
    from veo.ledger import NewJob, Record
    from veo.problems import ItemLocation

NOT_SENT = "not sent"
WAITING = "waiting"
SKIPPED = "skipped"
_STILL_RUNNING = 6


@dataclass(slots=True, eq=False)
class Entry:
    """An item of a batch, and how it is doing.

    Attributes:
        spot: Where it stands in the batch.
        new: The job that would be planned for it.
        standing: The job that stood for it before, if one did.
        job: The handle on the job that is, or was, worked on for it.
        error: Why there is no video; None while there may still be one.
        note: Something to know about it, for a person.
        ended: The word for how it stands at the end; None while more may happen in this run.
    """

    location: ItemLocation
    new_job: NewJob
    existing: Record | None = None
    job: Job | None = None
    error: VeoError | None = None
    note: str | None = None
    final_state: str | None = None

    @property
    def record(self) -> Record | None:
        """The job that stands for it now; None while there is none."""
        return self.job.record if self.job else self.existing

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it in this run."""
        return self.final_state is not None

    @property
    def is_skipped(self) -> bool:
        """Whether it was made before, and cost nothing now."""
        return self.final_state == SKIPPED

    @property
    def state(self) -> str:
        """The state of its job, or ``waiting``, ``skipped`` or ``not sent``."""
        return self.final_state or (str(self.job.state) if self.job else WAITING)

    @property
    def exit_code(self) -> int:
        """The code that it stands for: that of its error, 0 without one, 6 before its end."""
        if self.error:
            return self.error.exit_code
        return 0 if self.is_over else _STILL_RUNNING

    def finish(self, word: str, error: VeoError | None = None) -> None:
        """Nothing more happens to it."""
        self.final_state, self.error = word, error

    def reset_job(self, instead_of: str | None = None) -> None:
        """Make ready for another try, beside the job that the user wants replaced."""
        self.job = self.error = None
        self.new_job = replace(self.new_job, id=make_job_id(), instead_of=instead_of)

    def to_json(self) -> dict[str, Any]:
        """The item as ``--json`` prints it: its job, and where it stands in the batch."""
        record = None if self.state in {WAITING, NOT_SENT} else self.record
        body = (
            sidecar.describe(record)
            if record
            else _unplanned_json(self.new_job) | {"state": self.state}
        )
        if self.error and not body["error"]:
            told = self.error.to_json()
            body["error"] = {key: told[key] for key in told if key != "hint"}
        place = {"index": self.location.index, "line": self.location.line}
        return place | body | {"skipped": self.is_skipped}


def _unplanned_json(new: NewJob) -> dict[str, Any]:
    """What is known of an item that no job was planned for, under the same keys."""
    return {
        "job": None,
        "provider": new.provider,
        "model": new.model,
        "state": None,
        "task_id": None,
        "output": new.output,
        "bytes": None,
        "sha256": None,
        "seconds": {"queued": None, "generating": None, "downloading": None},
        "polls": 0,
        "cost": {
            "quoted": float(new.quote.amount),
            "charged": 0.0,
            "currency": "USD",
            "certain": True,
        },
        "error": None,
    }
