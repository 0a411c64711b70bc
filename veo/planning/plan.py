"""Plans: the model of a request, its problems, and its quote. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from veo.errors import InvalidRequestError, ModelUnavailableError, UnknownModelError
from veo.money import CLIP_RESOLUTION, CLIP_S, Quote, format_amount, format_quotes, quote
from veo.planning.check import MAX_OFFERS, check_request, find_errors
from veo.problems import Problem
from veo.request import MODEL_VALUES, Request
from veo.text.spelling import find_similar

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from veo.model import Model


_SLUG_WORDS = 6
# At four bytes each, they leave enough of the usual limit of 255 bytes for the job's id and the
# suffixes of video and sidecar.
_SLUG_CHARACTERS = 48
# What is made where nothing is asked, so that prices compare. Every provider offers it.
DEFAULT_SHAPE: Mapping[str, Any] = {
    "aspect_ratio": "16:9",
    "resolution": CLIP_RESOLUTION,
    "duration": CLIP_S,
}
_MAX_SIBLINGS = 2  # models of the same provider that are named first


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be sent, and what it would cost.

    Attributes:
        request: The request with its model set.
        warnings: Problems that do not stop the request.
        parent: The job whose video the request extends or edits, if one of the ledger made it.
    """

    request: Request
    model: Model
    quote: Quote
    warnings: tuple[Problem, ...] = ()
    parent: str | None = None

    def __repr__(self) -> str:
        return f"<Plan {self.model.full_name}, {format_quotes([self.quote])}>"


@dataclass(frozen=True)
class Availability:
    """What is known about which models work: reported dates, and lists of the providers.

    Attributes:
        today: The date to compare with reported dates, UTC.
        offered: The names of the models that providers have listed lately, by provider. They
            count more than reported dates.
    """

    today: date = field(default_factory=lambda: datetime.now(UTC).date())
    offered: Mapping[str, Collection[str]] = field(default_factory=dict)

    def has_ended(self, model: Model) -> bool:
        """Return whether it does not work: its provider's own list decides, if there is one."""
        names = self.offered.get(model.provider)
        return model.has_ended(self.today) if names is None else model.name not in names

    def describe_end(self, model: Model) -> str:
        if model.provider in self.offered or model.shutdown is None:
            return f"{model.provider} does not offer {model.name} to this key"
        return f"{model.name} was reportedly shut down on {model.shutdown.on}"


