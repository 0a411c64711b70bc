"""``veo models``, ``providers``, ``doctor``, ``config``: what is installed, and its problems."""

import tomllib
from pathlib import Path

import pytest
from cli_runner import CommandResult, Veo

import veo_sandbox
from veo.config import read_config
from veo.provider import installed_facts

pytest_plugins = ("veo_fixtures",)


def test_every_model_is_listed(veo: Veo) -> None:
    """`veo models --all` lists every model of every installed provider, and so does JSON."""
    expected = {
        (name, model) for name, facts in installed_facts().items() for model in facts.models
    }
    lines = veo("models", "--all").out.splitlines()[1:]
    rows = {(line.split()[2], line.split()[1]) for line in lines}
    objects = {(row["provider"], row["name"]) for row in veo("models", "--json").objects}

    assert rows == expected
    assert objects == expected


def test_an_ended_model_is_not_listed(veo: Veo) -> None:
    """`veo models` lists the models that have not ended, and counts the others."""
    ran = veo("models")
    statuses = {line.split()[0] for line in ran.out.splitlines()[1:]}
    by_status = [row["status"] for row in veo("models", "--json").objects]

    assert statuses == {"current"}
    assert f"{by_status.count('ended')} more past their reported end; --all" in ran.err
    assert "ended" in veo("models", "--all", "--prices").out


def test_models_of_one_provider(veo: Veo) -> None:
    """-p lists the models of one provider; an unknown one is an error."""
    rows = veo("models", "-p", "laozhang-sync", "--json").objects

    assert {row["provider"] for row in rows} == {"laozhang-sync"}
    assert veo("models", "-p", "nope").code == 2


def test_an_overridden_price_is_listed(veo: Veo) -> None:
    """A price in the configuration is the one that is listed."""
    table = '[providers.laozhang-async.models."veo-3.1-fast"]\nprice = { usd = "0.05" }\n'
    Path("veo.toml").write_text(table)
    rows = veo("models", "-p", "laozhang-async", "--all").out.splitlines()

    assert "$0.05/video" in next(row for row in rows if " veo-3.1-fast " in row)


