"""From a request to a plan: the model, what is wrong, what it will cost. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from veo.errors import InvalidRequestError, ModelUnavailableError, UnknownModelError
from veo.model import find_similar
from veo.money import Quote, quote
from veo.planning.check import check, errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from veo.model import Model
    from veo.problems import Problem
    from veo.request import Request

_SLUG_WORDS = 6
_SLUG_CHARACTERS = (
    48  # of up to four bytes: job id, suffix and the sidecar's suffix find room in 255
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be sent, and what it would cost.

    Attributes:
        request: The request, its model filled in.
        model: The row that it was checked against.
        quote: What it costs, and when.
        warnings: Lines for a person before it is sent.
    """

    request: Request
    model: Model
    quote: Quote
    warnings: tuple[str, ...] = ()


def make_plan(
    request: Request,
    models: Mapping[str, Model],
    *,
    preferred: str | None = None,
    catalogue: Iterable[Model] = (),
    retired: Literal["warn", "refuse", "ignore"] = "warn",
    today: date | None = None,
) -> Plan:
    """Choose the model, check everything, and quote.

    Args:
        request: What is asked for.
        models: The provider's models by name, the preferred first.
        preferred: The configured model: taken when the request names none and it fits, or the
            one of its family that does.
        catalogue: All models of all providers, to name alternatives; looked at only for that.
        retired: What to do about a model past its reported shutdown date.
        today: The date to compare with.

    Raises:
        UnknownModelError: No such model; the message names the one that was probably meant.
        InvalidRequestError: The request breaks rules; all of them are in the error.
        ModelUnavailableError: The model is past its shutdown date and ``retired`` is refuse.
    """
    model = _choose_model(request, models, preferred, catalogue)
    problems = check(request, model)
    if problems:
        problems = check(request, model, list(catalogue) or models.values())
    if errors(problems):
        siblings = _find_siblings(request, model, models)
        raise InvalidRequestError(_add_siblings(problem, siblings) for problem in problems)
    warnings = [str(problem) for problem in problems]
    ended = _shutdown_notice(model, today or datetime.now(UTC).date())
    surely = model.shutdown is not None and not model.shutdown.earliest
    if ended and surely and retired == "refuse":
        raise ModelUnavailableError(ended, hint='retired = "warn" sends it all the same.')
    if ended and retired != "ignore":
        warnings.append(ended)
    complete = replace(request, model=model.name)
    return Plan(complete, model, quote(complete, model), tuple(warnings))


def _choose_model(
    request: Request,
    models: Mapping[str, Model],
    preferred: str | None,
    everyone: Iterable[Model],
) -> Model:
    """The model that was named, else of those that may be chosen the one with least against it."""
    if request.model is not None:
        return _find_model(request.model, models, everyone)
    candidates = [model for model in models.values() if model.auto] or list(models.values())
    if preferred:
        first = _find_model(preferred, models, everyone)
        family = [model for model in candidates if model.family and model.family == first.family]
        candidates = [first, *family]
    fits = (model for model in candidates if not errors(check(request, model)))
    return next(fits, None) or min(candidates, key=lambda model: len(errors(check(request, model))))


def _find_model(name: str, models: Mapping[str, Model], everyone: Iterable[Model]) -> Model:
    if name in models:
        return models[name]
    others = sorted({model.provider for model in everyone if model.name == name})
    meant = find_similar(name, list(models))
    hint = f"Did you mean {meant}?" if meant else ""
    if others:
        hint = f"It belongs to {' and '.join(others)}."
    raise UnknownModelError(f"there is no model {name!r} here", hint=hint or None)


def _find_siblings(request: Request, model: Model, models: Mapping[str, Model]) -> list[str]:
    """The provider's own models that take the whole request, those most like the model first."""
    fits = [other for other in models.values() if not errors(check(request, other))]
    fits.sort(key=lambda other: other.aspect_ratios != model.aspect_ratios)
    fits.sort(key=lambda other: other.family != model.family)
    return [f"{other.provider}/{other.name}" for other in fits]


def _add_siblings(problem: Problem, siblings: Sequence[str]) -> Problem:
    offers = dict.fromkeys([*siblings[:2], *problem.offered_by])
    return replace(problem, offered_by=tuple(offers)[:4])


def _shutdown_notice(model: Model, today: date) -> str | None:
    if model.shutdown is None or today < model.shutdown.on:
        return None
    day, instead = model.shutdown.on.isoformat(), ", ".join(model.shutdown.replacements)
    may = model.shutdown.earliest
    what = f"may be shut down from {day} on" if may else f"is reported to be shut down since {day}"
    told = f"{model.name} {what} ({model.shutdown.source})"
    return f"{told}; instead: {instead}" if instead else told


def make_slug(prompt: str) -> str:
    """A short file name out of a prompt: its first words, letters and digits of any script."""
    words = re.findall(r"[^\W_]+", prompt.lower())[:_SLUG_WORDS]
    return "-".join(words)[:_SLUG_CHARACTERS].strip("-") or "video"
