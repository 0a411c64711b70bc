"""The programs in `examples/` run as they are, in the sandbox."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
# What each program prints, among other things.
PRINTS = {
    "batch_again.py": "item 2 skipped",
    "handle_errors.py": "change duration: ",
    "longer_video.py": "longer.mp4",
    "many_videos.py": "zebra.mp4",
    "one_video.py": "lion.mp4 0.3",
    "price_first.py": "nothing was sent: ",
    "show_progress.py": "a-lion-wakes-up-",
    "two_frames.py": "time-lapse.mp4",
    "wait_later.py": "later.mp4",
    "with_asyncio.py": "a-zebra-wakes-up-",
}


def test_every_program_is_run() -> None:
    """No program is left out here."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PRINTS)


@pytest.mark.parametrize("name", PRINTS)
def test_a_program(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program ends without an error, and prints what it promises."""
    monkeypatch.setenv("VEO_SANDBOX", "1")
    Path("veo.toml").write_text('[sandbox]\nlatency = "0.1"\nclip = "tiny"\n')
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    assert PRINTS[name] in capsys.readouterr().out
