"""What is wrong and what the user can do about it, as values that errors carry."""

from dataclasses import dataclass
from typing import Any, Literal

RemedyKind = Literal[
    "resume",  # continue the job, or all unfinished jobs where the remedy names none
    "resubmit",  # send the request of the job again, which may pay again
    "attach_task",  # continue the job with a task that its provider has
    "attach_url",  # download the video of the job from an address
    "extend",  # extend the video of the job
    "list_jobs",
    "list_models",
    "show_settings",
    "set_aside",  # rename the damaged ledger, so that a new one can begin
    "use_sandbox",
    "overwrite",  # replace the existing file
    "raise_max_cost",
    "confirm_cost",  # agree to a cost above ``confirm_above``
    "fit_frames",  # cut frames to the shape of the video, or add bars
    "remake",  # make an item of a batch again, which pays again
    "skip_invalid",  # send only the valid items of a batch
]


@dataclass(frozen=True, slots=True)
class Remedy:
    """Something that the user can do, with the job and the task that it concerns.

    The command line knows a command or an option for each kind.
    """

    kind: RemedyKind
    job: str | None = None
    task_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        # Not ``asdict``, which copies: an interrupted batch has a remedy for each of its jobs.
        values = {"kind": self.kind, "job": self.job, "task_id": self.task_id}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing about a request that a model does not allow.

    Attributes:
        field: The name of the request field.
        message: What is wrong, in one sentence without a full stop.
        allowed: Values that the model accepts instead.
        offered_by: ``provider/model`` names that accept the field as it is.
        severity: A warning does not stop the request: the providers' documents contradict
            each other.
    """

    field: str
    message: str
    allowed: tuple[str, ...] = ()
    offered_by: tuple[str, ...] = ()
    severity: Literal["error", "warning"] = "error"

    @property
    def explanation(self) -> str:
        allowed = f" Allowed: {', '.join(self.allowed)}." if self.allowed else ""
        offered = f" Possible with: {', '.join(self.offered_by)}." if self.offered_by else ""
        return f"{self.message}.{allowed}{offered}"

    def __str__(self) -> str:
        return f"{self.field}: {self.explanation}"


@dataclass(frozen=True, slots=True)
class ItemLocation:
    # from 0, as in JSON output; None for a problem of the batch as a whole
    index: int | None
    line: int | None = None  # of the file, from 1; None where items are not lines

    @property
    def sort_key(self) -> tuple[int, int]:
        """Sorts locations in the order of the file; the batch as a whole comes first."""
        return (-1 if self.index is None else self.index, self.line or 0)

    @property
    def number(self) -> int | None:
        """The index as people count, from 1."""
        return None if self.index is None else self.index + 1

    def __str__(self) -> str:
        line = f"line {self.line}" if self.line is not None else ""
        item = f"item {self.number}" if self.number is not None else ""
        return ", ".join(part for part in (item, line) if part)


@dataclass(frozen=True, slots=True)
class ItemProblem:
    """One reason why an item cannot be sent."""

    location: ItemLocation
    message: str  # one line; it begins with the key concerned, if there is one
    remedies: tuple[Remedy, ...] = ()

    def __str__(self) -> str:
        location = str(self.location)
        text = f"{location}: {self.message}" if location else self.message
        # JSON can escape lone surrogates, which no terminal and no file can encode.
        return text.encode("utf-8", "backslashreplace").decode()
