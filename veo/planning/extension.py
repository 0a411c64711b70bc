"""Extending a video: its request, and why it may not be possible. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from veo.ledger.record import LENGTH_TOLERANCE_S
from veo.planning.source import VideoTask
from veo.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from veo.model import Model
    from veo.request import Request


@dataclass(frozen=True)
class ExtensionTask(VideoTask):
    use = "extend"
    times: int  # the number of steps

    def find_problems(self, model: Model, catalogue: Collection[Model] = ()) -> Iterator[Problem]:
        """Yield every reason why the video cannot be extended, and what is doubtful."""
        yield from super().find_problems(model, catalogue)
        if "extend" in model.features:
            yield from self._check_steps(model)

    def build_request(self, model: Model) -> Request:
        """Return the request of a step, in the shape of the video where that is not the default."""
        shape = self.keep_shape(model, ("aspect_ratio", "resolution"))
        video = self.choose_video(model)
        return replace(self.request, model=model.name, extend=video, **shape)

    def adapt_problems(
        self, problems: Iterable[Problem], model: Model | None, takers: Collection[str]
    ) -> Iterator[Problem]:
        """Yield the problems in the user's terms.

        The shape comes from the video, so a problem with it is a problem of ``extend``.
        """
        shape = {name: value for name, value in self.source.shape.items() if value}
        if model and model.changes_resolution:
            shape.pop("resolution", None)
        fields = set()
        for problem in super().adapt_problems(problems, model, takers):
            fields.add(problem.field)
            if problem.field in shape:
                message = f"the video is {shape[problem.field]}: {problem.message}"
                yield replace(problem, field="extend", message=message, allowed=())
            else:
                yield problem
        for name, value in shape.items():
            if name not in fields and getattr(self.request, name) not in {None, value}:
                yield Problem(name, f"the video is {value}, and so is its extension", (value,))

    def _check_steps(self, model: Model) -> Iterator[Problem]:
        times = self.times
        if times < 1:
            yield Problem("times", f"{times} is not a valid number of steps", ("at least 1",))
            return
        step = model.added_seconds(self.request.duration)
        limit, reason = min(self._step_limits(model, step), default=(times, ""))
        if times > limit > 0:
            yield Problem("times", f"{times} steps are too many: {reason}", (f"at most {limit}",))
        elif limit <= 0:
            yield self._no_step_problem(model, reason)
        else:
            yield from self._check_total(model, step)

    def _no_step_problem(self, model: Model, reason: str) -> Problem:
        """Return the problem of a step that is too long, or that is one too many."""
        shorter = [
            seconds
            for seconds in sorted(model.extend_durations)
            if min(self._step_limits(model, seconds), default=(0, ""))[0] > 0
        ]
        if shorter:
            return Problem("duration", reason, tuple(map(str, shorter)))
        return Problem("extend", reason)

    def _check_total(self, model: Model, step: int | None) -> Iterator[Problem]:
        doubtful = model.extend_warn_total_s
        if self.source.seconds is None or not doubtful or not step:
            return
        total = self.source.seconds + self.times * step
        if total > doubtful + LENGTH_TOLERANCE_S:
            message = f"the video becomes {total:.1f} s long, and documents of {model.name}"
            text = f"{message} disagree about more than {doubtful} s"
            yield Problem("extend", text, severity="warning")

    def _step_limits(self, model: Model, step: int | None) -> Iterator[tuple[int, str]]:
        """Yield how many steps of ``step`` seconds a limit allows, and why."""
        source = self.source
        if source.seconds is not None and step:
            length = f"the video is {source.seconds:.1f} s long"
            if longest := model.extend_max_input_s:
                # The limit is on the input of a step, so the last step may exceed it.
                steps = int((longest + LENGTH_TOLERANCE_S - source.seconds) // step) + 1
                text = f"{length}, and {model.name} extends videos of at most {longest} s"
                yield max(0, steps), text
            if longest := model.extend_max_total_s:
                steps = int((longest + LENGTH_TOLERANCE_S - source.seconds) // step)
                text = f"{length}, and {model.name} makes at most {longest} s in steps of {step} s"
                yield max(0, steps), text
        if times := model.extend_max_times:
            count = f", and this one was extended {source.times} times" if source.times else ""
            yield max(0, times - source.times), f"a video can be extended {times} times{count}"
