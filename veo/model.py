"""Facts about models and providers, as rows of ``models.toml``.

A provider's package ships its rows; a user's configuration can add or override some. Every row
has the date (``as_of``) and the source (``source``) of its facts.
"""

from __future__ import annotations

import tomllib
from collections import ChainMap
from dataclasses import field
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from veo.request import FEATURES, MODEL_VALUES
from veo.row import Bounds, Check, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Feature = str
    Subject = str
else:  # derived from the request's fields, which a type checker cannot follow
    Feature = Literal[FEATURES]
    Subject = Literal[(*FEATURES, *MODEL_VALUES)]
SHORT_SIDES = {"360p": 360, "720p": 720, "1080p": 1080, "4k": 2160}
"""Pixels of the shorter side of a video, by its resolution."""

Usd = Annotated[Decimal, Bounds(ge=0, le=100_000)]
Seconds = Annotated[int, Bounds(ge=1, le=86_400)]


def _unify_unit(name: Any) -> Any:
    # A row may say "video". Quotes in older ledgers and the JSON output say "call".
    return "call" if name == "video" else name


class Price(Row):
    """What one video costs."""

    usd: Usd | dict[str, Usd]  # per ``per``; a table if the price depends on the request
    # one video, or a second of it
    per: Annotated[Literal["call", "second"], Check(_unify_unit, "before")]
    # the keys of a table; durations in seconds
    by: Literal["resolution", "duration"] = "resolution"
    # when the video is made, or with the HTTP 200, even if the video fails later
    charged: Literal["on_success", "on_accept"]
    as_of: date
    source: str

    def unit_price(self, resolution: str, duration: int) -> Decimal | None:
        """Return USD per video or second; None if the table has no such resolution or duration."""
        if isinstance(self.usd, dict):
            return self.usd.get(resolution if self.by == "resolution" else str(duration))
        return self.usd


class Shutdown(Row):
    """The reported end of a model, which is probably unavailable from the day ``on``."""

    on: date
    source: str
    earliest: bool = False  # whether the day was announced as the earliest possible one
    replacements: tuple[str, ...] = ()  # models to use instead


class ImageLimits(Row):
    """The images that a model accepts. Others are converted or refused before sending."""

    types: tuple[str, ...] = ("image/jpeg", "image/png", "image/webp")  # MIME
    max_bytes: Annotated[int, Bounds(ge=1000)] = 10_000_000  # of one encoded image
    max_side: Annotated[int, Bounds(ge=16)] = 4096  # pixels of the longer side


class Rule(Row):
    """A combination of values that a model forbids, or that its documents disagree about.

    ``when`` and ``require`` name request fields. A value is a list of allowed values, or a bool:
    whether the field must be set. The rule is broken if all of ``when`` hold and one of
    ``require`` does not.
    """

    when: dict[Subject, bool | list[str | int]]
    require: dict[Subject, bool | list[str | int]]
    severity: Literal["error", "warning"] = "error"
    says: str
    source: str = ""


