"""A provider that returns what a test has set, and a test bench that runs the steps of jobs."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mp4_boxes import make_file

from veo.engine.context import WAIT_FOR_CAPACITY, ActiveJob, ProviderHandle, StepContext
from veo.engine.rate_limit import RateLimiter
from veo.engine.step import step
from veo.files.images import ImageStore
from veo.ledger import Ledger, NewJob
from veo.ledger.limits import Limits
from veo.model import Model, ProviderFacts
from veo.money import quote
from veo.provider import ByteStream
from veo.request import Request
from veo.update import RemoteVideo, Stage, Update

if TYPE_CHECKING:
    from pathlib import Path

MP4_DATA = make_file()
ACCEPTED = Update(stage=Stage.SUBMITTED, task_id="task-1")
RUNNING = Update(stage=Stage.RUNNING, task_id="task-1", progress=0.5)
VIDEO = RemoteVideo("https://files.example/one.mp4")
READY = Update(stage=Stage.READY, task_id="task-1", video=VIDEO)


def take_step(context: StepContext, job: ActiveJob) -> float | None:
    """Take one step of a job, on an event loop of its own."""
    return asyncio.run(step(context, job))


def make_model(charged: str = "on_success", **changes: Any) -> Model:
    """Return a model with start and end frames at $0.15 a call; ``changes`` replace its facts."""
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
    return Model(**row | changes)


class ScriptedProvider:
    """Returns the results set for each method in order; an exception is raised."""

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
        """Return the next result; a function is called with ``report``."""
        result = self._play_next("submit", request)
        return result(report) if callable(result) else result

    async def poll(self, task_id: str) -> Update:
        """Return the next result."""
        result: Update = self._play_next("poll", task_id)
        return result

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """Return the next result; bytes become a stream that starts at the offset."""
        result = self._play_next("open", (video.uri, offset))
        if isinstance(result, bytes):
            return ByteStream(iter([result[offset:]]), offset, len(result), "tag")
        return result

    def count_calls(self, method: str) -> int:
        """Return how often a method was called."""
        return sum(called == method for called, _ in self.calls)

    def _play_next(self, method: str, argument: Any) -> Any:
        self.calls.append((method, argument))
        results = self.scripts[method]
        result = results.popleft() if len(results) > 1 else results[0]
        if isinstance(result, BaseException):
            raise result
        return result


class Bench:
    """A ledger, a scripted provider, and a clock that jumps to the next step."""

    def __init__(self, folder: Path, charged: str = "on_success", **facts: Any) -> None:
        self.folder = folder
        self.now = 1_000_000.0
        self.clock_error = 0.0  # by how much the wall clock was set
        self.ledger = Ledger(folder / "home", clock=lambda: self.now + self.clock_error)
        self.provider = ScriptedProvider(charged)
        self.facts = ProviderFacts(
            name="scripted",
            title="Scripted",
            base_url="https://scripted.example",
            key_env=("SCRIPTED_KEY",),
            key_help="Ask the test.",
            **({"max_in_flight": 10, "submits_per_minute": 600, "settle_s": 60.0} | facts),
        )
        gate = RateLimiter(Limits(self.facts.max_in_flight, self.facts.submits_per_minute))
        self.route = ProviderHandle(self.provider, self.facts, gate)
        self.context = StepContext(
            self.ledger,
            ImageStore(folder / "pictures"),
            lambda _: self.route,
            clock=lambda: self.now + self.clock_error,
            timer=lambda: self.now,
        )

    def set_script(self, method: str, *results: Any) -> None:
        """Set what a method of the provider returns; the last result is repeated."""
        self.provider.scripts[method] = deque(results)

    def script_success(self) -> None:
        """Set results with which every job succeeds."""
        self.set_script("submit", ACCEPTED)
        self.set_script("poll", RUNNING, READY)
        self.set_script("open", MP4_DATA)

    def plan_job(self, prompt: str = "a lion", **fields: Any) -> ActiveJob:
        """Plan a job, and hold its lease."""
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
        """Run the steps of a job to its end; the clock jumps from one to the next."""
        for _ in range(steps):
            when = take_step(self.context, work)
            if when is None or when == WAIT_FOR_CAPACITY:
                return work
            self.now = max(self.now, when)
        raise AssertionError(f"not ended after {steps} steps: {work.record.state}")

    def event_kinds(self, work: ActiveJob) -> list[str]:
        """Return the kinds of a job's events."""
        return [event.kind for event in self.ledger.read_history(work.record.id)]
