"""Plans: the model of a request, its problems, and its quote. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

from veo.errors import InvalidRequestError, ModelUnavailableError, UnknownModelError
from veo.model import Model, find_similar
from veo.money import Quote, quote
from veo.planning.check import check_request, find_errors
from veo.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from veo.request import Request

_SLUG_WORDS = 6
# At four bytes each, they leave enough of the usual limit of 255 bytes for the job's id and the
# suffixes of video and sidecar.
_SLUG_CHARACTERS = 48
_MAX_SIBLINGS = 2  # models of the same provider that are named first
_MAX_OFFERS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be sent, and what it would cost.

    Attributes:
        request: The request with its model set.
        model: The facts of that model.
        quote: The price, and when it is charged.
        warnings: Problems that do not stop the request.
    """

    request: Request
    model: Model
    quote: Quote
    warnings: tuple[Problem, ...] = ()


def make_plan(
    request: Request,
    models: Mapping[str, Model],
    *,
    preferred: str | None = None,
    catalogue: Iterable[Model] = (),
    retired: Literal["warn", "refuse", "ignore"] = "warn",
    today: date | None = None,
) -> Plan:
    """Choose the model, check the request, and return the plan with its quote.

    Args:
        request: The request.
        models: The provider's models by name, the default first.
        preferred: The configured model. If the request names no model, it or a model of its
            family is chosen, whichever accepts the request.
        catalogue: All models of all providers, to name alternatives. It is iterated over only
            if the request has problems.
        retired: What to do about a model past its reported shutdown date.
        today: The date to compare with, UTC; the current one by default.

    Raises:
        UnknownModelError: There is no such model; the hint names a similar one.
        InvalidRequestError: The request breaks rules; the error lists all of them.
        ModelUnavailableError: The model is past its shutdown date and ``retired`` is "refuse".
    """
    model = _choose_model(request, models, preferred, catalogue)
    problems = check_request(request, model)
    if problems:  # again with alternatives, which takes far longer
        problems = check_request(request, model, list(catalogue) or models.values())
    if find_errors(problems):
        siblings = _find_siblings(request, model, models)
        raise InvalidRequestError(_add_siblings(problem, siblings) for problem in problems)
    notice = _shutdown_notice(model, today or datetime.now(UTC).date())
    is_certain = model.shutdown is not None and not model.shutdown.earliest
    if notice and is_certain and retired == "refuse":
        raise ModelUnavailableError(notice, hint='With retired = "warn" the request is sent.')
    if notice and retired != "ignore":
        problems += (Problem("model", notice, severity="warning"),)
    complete = replace(request, model=model.name)
    return Plan(complete, model, quote(complete, model), problems)


def _choose_model(
    request: Request,
    models: Mapping[str, Model],
    preferred: str | None,
    catalogue: Iterable[Model],
) -> Model:
    """Return the named model, else the first that accepts the request or has fewest problems."""
    if request.model is not None:
        return _find_model(request.model, models, catalogue)
    # If every model must be chosen by name, any of them is better than no plan.
    candidates = [model for model in models.values() if model.auto] or list(models.values())
    if preferred:
        first = _find_model(preferred, models, catalogue)
        family = [model for model in candidates if model.family and model.family == first.family]
        candidates = [first, *family]
    fitting = (model for model in candidates if not find_errors(check_request(request, model)))
    return next(fitting, None) or min(
        candidates, key=lambda model: len(find_errors(check_request(request, model)))
    )


def _find_model(name: str, models: Mapping[str, Model], catalogue: Iterable[Model]) -> Model:
    if name in models:
        return models[name]
    providers = sorted({model.provider for model in catalogue if model.name == name})
    similar = find_similar(name, list(models))
    hint = f"Did you mean {similar}?" if similar else ""
    if providers:
        hint = f"It belongs to {' and '.join(providers)}."
    raise UnknownModelError(f"there is no model {name!r} here", hint=hint or None)


def _find_siblings(request: Request, model: Model, models: Mapping[str, Model]) -> list[str]:
    """Return the provider's models that accept the whole request, the most similar first."""
    fitting = [other for other in models.values() if not find_errors(check_request(request, other))]
    fitting.sort(
        key=lambda other: (other.family != model.family, other.aspect_ratios != model.aspect_ratios)
    )
    return [f"{other.provider}/{other.name}" for other in fitting]


def _add_siblings(problem: Problem, siblings: Sequence[str]) -> Problem:
    offers = dict.fromkeys([*siblings[:_MAX_SIBLINGS], *problem.offered_by])
    return replace(problem, offered_by=tuple(offers)[:_MAX_OFFERS])


def _shutdown_notice(model: Model, today: date) -> str | None:
    if model.shutdown is None or today < model.shutdown.on:
        return None
    verb = "may have been" if model.shutdown.earliest else "was reportedly"
    notice = f"{model.name} {verb} shut down on {model.shutdown.on} ({model.shutdown.source})"
    replacements = ", ".join(model.shutdown.replacements)
    return f"{notice}; replaced by {replacements}" if replacements else notice


def make_slug(prompt: str) -> str:
    """Return a short file name made from a prompt's first words, in any script."""
    words = re.findall(r"[^\W_]+", prompt.lower())[:_SLUG_WORDS]
    return "-".join(words)[:_SLUG_CHARACTERS].strip("-") or "video"
