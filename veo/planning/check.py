"""Find every problem of a request at once, before anything is quoted, reserved or sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from veo.ledger.record import LENGTH_TOLERANCE_S
from veo.problems import Problem
from veo.request import FEATURES, MODEL_VALUES, REQUEST_FIELDS, Request, is_given
from veo.text.parsing import is_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from veo.model import Model, Rule
    from veo.update import RemoteVideo

_CHARS_PER_TOKEN = 4  # of English text, as Google's documentation estimates
MAX_OFFERS = 4  # models that a problem names
_FRAME_S = 0.05  # a video of 24 frames per second may lack one
_TEXTS = tuple(name for name, row in REQUEST_FIELDS.items() if row.kind == "text")
_FIXED_VALUES = {
    name: row.values for name, row in REQUEST_FIELDS.items() if row.values and not row.model_values
}


def check_request(
    request: Request, model: Model, catalogue: Iterable[Model] = ()
) -> tuple[Problem, ...]:
    """Return every problem of a request with a model, and models of the catalogue without it."""
    problems = tuple(_find_problems(request, model))
    if not problems:
        return ()
    others = sorted(catalogue, key=lambda other: other.provider != model.provider)
    refused = {
        other.full_name: _refused_fields(request, other) for other in others if other != model
    }
    return tuple(_add_offers(problem, refused) for problem in problems)


def find_errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems that stop a request; the others are warnings."""
    return tuple(problem for problem in problems if problem.severity == "error")


def effective_values(request: Request, model: Model) -> dict[str, Any]:
    """Return what the model will use: the request's values, and its own defaults for the rest."""
    chosen = {
        name: getattr(request, name) or getattr(model, attribute)[0]
        for name, attribute in MODEL_VALUES.items()
    }
    return chosen | {name: getattr(request, name) for name in FEATURES}


def _find_problems(request: Request, model: Model) -> Iterable[Problem]:
    yield from _check_texts(request, model)
    yield from _check_values(request, model)
    yield from _check_features(request, model)
    if request.source:
        yield from _check_video(request, model)
    yield from _check_needs(request, model)
    facts = effective_values(request, model)
    for rule in model.rules:
        yield from _check_rule(rule, facts)


def _check_texts(request: Request, model: Model) -> Iterable[Problem]:
    if not request.prompt.strip():
        yield Problem("prompt", "a video needs a prompt")
    for name in _TEXTS:
        if not is_text(getattr(request, name) or ""):
            yield Problem(name, "the text contains bytes that are not UTF-8")
    length, limit = len(request.prompt), model.max_prompt_chars
    if limit and length > limit:
        yield Problem("prompt", f"{length} characters are too many", (f"at most {limit}",))
    tokens, max_tokens = length // _CHARS_PER_TOKEN, model.max_prompt_tokens
    if max_tokens and length > _CHARS_PER_TOKEN * max_tokens:
        message = f"about {tokens} tokens are probably too many"
        allowed = (f"at most {max_tokens} tokens",)
        # A warning only, because the estimate may be wrong.
        yield Problem("prompt", message, allowed, severity="warning")


def _check_values(request: Request, model: Model) -> Iterable[Problem]:
    for name, attribute in MODEL_VALUES.items():
        value, allowed = getattr(request, name), getattr(model, attribute)
        if name == "duration" and request.source:
            continue  # means the seconds that an extension adds, which have limits of their own
        if value is not None and value not in allowed:
            text = f"{model.name} has no {value}" if value != "" else "must not be empty"
            yield Problem(name, text, tuple(map(str, allowed)))
    for name, allowed in _FIXED_VALUES.items():
        value = getattr(request, name)
        if value and value not in allowed:
            yield Problem(name, f"{value!r} is not a valid value", allowed)


