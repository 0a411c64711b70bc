"""Configuration: which value counts, where it came from, and that no error repeats one."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import make_model

from veo.config import Config, ProviderConfig, _merge_layer, find_key, merge_models, read_config
from veo.errors import ConfigError, KeyMissingError
from veo.model import Facts
from veo.paths import config_folder, ledger_folder, to_absolute

SECRET = "sandbox-SECRET-0123456789"


@pytest.fixture
def user(isolated: Path) -> Path:
    """The user's own file, not yet there."""
    return isolated / "config" / "config.toml"


@pytest.fixture
def local(isolated: Path) -> Path:
    """The file of the working folder, not yet there."""
    return isolated / "here" / "veo.toml"


def facts(**changes: Any) -> Facts:
    """A provider with one model."""
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
    return Facts.model_validate(row | changes)


class TestLayers:
    """Flag > environment > ./veo.toml > the user's folder > defaults."""

    def test_nothing_is_needed(self) -> None:
        """The defaults do."""
        loaded = read_config()
        assert (loaded.config, loaded.origins) == (Config(), {})

    def test_each_layer_counts_over_those_below(
        self, user: Path, local: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And says where it came from."""
        user.write_text('provider = "user"\nmax_cost = 1\ntimeout = 1\nretired = "refuse"')
        local.write_text('provider = "local"\nmax_cost = 2\ntimeout = 2')
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
            "retired": str(user),
        }

    def test_tables_are_merged(self, user: Path, local: Path) -> None:
        """Key by key, however deep."""
        user.write_text('[providers.gemini]\nmodel = "a"\nmax_in_flight = 3')
        local.write_text('[providers.gemini]\nmodel = "b"\n[providers.vertex]\nproject = "p"')
        loaded = read_config()
        gemini = loaded.config.for_provider("gemini")
        assert (gemini.model, gemini.max_in_flight) == ("b", 3)
        assert loaded.config.for_provider("vertex").model_extra == {"project": "p"}
        assert loaded.config.for_provider("nobody") == ProviderConfig()
        assert loaded.origins["providers.gemini.max_in_flight"] == str(user)

    def test_a_named_file_stands_for_the_local_one(self, local: Path, tmp_path: Path) -> None:
        """`--config FILE`."""
        local.write_text('provider = "local"')
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
        """And becomes what the setting is; an empty variable is none."""
        assert getattr(read_config(env={variable: text}).config, field) == value
        assert read_config(env={variable: ""}).config == Config()

    def test_money_is_exact(self, local: Path) -> None:
        """A float of TOML is the decimal that was written."""
        local.write_text("max_cost = 0.1\n[budget]\ndaily = 20.10\nmonthly = 100")
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


def leaves(table: dict[str, Any], at: str = "") -> dict[str, Any]:
    """Every value by its dotted name."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        inner = leaves(value, f"{at}{key}.") if isinstance(value, dict) else {f"{at}{key}": value}
        found |= inner
    return found


@given(st.lists(TABLES, max_size=4))
def test_the_highest_layer_that_says_something_counts(layers: list[dict[str, Any]]) -> None:
    """Every value and its origin are those of the last layer that names it, or something in it."""
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for number, layer in enumerate(layers):
        _merge_layer(merged, layer, origins, str(number))
    assert leaves(merged).keys() == origins.keys()
    for name, value in leaves(merged).items():
        assert leaves(layers[int(origins[name])])[name] == value
        for later in layers[int(origins[name]) + 1 :]:
            assert not [said for said in leaves(later) if f"{said}.".startswith(f"{name}.")]


@given(TABLES, TABLES)
def test_merging_leaves_the_layers_alone(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Files and flags are read, not written."""
    before = repr((one, other))
    merged: dict[str, Any] = {}
    for layer in (one, other, one):
        _merge_layer(merged, layer, {}, "")
    assert repr((one, other)) == before


class TestMistakes:
    """Each names the place and the setting."""

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("providr = 'x'", "veo.toml: providr: no such setting"),
            ("[sandbox]\nspeeed = 2", "veo.toml: sandbox.speeed: no such setting"),
            ("timeout = 0", "veo.toml: timeout:"),
            ("timeout = 'soon'", "veo.toml: timeout:"),
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
    def test_in_a_file(self, local: Path, text: str, says: str) -> None:
        """Broken TOML, an unknown setting, a value out of its range."""
        local.write_text(text)
        with pytest.raises(ConfigError) as caught:
            read_config()
        assert says in str(caught.value)

    def test_all_of_them_at_once(self, local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A line each."""
        local.write_text("timeout = 0\nretired = 1")
        monkeypatch.setenv("VEO_MAX_COST", "much")
        with pytest.raises(ConfigError) as caught:
            read_config()
        places = [line.partition(":")[0] for line in str(caught.value).splitlines()]
        assert sorted(places) == ["VEO_MAX_COST", "veo.toml", "veo.toml"]

    def test_a_file_that_is_not_there(self) -> None:
        """A named file has to be."""
        with pytest.raises(ConfigError, match=r"nowhere\.toml: no such"):
            read_config(Path("nowhere.toml"))

    def test_a_file_that_cannot_be_read(self, local: Path) -> None:
        """The error of the system, with the name; a broken file is not the same as none."""
        local.mkdir()
        with pytest.raises(ConfigError, match=r"veo\.toml: .*irectory"):
            read_config()

    def test_a_file_that_is_no_text(self, local: Path) -> None:
        """Saved in another encoding."""
        local.write_bytes("provider = 'geminí'".encode("latin-1"))
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
    def test_no_error_repeats_a_value(self, local: Path, text: str) -> None:
        """Neither in its text nor in its hint."""
        local.write_text(text)
        with pytest.raises(ConfigError) as caught:
            read_config()
        assert SECRET not in f"{caught.value}{caught.value.hint}"

    @pytest.mark.parametrize("variable", ["VEO_MAX_COST", "VEO_TIMEOUT"])
    def test_nor_one_of_the_environment(self, variable: str) -> None:
        """The variable is named instead."""
        with pytest.raises(ConfigError, match=variable) as caught:
            read_config(env={variable: SECRET})
        assert SECRET not in str(caught.value)

    def test_a_flag_is_no_way_for_a_key_either(self) -> None:
        """It would be in the shell's history."""
        with pytest.raises(ConfigError, match="command line"):
            read_config(flags={"providers": {"gemini": {"api_key": SECRET}}})


class TestKeys:
    """Where a key comes from."""

    def test_the_first_variable_that_is_set(self) -> None:
        """Blanks around it are not part of it, and blanks alone are none."""
        env = {"ONE_KEY": "  ", "OTHER_KEY": " sandbox-key\n"}
        assert _revealed(facts(), ProviderConfig(), env) == "sandbox-key"
        assert _revealed(facts(), ProviderConfig(), env | {"ONE_KEY": "one"}) == "one"

    def test_a_configured_variable_is_the_only_one(self) -> None:
        """The usual ones are not tried behind the user's back."""
        config = ProviderConfig(api_key_env="MINE")
        assert _revealed(facts(), config, {"MINE": "mine", "ONE_KEY": "one"}) == "mine"
        with pytest.raises(KeyMissingError, match="MINE is not set"):
            find_key(facts(), config, {"ONE_KEY": "one"})

    def test_no_key_says_which_where_and_what_else(self) -> None:
        """The variables, where keys come from, and that the sandbox needs none."""
        with pytest.raises(KeyMissingError, match="ONE_KEY or OTHER_KEY is not set") as caught:
            find_key(facts(), ProviderConfig(), {})
        assert "Ask the test." in str(caught.value.hint)
        assert [each.kind for each in caught.value.remedies] == ["use_sandbox"]

    def test_some_providers_can_do_without(self) -> None:
        """Unless a variable was named."""
        assert find_key(facts(key_optional=True), ProviderConfig(), {}) is None
        with pytest.raises(KeyMissingError):
            find_key(facts(key_optional=True), ProviderConfig(api_key_env="MINE"), {})

    @pytest.mark.parametrize("key", ["two words", "line\nbreak", "“quoted”", "ключ", "nul\0"])
    def test_what_no_key_holds_is_refused(self, key: str) -> None:
        """By the name of the variable, before it breaks a header, and unrepeated."""
        with pytest.raises(ConfigError, match="ONE_KEY") as caught:
            find_key(facts(), ProviderConfig(), {"ONE_KEY": key})
        assert key not in f"{caught.value}{caught.value.hint}"


def _revealed(about: Facts, config: ProviderConfig, env: dict[str, str]) -> str:
    key = find_key(about, config, env)
    assert key is not None
    return key.reveal()


def rows(**models: dict[str, Any]) -> ProviderConfig:
    """A configuration of models; `_` stands for `-` in their names."""
    return ProviderConfig(models={name.replace("_", "-"): row for name, row in models.items()})


class TestModels:
    """The user's rows over the provider's."""

    def test_nothing_said_nothing_changed(self) -> None:
        """The rows are those of the facts."""
        assert merge_models(facts(), ProviderConfig()) == facts().models

    def test_a_row_is_changed_where_it_is_said(self) -> None:
        """A price, and that the user said it; all else stays."""
        changed = merge_models(facts(), rows(m_1={"price": {"usd": 0.2}}))["m-1"]
        assert (changed.price.usd, changed.overridden) == (Decimal("0.2"), True)
        assert (
            changed.model_copy(update={"price": make_model().price, "overridden": False})
            == make_model()
        )

    def test_a_row_can_be_like_another(self) -> None:
        """A new model of a known kind, behind the known ones."""
        made = merge_models(facts(), rows(m_2={"like": "m-1", "durations": [5]}))
        assert list(made) == ["m-1", "m-2"]
        assert (made["m-2"].name, made["m-2"].durations, made["m-2"].provider) == (
            "m-2",
            (5,),
            "scripted",
        )

    def test_a_later_row_can_be_like_an_earlier_one(self) -> None:
        """Also of the user's."""
        made = merge_models(facts(), rows(m_1={"durations": [5]}, m_2={"like": "m-1"}))
        assert made["m-2"].durations == (5,)

    @pytest.mark.parametrize(
        ("row", "says"),
        [
            ({"like": "m-9"}, "no such model"),
            ({"durations": [5]}, "aspect_ratios"),
            ({"like": "m-1", "colour": SECRET}, "colour: no such setting"),
            ({"like": "m-1", "price": {"usd": SECRET}}, "price.usd"),
            ({"like": "m-1", "price": {"usd": -1}}, "price.usd"),
        ],
    )
    def test_a_broken_row_is_named(self, row: dict[str, Any], says: str) -> None:
        """With what is wrong, and without the value."""
        with pytest.raises(ConfigError) as caught:
            merge_models(facts(), rows(m_2=row))
        assert str(caught.value).startswith("providers.scripted.models.m-2")
        assert says in str(caught.value)
        assert SECRET not in str(caught.value)


class TestPlaces:
    """Where things live."""

    def test_variables_name_the_folders(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From the root on, with the user's home in them."""
        monkeypatch.setenv("HOME", "/home/me")
        env = {"VEO_HOME": "~/veo", "VEO_CONFIG_HOME": "~/conf"}
        assert (ledger_folder(env), config_folder(env)) == (
            Path("/home/me/veo"),
            Path("/home/me/conf"),
        )

    def test_without_them_the_platform_does(self) -> None:
        """Two folders named after the program."""
        assert {ledger_folder({}).name, config_folder({}).name} == {"veo"}
        assert ledger_folder({}).is_absolute()

    def test_nobodys_home_is_no_error(self) -> None:
        """It stays as it was written, and is then not found like anything else."""
        assert to_absolute("~nobody-has-this-name/a").name == "a"
