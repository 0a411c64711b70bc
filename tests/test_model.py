"""Facts about models and providers: how rows are read, and what the real ones contain."""

import itertools
from dataclasses import FrozenInstanceError, asdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import make_model

from veo.model import ImageLimits, Model, ProviderFacts, Rule, Shutdown, load_facts
from veo.money import quote
from veo.planning.check import check_request, find_errors
from veo.provider import installed_facts
from veo.request import FEATURES, Request
from veo.row import InvalidRowError
from veo.text.spelling import find_similar
from veo.update import RemoteVideo

ROWS = """
[providers.here]
title = "Here"
base_url = "https://here.test"
key_env = ["HERE_KEY"]
key_help = "Ask."
max_in_flight = 3
submits_per_minute = 6

[providers.there]
title = "There"
base_url = "https://there.test"
key_env = []
key_help = "None."
max_in_flight = 1
submits_per_minute = 1

[defaults]
aspect_ratios = ["16:9"]
resolutions = ["720p"]
durations = [8]
retention_s = 1
as_of = 2026-01-01
source = "the defaults"
price = { per = "call", charged = "on_success", as_of = 2026-01-01, source = "the defaults" }
providers = { here = { retention_s = 2, price = { source = "the shared terms" } }, there = {} }

[[defaults.rules]]
when = { duration = [8] }
require = { seed = false }
says = "the default rule"

[[models]]
name = "one"
price = { usd = "0.5" }
[models.providers.here]
retention_s = 3
[[models.providers.here.rules]]
when = { seed = true }
require = { seed = false }
says = "the own rule"

[[models]]
name = "two"
durations = [4]
price = { usd = "1.5", charged = "on_accept" }
providers = { here = {} }

[[models]]
name = "three"
price = { usd = "2.5" }

[[models]]
name = "four"
like = "two"
price = { usd = "3.5" }
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A package with the rows above in its ``models.toml``."""
    name = f"rows_of_{request.node.name}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "models.toml").write_text(ROWS)
    monkeypatch.syspath_prepend(tmp_path)
    return name


class TestLoading:
    """Tables override each other."""

    def test_a_row_belongs_to_its_providers(self, package: str) -> None:
        """In the order of the file; the defaults apply to a row that names none."""
        assert list(load_facts(package, "here").models) == ["one", "two", "three", "four"]
        assert list(load_facts(package, "there").models) == ["three"]

    def test_the_more_specific_table_wins(self, package: str) -> None:
        """Defaults, row, shared terms, own terms."""
        here, there = (load_facts(package, name).models for name in ("here", "there"))
        seconds = [row.retention_s for row in (*here.values(), *there.values())]
        assert seconds == [3, 2, 2, 2, 1]
        assert (here["one"].durations, here["two"].durations) == ((8,), (4,))

    def test_prices_are_merged_and_rules_add_up(self, package: str) -> None:
        """A row contains only what differs."""
        here, there = (load_facts(package, name).models for name in ("here", "there"))
        assert (here["two"].price.usd, here["two"].price.charged) == (Decimal("1.5"), "on_accept")
        assert (here["one"].price.source, there["three"].price.source) == (
            "the shared terms",
            "the defaults",
        )
        assert [rule.says for rule in here["one"].rules] == ["the default rule", "the own rule"]
        assert [rule.says for rule in here["two"].rules] == ["the default rule"]

    def test_a_row_can_begin_as_another_one(self, package: str) -> None:
        """It belongs to the same providers, and contains only what differs."""
        rows = load_facts(package, "here").models
        assert (rows["four"].durations, rows["four"].price.charged) == ((4,), "on_accept")
        assert rows["four"].price.usd == Decimal("3.5")

    def test_a_model_has_its_provider(self, package: str) -> None:
        """An offer can name it."""
        facts = load_facts(package, "here")
        assert {row.provider for row in facts.models.values()} == {"here"}


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": "blue"},
        {"features": ["telepathy"]},
        {"price": {"usd": "-1"}},
        {"rules": [{"when": {"mood": True}, "require": {}, "says": "no"}]},
    ],
    ids=["field", "feature", "price", "rule"],
)
def test_an_invalid_row_is_refused(changes: dict[str, Any]) -> None:
    """When it is read, before a request is charged by it."""
    row = asdict(make_model())
    price = row["price"] | changes.get("price", {})
    with pytest.raises(InvalidRowError):
        Model(**row | changes | {"price": price})


