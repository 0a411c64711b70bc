"""The object of ``--json``, and the file beside a video."""

import json
from pathlib import Path
from typing import Any

import pytest
from records import done, record

from veo.errors import ModeratedError, UnknownOutcomeError
from veo.files import sidecar
from veo.ledger import State

KEYS = [
    "job",
    "provider",
    "model",
    "state",
    "task_id",
    "output",
    "bytes",
    "sha256",
    "seconds",
    "polls",
    "cost",
    "error",
]


class TestDescribe:
    """What a job looks like from outside."""

    def test_a_finished_job(self) -> None:
        """Every key of it, money as numbers, times in seconds."""
        assert sidecar.job_to_json(done()) == {
            "job": "abcdefghjk",
            "provider": "scripted",
            "model": "m-1",
            "state": "done",
            "task_id": "task-1",
            "output": "/videos/lion.mp4",
            "bytes": 40,
            "sha256": "cafe",
            "seconds": {"queued": 2.5, "generating": 97.5, "downloading": 3.25},
            "polls": 9,
            "cost": {"quoted": 0.15, "charged": 0.15, "currency": "USD", "certain": True},
            "error": None,
        }

    @pytest.mark.parametrize("state", list(State))
    def test_every_state_has_the_same_keys(self, state: State) -> None:
        """In the same order; a script need not ask which are there."""
        told = sidecar.job_to_json(record(state))
        assert list(told) == KEYS
        assert json.loads(json.dumps(told)) == told

    def test_what_did_not_begin_took_no_time(self) -> None:
        """None, not 0."""
        assert sidecar.job_to_json(record())["seconds"] == {
            "queued": None,
            "generating": None,
            "downloading": None,
        }

    def test_a_failed_job_says_why(self) -> None:
        """And whether it was charged; what to do next is for people."""
        error = ModeratedError("no violence", hint="Be kind.", request_id="r-1")
        assert sidecar.job_to_json(record(State.FAILED, error=error))["error"] == {
            "type": "ModeratedError",
            "message": "no violence",
            "retryable": False,
            "charged": False,
            "request_id": "r-1",
        }

    @pytest.mark.parametrize(
        ("state", "changes", "certain"),
        [
            (State.UNKNOWN, {"error": UnknownOutcomeError("abcdefghjk")}, False),
            (State.UNKNOWN, {"certain": True}, False),
            (State.FAILED, {"certain": False, "reserved": 0, "charged": 150_000}, False),
            (State.FAILED, {"reserved": 0}, True),
        ],
    )
    def test_a_doubtful_charge_is_called_so(
        self, state: State, changes: dict[str, Any], *, certain: bool
    ) -> None:
        """Nobody can tell: then nobody claims to."""
        assert sidecar.cost_to_json(record(state, **changes))["certain"] is certain


class TestWrite:
    """The file beside a video."""

    def test_it_says_how_the_video_was_made(self, tmp_path: Path) -> None:
        """The job, the request, the price; nothing else is left in the folder."""
        row = done(output=str(tmp_path / "lion.mp4"))
        sidecar.write_sidecar(row)
        (file,) = tmp_path.iterdir()
        assert file == tmp_path / "lion.mp4.json" == sidecar.sidecar_path(tmp_path / "lion.mp4")
        assert json.loads(file.read_text("utf-8")) == sidecar.job_to_json(row) | {
            "request": {"prompt": "a lion", "model": "m-1"},
            "quote": json.loads(row.quote),
        }

    def test_text_can_be_read(self, tmp_path: Path) -> None:
        """Not as escapes."""
        request = json.dumps({"prompt": "狮子 🦁"})
        sidecar.write_sidecar(done(output=str(tmp_path / "lion.mp4"), request=request))
        assert "狮子 🦁" in (tmp_path / "lion.mp4.json").read_text("utf-8")

    def test_an_older_one_is_replaced(self, tmp_path: Path) -> None:
        """The video beside it is another one now."""
        for name in ("first", "second"):
            sidecar.write_sidecar(done(id=name, output=str(tmp_path / "lion.mp4")))
        assert sidecar.read_job_id(tmp_path / "lion.mp4") == "second"

    @pytest.mark.parametrize("text", ["mine", '{"mine": 1}', "[]", '{"job": 7}', ""])
    def test_somebody_elses_file_stays(self, tmp_path: Path, text: str) -> None:
        """The name is ours only where the file is."""
        (tmp_path / "lion.mp4.json").write_text(text)
        sidecar.write_sidecar(done(output=str(tmp_path / "lion.mp4")))
        assert (tmp_path / "lion.mp4.json").read_text() == text

    @pytest.mark.parametrize("folder", ["gone", "file"])
    def test_a_disk_that_refuses_does_not_fail_the_job(self, tmp_path: Path, folder: str) -> None:
        """The video is there all the same."""
        (tmp_path / "file").touch()
        sidecar.write_sidecar(done(output=str(tmp_path / folder / "lion.mp4")))
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"job": 7}', '{"state": "done"}'])
def test_a_video_without_a_sidecar_has_no_known_maker(tmp_path: Path, text: str | None) -> None:
    """Whatever lies there."""
    if text is not None:
        (tmp_path / "lion.mp4.json").write_text(text)
    assert sidecar.read_job_id(tmp_path / "lion.mp4") is None