@dataclass(frozen=True)
class Planner:
    """Chooses the model of a request to one provider, checks the request, and quotes it.

    Attributes:
        models: The provider's models by name, the default first.
        preferred: The configured model. If the request names no model, it or a model of its
            family is chosen: the first that accepts the request.
        catalogue: All models of all providers, to name alternatives. It is iterated over only
            if the request has problems or its model has ended.
        shape: Values for the fields that a request without a named model leaves open.
        retired: What to do about a model past its reported shutdown date.
        is_sandbox: Whether it is for a sandbox, where every model works: no shutdown is reported
            unless a model is named.
    """

    models: Mapping[str, Model]
    preferred: str | None = None
    catalogue: Iterable[Model] = ()
    shape: Mapping[str, Any] = field(default_factory=lambda: DEFAULT_SHAPE)
    retired: Literal["warn", "refuse", "ignore"] = "warn"
    is_sandbox: bool = False
    availability: Availability = field(default_factory=Availability)

    def plan(self, request: Request) -> Plan:
        """Return the plan of a request, with its quote.

        Without a named model, the first living one that accepts the request is chosen. A provider
        without any has its first one chosen, with a warning.

        Raises:
            UnknownModelError: There is no such model; the hint names a similar one.
            InvalidRequestError: The request breaks rules; the error lists all of them.
            ModelUnavailableError: The model is past its shutdown date, which ``retired`` refuses.
        """
        is_named = bool(request.model or self.preferred)
        if is_named:
            candidates = self.named_models(request)
            if not candidates:
                raise self._unknown_model_error(request.model or self.preferred or "")
            model = _find_best(request, candidates, {})
        else:
            model = self._choose_living(request)
            request = _fill_shape(request, model, self.shape)
        problems = check_request(request, model)
        if problems:  # again with alternatives, which takes far longer
            problems = check_request(request, model, self._living)
        if find_errors(problems):
            # Of an ended model, which was chosen or named knowingly, the ended siblings count too.
            pool = self.models.values() if self.availability.has_ended(model) else self._living
            siblings = _find_siblings(request, model, pool)
            if not is_named:
                problems = tuple(self._add_values(problem, model) for problem in problems)
            raise InvalidRequestError(_add_siblings(problem, siblings) for problem in problems)
        is_sandbox_default = (
            self.is_sandbox and not is_named and model.provider not in self.availability.offered
        )
        is_silent = self.retired == "ignore" or is_sandbox_default
        if self.availability.has_ended(model) and not is_silent:
            notice = self._shutdown_notice(request, model, is_named=is_named)
            if self.retired == "refuse":
                hint = 'With retired = "warn" the request is sent.'
                raise ModelUnavailableError(notice, hint=hint)
            problems += (Problem("model", notice, severity="warning"),)
        complete = replace(request, model=model.name)
        return Plan(complete, model, quote(complete, model), problems)

    def named_models(self, request: Request) -> list[Model]:
        """Return the named model, or the preferred one and its family; empty if there is none."""
        first = self.models.get(request.model or self.preferred or "")
        if first is None or request.model is not None:
            return [first] if first else []
        family = [
            model
            for model in self.models.values()
            if model.auto and model.family and model.family == first.family
        ]
        return [first, *(model for model in family if model is not first)]

    @cached_property
    def _everything(self) -> list[Model]:
        return list(self.catalogue) or list(self.models.values())

    @cached_property
    def _living(self) -> list[Model]:
        """All models that work as far as is known."""
        return [model for model in self._everything if not self.availability.has_ended(model)]

    def _choose_living(self, request: Request) -> Model:
        """Return the best model of those that work, or of all if none does."""
        own = list(self.models.values())
        # If every model must be chosen by name, any of them is better than no plan.
        candidates = [model for model in own if model.auto] or own
        living = [model for model in candidates if not self.availability.has_ended(model)]
        return _find_best(request, living or candidates, self.shape)

    def _unknown_model_error(self, name: str) -> UnknownModelError:
        providers = sorted({model.provider for model in self._everything if model.name == name})
        similar = find_similar(name, list(self.models))
        hint = f"Did you mean {similar}?" if similar else ""
        if providers:
            hint = f"It belongs to {' and '.join(providers)}."
        return UnknownModelError(f"there is no model {name!r} here", hint=hint or None)

    def _add_values(self, problem: Problem, model: Model) -> Problem:
        """Return a problem of a model that nobody named, with values that other models allow."""
        attribute = MODEL_VALUES.get(problem.field)
        if attribute is None or not problem.allowed:
            return problem
        allowed = dict.fromkeys(problem.allowed)
        for other in self.models.values():
            if other != model and not self.availability.has_ended(other):
                values = map(str, getattr(other, attribute))
                new = [value for value in values if value not in allowed]
                allowed |= {f"{value} with {other.name}": None for value in new}
        return replace(problem, allowed=tuple(allowed))

    def _shutdown_notice(self, request: Request, model: Model, *, is_named: bool) -> str:
        """Return that the model has ended, and which models work instead, with prices."""
        notice = self.availability.describe_end(model)
        source = f" (source: {model.shutdown.source})" if is_named and model.shutdown else ""
        if not is_named:
            notice = f"{model.provider} has no model that is known to work: {notice}"
        bare = replace(request, model=None)
        living = {other.full_name: other for other in self._living}
        ended = {other.full_name for other in self._everything} - living.keys()
        prices = {
            name: _offer_price(bare, living[name], self.shape) if name in living else None
            for name in (model.shutdown.replacements if model.shutdown else ())
            if name not in ended
        }
        # A replacement that cannot take this request helps only if no other can.
        offers = [f"{name} ({price})" for name, price in prices.items() if price] or list(prices)
        # The source is last, so that the first lines say what to use.
        return f"{notice}; use instead: {', '.join(offers)}{source}" if offers else notice + source