def test_rows_are_frozen() -> None:
    """Facts do not change while jobs depend on them."""
    with pytest.raises(FrozenInstanceError):
        make_model().name = "other"


class TestSimilar:
    """The model name that the user probably meant."""

    NAMES = ("veo-3.1-fast", "veo-3.1-landscape-fast-fl", "veo-3.1-fast-fl", "veo-3.1-fl")

    @given(st.sampled_from(NAMES), st.randoms(use_true_random=False))
    def test_the_same_words_in_another_order(self, name: str, random: Any) -> None:
        """The name with exactly these words is found."""
        words = name.split("-")
        random.shuffle(words)
        assert find_similar("-".join(words).upper(), list(self.NAMES)) == name

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("veo-3.1-fats", "veo-3.1-fast"),
            ("veo3.1-fast", "veo-3.1-fast"),
            ("veo-3.1-landscape-fast-f1", "veo-3.1-landscape-fast-fl"),
            ("whisper", None),
            ("", None),
        ],
    )
    def test_a_typing_error(self, typed: str, meant: str | None) -> None:
        """The most similar name, or none if no name is similar."""
        assert find_similar(typed, list(self.NAMES)) == meant


FACTS: dict[str, ProviderFacts] = installed_facts()
REAL = [row for facts in FACTS.values() for row in facts.models.values()]


@pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS)
def test_shipped_facts_are_valid(facts: ProviderFacts) -> None:
    """They are not validated when they are read, only converted to what validation returns."""
    assert ProviderFacts(**asdict(facts)) == facts


def test_a_shipped_row_has_known_keys_only() -> None:
    """A key that is misspelled or missing is named as in a row of the user."""
    with pytest.raises(InvalidRowError, match="max_bites: no such setting; did you mean max_bytes"):
        ImageLimits.convert({"max_bites": 5})
    with pytest.raises(InvalidRowError, match="source: Field required"):
        Shutdown.convert({"on": date(2026, 1, 1)})


@pytest.mark.parametrize("row", REAL, ids=lambda row: f"{row.provider}/{row.name}")
class TestRealRows:
    """What every row of every installed provider guarantees."""

    def test_every_shape_has_a_price(self, row: Model) -> None:
        """A quote never fails for a request that passes the check."""
        shapes = itertools.product(row.aspect_ratios, row.resolutions, row.durations)
        for ratio, resolution, duration in shapes:
            request = Request(
                prompt="p", aspect_ratio=ratio, resolution=resolution, duration=duration
            )
            assert quote(request, row).amount > 0

    def test_required_features_are_offered(self, row: Model) -> None:
        """A model has every feature that it requires."""
        assert row.needs <= row.features

    def test_references_have_a_limit(self, row: Model) -> None:
        """A model that accepts references has their maximum number."""
        assert ("reference" in row.features) is (row.max_references > 0)

    def test_extending_has_limits(self, row: Model) -> None:
        """The seconds of a step, fixed or to choose from, and the longest input."""
        if "extend" in row.features:
            assert bool(row.extend_s) is not bool(row.extend_durations)
            assert row.extend_max_input_s

    def test_facts_have_source_and_date(self, row: Model) -> None:
        """Row, price and shutdown."""
        assert row.source
        assert row.price.source
        assert max(row.as_of, row.price.as_of) <= date(2027, 1, 1)
        assert row.shutdown is None or row.shutdown.source

    def test_replacements_exist(self, row: Model) -> None:
        """A replacement is a model of ours that has not ended."""
        living = {f"{other.provider}/{other.name}" for other in REAL if not other.shutdown}
        living |= {f"{each.provider}/{each.name}" for each in REAL if is_only_announced(each)}
        assert set(row.shutdown.replacements if row.shutdown else ()) <= living

    def test_keys_of_the_body_are_those_of_accepted_fields(self, row: Model) -> None:
        """A key for a feature that the model lacks would never be used."""
        assert row.fields.keys() & FEATURES <= row.features

    def test_every_rule_can_be_kept_and_broken(self, row: Model) -> None:
        """Otherwise the rule is a mistake in the table."""
        for rule in row.rules:
            named = {*rule.when, *rule.require} & set(_SET_VALUES)
            if named <= row.features:
                assert _breaks_rule(rule, row, breaking=True)
                assert not _breaks_rule(rule, row, breaking=False)


