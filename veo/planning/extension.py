"""Extending a video: its request, and why it may not be possible. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from veo.ledger.record import Record, State
from veo.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from veo.model import Model
    from veo.request import Request

_SHAPE_FIELDS = {"aspect_ratio": "aspect_ratios", "resolution": "resolutions"}
_TOLERANCE_S = 0.5  # the last frame or the sound may last longer than the paid seconds
_MAX_OFFERS = 4


@dataclass(frozen=True, slots=True)
class ExtensionSource:
    record: Record  # the job that made it
    model: Model | None  # None if the model no longer exists
    seconds: float | None  # None if unknown
    times: int  # how many extensions it contains
    expires_at: float | None  # when the provider deletes it, Unix seconds; None if unknown

    @property
    def shape(self) -> dict[str, str | None]:
        """Its aspect ratio and resolution, by the names of the request fields."""
        request = self.record.parse_request()
        return {
            name: getattr(request, name)
            or (getattr(self.model, offered)[0] if self.model else None)
            for name, offered in _SHAPE_FIELDS.items()
        }


def check_extension(
    source: ExtensionSource, model: Model, times: int, now: float, catalogue: Iterable[Model] = ()
) -> tuple[Problem, ...]:
    """Return every reason why a video cannot be extended; ``now`` in Unix seconds."""
    problems = [
        _check_video_exists(source),
        _check_supported(source, model, catalogue),
        _check_retention(source, now),
    ]
    if "extend" in model.features:
        problems.append(_check_steps(source, model, times))
    return tuple(problem for problem in problems if problem)


def extension_request(source: ExtensionSource, request: Request, model: Model) -> Request:
    """Return the request that extends a video, in its shape where that is not the default."""
    shape = {name: value or getattr(request, name) for name, value in source.shape.items()}
    defaults = {name: getattr(model, offered)[0] for name, offered in _SHAPE_FIELDS.items()}
    fields: dict[str, Any] = {
        name: value if value != defaults[name] else None for name, value in shape.items()
    }
    video = source.record.remote_video() if "extend" in model.features else None
    return replace(request, model=model.name, extend=video, **fields)


def adapt_problems(
    source: ExtensionSource, request: Request, problems: Iterable[Problem]
) -> Iterator[Problem]:
    """Return the problems of an extension's request in terms of the ``request`` of the user.

    The shape comes from the video, so a problem with it is a problem of ``extend``.
    """
    shape, fields = source.shape, set()
    # Only the provider that made a video can extend it.
    prefix = f"{source.record.provider}/"
    for problem in problems:
        fields.add(problem.field)
        offers = tuple(offer for offer in problem.offered_by if offer.startswith(prefix))
        if problem.field in shape:
            message = f"the video is {shape[problem.field]}: {problem.message}"
            yield replace(problem, field="extend", message=message, allowed=(), offered_by=offers)
        else:
            yield replace(problem, offered_by=offers)
    for name, value in shape.items():
        if name not in fields and value and getattr(request, name) not in {None, value}:
            yield Problem(name, f"the video is {value}, and so is its extension", (value,))


def _check_video_exists(source: ExtensionSource) -> Problem | None:
    record = source.record
    if record.remote_video() and record.state not in {State.FAILED, State.EXPIRED, State.UNKNOWN}:
        return None
    if record.has_ended or record.state is State.UNKNOWN:
        return Problem("extend", f"job {record.id} is {record.state}: it has no video")
    return Problem("extend", f"job {record.id} is still {record.state}: it has no video yet")


def _check_supported(
    source: ExtensionSource, model: Model, catalogue: Iterable[Model]
) -> Problem | None:
    if "extend" in model.features:
        return None
    capable = [row for row in catalogue if "extend" in row.features]
    own = [row for row in capable if row.provider == source.record.provider]
    message = f"{model.name} cannot extend a video"
    if not own:
        message = f"{model.provider} cannot extend videos, and others extend only their own"
    offers = [f"{row.provider}/{row.name}" for row in own or capable]
    return Problem("extend", message, offered_by=tuple(offers[:_MAX_OFFERS]))


def _check_retention(source: ExtensionSource, now: float) -> Problem | None:
    if source.expires_at is None or now < source.expires_at:
        return None
    expiry = datetime.fromtimestamp(source.expires_at).astimezone()
    message = f"{source.record.provider} has deleted the video: it expired {expiry:%Y-%m-%d %H:%M}"
    return Problem("extend", message)


def _check_steps(source: ExtensionSource, model: Model, times: int) -> Problem | None:
    if times < 1:
        return Problem("times", f"{times} is not a valid number of steps", ("at least 1",))
    limit, reason = min(_step_limits(source, model), default=(times, ""))
    if times <= limit:
        return None
    if limit <= 0:
        return Problem("extend", reason)
    return Problem("times", f"{times} steps are too many: {reason}", (f"at most {limit}",))


def _step_limits(source: ExtensionSource, model: Model) -> Iterator[tuple[int, str]]:
    longest, step = model.extend_max_input_s, model.extend_s
    if source.seconds is not None and longest and step:
        # The limit is on the input of a step, so the last step may exceed it.
        steps = int((longest + _TOLERANCE_S - source.seconds) // step) + 1
        length = f"the video is {source.seconds:.1f} s long"
        yield max(0, steps), f"{length}, and {model.name} extends videos of at most {longest} s"
    if model.extend_max_times:
        times = model.extend_max_times
        count = f", and this one was extended {source.times} times" if source.times else ""
        yield max(0, times - source.times), f"a video can be extended {times} times{count}"