def _find_best(request: Request, candidates: Sequence[Model], shape: Mapping[str, Any]) -> Model:
    """Return the model with the fewest problems, then with most of the shape; then the first."""

    def count_faults(model: Model) -> tuple[int, int]:
        filled = _fill_shape(request, model, shape)
        missing = sum(
            getattr(request, name) is None and value not in getattr(model, MODEL_VALUES[name])
            for name, value in shape.items()
        )
        return len(find_errors(check_request(filled, model))), missing

    if len(candidates) == 1:
        return candidates[0]
    # Usually the first one fits, and a batch has thousands of requests.
    fitting = (model for model in candidates if count_faults(model) == (0, 0))
    return next(fitting, None) or min(candidates, key=count_faults)


def _fill_shape(request: Request, model: Model, shape: Mapping[str, Any]) -> Request:
    """Return the request with the values of a shape where it has none, if the model has them.

    The model's own defaults are left out, so that equal requests stay equal. A video that is
    continued or changed has a shape of its own.
    """
    if request.source:
        return request
    changes = {
        name: value
        for name, value in shape.items()
        if getattr(request, name) is None and value in getattr(model, MODEL_VALUES[name])[1:]
    }
    return replace(request, **changes) if changes else request


def _find_siblings(request: Request, model: Model, models: Iterable[Model]) -> list[str]:
    """Return the provider's models that accept the whole request, the most similar first."""
    own = (other for other in models if other.provider == model.provider)
    fitting = [other for other in own if not find_errors(check_request(request, other))]
    fitting.sort(
        key=lambda other: (other.family != model.family, other.aspect_ratios != model.aspect_ratios)
    )
    return [other.full_name for other in fitting]


def _add_siblings(problem: Problem, siblings: Sequence[str]) -> Problem:
    offers = dict.fromkeys([*siblings[:_MAX_SIBLINGS], *problem.offered_by])
    return replace(problem, offered_by=tuple(offers)[:MAX_OFFERS])


def _offer_price(request: Request, model: Model, shape: Mapping[str, Any]) -> str | None:
    filled = _fill_shape(request, model, shape)
    if find_errors(check_request(filled, model)):
        return None
    return format_amount(quote(filled, model).amount)


def fill_name(template: str, plan: Plan, job: str) -> str:
    """Return a file name with the facts of a plan: ``{date}-{prompt:.30}-{job}.mp4``.

    The fields are date, time, prompt, job, provider, model, ratio, resolution, seed and ext. Other
    braces stay as they are.
    """
    now = datetime.now().astimezone()
    request = plan.request
    values = {
        "date": f"{now:%Y-%m-%d}",
        "time": f"{now:%H%M%S}",
        "prompt": make_slug(request.prompt),
        "job": job,
        "provider": plan.model.provider,
        "model": plan.model.name,
        "ratio": (request.aspect_ratio or plan.model.aspect_ratios[0]).replace(":", "x"),
        "resolution": request.resolution or plan.model.resolutions[0],
        "seed": "" if request.seed is None else str(request.seed),
        "ext": "mp4",
    }

    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1])
        return match[0] if value is None else value[: int(match[2] or len(value))]

    return re.sub(r"\{(\w+)(?::\.(\d+))?\}", fill, template)


def make_slug(prompt: str) -> str:
    """Return a short file name made from a prompt's first words, in any script."""
    words = re.findall(r"[^\W_]+", prompt.lower())[:_SLUG_WORDS]
    return "-".join(words)[:_SLUG_CHARACTERS].strip("-") or "video"