class Model(Row):
    """One model at one provider, as ``client.models(provider)`` lists it; a row of ``models.toml``.

    Attributes:
        name: The provider's own name of it, as ``model`` of a request takes it.
        provider: The provider whose terms these are.
        aspect_ratios: What it offers (``16:9``); the first value is the provider's default, as in
            ``resolutions`` (``720p``) and ``durations`` (seconds).
        features: The optional fields of a request that it accepts, such as ``end_frame``.
        max_references: How many reference images it accepts.
        price: What a video or a second costs, USD, and when it is charged.
        retention_s: For how long the provider stores a finished video, seconds.
        shutdown: Its reported end, if there is one.
        as_of: The date of these facts.
        source: Where they come from.
        overridden: Whether the user's configuration changed some of them.
    """

    name: str
    provider: str = ""
    title: str = ""
    family: str = ""  # models that differ only in what the request decides (orientation, frames)
    wire: str = ""  # name of the wire format, for a provider that has several
    # Deviations from that wire format, by names that the provider understands.
    quirks: frozenset[str] = frozenset()
    auto: bool = True  # whether it may be chosen for a request that names no model
    aspect_ratios: Annotated[tuple[str, ...], Bounds(min_length=1)]
    resolutions: Annotated[tuple[str, ...], Bounds(min_length=1)]
    durations: Annotated[tuple[Seconds, ...], Bounds(min_length=1)]
    features: frozenset[Feature] = frozenset()
    needs: frozenset[Feature] = frozenset()  # request fields that it requires
    max_references: int = 0
    warn_references: int | None = None  # the most that all documents agree about
    max_prompt_chars: int | None = None
    max_prompt_tokens: int | None = None  # only the provider can count tokens
    image: ImageLimits = ImageLimits()
    rules: tuple[Rule, ...] = ()  # combinations that are forbidden or doubtful
    # Keys of the request's body by the request field that they carry, for a provider whose models
    # differ in them.
    fields: dict[Subject, str] = field(default_factory=dict)
    price: Price
    # USD per million tokens by kind, for a provider that reports the tokens of a task.
    usage_prices: dict[Literal["input", "text", "video"], Usd] = field(default_factory=dict)
    video_tokens: dict[str, int] = field(default_factory=dict)  # of a second, by resolution
    retention_s: Annotated[int, Bounds(ge=0, le=3650 * 86400)]
    median_s: float | None = None  # seconds that a video usually takes, if not as its provider's
    extend_s: int | None = None  # seconds that one extension adds, if the request cannot choose
    extend_durations: tuple[int, ...] = ()  # the seconds to choose from, if it can
    extend_max_input_s: int | None = None  # the longest video that can be extended
    extend_max_total_s: int | None = None  # the longest video that an extension can make
    extend_warn_total_s: int | None = None  # the longest one that all documents agree about
    extend_max_times: int | None = None  # how often one video can be extended
    # Whether an extension or an edit may have another resolution than its video.
    changes_resolution: bool = False
    # The provider continues or changes its own video for this long; by default for ``retention_s``.
    handle_retention_s: int | None = None
    uploads: bool = False  # whether it extends or edits an uploaded video, which it did not make
    upload_note: str = ""  # what to know about uploads when one is refused
    edit_min_s: int | None = None  # the shortest video that can be edited
    edit_max_upload_s: int | None = None  # the longest uploaded video that can be edited
    edit_warn_s: int | None = None  # the longest one that documents name, whoever made it
    shutdown: Shutdown | None = None
    as_of: date
    source: str
    overridden: bool = False

    def __repr__(self) -> str:
        return f"<Model {self.full_name}>"

    @property
    def full_name(self) -> str:
        """``provider/name``, which a request takes as well."""
        return f"{self.provider}/{self.name}"

    def has_ended(self, today: date) -> bool:
        """Return whether it is reported to be shut down; an earliest day does not count."""
        end = self.shutdown
        return end is not None and not end.earliest and end.on <= today

    def added_seconds(self, duration: int | None) -> int | None:
        """Return the seconds that an extension adds, chosen with ``duration`` if it can be."""
        return self.extend_s or duration or next(iter(self.extend_durations), None)

    def list_unit_prices(self) -> list[Decimal | None]:
        """Return USD per video or second for each resolution, or each duration, it depends on."""
        by_duration = self.price.by == "duration"
        resolutions = self.resolutions[:1] if by_duration else self.resolutions
        durations = sorted(self.durations) if by_duration else self.durations[:1]
        return [self.price.unit_price(size, s) for size in resolutions for s in durations]