def is_only_announced(row: Model) -> bool:
    """Return whether a model has an end that is only the earliest possible one."""
    return row.shutdown is not None and row.shutdown.earliest


def _breaks_rule(rule: Rule, row: Model, *, breaking: bool) -> bool:
    """Return whether a request that matches ``when`` breaks the rule."""
    fields = {name: _allowed_value(name, allowed) for name, allowed in rule.when.items()}
    for name, allowed in rule.require.items():
        fields[name] = (
            _allowed_value(name, allowed) if not breaking else _forbidden_value(name, allowed, row)
        )
    problems = check_request(Request(prompt="p", **fields), row)
    return any(problem.message == rule.says for problem in problems)


def _allowed_value(name: str, allowed: Any) -> Any:
    if isinstance(allowed, list):
        return allowed[0]
    return _SET_VALUES[name] if allowed else _UNSET_VALUES.get(name)


def _forbidden_value(name: str, allowed: Any, row: Model) -> Any:
    if isinstance(allowed, bool):
        return _allowed_value(name, not allowed)
    # A rule may also be about lengths that only other models of its family offer.
    offered = [*getattr(row, f"{name}s", _PERSONS), *_LONG.get(name, ())]
    return next(value for value in offered if value not in allowed)


_LONG = {"duration": (12,)}
_PERSONS = ("allow_all", "allow_adult", "dont_allow")
_UNSET_VALUES: dict[str, Any] = {"reference": ()}
_SET_VALUES: dict[str, Any] = {
    "start_frame": "a.png",
    "end_frame": "b.png",
    "reference": ("c.png",),
    "negative_prompt": "rain",
    "seed": 7,
    "extend": RemoteVideo("files/1"),
    "edit": RemoteVideo("files/1"),
    "person_generation": "allow_all",
}

EIGHT = {
    "veo-3.1-fast": ("9:16", False, "0.15"),
    "veo-3.1-landscape-fast": ("16:9", False, "0.15"),
    "veo-3.1-fast-fl": ("9:16", True, "0.15"),
    "veo-3.1-landscape-fast-fl": ("16:9", True, "0.15"),
    "veo-3.1": ("9:16", False, "0.25"),
    "veo-3.1-landscape": ("16:9", False, "0.25"),
    "veo-3.1-fl": ("9:16", True, "0.25"),
    "veo-3.1-landscape-fl": ("16:9", True, "0.25"),
}


@pytest.mark.parametrize("provider", ["laozhang-async", "laozhang-sync"])
def test_the_eight_models_of_laozhang(provider: str) -> None:
    """Orientation, frames and price as on the vendor's pages."""
    rows = FACTS[provider].models
    rows_by_name = {
        name: (row.aspect_ratios, "start_frame" in row.needs, row.price.usd, row.durations)
        for name, row in rows.items()
        if name in EIGHT
    }
    assert rows_by_name == {
        name: ((ratio,), frames, Decimal(price), (8,))
        for name, (ratio, frames, price) in EIGHT.items()
    }


def test_when_each_provider_charges() -> None:
    """The sync route charges with its response, all others for a video."""
    charged = {
        name: {row.price.charged for row in facts.models.values()} for name, facts in FACTS.items()
    }
    assert charged == {
        "gemini": {"on_success"},
        "laozhang-async": {"on_success"},
        "laozhang-sync": {"on_accept"},
        "vertex": {"on_success"},
    }


def test_the_first_model_needs_only_a_prompt() -> None:
    """At every provider."""
    firsts = [next(iter(facts.models.values())) for facts in FACTS.values()]
    assert not [row for row in firsts if find_errors(check_request(Request(prompt="p"), row))]
