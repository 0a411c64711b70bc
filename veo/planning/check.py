"""All that is wrong with a request, at once, before a quote, a reservation or a byte."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from veo.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from veo.model import Model, Rule
    from veo.request import Request

_CHOICES = {
    "aspect_ratio": "aspect_ratios",
    "resolution": "resolutions",
    "duration": "durations",
}
_OPTIONAL = (
    "start_frame",
    "end_frame",
    "reference",
    "negative_prompt",
    "seed",
    "person_generation",
    "extend",
)
_CHARS_PER_TOKEN = 4  # of English text, as Google's documentation estimates
_NO_TEXT = re.compile("[\ud800-\udfff]")
_PERSON = ("allow_all", "allow_adult", "dont_allow")


def check(request: Request, model: Model, catalogue: Iterable[Model] = ()) -> tuple[Problem, ...]:
    """Every problem that a request has with a model; empty when there is none.

    Args:
        request: What is asked for.
        model: Whose rules count.
        catalogue: All models there are, to name those that could do what this one cannot.
    """
    found = list(_problems(request, model))
    others = list(catalogue)
    return tuple(_with_offers(problem, request, model, others) for problem in found)


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Those problems that keep a request from being sent."""
    return tuple(problem for problem in problems if problem.severity == "error")


def values(request: Request, model: Model) -> dict[str, Any]:
    """The request as its model will take it: what was said, and the defaults for the rest."""
    chosen = {
        name: getattr(request, name) or getattr(model, offered)[0]
        for name, offered in _CHOICES.items()
    }
    return chosen | {name: getattr(request, name) for name in _OPTIONAL}


def _problems(request: Request, model: Model) -> Iterable[Problem]:
    yield from _prompt(request, model)
    yield from _choices(request, model)
    yield from _features(request, model)
    yield from _needs(request, model)
    yield from _counts(request, model)
    facts = values(request, model)
    for rule in model.rules:
        yield from _rule(rule, facts)


def _prompt(request: Request, model: Model) -> Iterable[Problem]:
    if not request.prompt.strip():
        yield Problem("prompt", "a video needs a prompt")
    for name in ("prompt", "negative_prompt"):
        if _NO_TEXT.search(getattr(request, name) or ""):
            yield Problem(name, "it holds bytes that are no text; save it as UTF-8")
    limit = model.max_prompt_chars
    if limit and len(request.prompt) > limit:
        yield Problem(
            "prompt", f"{len(request.prompt)} characters are too many", (f"at most {limit}",)
        )
    tokens = model.max_prompt_tokens
    if tokens and len(request.prompt) > _CHARS_PER_TOKEN * tokens:
        about = len(request.prompt) // _CHARS_PER_TOKEN
        allowed = (f"at most {tokens} tokens",)
        says = f"about {about} tokens are probably too many"
        yield Problem("prompt", says, allowed, severity="warning")


def _choices(request: Request, model: Model) -> Iterable[Problem]:
    for name, offered in _CHOICES.items():
        value, allowed = getattr(request, name), getattr(model, offered)
        if value is not None and value not in allowed:
            yield Problem(name, f"{model.name} has no {value}", tuple(map(str, allowed)))


def _features(request: Request, model: Model) -> Iterable[Problem]:
    for name in _OPTIONAL:
        given = getattr(request, name)
        if given is not None and given != () and name not in model.features:
            yield Problem(name, f"{model.name} takes none")
    if request.person_generation and request.person_generation not in _PERSON:
        yield Problem("person_generation", f"there is no {request.person_generation!r}", _PERSON)


def _needs(request: Request, model: Model) -> Iterable[Problem]:
    for name in sorted(model.needs):
        if not (getattr(request, name) or request.extend):  # which begins where the video ends
            yield Problem(name, f"{model.name} does not work without one")
    if request.end_frame and not request.start_frame:
        yield Problem("end_frame", "an end frame needs a start frame too")


def _counts(request: Request, model: Model) -> Iterable[Problem]:
    count = len(request.reference)
    if "reference" in model.features and count > model.max_references:
        yield Problem(
            "reference", f"{count} pictures are too many", (f"at most {model.max_references}",)
        )


def _rule(rule: Rule, facts: Mapping[str, Any]) -> Iterable[Problem]:
    if all(_holds(facts[name], wanted) for name, wanted in rule.when.items()):
        for name, wanted in rule.require.items():
            if not _holds(facts[name], wanted):
                allowed = tuple(map(str, wanted)) if isinstance(wanted, list) else ()
                yield Problem(name, rule.says, allowed, severity=rule.severity)


def _holds(value: Any, wanted: bool | list[str | int]) -> bool:
    given = value is not None and value != ()
    return given is wanted if isinstance(wanted, bool) else value in wanted


def _with_offers(
    problem: Problem, request: Request, model: Model, catalogue: list[Model]
) -> Problem:
    offers = [
        f"{other.provider}/{other.name}"
        for other in sorted(catalogue, key=lambda other: other.provider != model.provider)
        if other != model and not _has(problem.field, request, other)
    ]
    shown = tuple(offers[:4]) if problem.field != "prompt" else ()
    return Problem(problem.field, problem.message, problem.allowed, shown, problem.severity)


def _has(field: str, request: Request, model: Model) -> bool:
    return any(problem.field == field for problem in errors(_problems(request, model)))
