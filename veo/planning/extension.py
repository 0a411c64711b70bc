"""A video that is to be continued: what is known of it, and all that speaks against it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from veo.ledger.record import State
from veo.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from veo.ledger.record import Record
    from veo.model import Model
    from veo.request import Request

_SHAPE_FIELDS = {"aspect_ratio": "aspect_ratios", "resolution": "resolutions"}
_TOLERANCE_S = 0.5  # the last frame or the sound may outlast the seconds that were paid for
_MAX_OFFERS = 4


@dataclass(frozen=True, slots=True)
class ExtensionSource:
    """A video that is to be continued.

    Attributes:
        record: The job that made it.
        model: The row of the model that made it; None where there is none any more.
        seconds: How long it is; None where nobody can tell.
        times: How often it has been continued to get there.
        kept_until: When the provider deletes it, Unix seconds; None where nobody can tell.
    """

    record: Record
    model: Model | None
    seconds: float | None
    times: int
    expires_at: float | None

    @property
    def shape(self) -> dict[str, str | None]:
        """Its aspect ratio and resolution, by the names of the request's fields."""
        said = self.record.parse_request()
        return {
            name: getattr(said, name) or (getattr(self.model, offered)[0] if self.model else None)
            for name, offered in _SHAPE_FIELDS.items()
        }


def check_extension(
    source: ExtensionSource, model: Model, times: int, now: float, catalogue: Iterable[Model] = ()
) -> tuple[Problem, ...]:
    """Why a video cannot be continued; empty when nothing speaks against it.

    Args:
        source: The video.
        model: What is to continue it.
        times: In how many steps.
        now: Unix seconds.
        catalogue: All models there are, to name those that could.
    """
    found = [
        _check_video_exists(source),
        _check_supported(source, model, catalogue),
        _check_retention(source, now),
    ]
    if "extend" in model.features:
        found.append(_check_steps(source, model, times))
    return tuple(problem for problem in found if problem)


def extension_request(source: ExtensionSource, request: Request, model: Model) -> Request:
    """The request that continues a video: of its shape, as far as that needs to be said."""
    shape = {name: value or getattr(request, name) for name, value in source.shape.items()}
    usual = {name: getattr(model, offered)[0] for name, offered in _SHAPE_FIELDS.items()}
    said: dict[str, Any] = {
        name: value if value != usual[name] else None for name, value in shape.items()
    }
    video = source.record.remote_video() if "extend" in model.features else None
    return replace(request, model=model.name, extend=video, **said)


def adapt_problems(
    source: ExtensionSource, request: Request, found: Iterable[Problem]
) -> Iterator[Problem]:
    """The problems of a sequel, told of the video where the request did not say it.

    Args:
        source: The video.
        request: What was asked for, before it took the video's shape.
        found: What a check of the sequel found.
    """
    shape, told = source.shape, set()
    for problem in found:
        told.add(problem.field)
        own = f"{source.record.provider}/"
        offers = tuple(offer for offer in problem.offered_by if offer.startswith(own))
        problem = replace(problem, offered_by=offers)  # noqa: PLW2901 - nobody else can continue it
        if problem.field in shape:
            says = f"the video is {shape[problem.field]}: {problem.message}"
            problem = replace(problem, field="extend", message=says, allowed=())  # noqa: PLW2901
        yield problem
    for name, value in shape.items():
        if name not in told and value and getattr(request, name) not in {None, value}:
            yield Problem(name, f"the video is {value}, and so is what continues it", (value,))


def _check_video_exists(source: ExtensionSource) -> Problem | None:
    record = source.record
    if record.remote_video() and record.state not in {State.FAILED, State.EXPIRED, State.UNKNOWN}:
        return None
    if record.has_ended or record.state is State.UNKNOWN:
        return Problem("extend", f"job {record.id} is {record.state}: there is no video of it")
    return Problem("extend", f"job {record.id} is still {record.state}: it has no video yet")


def _check_supported(
    source: ExtensionSource, model: Model, catalogue: Iterable[Model]
) -> Problem | None:
    if "extend" in model.features:
        return None
    able = [row for row in catalogue if "extend" in row.features]
    own = [row for row in able if row.provider == source.record.provider]
    says = f"{model.name} cannot continue a video"
    if not own:
        says = f"{model.provider} cannot continue its videos, and others continue only their own"
    offers = [f"{row.provider}/{row.name}" for row in own or able]
    return Problem("extend", says, offered_by=tuple(offers[:_MAX_OFFERS]))


def _check_retention(source: ExtensionSource, now: float) -> Problem | None:
    if source.expires_at is None or now < source.expires_at:
        return None
    gone = datetime.fromtimestamp(source.expires_at).astimezone()
    return Problem(
        "extend",
        f"{source.record.provider} has deleted the video: it was kept until {gone:%Y-%m-%d %H:%M}",
    )


def _check_steps(source: ExtensionSource, model: Model, times: int) -> Problem | None:
    """Whether so many steps stay within the limits; the tighter one is told."""
    if times < 1:
        return Problem("times", f"{times} steps are none", ("at least 1",))
    limits = list(_step_limits(source, model))
    most, says = min(limits, default=(times, ""))
    if times <= most:
        return None
    if most <= 0:
        return Problem("extend", says)
    return Problem("times", f"{times} steps are too many: {says}", (f"at most {most}",))


def _step_limits(source: ExtensionSource, model: Model) -> Iterator[tuple[int, str]]:
    """How many steps there may be, and why."""
    longest, step = model.extend_max_input_s, model.extend_s
    if source.seconds is not None and longest and step:
        steps = int((longest + _TOLERANCE_S - source.seconds) // step) + 1
        says = f"the video is {source.seconds:.1f} s long, and {model.name} continues"
        yield max(0, steps), f"{says} those of at most {longest} s"
    if model.extend_max_times:
        often = model.extend_max_times
        so_far = f", and this one has been {source.times} times" if source.times else ""
        yield max(0, often - source.times), f"a video is continued {often} times at most{so_far}"
