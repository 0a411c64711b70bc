"""A task: facts fixed when it is accepted, and a state that follows from them and the time.

So a task survives restarts, and several processes can serve it, without anybody updating it.
"""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any, Literal
from uuid import uuid4

from pydantic import TypeAdapter

from veo_sandbox.clips import ClipSpec
from veo_sandbox.state.latency import Latency
from veo_sandbox.state.settings import Settings
from veo_sandbox.state.store import Store

DAY = 86_400.0
# Share of the service time during which a task reads as queued.
_QUEUED_SHARE = 0.05


@dataclass(frozen=True)
class Outcome:
    """How a task ends, decided when it is accepted. A route replaces "" by a default of its own.

    A task that ends "never" runs until its retention is over; `shape` is how the route reports a
    failure.
    """

    end: Literal["completed", "failed", "never"] = "completed"
    shape: str = ""
    code: str = ""
    message: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether the model itself ended it without a video, which has used tokens."""
        return self.shape in {"filtered", "empty"} or self.code == "content_policy_violation"


@dataclass(frozen=True)
class TaskSpec:
    """What a create request asks for: everything about a task that does not depend on chance.

    Attributes:
        route: The route that it came by; every bill names it.
        profile: The profile or dialect in which all responses about the task are written.
        amount: The price in micro-USD.
        refusal_amount: What a refusal costs, in micro-USD.
        billing: "on_success" (charged when completed, else refunded) or "on_accept".
        outcome: How it must end; None draws the end from the rates.
        service_s: Its service time in seconds; None draws one from the latency.
        retention_s: Seconds for which the task can be polled, and its file kept after completion.
        file_retention_s: Seconds for which the file is kept, where that differs.
        cancellable: Whether its route can cancel it.
        file: The id of its video's file; "" draws one.
        extra: Facts that only its own route reads.
    """

    route: str
    profile: str
    id: str
    model: str
    prompt: str
    clip: ClipSpec
    amount: int
    billing: Literal["on_success", "on_accept"] = "on_success"
    outcome: Outcome | None = None
    service_s: float | None = None
    retention_s: float = DAY
    request: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    refusal_amount: int = 0
    file_retention_s: float | None = None
    cancellable: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """An accepted task. It never changes; times are seconds of the sandbox's clock."""

    seq: int
    spec: TaskSpec
    created_at: float
    service_s: float
    outcome: Outcome
    file: str

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def done_at(self) -> float:
        return self.created_at + self.service_s

    @property
    def due_at(self) -> float:
        """When its money is settled; a task that never ends is given up after its retention."""
        # Settled at once, whatever the outcome.
        if self.spec.billing == "on_accept":
            return self.created_at
        if self.outcome.end == "never":
            return self.expires_at
        return min(self.done_at, self.expires_at)

    @property
    def expires_at(self) -> float:
        return self.created_at + self.spec.retention_s

    @property
    def file_expires_at(self) -> float:
        kept_s = self.spec.file_retention_s
        return self.done_at + (self.spec.retention_s if kept_s is None else kept_s)

    @property
    def charge(self) -> int:
        """What it costs in the end, in micro-USD."""
        if self.spec.billing == "on_accept" or self.outcome.end == "completed":
            return self.spec.amount
        return self.spec.refusal_amount if self.outcome.is_refusal else 0


