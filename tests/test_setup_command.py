"""``veo setup`` leads to a working configuration, and ``veo schema`` describes the files."""

import io
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli_runner import Veo
from records import make_record

import veo_sandbox
from veo.config import find_key, read_config
from veo.files.sidecar import job_to_json
from veo.provider import find_provider

pytest_plugins = ("veo_fixtures",)


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring that is a dictionary."""
    kept: dict[tuple[str, str], str] = {}
    module = SimpleNamespace(
        get_password=lambda service, name: kept.get((service, name)),
        set_password=lambda service, name, key: kept.__setitem__((service, name), key),
    )
    monkeypatch.setitem(sys.modules, "keyring", module)
    return kept


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who chooses the first provider and types the sandbox's key."""
    monkeypatch.setattr("veo_commands.commands.setup.is_interactive", lambda: True)
    monkeypatch.setattr("veo_commands.commands.setup.getpass", lambda _: "sandbox-key")
    monkeypatch.setattr("sys.stdin", io.StringIO("laozhang-async\n"))


@pytest.mark.usefixtures("typing")
def test_a_key_is_asked_stored_and_checked(
    veo: Veo,
    service: veo_sandbox.Sandbox,
    keyring: dict[tuple[str, str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The provider is written into veo.toml, the key into the keyring, and a run finds both."""
    monkeypatch.delenv("VEO_API_KEY")
    ran = veo("setup", "--force")

    assert ran.code == 0, ran.err
    assert "the key is accepted" in ran.err
    assert "sandbox-key" not in ran.err + ran.out + Path("veo.toml").read_text()
    assert tomllib.loads(Path("veo.toml").read_text()) == {"provider": "laozhang-async"}
    assert keyring == {("veo", "VEO_API_KEY"): "sandbox-key"}
    found = find_key(find_provider("laozhang-async").facts, read_config().config.for_provider("x"))
    assert found is not None
    assert found.reveal() == "sandbox-key"


@pytest.mark.usefixtures("typing")
def test_without_a_keyring_the_variable_is_named(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can keep the key, the line that sets it is shown, without the key."""
    monkeypatch.delenv("VEO_API_KEY")
    monkeypatch.setitem(sys.modules, "keyring", None)
    ran = veo("setup")

    assert ran.code == 0, ran.err
    assert "VEO_API_KEY=KEY" in ran.err
    assert "sandbox-key" not in ran.err + ran.out


@pytest.mark.usefixtures("typing")
def test_the_sandbox_needs_no_key(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked for one, and `veo doctor` says whose key is used."""
    monkeypatch.delenv("VEO_API_KEY", raising=False)
    monkeypatch.setattr("veo_commands.commands.setup.getpass", pytest.fail)
    ran = veo("setup", "--sandbox")
    checks = {each["name"]: each for each in veo("doctor", "--sandbox", "--json").objects}

    assert (ran.code, Path("veo.toml").exists()) == (0, True)
    assert {checks[name]["message"].partition(";")[0] for name in ("gemini", "laozhang-async")} == {
        "has the key of the sandbox"
    }


@pytest.mark.usefixtures("typing")
def test_the_end_of_input_at_a_question(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-D ends the command as Ctrl-C does; nothing is written."""
    monkeypatch.delenv("VEO_API_KEY", raising=False)
    for stdin in ("", "laozhang-async\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        monkeypatch.setattr("veo_commands.commands.setup.getpass", _end_input)
        ran = veo("setup")

        assert (ran.code, ran.err.splitlines()[-1]) == (130, "interrupted"), ran.err
        assert not Path("veo.toml").exists()


def _end_input(_: str) -> str:
    raise EOFError


def test_a_wrong_key_is_told(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that the provider rejects ends with the exit code of a set-up problem."""
    monkeypatch.setenv("VEO_API_KEY", "another-key")
    ran = veo("setup", "-p", "laozhang-async")

    assert ran.code == 3
    assert "the provider rejected the key" in ran.err
    assert "veo.toml exists already" in ran.err


def test_the_schema_of_the_configuration(veo: Veo) -> None:
    """It knows every setting of the template."""
    schema = json.loads(veo("schema", "config").out)

    assert {"provider", "max_cost", "confirm_above", "providers"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_the_schema_that_the_file_names(veo: Veo) -> None:
    """The file names its schema and the command that prints it, which knows every table of it."""
    veo("config", "--init")
    text = Path("veo.toml").read_text("utf-8")
    named = re.match(r"#:schema (\S+)\n# .*`veo (schema config) > \1`", text)
    assert named
    schema = json.loads(veo(*named[2].split()).out)
    suggested = re.sub(r"(?m)^# (?=\[|\w+ = )", "", text)

    assert list(_find_unknown_keys(tomllib.loads(suggested), schema, schema["$defs"])) == []


def _find_unknown_keys(
    table: dict[str, Any], schema: dict[str, Any], definitions: dict[str, Any]
) -> Iterator[str]:
    schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    for key, value in table.items():
        inner = schema.get("properties", {}).get(key, schema["additionalProperties"])
        if not inner:
            yield key
        elif isinstance(value, dict) and inner is not True:
            yield from _find_unknown_keys(value, inner, definitions)


def test_the_schema_of_a_job(veo: Veo) -> None:
    """It has the keys of a job in JSON."""
    schema = json.loads(veo("schema", "job").out)

    assert list(schema["properties"]) == list(job_to_json(make_record()))


def test_the_schema_of_a_batch(veo: Veo) -> None:
    """It describes an item; an unknown kind is an error that lists the known ones."""
    schema = json.loads(veo("schema", "batch").out)

    assert schema["items"]["required"] == ["prompt"]
    assert veo("schema", "nope").code == 2
