"""Facts about models and providers: rows read from ``models.toml``, never code.

A provider's package ships its rows; a user's configuration can add or override one. Every row
says when it was true (``as_of``) and who said so (``source``).
"""

from __future__ import annotations

import difflib
import tomllib
from datetime import date
from decimal import Decimal
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Feature = Literal[
    "start_frame",
    "end_frame",
    "reference",
    "negative_prompt",
    "seed",
    "person_generation",
    "extend",
]
Subject = Literal[Feature, "aspect_ratio", "resolution", "duration"]
Usd = Annotated[Decimal, Field(ge=0)]


class FrozenFacts(BaseModel):
    """A frozen row of facts; a key that it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(FrozenFacts):
    """What one video costs.

    Attributes:
        usd: USD for one ``per``; a table by resolution where the price depends on it.
        per: ``call``, or ``second`` of finished video.
        charged: ``on_success`` when the video is made, ``on_accept`` as soon as the provider
            answers with HTTP 200, whatever becomes of it.
        as_of: When the price was read.
        source: Who said so.
    """

    usd: Usd | dict[str, Usd]
    per: Literal["call", "second"]
    charged: Literal["on_success", "on_accept"]
    as_of: date
    source: str

    def unit_price(self, resolution: str | None) -> Decimal | None:
        """USD for one call or second at a resolution; None where it is not offered."""
        if isinstance(self.usd, dict):
            return self.usd.get(resolution or "")
        return self.usd


class Shutdown(FrozenFacts):
    """The reported end of a model: from ``on`` on it is probably not callable.

    ``earliest`` says that the day was only announced as the first on which it may end.
    """

    on: date
    source: str
    earliest: bool = False
    replacements: tuple[str, ...] = ()


class ImageLimits(FrozenFacts):
    """What a model takes as a picture; anything else is converted or refused before sending.

    Attributes:
        types: Accepted MIME types.
        max_bytes: Most bytes of one encoded picture.
        max_side: Most pixels of the longer side.
    """

    types: tuple[str, ...] = ("image/jpeg", "image/png", "image/webp")
    max_bytes: int = 10_000_000
    max_side: int = 4096


class Rule(FrozenFacts):
    """A combination that a model forbids, or that documents disagree about.

    ``when`` and ``require`` name request fields. A value may be a list of allowed values or a
    bool (given, not given). The rule is broken when all of ``when`` hold and one of ``require``
    does not.
    """

    when: dict[Subject, bool | list[str | int]]
    require: dict[Subject, bool | list[str | int]]
    severity: Literal["error", "warning"] = "error"
    says: str
    source: str = ""


class Model(FrozenFacts):
    """One model at one provider.

    In every tuple of allowed values the first is what the provider does when nothing is said.

    Attributes:
        name: The provider's own name.
        family: Models that differ only in what the request decides (orientation, frames).
        auto: Whether it may be chosen for a request that names no model.
        features: Optional request fields that it takes.
        needs: Request fields that it does not work without.
        max_prompt_tokens: Longer prompts are cut or refused; only the provider can count tokens.
        retention_s: Seconds the finished file is kept.
        extend_s: Seconds that one extension adds.
        extend_max_input_s: Seconds that the video to extend may have, at most.
        extend_max_times: How often one video can be extended.
        rules: Combinations that are forbidden or doubtful.
    """

    name: str
    provider: str = ""
    title: str = ""
    family: str = ""
    auto: bool = True
    aspect_ratios: tuple[str, ...]
    resolutions: tuple[str, ...]
    durations: tuple[int, ...]
    features: frozenset[Feature] = frozenset()
    needs: frozenset[Feature] = frozenset()
    max_references: int = 0
    max_prompt_chars: int | None = None
    max_prompt_tokens: int | None = None
    image: ImageLimits = ImageLimits()
    rules: tuple[Rule, ...] = ()
    price: Price
    retention_s: int
    extend_s: int | None = None
    extend_max_input_s: int | None = None
    extend_max_times: int | None = None
    shutdown: Shutdown | None = None
    as_of: date
    source: str
    overridden: bool = False


class Facts(FrozenFacts):
    """One provider: where it is, which key it wants, how hard it may be driven, what it offers.

    Attributes:
        key_env: Environment variables that may hold the key, the first that is set wins.
        key_optional: Whether it can find credentials of its own when no variable is set.
        tasks: Whether a submit returns a task that another process can follow; False where the
            video comes within the call.
        options: Keys of its configuration table that only it understands, with their meaning.
        max_in_flight: Jobs accepted and not finished, at most.
        submits_per_minute: Paid requests a minute, at most.
        settle_s: Seconds after a submit during which an unknown task is only too new.
        median_s: The usual time to make a video, seconds: where polling starts from.
        spread: Sigma of the log of that time.
        progress: Whether its tasks may tell how far they are; without it no poll is spent on that.
    """

    name: str
    title: str
    base_url: str
    key_env: tuple[str, ...]
    key_help: str
    key_optional: bool = False
    tasks: bool = True
    options: dict[str, str] = Field(default_factory=dict)
    max_in_flight: int
    submits_per_minute: int
    settle_s: float = 0.0
    median_s: float = 180.0
    spread: float = 0.35
    progress: bool = True
    models: dict[str, Model] = Field(default_factory=dict)


def load_facts(package: str, provider: str) -> Facts:
    """The facts of one provider from its package's ``models.toml``.

    The file holds ``[providers.<name>]`` tables and ``[[models]]`` rows; a row belongs to every
    provider that its ``providers`` table names, each with the terms that hold there.
    ``[defaults]`` holds what all rows share, ``[defaults.providers.<name>]`` the terms that all
    rows share there. Of these tables the later overrides the earlier: defaults, row, shared
    terms, own terms. Price tables are merged, rules add up.
    """
    body = tomllib.loads(resources.files(package).joinpath("models.toml").read_text("utf-8"))
    shared = body.get("defaults", {})
    models = [
        _build_model((shared, row), provider)
        for row in body["models"]
        if provider in (shared | row)["providers"]
    ]
    return Facts(
        name=provider,
        models={model.name: model for model in models},
        **body["providers"][provider],
    )


def _build_model(tables: Sequence[Mapping[str, Any]], provider: str) -> Model:
    terms = [table.get("providers", {}).get(provider, {}) for table in tables]
    layers = [*tables, *terms]
    row = {key: value for layer in layers for key, value in layer.items() if key != "providers"}
    row["price"] = {key: part for layer in layers for key, part in layer.get("price", {}).items()}
    row["rules"] = [rule for layer in layers for rule in layer.get("rules", ())]
    return Model(provider=provider, **row)


def find_similar(name: str, names: list[str]) -> str | None:
    """The name that was probably meant: the same words in another order, else the closest."""
    words = sorted(name.lower().split("-"))
    for known in names:
        if sorted(known.split("-")) == words:
            return known
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)
