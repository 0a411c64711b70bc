"""Configuration: precedence, origins, and errors that never repeat a value."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import make_model

from veo.config import Config, ProviderConfig, find_key, merge_models, read_config
from veo.config.config import _Layers
from veo.errors import ConfigError, KeyMissingError
from veo.model import ProviderFacts
from veo.paths import config_folder, ledger_folder, to_absolute

SECRET = "sandbox-SECRET-0123456789"


@pytest.fixture
def user_file(isolated: Path) -> Path:
    """Return the path of the user's file, which does not exist yet."""
    return isolated / "config" / "config.toml"


@pytest.fixture
def local_file(isolated: Path) -> Path:
    """Return the path of the file in the working folder, which does not exist yet."""
    return isolated / "here" / "veo.toml"


def make_facts(**changes: Any) -> ProviderFacts:
    """Return the facts of a provider with one model."""
    row = {
        "name": "scripted",
        "title": "Scripted",
        "base_url": "https://scripted.test",
        "key_env": ("ONE_KEY", "OTHER_KEY"),
        "key_help": "Ask the test.",
        "max_in_flight": 1,
        "submits_per_minute": 1,
        "models": {"m-1": make_model()},
    }
    return ProviderFacts(**row | changes)


class TestLayers:
    """Precedence: flag > environment > ./veo.toml > the user's folder > defaults."""

    def test_the_defaults_are_enough(self) -> None:
        """Without any source the defaults apply."""
        loaded = read_config()
        assert (loaded.config, loaded.origins) == (Config(), {})

    def test_each_layer_overrides_those_below(
        self, user_file: Path, local_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stronger layer overrides a weaker one, and is named as the origin."""
        user_file.write_text('provider = "user"\nmax_cost = 1\ntimeout = 1\nretired = "refuse"')
        local_file.write_text('provider = "local"\nmax_cost = 2\ntimeout = 2')
        monkeypatch.setenv("VEO_PROVIDER", "env")
        monkeypatch.setenv("VEO_MAX_COST", "3")
        loaded = read_config(flags={"provider": "flag", "timeout": None})
        config = loaded.config
        assert (config.provider, config.max_cost, config.timeout, config.retired) == (
            "flag",
            Decimal(3),
            2.0,
            "refuse",
        )
        assert loaded.origins == {
            "provider": "command line",
            "max_cost": "VEO_MAX_COST",
            "timeout": "veo.toml",
            "retired": str(user_file),
        }

    def test_tables_are_merged(self, user_file: Path, local_file: Path) -> None:
        """Tables are merged key by key, at any depth."""
        user_file.write_text('[providers.gemini]\nmodel = "a"\nmax_in_flight = 3')
        local_file.write_text('[providers.gemini]\nmodel = "b"\n[providers.vertex]\nproject = "p"')
        loaded = read_config()
        gemini = loaded.config.for_provider("gemini")
        assert (gemini.model, gemini.max_in_flight) == ("b", 3)
        assert loaded.config.for_provider("vertex").options == {"project": "p"}
        assert loaded.config.for_provider("nobody") == ProviderConfig()
        assert loaded.origins["providers.gemini.max_in_flight"] == str(user_file)

    def test_a_named_file_replaces_the_local_one(self, local_file: Path, tmp_path: Path) -> None:
        """`--config FILE` is read instead of ./veo.toml."""
        local_file.write_text('provider = "local"')
        (tmp_path / "other.toml").write_text("timeout = 5")
        config = read_config(tmp_path / "other.toml").config
        assert (config.provider, config.timeout) == (Config().provider, 5.0)

    @pytest.mark.parametrize(
        ("variable", "text", "field", "value"),
        [
            ("VEO_PROVIDER", "gemini", "provider", "gemini"),
            ("VEO_MODEL", "m", "model", "m"),
            ("VEO_OUTPUT_DIR", "videos", "output_dir", Path("videos")),
            ("VEO_MAX_COST", "0.10", "max_cost", Decimal("0.10")),
            ("VEO_TIMEOUT", "9", "timeout", 9.0),
        ],
    )
    def test_the_environment_is_text(
        self, variable: str, text: str, field: str, value: object
    ) -> None:
        """Text is converted to the type of the setting; an empty variable does not count."""
        assert getattr(read_config(env={variable: text}).config, field) == value
        assert read_config(env={variable: ""}).config == Config()

    def test_money_is_exact(self, local_file: Path) -> None:
        """A TOML float becomes exactly the decimal that was written."""
        local_file.write_text("max_cost = 0.1\n[budget]\ndaily = 20.10\nmonthly = 100")
        config = read_config().config
        assert (config.max_cost, config.budget.daily, config.budget.monthly) == (
            Decimal("0.1"),
            Decimal("20.1"),
            Decimal(100),
        )


SCALARS = st.integers() | st.text(max_size=3)
TABLES = st.recursive(
    st.dictionaries(st.sampled_from("abc"), SCALARS, max_size=3),
    lambda tables: st.dictionaries(st.sampled_from("abc"), SCALARS | tables, max_size=3),
    max_leaves=8,
)


def flatten_values(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every value by its dotted name."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        inner = (
            flatten_values(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {f"{prefix}{key}": value}
        )
        found |= inner
    return found


@given(st.lists(TABLES, max_size=4))
def test_the_strongest_layer_that_sets_a_value_counts(layers: list[dict[str, Any]]) -> None:
    """Each value and its origin come from the last layer that sets it or something in it."""
    merged = _Layers()
    for number, layer in enumerate(layers):
        merged.add(str(number), layer)
    origins = merged.origins
    assert flatten_values(merged.values).keys() == origins.keys()
    for name, value in flatten_values(merged.values).items():
        assert flatten_values(layers[int(origins[name])])[name] == value
        for later in layers[int(origins[name]) + 1 :]:
            assert not [
                other for other in flatten_values(later) if f"{other}.".startswith(f"{name}.")
            ]


@given(TABLES, TABLES)
def test_merging_leaves_the_layers_alone(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Merging does not change the layers."""
    before = repr((one, other))
    merged = _Layers()
    for layer in (one, other, one):
        merged.add("", layer)
    assert repr((one, other)) == before


class TestMistakes:
    """Every error names the origin and the setting."""

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("providr = 'x'", "veo.toml: providr: no such setting"),
            ("[sandbox]\nspeeed = 2", "veo.toml: sandbox.speeed: no such setting"),
            ("base-url = 'x'", "did you mean base_url of [providers.NAME]?"),
            ("[budget]\nmax_cost = 5", "did you mean max_cost, before all tables?"),
            ("timeout = 0", "veo.toml: timeout:"),
            ("timeout = 'soon'", "veo.toml: timeout: must be a number"),
            ("model = 3", "veo.toml: model: must be a text"),
            ("budget = 3", "veo.toml: budget: must be a table"),
            ("providers.gemini.max_in_flight = 1.5", "max_in_flight: must be a whole number"),
            ("max_cost = 'much'", "veo.toml: max_cost: must be a number"),
            ("max_cost = -1", "veo.toml: max_cost:"),
            ("max_cost = nan", "veo.toml: max_cost:"),
            ("max_cost = inf", "veo.toml: max_cost:"),
            ("retired = 'maybe'", "veo.toml: retired:"),
            ("providers = 3", "veo.toml: providers:"),
            ("providers.gemini = 3", "veo.toml: providers.gemini:"),
            ("[providers.gemini]\nmax_in_flight = 0", "veo.toml: providers.gemini.max_in_flight:"),
            ("provider = ", "veo.toml is not valid TOML"),
            ("a = 1\na = 2", "veo.toml is not valid TOML"),
        ],
    )
    def test_in_a_file(self, local_file: Path, text: str, says: str) -> None:
        """Invalid TOML, an unknown setting, a value out of range."""
        local_file.write_text(text)
        with pytest.raises(ConfigError) as caught:
            read_config()
        assert says in str(caught.value)

    def test_all_of_them_at_once(self, local_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """All problems are reported together, one per line."""
        local_file.write_text("timeout = 0\nretired = 1")
        monkeypatch.setenv("VEO_MAX_COST", "much")
        with pytest.raises(ConfigError) as caught:
            read_config()
        places = [line.partition(":")[0] for line in str(caught.value).splitlines()]
        assert sorted(places) == ["VEO_MAX_COST", "veo.toml", "veo.toml"]

    def test_a_file_that_is_not_there(self) -> None:
        """A file given by name must exist."""
        with pytest.raises(ConfigError, match=r"nowhere\.toml: no such"):
            read_config(Path("nowhere.toml"))

    def test_a_file_that_cannot_be_read(self, local_file: Path) -> None:
        """The error has the name and the system's reason; it is not treated as absent."""
        local_file.mkdir()
        with pytest.raises(ConfigError, match=r"veo\.toml: .*irectory"):
            read_config()

    def test_a_file_that_is_not_text(self, local_file: Path) -> None:
        """A file in another encoding is not valid."""
        local_file.write_bytes("provider = 'geminí'".encode("latin-1"))
        with pytest.raises(ConfigError, match=r"veo\.toml is not valid"):
            read_config()


class TestSecrets:
    """A pasted key is refused wherever it is pasted, and never repeated."""

    @pytest.mark.parametrize(
        "text",
        [
            f"api_key = '{SECRET}'",
            f"[providers.gemini]\napi_key = '{SECRET}'",
            f"[providers.gemini]\napi-key = '{SECRET}'",
            f"[providers.gemini]\nAPIKEY = '{SECRET}'",
            f"[providers.gemini]\nkey = '{SECRET}'",
            f"[providers.gemini]\ntoken = '{SECRET}'",
            f"[providers.gemini]\napi_key_env = '{SECRET}'",
            f"[providers.gemini]\nmax_in_flight = '{SECRET}'",
            f"[providers.gemini]\nmodels = '{SECRET}'",
            f"max_cost = '{SECRET}'",
            f"retired = '{SECRET}'",
            f"budget = '{SECRET}'",
            f"sandbox.clip = '{SECRET}'",
            f"provider = {SECRET}",
            f"provider = '{SECRET}",
        ],
    )
    def test_no_error_repeats_a_value(self, local_file: Path, text: str) -> None:
        """Neither the text nor the hint of an error repeats the value."""
        local_file.write_text(text)
        with pytest.raises(ConfigError) as caught:
            read_config()
        assert SECRET not in f"{caught.value}{caught.value.hint}"

    def test_an_option_about_the_key_is_none(self, local_file: Path) -> None:
        """`access_token` of vertex says what the key is; only as a text it would be one."""
        local_file.write_text("[providers.vertex]\naccess_token = true")
        assert read_config().config.providers["vertex"].options == {"access_token": True}
        local_file.write_text(f"[providers.vertex]\naccess_token = '{SECRET}'")
        with pytest.raises(ConfigError, match="must not hold a key"):
            read_config()

    @pytest.mark.parametrize("variable", ["VEO_MAX_COST", "VEO_TIMEOUT"])
    def test_no_error_repeats_a_variable(self, variable: str) -> None:
        """The error names the variable instead."""
        with pytest.raises(ConfigError, match=variable) as caught:
            read_config(env={variable: SECRET})
        assert SECRET not in str(caught.value)

    def test_a_flag_cannot_hold_a_key(self) -> None:
        """A key on the command line would be in the shell's history."""
        with pytest.raises(ConfigError, match="command line"):
            read_config(flags={"providers": {"gemini": {"api_key": SECRET}}})


class TestKeys:
    """Where keys come from."""

    def test_the_first_variable_that_is_set(self) -> None:
        """The first variable that is set wins; spaces around a key are removed."""
        env = {"ONE_KEY": "  ", "OTHER_KEY": " sandbox-key\n"}
        assert find_key_text(make_facts(), ProviderConfig(), env) == "sandbox-key"
        assert find_key_text(make_facts(), ProviderConfig(), env | {"ONE_KEY": "one"}) == "one"

    def test_a_configured_variable_is_the_only_one(self) -> None:
        """If `api_key_env` is set, the usual variables are not tried."""
        config = ProviderConfig(api_key_env="MINE")
        assert find_key_text(make_facts(), config, {"MINE": "mine", "ONE_KEY": "one"}) == "mine"
        with pytest.raises(KeyMissingError, match="MINE is not set"):
            find_key(make_facts(), config, {"ONE_KEY": "one"})

    def test_a_missing_key_is_explained(self) -> None:
        """The error names the variables, how to get a key, and the sandbox, which needs none."""
        with pytest.raises(KeyMissingError, match="ONE_KEY or OTHER_KEY is not set") as caught:
            find_key(make_facts(), ProviderConfig(), {})
        assert "Ask the test." in str(caught.value.hint)
        assert [each.kind for each in caught.value.remedies] == ["use_sandbox"]

    def test_some_providers_need_no_key(self) -> None:
        """A provider with optional keys needs none, unless a variable is configured."""
        assert find_key(make_facts(key_optional=True), ProviderConfig(), {}) is None
        with pytest.raises(KeyMissingError):
            find_key(make_facts(key_optional=True), ProviderConfig(api_key_env="MINE"), {})

    @pytest.mark.parametrize("key", ["two words", "line\nbreak", "“quoted”", "ключ", "nul\0"])
    def test_text_that_cannot_be_a_key_is_refused(self, key: str) -> None:
        """A key that would break a header is refused; the error names the variable, not the key."""
        with pytest.raises(ConfigError, match="ONE_KEY") as caught:
            find_key(make_facts(), ProviderConfig(), {"ONE_KEY": key})
        assert key not in f"{caught.value}{caught.value.hint}"


def find_key_text(about: ProviderFacts, config: ProviderConfig, env: dict[str, str]) -> str:
    key = find_key(about, config, env)
    assert key is not None
    return key.reveal()


def make_model_rows(**models: dict[str, Any]) -> ProviderConfig:
    """Return a configuration of models; `_` in their names stands for `-`."""
    return ProviderConfig(models={name.replace("_", "-"): row for name, row in models.items()})


class TestModels:
    """The user's model rows are merged into the provider's."""

    def test_without_rows_nothing_changes(self) -> None:
        """Without rows of the user the models are those of the facts."""
        assert merge_models(make_facts(), ProviderConfig()) == make_facts().models

    def test_a_row_changes_what_it_sets(self) -> None:
        """A row changes only what it sets, and is marked as overridden."""
        changed = merge_models(make_facts(), make_model_rows(m_1={"price": {"usd": 0.2}}))["m-1"]
        assert (changed.price.usd, changed.overridden) == (Decimal("0.2"), True)
        assert changed.replace(price=make_model().price, overridden=False) == make_model()

    def test_a_row_can_copy_another(self) -> None:
        """A new row can begin as a copy of another, and comes last."""
        made = merge_models(make_facts(), make_model_rows(m_2={"like": "m-1", "durations": [5]}))
        assert list(made) == ["m-1", "m-2"]
        assert (made["m-2"].name, made["m-2"].durations, made["m-2"].provider) == (
            "m-2",
            (5,),
            "scripted",
        )

    def test_a_row_can_copy_an_earlier_one(self) -> None:
        """The other row can be one of the user's own."""
        made = merge_models(
            make_facts(), make_model_rows(m_1={"durations": [5]}, m_2={"like": "m-1"})
        )
        assert made["m-2"].durations == (5,)

    @pytest.mark.parametrize(
        ("row", "says"),
        [
            ({"like": "m-9"}, "no such model"),
            ({"durations": [5]}, "aspect_ratios"),
            ({"like": "m-1", "colour": SECRET}, "colour: no such setting"),
            ({"like": "m-1", "price": {"usd": SECRET}}, "price.usd"),
            ({"like": "m-1", "price": {"usd": -1}}, "price.usd"),
            ({"like": "m-1", "price": {"usd": {"720": 1}}}, "'720' is not a resolution of the"),
            ({"like": "m-1", "price": {"usd": {"8s": 1}, "by": "duration"}}, "'8s' is not a dur"),
        ],
    )
    def test_a_broken_row_is_named(self, row: dict[str, Any], says: str) -> None:
        """The error names the row and the field, not the value."""
        with pytest.raises(ConfigError) as caught:
            merge_models(make_facts(), make_model_rows(m_2=row))
        assert str(caught.value).startswith("providers.scripted.models.m-2")
        assert says in str(caught.value)
        assert SECRET not in str(caught.value)


class TestFolders:
    """The folders of the ledger and the configuration."""

    def test_variables_name_the_folders(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variables name absolute folders; ~ is expanded."""
        monkeypatch.setenv("HOME", "/home/me")
        env = {"VEO_HOME": "~/veo", "VEO_CONFIG_HOME": "~/conf"}
        assert (ledger_folder(env), config_folder(env)) == (
            Path("/home/me/veo"),
            Path("/home/me/conf"),
        )

    def test_without_them_the_platform_does(self) -> None:
        """Without variables both folders are the platform's, named after the program."""
        assert {ledger_folder({}).name, config_folder({}).name} == {"veo"}
        assert ledger_folder({}).is_absolute()

    def test_an_unknown_home_is_not_an_error(self) -> None:
        """A home folder that does not exist leaves the path as it is written."""
        assert to_absolute("~nobody-has-this-name/a").name == "a"
