"""The command that records cassettes: what it refuses, what it shows first, what it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import cassette_record
import pytest
from cassette_cases import Take, takes
from cassette_folder import Recording, cassettes, read
from cassette_record import main
from cassette_session import live

KEYS = {"VEO_API_KEY": "play", "GEMINI_API_KEY": "play", "GOOGLE_API_KEY": "play"}


class Recorded:
    """What would have been recorded."""

    def __init__(self) -> None:
        self.takes: list[Take] = []
        self.keys: dict[str, str] = {}

    def __call__(self, chosen: list[Take], recording: Recording) -> int:
        """Stands for the real thing."""
        self.takes, self.keys = chosen, dict(recording.keys)
        return 0


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """The command up to the point where it would record."""
    recorded = Recorded()
    monkeypatch.setattr(cassette_record, "record", recorded)
    return recorded


def test_without_live_no_key_is_looked_at(recorded: Recorded) -> None:
    """However many keys there are: without --live everything is recorded without one."""
    assert main([], KEYS) == 0
    assert recorded.takes == list(takes())
    assert recorded.keys == {}


def test_live_shows_the_cost_and_stops(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each price, their sum, and what would have to be said to pay it."""
    assert main(["--live", "laozhang-async", "gemini/extension"], KEYS) == 4
    assert recorded.takes == []
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["laozhang-async/text", "$0.15", "veo-3.1-landscape-fast"]
    assert "gemini/extension            $1.50  veo-3.1-fast-generate-preview" in lines
    assert lines[-2].split()[:3] == ["in", "all", "$2.25"]
    assert lines[-1] == "refused: to spend that, say --max-cost 2.25"


def test_less_than_the_cost_is_not_enough(recorded: Recorded) -> None:
    """A cap below the sum refuses all of it."""
    assert main(["--live", "laozhang-sync", "--max-cost", "0.44"], KEYS) == 4
    assert recorded.takes == []


def test_live_wants_a_key_for_every_provider(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is missing refuses all, after the cost was shown; empty is missing."""
    keys = KEYS | {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": ""}

    assert main(["--live", "--max-cost", "100"], keys) == 3
    assert recorded.takes == []
    out = capsys.readouterr().out
    assert "in all" in out
    assert out.endswith("refused: no key for gemini: set GEMINI_API_KEY or GOOGLE_API_KEY\n")


def test_live_with_all_that_it_wants(recorded: Recorded) -> None:
    """Key and cap together: what a live service can show is recorded, with each one's own key."""
    keys = {"VEO_API_KEY": "one", "GOOGLE_API_KEY": "two"}

    assert main(["--live", "--max-cost", "100"], keys) == 0
    assert recorded.keys == {
        "laozhang-async": "one",
        "laozhang-sync": "one",
        "gemini": "two",
        "vertex": "two",
    }
    names = {take.name for take in recorded.takes}
    assert names == {
        "text",
        "image",
        "first_last",
        "references",
        "options",
        "extension",
        "official",
    }


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["vertex/storage", "--live"], "vertex/storage cannot be recorded live"),
        (["laozhang-async/capture", "--live"], "laozhang-async/capture cannot be recorded live"),
        (["nobody"], "nobody is no provider and no cassette"),
    ],
)
def test_what_cannot_be_recorded(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    """A capture is rebuilt, a failure is not to be had, and who is unknown is told so."""
    assert main(arguments, KEYS) == 2
    assert recorded.takes == []
    assert capsys.readouterr().out == f"refused: {why}\n"


@pytest.mark.parametrize("take", [take for take in takes() if take.live], ids=str)
def test_the_cost_is_that_of_the_price_rows(take: Take) -> None:
    """Every take that can be recorded live costs something."""
    assert take.cost > Decimal(0)


def test_live_keeps_the_key_out() -> None:
    """A live session goes to the provider's own base URL, and knows its key as a secret."""
    take = next(take for take in takes() if take.live)
    session = live(take, "the-key")

    assert session.origin == "live"
    assert session.scrub.text("x the-key x") == "x <key> x"
    assert session.scrub.homes == {}


def test_it_records(tmp_path: Path) -> None:
    """The command as it is documented: a cassette, its bodies, and what the folder says of them."""
    script = Path(cassette_record.__file__)
    folder = tmp_path / "cassettes"
    (folder / "bodies").mkdir(parents=True)
    (folder / "bodies" / "left.bin").touch()
    command = [sys.executable, str(script), "laozhang-async/text", "--folder", str(folder)]
    ran = subprocess.run(
        command, env=os.environ | KEYS, capture_output=True, text=True, check=False, timeout=120
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    (path,) = cassettes(folder).values()
    recorded = read(path)
    assert recorded["recorded"]["from"] == "sandbox"
    assert recorded["interactions"][0]["request"]["uri"] == "https://api.laozhang.ai/v1/videos"
    assert len(list((folder / "bodies").iterdir())) == 2
    assert "`text.yaml`" in (folder / "laozhang-async" / "README.md").read_text("utf-8")
