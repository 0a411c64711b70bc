"""Extending a video: its request, and why it may not be possible. No I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from veo.ledger.record import LENGTH_TOLERANCE_S
from veo.planning.source import VideoSource, check_source, choose_video, keep_shape
from veo.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from veo.model import Model
    from veo.request import Request


def check_extension(
    source: VideoSource,
    model: Model,
    times: int,
    now: float,
    catalogue: Collection[Model] = (),
    duration: int | None = None,
) -> tuple[Problem, ...]:
    """Return every reason why a video cannot be extended, and what is doubtful.

    Args:
        source: The video.
        model: The model that extends it.
        times: The number of steps.
        now: Unix seconds.
        catalogue: Models to name as alternatives.
        duration: Seconds that each step adds, where the model lets the request choose.
    """
    problems = list(check_source(source, model, "extend", now, catalogue))
    if "extend" in model.features:
        problems += _check_steps(source, model, times, duration)
    return tuple(problems)


def extension_request(source: VideoSource, request: Request, model: Model, now: float) -> Request:
    """Return the request that extends a video, in its shape where that is not the default."""
    video = choose_video(source, model, now) if "extend" in model.features else None
    fields = keep_shape(source, request, model, ("aspect_ratio", "resolution"))
    return replace(request, model=model.name, extend=video, **fields)


def adapt_problems(
    source: VideoSource,
    request: Request,
    problems: Iterable[Problem],
    model: Model | None = None,
    takers: Collection[str] = (),
) -> Iterator[Problem]:
    """Yield the problems of an extension's request in terms of the ``request`` of the user.

    The shape comes from the video, so a problem with it is a problem of ``extend``. Only
    ``takers``, as ``provider/model``, can be given the video.
    """
    shape = {name: value for name, value in source.shape.items() if value}
    if model and model.changes_resolution:
        shape.pop("resolution", None)
    fields = set()
    for problem in problems:
        fields.add(problem.field)
        offers = tuple(offer for offer in problem.offered_by if offer in takers)
        if problem.field in shape:
            message = f"the video is {shape[problem.field]}: {problem.message}"
            yield replace(problem, field="extend", message=message, allowed=(), offered_by=offers)
        else:
            yield replace(problem, offered_by=offers)
    for name, value in shape.items():
        if name not in fields and getattr(request, name) not in {None, value}:
            yield Problem(name, f"the video is {value}, and so is its extension", (value,))


def _check_steps(
    source: VideoSource, model: Model, times: int, duration: int | None
) -> Iterator[Problem]:
    if times < 1:
        yield Problem("times", f"{times} is not a valid number of steps", ("at least 1",))
        return
    step = model.added_seconds(duration)
    limit, reason = min(_step_limits(source, model, step), default=(times, ""))
    if times > limit > 0:
        yield Problem("times", f"{times} steps are too many: {reason}", (f"at most {limit}",))
    elif limit <= 0:
        yield _no_step_problem(source, model, reason)
    else:
        yield from _check_total(source, model, times, step)


def _no_step_problem(source: VideoSource, model: Model, reason: str) -> Problem:
    """Return the problem of a step that is too long, or that is one too many."""
    shorter = [
        seconds
        for seconds in sorted(model.extend_durations)
        if min(_step_limits(source, model, seconds), default=(0, ""))[0] > 0
    ]
    if shorter:
        return Problem("duration", reason, tuple(map(str, shorter)))
    return Problem("extend", reason)


def _check_total(
    source: VideoSource, model: Model, times: int, step: int | None
) -> Iterator[Problem]:
    doubtful = model.extend_warn_total_s
    if source.seconds is None or not doubtful or not step:
        return
    total = source.seconds + times * step
    if total > doubtful + LENGTH_TOLERANCE_S:
        message = f"the video becomes {total:.1f} s long, and documents of {model.name}"
        text = f"{message} disagree about more than {doubtful} s"
        yield Problem("extend", text, severity="warning")


def _step_limits(source: VideoSource, model: Model, step: int | None) -> Iterator[tuple[int, str]]:
    if source.seconds is not None and step:
        length = f"the video is {source.seconds:.1f} s long"
        if longest := model.extend_max_input_s:
            # The limit is on the input of a step, so the last step may exceed it.
            steps = int((longest + LENGTH_TOLERANCE_S - source.seconds) // step) + 1
            yield max(0, steps), f"{length}, and {model.name} extends videos of at most {longest} s"
        if longest := model.extend_max_total_s:
            steps = int((longest + LENGTH_TOLERANCE_S - source.seconds) // step)
            text = f"{length}, and {model.name} makes at most {longest} s in steps of {step} s"
            yield max(0, steps), text
    if model.extend_max_times:
        times = model.extend_max_times
        count = f", and this one was extended {source.times} times" if source.times else ""
        yield max(0, times - source.times), f"a video can be extended {times} times{count}"