class ProviderFacts(Row):
    """What is known of one provider, as ``provider.facts`` holds it; a table of ``models.toml``.

    Attributes:
        name: The provider, as ``-p`` and ``provider=`` take it.
        base_url: The address of its API.
        key_env: The environment variables of its key; the first that is set counts.
        key_help: Where to get a key.
        tasks: Whether it makes videos in tasks that are polled; False if the response to the paid
            request is the video.
        max_in_flight: How many jobs it accepts at a time, unless the configuration says otherwise.
        submits_per_minute: How many paid requests it accepts a minute, likewise.
        median_s: How long a video usually takes, seconds, until the ledger has measured it.
        models: Its models by name.
    """

    name: str
    title: str
    base_url: str
    key_env: tuple[str, ...]
    key_help: str
    key_optional: bool = False  # whether it can find credentials of its own
    tasks: bool = True
    # Keys of its configuration table that only it understands, with their meaning.
    options: dict[str, str] = field(default_factory=dict)
    max_in_flight: int
    submits_per_minute: int
    settle_s: float = 0.0  # seconds after a submit in which it may not know the task yet
    # Until the ledger has measured them; the poll schedule starts from these.
    median_s: float = 180.0  # seconds that a video usually takes
    spread: float = 0.35  # sigma of the logarithm of that time
    progress: bool = True  # whether its tasks may report progress; otherwise no poll asks for it
    models: dict[str, Model] = field(default_factory=dict)

    def median_of(self, model: str) -> float:
        """Return how long a model usually takes, seconds."""
        row = self.models.get(model)
        return (row and row.median_s) or self.median_s

    def __repr__(self) -> str:
        return f"<ProviderFacts {self.name}, {len(self.models)} models>"


@cache
def load_facts(package: str, provider: str) -> ProviderFacts:
    """Return the facts of one provider from its package's ``models.toml``.

    The file has ``[providers.<name>]`` tables and ``[[models]]`` rows. A row belongs to every
    provider that its ``providers`` table names, with the terms of that provider. ``[defaults]``
    has what all rows share, ``[defaults.providers.<name>]`` the terms that all rows share at one
    provider. A row can begin as another one, or as a table of ``[bases]``, which has what the rows
    of a family share: ``like = "<name>"``. Later tables override earlier ones in the order
    defaults, row, shared terms, own terms. Price tables are merged, and rules add up.
    """
    body = _read_tables(package)
    named = body.get("bases", {}) | {row["name"]: row for row in body["models"] if "name" in row}
    layers = [[body.get("defaults", {}), *_list_bases(row, named)] for row in body["models"]]
    models = [
        _build_row(tables, provider)
        for tables in layers
        if provider in ChainMap(*reversed(tables))["providers"]
    ]
    rows = {row["name"]: row for row in models}
    return ProviderFacts.convert({**body["providers"][provider], "name": provider, "models": rows})


@cache
def _read_tables(package: str) -> dict[str, Any]:
    """Return the tables of a package's ``models.toml``, without importing a top-level package.

    Raises:
        FileNotFoundError: It has no such file.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"there is no package {package!r}", name=package)
    path = Path(spec.origin).with_name("models.toml")
    # As ``importlib.resources`` does it, also in a zip file.
    data: bytes = spec.loader.get_data(str(path))  # type: ignore[union-attr]
    return tomllib.loads(data.decode())


def _list_bases(row: dict[str, Any], named: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that a row begins as, the first of them first, and the row itself."""
    return [*(_list_bases(named[row["like"]], named) if "like" in row else ()), row]


def _build_row(tables: Sequence[Mapping[str, Any]], provider: str) -> dict[str, Any]:
    # Terms of one provider are more specific than any row, so they come after all rows.
    terms = [table.get("providers", {}).get(provider, {}) for table in tables]
    layers = [*tables, *terms]
    row = {key: value for layer in layers for key, value in layer.items()}
    row = {key: value for key, value in row.items() if key not in ("providers", "like")}
    row["price"] = {key: part for layer in layers for key, part in layer.get("price", {}).items()}
    row["rules"] = [rule for layer in layers for rule in layer.get("rules", ())]
    return {"provider": provider, **row}