_parse_task = TypeAdapter(Task).validate_json


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task at one moment; `progress` is the share of its service time that has passed, 0 to 1."""

    name: Literal["queued", "running", "completed", "failed", "cancelled", "gone"]
    progress: float

    @property
    def has_ended(self) -> bool:
        return self.name not in {"queued", "running"}


def compute_state(task: Task, now: float) -> TaskState:
    """Return the state at a time of the sandbox's clock: a pure function of the task's facts."""
    share = (now - task.created_at) / task.service_s if task.service_s else 1.0
    # First: even a finished task is unknown after its retention.
    if now >= task.expires_at:
        return TaskState("gone", 1.0)
    if task.outcome.end == "never":
        # 1.0 would read as finished.
        return TaskState("running", min(share, 0.99))
    if share >= 1.0:
        return TaskState("completed" if task.outcome.end == "completed" else "failed", 1.0)
    return TaskState("queued" if share < _QUEUED_SHARE else "running", max(share, 0.0))


def create_task(spec: TaskSpec, seq: int, now: float, settings: Settings) -> Task:
    """Accept a task. What is left to chance is drawn from the seed and the number."""
    # The number makes draws differ between tasks and equal between runs.
    random = Random(f"{settings.seed}:{seq}")  # noqa: S311 - repeatable play, not a secret
    # Drawn before the latency, which takes one or two draws: outcomes do not depend on it.
    roll = random.random()
    drawn = Latency.parse(settings.latency).draw_seconds(random)
    return Task(
        seq=seq,
        spec=spec,
        created_at=now,
        service_s=drawn if spec.service_s is None else spec.service_s,
        outcome=spec.outcome or _draw_outcome(roll, settings),
        file=spec.file or str(uuid4()),
    )


def _draw_outcome(roll: float, settings: Settings) -> Outcome:
    if roll < settings.fail_rate:
        return Outcome(end="failed")
    if roll < settings.fail_rate + settings.timeout_rate:
        return Outcome(end="never")
    return Outcome()


class TaskTable:
    """Every task ever accepted in this home."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Rows never change, so they can be cached; a missing row may still be added, so it is not.
        self._load = lru_cache(maxsize=131_072)(self._load_task)

    def next_seq(self) -> int:
        """Return the number of the next task; call it in the transaction that adds the task."""
        return int(self._store.fetch_rows("SELECT coalesce(max(seq), 0) + 1 FROM tasks")[0][0])

    def add(self, task: Task) -> None:
        # `vars` does what `dataclasses.asdict` does, but without its deep copy. Prompts stay
        # readable in the database.
        facts = json.dumps(task, ensure_ascii=False, default=vars)
        values = (task.seq, task.id, task.file, task.due_at, facts)
        self._store.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, 0, ?)", *values)

    def find(self, task_id: str) -> Task | None:
        return self._find("SELECT facts FROM tasks WHERE id = ?", task_id)

    def find_by_file(self, file: str) -> Task | None:
        return self._find("SELECT facts FROM tasks WHERE file = ?", file)

    def find_by_suffix(self, suffix: str) -> Task | None:
        # SQLite has no index for suffixes; a scan is cheap for the few clients that omit the model.
        sql = "SELECT id FROM tasks WHERE substr(id, -length(?)) = ? ORDER BY seq DESC LIMIT 1"
        rows = self._store.fetch_rows(sql, suffix, suffix)
        return self.find(rows[0][0]) if rows else None

    def restart_retention(self, task: Task, now: float) -> None:
        """Record that another task refers to its file: the file's retention starts again."""
        self._store.execute("INSERT OR REPLACE INTO referred VALUES (?, ?)", task.file, now)

    def file_expires_at(self, task: Task) -> float:
        """Return when its file is deleted, references by other tasks included."""
        rows = self._store.fetch_rows("SELECT at FROM referred WHERE file = ?", task.file)
        return max([task.file_expires_at, *(float(at) + task.spec.retention_s for (at,) in rows)])

    def list_tasks(self) -> list[Task]:
        rows = self._store.fetch_rows("SELECT facts FROM tasks ORDER BY seq")
        return [_parse_task(facts) for (facts,) in rows]

    def count_tasks(self) -> int:
        return int(self._store.fetch_rows("SELECT count(*) FROM tasks")[0][0])

    def list_due(self, now: float) -> list[Task]:
        sql = "SELECT facts FROM tasks WHERE settled = 0 AND due_at <= ? ORDER BY due_at, seq"
        return [_parse_task(row[0]) for row in self._store.fetch_rows(sql, now)]

    def mark_settled(self, task: Task) -> None:
        self._store.execute("UPDATE tasks SET settled = 1 WHERE seq = ?", task.seq)

    def add_mark(self, task: Task, mark: str, now: float) -> bool:
        """Record once that a task was cancelled or deleted; return whether this call did."""
        sql = "INSERT OR IGNORE INTO marks VALUES (?, ?, ?)"
        return self._store.execute(sql, task.id, mark, now) == 1

    def has_mark(self, task: Task, mark: str) -> bool:
        sql = "SELECT 1 FROM marks WHERE task = ? AND mark = ?"
        return bool(self._store.fetch_rows(sql, task.id, mark))

    def mark_responded(self, task_id: str, now: float) -> None:
        self._store.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", task_id, now)

    def responded_ids(self) -> set[str]:
        return {row[0] for row in self._store.fetch_rows("SELECT task FROM answers")}

    def _find(self, sql: str, value: str) -> Task | None:
        try:
            return self._load(sql, value)
        except LookupError:
            return None

    def _load_task(self, sql: str, value: str) -> Task:
        # An IndexError is a LookupError: there is no such row.
        return _parse_task(self._store.fetch_rows(sql, value)[0][0])
