"""``veo models --live``: what the providers say that they offer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runner import CommandResult, Veo

import veo_sandbox
from veo.paths import ledger_folder
from veo.runtime import offers
from veo.runtime.offers import OfferStore

pytest_plugins = ("veo_fixtures",)

OMNI = "gemini-omni-1.2-flash"

GOOGLE = """
[providers.gemini]
base_url = "{url}"
median_s = 0.2
[providers.vertex]
base_url = "{url}"
median_s = 0.2
project = "p"
key_is_access_token = true
[providers.gemini.models."gemini-omni-1.3-flash"]
like = "gemini-omni-1.2-flash"
"""


@pytest.fixture
def gateway(serve_as_live: Callable[..., veo_sandbox.Sandbox]) -> veo_sandbox.Sandbox:
    """A sandbox that ``veo`` takes for the live service, and that offers a few models only."""
    return serve_as_live(offered="muse-video, veo-9, veo-3.1-fast")


def list_statuses(ran: CommandResult) -> dict[str, str]:
    """Return the status of each model."""
    assert ran.code == 0, ran.err
    return {row["model"]: row["status"] for row in ran.objects}


def ask(veo: Veo) -> dict[str, str]:
    """Run the command for the gateway."""
    return list_statuses(veo("models", "--live", "-p", "laozhang-async", "--json"))


def test_each_row_is_marked(veo: Veo, gateway: veo_sandbox.Sandbox) -> None:
    """Names that no row knows are listed as well; nothing is charged."""
    found = ask(veo)
    assert {OMNI: found[OMNI], "muse-video": found["muse-video"], "veo-9": found["veo-9"]} == {
        OMNI: "not offered to this key",
        "muse-video": "offered",
        "veo-9": "offered, without a row",
    }
    assert gateway.bills() == []


def test_a_table(veo: Veo, gateway: veo_sandbox.Sandbox) -> None:
    """The time of the list is shown."""
    ran = veo("models", "--live", "-p", "laozhang-async")
    (row,) = [line for line in ran.out.splitlines() if "muse-video " in line]
    assert row.split()[2] == "offered"
    assert row.split()[3].startswith("20")


def test_the_list_decides_which_model_is_chosen(veo: Veo, gateway: veo_sandbox.Sandbox) -> None:
    """Also against reported dates: what is offered lives."""
    before = veo("generate", "a lion", "--dry-run", "--json").objects[0]["model"]
    ask(veo)
    after = veo("generate", "a lion", "--dry-run", "--json")
    named = veo("generate", "a lion", "-m", "veo-3.1-fast", "--dry-run")

    assert (before, after.objects[0]["model"]) == (OMNI, "muse-video")
    assert ("warning" in after.err, "warning" in named.err) == (False, False)


def test_a_named_model_that_is_not_offered(veo: Veo, gateway: veo_sandbox.Sandbox) -> None:
    """It is sent with a warning, and refused by the service without a charge."""
    ask(veo)
    ran = veo("generate", "a lion", "-m", OMNI)

    assert f"laozhang-async does not offer {OMNI} to this key" in ran.err
    assert ran.code != 0
    assert gateway.bills() == []


@pytest.mark.slow
def test_a_new_model_of_veo(
    veo: Veo, serve_as_live: Callable[..., veo_sandbox.Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row for it makes a video at the wire of the row that it begins as, at that row's price."""
    google = serve_as_live(GOOGLE, offered="veo-4.0-generate-001")
    monkeypatch.setenv("GOOGLE_API_KEY", google.key)
    with Path("veo.toml").open("a") as file:
        file.write('[providers.vertex.models."veo-4.0-generate-001"]\n')
        file.write('like = "veo-3.1-fast-generate-001"\n')
    ran = veo("generate", "a lion", "-p", "vertex", "-m", "veo-4.0-generate-001", "--json")

    assert (ran.code, ran.objects[0]["cost"]["charged"]) == (0, 0.8), ran.err
    assert [bill["model"] for bill in google.bills()] == ["veo-4.0-generate-001"]


def test_providers_without_a_list(veo: Veo, gateway: veo_sandbox.Sandbox) -> None:
    """All providers are asked by default; those that have no list, or no key, are not known."""
    rows = veo("models", "--live", "--json").objects
    statuses = {(row["provider"], row["status"]) for row in rows}
    assert ("laozhang-async", "offered") in statuses
    assert ("laozhang-sync", "not offered to this key") in statuses
    assert ("vertex", "not known") in statuses


def test_lists_of_google(
    veo: Veo, serve_as_live: Callable[..., veo_sandbox.Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both APIs have one; a new model is used by a row that begins as another one."""
    offered = "gemini-omni-1.3-flash, veo-3.1-generate-001, gemini-omni-1.1-flash-preview"
    google = serve_as_live(GOOGLE, offered=offered, processing_lag=0)
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, google.key)
    found = {
        provider: list_statuses(veo("models", "--live", "-p", provider, "--json"))
        for provider in ("gemini", "vertex")
    }
    plans = {
        provider: veo("generate", "a lion", "-p", provider, "--dry-run", "--json").objects[0]
        for provider in found
    }

    assert found["gemini"][OMNI] == found["vertex"][OMNI] == "not offered to this key"
    assert found["gemini"]["gemini-omni-1.3-flash"] == "offered"
    assert found["vertex"]["gemini-omni-1.3-flash"] == "offered, without a row"
    assert plans["gemini"]["model"] == "gemini-omni-1.3-flash"
    assert plans["vertex"]["model"] == "veo-3.1-generate-001"
    assert google.bills() == []


def test_doctor_uses_the_list(veo: Veo, gateway: veo_sandbox.Sandbox) -> None:
    """The default model is the one that would be chosen."""
    ask(veo)
    assert "muse-video" in veo("doctor").out


def test_a_list_is_kept_for_a_day(
    veo: Veo, gateway: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the rows decide again."""
    ask(veo)
    monkeypatch.setattr(offers, "MAX_AGE_S", 0.0)
    assert veo("generate", "a lion", "--dry-run", "--json").objects[0]["model"] == OMNI


def test_a_provider_that_cannot_be_asked(
    veo: Veo, gateway: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are not known, and the command goes on."""
    monkeypatch.setenv("VEO_API_KEY", "another-key")
    ran = veo("models", "--live", "-p", "laozhang-async", "--json")

    assert set(list_statuses(ran).values()) == {"not known"}
    assert "warning: laozhang-async: " in ran.err
    assert not (ledger_folder() / "offers.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"p": 1}', '{"p": {"at": "x", "names": 1}}'])
def test_an_unreadable_file_is_no_list(tmp_path: Path, text: str) -> None:
    """It is replaced by the next list."""
    file = tmp_path / "offers.json"
    file.write_text(text)
    store = OfferStore(file)

    assert store.recent_names() == {}
    store.save("p", ["m"])
    body: Any = json.loads(file.read_text())
    assert body["p"]["names"] == ["m"]
    assert OfferStore(file).recent_names() == {"p": ("m",)}