def _check_features(request: Request, model: Model) -> Iterable[Problem]:
    for name in FEATURES:
        if is_given(getattr(request, name)) and name not in model.features:
            yield Problem(name, f"{model.name} does not accept it")
    count, limit = len(request.reference), model.max_references
    if "reference" in model.features and count > limit:
        yield Problem("reference", f"{count} images are too many", (f"at most {limit}",))
    elif "reference" in model.features and count > (model.warn_references or limit):
        message = f"documents of {model.name} disagree about {count} images"
        allowed = (f"at most {model.warn_references}",)
        yield Problem("reference", message, allowed, severity="warning")


def _check_video(request: Request, model: Model) -> Iterable[Problem]:
    """Yield the problems of a request that extends or edits a video."""
    if request.extend and request.edit:
        yield Problem("edit", "a request extends a video or edits it, not both")
    if request.edit:
        yield from _check_edit(request, request.edit, model)
    elif request.duration is not None and "extend" in model.features:
        yield from _check_added(request.duration, model)
    use = "extend" if request.extend else "edit"
    is_local = request.source is not None and request.source.local_path is not None
    if is_local and use in model.features and not model.uploads:
        yield Problem(use, f"{model.name} can {use} only videos of {model.provider}")


def _check_added(duration: int, model: Model) -> Iterable[Problem]:
    allowed = model.extend_durations or model.durations
    if duration in allowed:
        return
    message = f"{model.name} cannot add {duration} s"
    if model.extend_s:
        message = f"an extension by {model.name} always adds {model.extend_s} s"
        allowed = ()
    yield Problem("duration", message, tuple(map(str, sorted(allowed))))


def _check_edit(request: Request, video: RemoteVideo, model: Model) -> Iterable[Problem]:
    for name in ("duration", "aspect_ratio"):
        if getattr(request, name) is not None:
            label = name.replace("_", " ")
            yield Problem(name, f"an edit has the {label} of its video, so it accepts none")
    if video.seconds is not None:
        yield from _check_edit_length(video.seconds, model, is_upload=video.local_path is not None)


def _check_edit_length(seconds: float, model: Model, *, is_upload: bool) -> Iterable[Problem]:
    name = "file" if is_upload else "video"
    text = f"the {name} is {seconds:.1f} s long, and {model.name} edits"
    if (shortest := model.edit_min_s) and seconds < shortest - _FRAME_S:
        yield Problem("edit", f"{text} videos of at least {shortest} s")
    longest, longest_documented = model.edit_max_upload_s, model.edit_warn_s
    if is_upload and longest and seconds > longest + LENGTH_TOLERANCE_S:
        yield Problem("edit", f"{text} at most {longest} s of a video that it did not make")
    elif longest_documented and seconds > longest_documented + LENGTH_TOLERANCE_S:
        message = f"{text} videos of at most {longest_documented} s according to its documents"
        yield Problem("edit", message, severity="warning")


def _check_needs(request: Request, model: Model) -> Iterable[Problem]:
    for name in sorted(model.needs):
        # A video that is extended or edited needs no start frame: it has frames of its own.
        if not (getattr(request, name) or request.source):
            yield Problem(name, f"{model.name} needs one")
    if request.end_frame and not request.start_frame:
        yield Problem("end_frame", "an end frame needs a start frame")


def _check_rule(rule: Rule, facts: Mapping[str, Any]) -> Iterable[Problem]:
    if all(_holds(facts[name], condition) for name, condition in rule.when.items()):
        for name, condition in rule.require.items():
            if not _holds(facts[name], condition):
                allowed = tuple(map(str, condition)) if isinstance(condition, list) else ()
                yield Problem(name, rule.says, allowed, severity=rule.severity)


def _holds(value: Any, condition: bool | list[str | int]) -> bool:
    if isinstance(condition, bool):
        return is_given(value) is condition
    return value in condition


def _add_offers(problem: Problem, refused: Mapping[str, set[str]]) -> Problem:
    offers = [name for name, fields in refused.items() if problem.field not in fields]
    # A prompt is better shortened than sent to another model.
    shown = offers[:MAX_OFFERS] if problem.field != "prompt" else ()
    return replace(problem, offered_by=tuple(shown))


def _refused_fields(request: Request, model: Model) -> set[str]:
    return {problem.field for problem in find_errors(_find_problems(request, model))}
