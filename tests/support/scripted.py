"""A provider that answers what a test tells it to, and a bench to step jobs on."""

from __future__ import annotations

from collections import deque
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from veo.engine.context import WAIT_FOR_CAPACITY, ActiveJob, ProviderHandle, StepContext
from veo.engine.rate_limit import RateLimiter
from veo.engine.step import step
from veo.files.images import ImageStore
from veo.ledger import Ledger, NewJob
from veo.model import Facts, Model
from veo.money import quote
from veo.provider import ByteStream
from veo.request import Request
from veo.update import RemoteVideo, Stage, Update

if TYPE_CHECKING:
    from pathlib import Path

MP4_DATA = (
    b"\x00\x00\x00\x10ftypisom\x00\x00\x02\x00"
    b"\x00\x00\x00\x10mdat\x00\x01\x02\x03\x04\x05\x06\x07"
    b"\x00\x00\x00\x08moov"
)
ACCEPTED = Update(stage=Stage.SUBMITTED, task_id="task-1")
RUNNING = Update(stage=Stage.RUNNING, task_id="task-1", progress=0.5)
VIDEO = RemoteVideo("https://files.example/one.mp4")
READY = Update(stage=Stage.READY, task_id="task-1", video=VIDEO)


def make_model(charged: str = "on_success", **changes: Any) -> Model:
    """A model that takes everything, at $0.15 a call."""
    row: dict[str, Any] = {
        "name": "m-1",
        "provider": "scripted",
        "aspect_ratios": ("9:16", "16:9"),
        "resolutions": ("720p",),
        "durations": (8,),
        "features": {"start_frame", "end_frame"},
        "price": {
            "usd": Decimal("0.15"),
            "per": "call",
            "charged": charged,
            "as_of": date(2026, 1, 1),
            "source": "a test",
        },
        "retention_s": 86400,
        "as_of": date(2026, 1, 1),
        "source": "a test",
    }
    return Model.model_validate(row | changes)


class ScriptedProvider:
    """Each verb plays its script from the left; an exception is raised, anything else returned."""

    name = "scripted"

    def __init__(self, charged: str = "on_success", **changes: Any) -> None:
        only = make_model(charged, **changes)
        self.models = {only.name: only}
        self.scripts: dict[str, deque[Any]] = {
            "submit": deque(),
            "poll": deque(),
            "open": deque(),
        }
        self.calls: list[tuple[str, Any]] = []

    def submit(self, request: Request, report: Any) -> Update:
        """Play the next line; a function is called with ``report``."""
        answer = self._play_next("submit", request)
        return answer(report) if callable(answer) else answer

    def poll(self, task_id: str) -> Update:
        """Play the next line."""
        answer: Update = self._play_next("poll", task_id)
        return answer

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """Play the next line; bytes become a stream from the offset on."""
        answer = self._play_next("open", (video.uri, offset))
        if isinstance(answer, bytes):
            return ByteStream(iter([answer[offset:]]), offset, len(answer), "tag")
        return answer

    def count_calls(self, verb: str) -> int:
        """How often a verb was called."""
        return sum(called == verb for called, _ in self.calls)

    def _play_next(self, verb: str, told: Any) -> Any:
        self.calls.append((verb, told))
        lines = self.scripts[verb]
        answer = lines.popleft() if len(lines) > 1 else lines[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Bench:
    """One ledger, one scripted provider, a clock that jumps to whatever is due."""

    def __init__(self, folder: Path, charged: str = "on_success", **facts: Any) -> None:
        self.folder = folder
        self.now = 1_000_000.0
        self.ledger = Ledger(folder / "home", clock=lambda: self.now)
        self.provider = ScriptedProvider(charged)
        self.facts = Facts(
            name="scripted",
            title="Scripted",
            base_url="https://scripted.example",
            key_env=("SCRIPTED_KEY",),
            key_help="Ask the test.",
            **({"max_in_flight": 10, "submits_per_minute": 600, "settle_s": 60.0} | facts),
        )
        gate = RateLimiter(self.facts.max_in_flight, self.facts.submits_per_minute)
        self.route = ProviderHandle(self.provider, self.facts, gate)
        self.context = StepContext(
            self.ledger, ImageStore(folder / "pictures"), lambda _: self.route, lambda: self.now
        )

    def set_script(self, verb: str, *lines: Any) -> None:
        """What the provider answers; the last line is played for ever."""
        self.provider.scripts[verb] = deque(lines)

    def script_success(self) -> None:
        """Everything goes well."""
        self.set_script("submit", ACCEPTED)
        self.set_script("poll", RUNNING, READY)
        self.set_script("open", MP4_DATA)

    def plan_job(self, prompt: str = "a lion", **fields: Any) -> ActiveJob:
        """A planned job in the hands of this process."""
        request = Request(prompt=prompt, model="m-1", **fields)
        only = self.provider.models["m-1"]
        count = len(self.ledger.list_jobs())
        new = NewJob(
            run="run",
            provider="scripted",
            model="m-1",
            request=request,
            output=str(self.folder / f"{count}.mp4"),
            quote=quote(request, only),
        )
        return ActiveJob(self.ledger.plan_jobs([new], owner="me").records[0], wait_s=600.0)

    def run_job(self, work: ActiveJob, steps: int = 200) -> ActiveJob:
        """Step a job to its end, jumping in time."""
        for _ in range(steps):
            when = step(self.context, work)
            if when is None or when == WAIT_FOR_CAPACITY:
                return work
            self.now = max(self.now, when)
        raise AssertionError(f"{steps} steps and no end: {work.record.state}")

    def event_kinds(self, work: ActiveJob) -> list[str]:
        """The kinds of a job's events."""
        return [event.kind for event in self.ledger.read_history(work.record.id)]
