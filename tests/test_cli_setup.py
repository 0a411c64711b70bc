"""``veo models``, ``providers``, ``doctor``, ``config``: what there is, and whether it works."""

import tomllib
from pathlib import Path

import pytest
from cli_runner import CommandResult, Veo

import veo_sandbox
from veo.config import read_config
from veo.provider import installed_providers

pytest_plugins = ("veo_fixtures",)


def test_every_model_is_listed(veo: Veo) -> None:
    """`veo models` lists every model of every installed provider, as a table and as JSON."""
    known = {
        (name, model) for name, cls in installed_providers().items() for model in cls.facts.models
    }
    rows = {tuple(line.split()[:2]) for line in veo("models").out.splitlines()[1:]}
    objects = {(row["provider"], row["name"]) for row in veo("models", "--json").objects}

    assert rows == known
    assert objects == known


def test_models_of_one_provider(veo: Veo) -> None:
    """-p leaves out the others; one that is not there is an error."""
    rows = veo("models", "-p", "laozhang-sync", "--json").objects

    assert {row["provider"] for row in rows} == {"laozhang-sync"}
    assert veo("models", "-p", "nope").code == 2


def test_an_overridden_price_is_listed(veo: Veo) -> None:
    """A price of the user's own is the one that is listed."""
    table = '[providers.laozhang-async.models."veo-3.1-fast"]\nprice = { usd = "0.05" }\n'
    Path("veo.toml").write_text(table)
    rows = veo("models", "-p", "laozhang-async").out.splitlines()

    assert "$0.05/video" in next(row for row in rows if " veo-3.1-fast " in row)


def test_providers_tell_their_keys_state(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """`veo providers` says whether a key is set and never what it is."""
    monkeypatch.setenv("VEO_API_KEY", "sandbox-key")
    ran, rows = veo("providers"), veo("providers", "--json")
    by_name = {row["name"]: row for row in rows.objects}

    assert "VEO_API_KEY is set" in ran.out
    assert by_name["laozhang-async"]["key_set"] == "VEO_API_KEY"
    assert by_name["laozhang-async"]["configured"]
    assert by_name["gemini"]["key_set"] is None
    assert by_name["laozhang-sync"]["billed"] == ["per call, on acceptance"]
    assert "sandbox-key" not in ran.out + rows.out


def statuses(ran: CommandResult) -> dict[str, str]:
    """What `veo doctor --json` found, by check."""
    return {check["name"]: check["status"] for check in ran.objects}


def test_a_healthy_installation(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """`veo doctor --ping` finds nothing broken, and asks the service free of charge."""
    ran = veo("doctor", "--ping", "--json")

    assert ran.code == 0, ran.out
    assert statuses(ran)["ledger"] == "ok"
    assert statuses(ran)["sandbox"] == "ok"
    assert any("the key is accepted" in check["message"] for check in ran.objects)
    assert service.key not in ran.out
    assert [ask["path"] for ask in service.requests()] == ["/v1/models"] * 2
    assert service.bills() == []


def test_a_missing_key_is_found(veo: Veo) -> None:
    """Without the configured provider's key `veo doctor` fails with 3; other keys may lack."""
    ran = veo("doctor", "--json")

    assert ran.code == 3
    assert statuses(ran)["laozhang-async"] == "fail"
    assert statuses(ran)["gemini"] == "off"


def test_a_wrong_key_is_found(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--ping finds a key that the service refuses."""
    monkeypatch.setenv("VEO_API_KEY", "another-key")

    assert veo("doctor").code == 0
    assert veo("doctor", "--ping").code == 3


def test_a_broken_configuration_is_found(veo: Veo) -> None:
    """A broken file is found, and what does not depend on it is checked all the same."""
    Path("veo.toml").write_text("provider =")
    ran = veo("doctor", "--json")

    assert ran.code == 3
    assert statuses(ran) == {"software": "ok", "configuration": "fail", "ledger": "ok"}


def test_broken_folders_are_found(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger or an output folder that cannot be is found."""
    Path("file").touch()
    Path("veo.toml").write_text('output_dir = "file/videos"\n')
    monkeypatch.setenv("VEO_HOME", "file/home")
    ran = veo("doctor", "--json")

    assert ran.code == 3
    assert statuses(ran)["ledger"] == "fail"
    assert statuses(ran)["output"] == "fail"


def test_an_unknown_provider_is_found(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configured provider that is not installed is found."""
    monkeypatch.setenv("VEO_PROVIDER", "nope")
    ran = veo("doctor", "--json")

    assert ran.code == 3
    assert statuses(ran)["nope"] == "fail"


def test_settings_name_their_origin(
    veo: Veo, monkeypatch: pytest.MonkeyPatch, isolated: Path
) -> None:
    """`veo config` says of every setting which file, variable or default it comes from."""
    (isolated / "config" / "config.toml").write_text('provider = "gemini"\nmax_cost = 2\n')
    Path("veo.toml").write_text("max_cost = 3\n[budget]\ndaily = 20\n")
    monkeypatch.setenv("VEO_TIMEOUT", "30")
    rows = {row["setting"]: (row["value"], row["from"]) for row in veo("config", "--json").objects}

    assert rows["provider"] == ("gemini", str(isolated / "config" / "config.toml"))
    assert rows["max_cost"] == ("3", "veo.toml")
    assert rows["budget.daily"] == ("20", "veo.toml")
    assert rows["timeout"] == (30.0, "VEO_TIMEOUT")
    assert rows["retired"] == ("warn", "default")


def test_places_of_configuration(veo: Veo, isolated: Path) -> None:
    """`veo config --path` names every file that is looked for, and which are there."""
    Path("veo.toml").touch()
    rows = veo("config", "--path", "--json").objects

    assert rows == [
        {"file": str(isolated / "config" / "config.toml"), "found": False},
        {"file": str(Path("veo.toml").absolute()), "found": True},
    ]


def test_a_template_is_written_once(veo: Veo) -> None:
    """`veo config --init` writes a veo.toml, and replaces none without --force."""
    first, second = veo("config", "--init"), veo("config", "--init")

    assert (first.code, first.out) == (0, "veo.toml\n")
    assert second.code == 2
    assert veo("config", "--init", "--force").code == 0
    assert veo("config").code == 0


def test_the_template_is_true(veo: Veo) -> None:
    """Every line that the template suggests is a setting that there is."""
    veo("config", "--init")
    lines = Path("veo.toml").read_text().splitlines()
    suggested = [line.removeprefix("# ") for line in lines if "=" in line or line[2:3] == "["]
    Path("veo.toml").write_text("\n".join(suggested))
    config = read_config().config

    assert tomllib.loads(Path("veo.toml").read_text())["provider"] == config.provider
    for name, cls in installed_providers().items():
        assert set(config.for_provider(name).model_extra or {}) <= set(cls.facts.options)
