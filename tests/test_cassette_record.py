"""The command that records cassettes: its refusals, its costs, and its files."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import cassette_record
import pytest
from cassette_cases import CassetteCase, list_cases
from cassette_folder import Recording, list_cassettes, read_cassette
from cassette_record import main
from cassette_session import live_session

KEYS = {"VEO_API_KEY": "play", "GEMINI_API_KEY": "play", "GOOGLE_API_KEY": "play"}


class FakeRecorder:
    """Replaces ``record_cases``, and notes what it would record."""

    def __init__(self) -> None:
        self.cases: list[CassetteCase] = []
        self.keys: dict[str, str] = {}

    def __call__(self, chosen: list[CassetteCase], recording: Recording) -> int:
        """Note the cases and the keys."""
        self.cases, self.keys = chosen, dict(recording.keys)
        return 0


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> FakeRecorder:
    """Replace the function that records."""
    recorder = FakeRecorder()
    monkeypatch.setattr(cassette_record, "record_cases", recorder)
    return recorder


def test_no_key_is_read_without_live(recorder: FakeRecorder) -> None:
    """Without --live everything is recorded without a key."""
    assert main([], KEYS) == 0
    assert recorder.cases == list(list_cases())
    assert recorder.keys == {}


def test_live_shows_the_cost(recorder: FakeRecorder, capsys: pytest.CaptureFixture[str]) -> None:
    """--live prints each cost, the total, and the option that accepts it."""
    assert main(["--live", "laozhang-async", "gemini/extension"], KEYS) == 4
    assert recorder.cases == []
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["laozhang-async/text", "$0.15", "veo-3.1-landscape-fast"]
    assert "gemini/extension            $1.50  veo-3.1-fast-generate-preview" in lines
    assert lines[-2].split()[:2] == ["total", "$3.30"]
    assert lines[-1] == "refused: to accept this cost, use --max-cost 3.30"


def test_max_cost_below_the_total(recorder: FakeRecorder) -> None:
    """A limit below the total refuses all cassettes."""
    assert main(["--live", "laozhang-sync", "--max-cost", "0.44"], KEYS) == 4
    assert recorder.cases == []


def test_live_requires_a_key_for_every_provider(
    recorder: FakeRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing or empty key refuses all cassettes, after the cost is printed."""
    keys = KEYS | {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": ""}

    assert main(["--live", "--max-cost", "100"], keys) == 3
    assert recorder.cases == []
    out = capsys.readouterr().out
    assert "total" in out
    assert out.endswith("refused: no key for gemini: set GEMINI_API_KEY or GOOGLE_API_KEY\n")


def test_live_with_keys_and_max_cost(recorder: FakeRecorder) -> None:
    """With keys and a limit all live cassettes are recorded, each with its provider's key."""
    keys = {"VEO_API_KEY": "one", "GOOGLE_API_KEY": "two"}

    assert main(["--live", "--max-cost", "100"], keys) == 0
    assert recorder.keys == {
        "laozhang-async": "one",
        "laozhang-sync": "one",
        "gemini": "two",
        "vertex": "two",
    }
    names = {case.name for case in recorder.cases}
    assert names == {
        "text",
        "image",
        "first_last",
        "references",
        "options",
        "extension",
        "official",
        "omni_text",
        "omni_image",
        "omni_references",
        "omni_first_last",
        "omni_edit",
        "omni_extension",
    }


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["vertex/storage", "--live"], "vertex/storage cannot be recorded live"),
        (["laozhang-async/capture", "--live"], "laozhang-async/capture cannot be recorded live"),
        (["nobody"], "nobody is neither a provider nor a cassette"),
    ],
)
def test_cassettes_that_cannot_be_recorded(
    recorder: FakeRecorder, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    """Captures and failures cannot be recorded live, and unknown names are refused."""
    assert main(arguments, KEYS) == 2
    assert recorder.cases == []
    assert capsys.readouterr().out == f"refused: {why}\n"


@pytest.mark.parametrize("case", [case for case in list_cases() if case.is_live], ids=str)
def test_live_cassettes_have_a_cost(case: CassetteCase) -> None:
    """Every cassette that can be recorded live has a cost."""
    assert case.cost > Decimal(0)


def test_live_session_redacts_the_key() -> None:
    """A live session uses the provider's own base URL, and redacts its key."""
    case = next(case for case in list_cases() if case.is_live)
    session = live_session(case, "the-key")

    assert session.origin == "live"
    assert session.scrubber.scrub_text("x the-key x") == "x <key> x"
    assert session.scrubber.homes == {}


def test_recording(tmp_path: Path) -> None:
    """The command writes a cassette, its bodies, and the README, and removes unused bodies."""
    script = Path(cassette_record.__file__)
    folder = tmp_path / "cassettes"
    (folder / "bodies").mkdir(parents=True)
    (folder / "bodies" / "left.bin").touch()
    command = [sys.executable, str(script), "laozhang-async/text", "--folder", str(folder)]
    ran = subprocess.run(
        command, env=os.environ | KEYS, capture_output=True, text=True, check=False, timeout=120
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    (path,) = list_cassettes(folder).values()
    recorded = read_cassette(path)
    assert recorded["recorded"]["from"] == "sandbox"
    assert recorded["interactions"][0]["request"]["uri"] == "https://api.laozhang.ai/v1/videos"
    assert len(list((folder / "bodies").iterdir())) == 2
    assert "`text.yaml`" in (folder / "laozhang-async" / "README.md").read_text("utf-8")