def test_providers_show_whether_a_key_is_set(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """`veo providers` says whether a key is set, and never prints it."""
    monkeypatch.setenv("VEO_API_KEY", "sandbox-key")
    ran, rows = veo("providers"), veo("providers", "--json")
    by_name = {row["name"]: row for row in rows.objects}

    assert "VEO_API_KEY is set" in ran.out
    assert by_name["laozhang-async"]["key_set"] == "VEO_API_KEY"
    assert by_name["laozhang-async"]["configured"]
    assert by_name["gemini"]["key_set"] is None
    assert by_name["laozhang-sync"]["billed"] == ["per call, on acceptance"]
    assert "sandbox-key" not in ran.out + rows.out


def check_statuses(ran: CommandResult) -> dict[str, str]:
    """Return the statuses in the output of `veo doctor --json`, by check."""
    return {check["name"]: check["status"] for check in ran.objects}


def test_a_healthy_installation(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """`veo doctor --ping` finds no problem, and sends only requests that are free of charge."""
    ran = veo("doctor", "--ping", "--json")

    assert ran.code == 0, ran.out
    assert check_statuses(ran)["ledger"] == "ok"
    assert check_statuses(ran)["sandbox"] == "ok"
    assert any("the key is accepted" in check["message"] for check in ran.objects)
    assert service.key not in ran.out
    paths = [request["path"] for request in service.requests()]
    assert paths == ["/v1/", "/v1/models"] * 2  # whether the host responds; whether the key works
    assert service.bills() == []


def test_a_missing_key_is_found(veo: Veo) -> None:
    """`veo doctor` exits with 3 if the key of the default provider is missing, and only then."""
    ran = veo("doctor", "--json")

    assert ran.code == 3
    assert check_statuses(ran)["laozhang-async"] == "fail"
    assert check_statuses(ran)["gemini"] == "off"


def test_a_wrong_key_is_found(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--ping finds a key that the service rejects."""
    monkeypatch.setenv("VEO_API_KEY", "another-key")

    assert veo("doctor").code == 0
    assert veo("doctor", "--ping").code == 3


def test_a_broken_configuration_is_found(veo: Veo) -> None:
    """An invalid file is found; checks that do not need it still run."""
    Path("veo.toml").write_text("provider =")
    ran = veo("doctor", "--json")

    assert ran.code == 3
    assert check_statuses(ran) == {"software": "ok", "configuration": "fail", "ledger": "ok"}


def test_broken_folders_are_found(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger or an output folder that cannot be used is found."""
    Path("file").touch()
    Path("veo.toml").write_text('output_dir = "file/videos"\n')
    monkeypatch.setenv("VEO_HOME", "file/home")
    ran = veo("doctor", "--json")

    assert ran.code == 3
    assert check_statuses(ran)["ledger"] == "fail"
    assert check_statuses(ran)["output"] == "fail"


def test_an_unknown_provider_is_found(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A default provider that is not installed is found."""
    monkeypatch.setenv("VEO_PROVIDER", "nope")
    ran = veo("doctor", "--json")

    assert ran.code == 3
    assert check_statuses(ran)["nope"] == "fail"


def test_settings_have_an_origin(veo: Veo, monkeypatch: pytest.MonkeyPatch, isolated: Path) -> None:
    """`veo config` shows the file, variable or default that each setting comes from."""
    (isolated / "config" / "config.toml").write_text('provider = "gemini"\nmax_cost = 2\n')
    Path("veo.toml").write_text("max_cost = 3\n[budget]\ndaily = 20\n")
    monkeypatch.setenv("VEO_TIMEOUT", "30")
    rows = {row["setting"]: (row["value"], row["from"]) for row in veo("config", "--json").objects}

    assert rows["provider"] == ("gemini", str(isolated / "config" / "config.toml"))
    assert rows["max_cost"] == ("3", "veo.toml")
    assert rows["budget.daily"] == ("20", "veo.toml")
    assert rows["timeout"] == (30.0, "VEO_TIMEOUT")
    assert rows["retired"] == ("warn", "default")


def test_a_typo_in_the_configuration(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """`veo config` shows what is valid, and each typo with the nearest right name."""
    Path("veo.toml").write_text(
        'providr = "x"\nprovider = "gemeni"\nmax_cost = 2\ntimeout = "soon"\n[budgt]\ndaily = 3\n'
        '[providers.gemini]\nbase-url = "x"\n[providers.laozang-sync]\nmodel = "y"\n'
    )
    monkeypatch.setenv("VEO_MODLE", "x")
    ran = veo("config")
    shown = {line.split()[0]: line.split()[1] for line in ran.out.splitlines()}

    assert ran.code == 3
    assert shown["max_cost"] == "2"
    assert shown["timeout"] == "600.0"
    for typo, right in {
        "providr": "provider",
        "provider 'gemeni'": "gemini",
        "budgt": "budget",
        "base-url": "base_url",
        "laozang-sync": "laozhang-sync",
        "VEO_MODLE": "VEO_MODEL",
    }.items():
        assert any(typo in line and f"did you mean {right}?" in line for line in ran.errors), typo


def test_a_text_without_quotation_marks(veo: Veo) -> None:
    """A frequent mistake is named as one, and the value, which may be a key, is not repeated."""
    Path("veo.toml").write_text("max_cost = 2\nprovider = laozhang\n")
    ran = veo("config")

    assert 'line 2: a text needs quotation marks: provider = "..."' in ran.err
    assert "laozhang" not in ran.err
    assert ran.code == 3


def test_the_configuration_of_a_repository(
    veo: Veo, monkeypatch: pytest.MonkeyPatch, isolated: Path
) -> None:
    """In a repository, the closest veo.toml above counts, and its folder for paths in it."""
    here = isolated / "here"
    (here / "a" / "b").mkdir(parents=True)
    (here / "veo.toml").write_text('output_dir = "videos"\n')
    monkeypatch.chdir(here / "a" / "b")
    outside = veo("config", "--json").objects
    (here / ".git").mkdir()
    inside = {row["setting"]: row for row in veo("config", "--json").objects}

    assert {row["from"] for row in outside} == {"default"}
    assert inside["output_dir"]["from"] == str(Path("../../veo.toml"))
    assert Path(inside["output_dir"]["value"]).resolve() == here / "videos"


def test_doctor_looks_for_credentials(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider without a key is not "ok" if a run would find no credentials."""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    def find_nothing(**_: object) -> None:
        raise DefaultCredentialsError("none here")

    monkeypatch.setattr(google.auth, "default", find_nothing)
    monkeypatch.setenv("VEO_PROVIDER", "vertex")
    ran = veo("doctor", "--json")
    (check,) = [each for each in ran.objects if each["name"] == "vertex"]

    assert check["status"] == "fail"
    assert "neither a key nor usable application-default credentials" in check["message"]
    assert ran.code == 3


def test_configuration_files_are_listed(veo: Veo, isolated: Path) -> None:
    """`veo config --path` lists the files that are read, and whether they exist."""
    Path("veo.toml").touch()
    rows = veo("config", "--path", "--json").objects

    assert rows == [
        {"file": str(isolated / "config" / "config.toml"), "found": False},
        {"file": str(Path("veo.toml").absolute()), "found": True},
    ]


def test_a_template_is_written_once(veo: Veo) -> None:
    """`veo config --init` writes a veo.toml, and overwrites one only with --force."""
    first, second = veo("config", "--init"), veo("config", "--init")

    assert (first.code, first.out) == (0, "veo.toml\n")
    assert second.code == 2
    assert veo("config", "--init", "--force").code == 0
    assert veo("config").code == 0


def test_the_template_is_valid(veo: Veo) -> None:
    """Every setting that the template suggests exists."""
    veo("config", "--init")
    lines = Path("veo.toml").read_text().splitlines()
    suggested = [line.removeprefix("# ") for line in lines if "=" in line or line[2:3] == "["]
    Path("veo.toml").write_text("\n".join(suggested))
    config = read_config().config

    assert tomllib.loads(Path("veo.toml").read_text())["provider"] == config.provider
    for name, facts in installed_facts().items():
        assert set(config.for_provider(name).options) <= set(facts.options)
