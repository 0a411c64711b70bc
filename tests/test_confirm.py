"""One rule for spending: above ``confirm_above`` a question, or an error without a terminal."""

import io
import json
import re
from pathlib import Path

import pytest
from cli_runner import Veo

import veo_sandbox

pytest_plugins = ("veo_fixtures",)

# Every command that pays, for $0.30: two videos, or one with an unknown outcome sent again.
PAYING = {
    "generate": "generate lion -m gemini-omni-1.2-flash",
    "batch": "batch items.json",
    "compare": "compare lion --on laozhang-async,laozhang-sync",
    "resume": "resume JOB --resubmit",
}


@pytest.fixture
def paying(
    request: pytest.FixtureRequest,
    veo: Veo,
    service: veo_sandbox.Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """A command that pays $0.15 to $0.30, with a limit of $0.10 above which it must ask."""
    Path("items.json").write_text(json.dumps([{"prompt": "a"}, {"prompt": "b"}]))
    job = "JOB"
    if request.param == "resume":
        service.fault("drop_answer", on="create")
        job = veo("generate", "lion", "--json").objects[0]["job"]
        service.clear_faults()
    monkeypatch.setenv("VEO_CONFIRM_ABOVE", "0.10")
    return PAYING[request.param].replace("JOB", job).split()


def type_on_terminal(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("veo_commands.confirm.is_interactive", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.mark.parametrize("paying", PAYING, indirect=True)
def test_nobody_can_answer(veo: Veo, service: veo_sandbox.Sandbox, paying: list[str]) -> None:
    """Without a terminal nothing is sent; the error names both ways to consent."""
    before = len(service.tasks())
    ran = veo(*paying)

    assert ran.code == 4, ran.err
    assert "confirm_above of $0.10" in ran.err
    assert "--yes" in ran.err
    assert "--max-cost" in ran.err
    assert len(service.tasks()) == before


@pytest.mark.parametrize("paying", PAYING, indirect=True)
@pytest.mark.parametrize("consent", [("--yes",), ("--max-cost", "1")])
def test_a_consent(veo: Veo, paying: list[str], consent: tuple[str, ...]) -> None:
    """--yes and --max-cost are consents."""
    assert veo(*paying, *consent).code == 0


@pytest.mark.parametrize("confirms", [True, False])
@pytest.mark.parametrize("paying", ["generate"], indirect=True)
def test_a_question(
    veo: Veo,
    service: veo_sandbox.Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    paying: list[str],
    *,
    confirms: bool,
) -> None:
    """On a terminal the user decides, after the price was printed."""
    type_on_terminal(monkeypatch, "y\n" if confirms else "n\n")
    ran = veo(*paying)

    assert ran.code == (0 if confirms else 2), ran.err
    assert "Pay up to $0.30?" in ran.err
    assert len(service.tasks()) == int(confirms)


@pytest.mark.parametrize(
    ("command", "price"),
    [
        ("generate lion --takes 2", r"2 takes, about (\S+) in total"),
        ("batch items.json", r"2 to make; about (\S+) to pay"),
    ],
)
def test_a_price_by_usage_is_no_maximum(
    veo: Veo, monkeypatch: pytest.MonkeyPatch, command: str, price: str
) -> None:
    """The question, and the line before it, give an estimate where usage is charged."""
    Path("items.json").write_text(json.dumps([{"prompt": "a"}, {"prompt": "b"}]))
    monkeypatch.setenv("VEO_CONFIRM_ABOVE", "0.10")
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    type_on_terminal(monkeypatch, "n\n")
    ran = veo(*command.split(), "-p", "gemini")

    assert ran.code == 2
    found = re.search(price, ran.err)
    assert found, ran.err
    assert f"Pay about {found[1]}?" in ran.err


def test_play_money_never_asks(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --sandbox nothing is asked."""
    monkeypatch.setenv("VEO_CONFIRM_ABOVE", "0")
    Path("veo.toml").write_text('[sandbox]\nlatency = "0"\nclip = "tiny"\n')

    assert veo("generate", "a lion", "--sandbox", "-o", "lion.mp4").code == 0


def test_less_is_not_asked(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A cost up to confirm_above is paid without a question."""
    assert veo("generate", "a lion").code == 0
