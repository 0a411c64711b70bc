"""Jobs as JSON, and the sidecar file beside each video."""

import json
from pathlib import Path
from typing import Any

import pytest
from records import make_done_record, make_record

from veo.errors import ModeratedError, UnknownOutcomeError
from veo.files import sidecar
from veo.ledger import State

KEYS = [
    "job",
    "provider",
    "model",
    "state",
    "task_id",
    "parent",
    "output",
    "bytes",
    "sha256",
    "clip",
    "tags",
    "columns",
    "seconds",
    "polls",
    "cost",
    "error",
]


class TestDescribe:
    """A job as JSON."""

    def test_a_finished_job(self) -> None:
        """All keys, with money as numbers and times in seconds."""
        assert sidecar.job_to_json(make_done_record()) == {
            "job": "abcdefghjk",
            "provider": "scripted",
            "model": "m-1",
            "state": "done",
            "task_id": "task-1",
            "parent": None,
            "output": "/videos/lion.mp4",
            "bytes": 40,
            "sha256": "cafe",
            "clip": None,
            "tags": [],
            "columns": {},
            "seconds": {"queued": 2.5, "generating": 97.5, "downloading": 3.25},
            "polls": 9,
            "cost": {"quoted": 0.15, "charged": 0.15, "currency": "USD", "certain": True},
            "error": None,
        }

    @pytest.mark.parametrize("state", list(State))
    def test_every_state_has_the_same_keys(self, state: State) -> None:
        """A script need not check which keys are there."""
        body = sidecar.job_to_json(make_record(state))
        assert list(body) == KEYS
        assert json.loads(json.dumps(body)) == body

    def test_a_phase_that_has_not_ended_is_null(self) -> None:
        """The value is None, not 0."""
        assert sidecar.job_to_json(make_record())["seconds"] == {
            "queued": None,
            "generating": None,
            "downloading": None,
        }

    def test_the_error_of_a_failed_job(self) -> None:
        """It tells what can be done and whether money was charged."""
        error = ModeratedError("no violence", hint="Be kind.", request_id="r-1")
        assert sidecar.job_to_json(make_record(State.FAILED, error=error))["error"] == {
            "type": "ModeratedError",
            "message": "no violence",
            "hint": "Be kind.",
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
    def test_an_unknown_charge_is_not_certain(
        self, state: State, changes: dict[str, Any], *, certain: bool
    ) -> None:
        """`certain` is false wherever the charge is in doubt."""
        assert sidecar.cost_to_json(make_record(state, **changes))["certain"] is certain


class TestWrite:
    """The file beside a video."""

    def test_contains_job_request_and_quote(self, tmp_path: Path) -> None:
        """No other file is left in the folder."""
        row = make_done_record(output=str(tmp_path / "lion.mp4"), video_s=8.0, bought_s=8.0)
        sidecar.write_sidecar(row)
        (file,) = tmp_path.iterdir()
        assert file == tmp_path / "lion.mp4.json" == sidecar.sidecar_path(tmp_path / "lion.mp4")
        assert json.loads(file.read_text("utf-8")) == sidecar.job_to_json(row) | {
            "request": {"prompt": "a lion", "model": "m-1"},
            "quote": json.loads(row.quote),
            "video": {"seconds": 8.0, "bought": 8.0},
        }

    def test_text_is_not_escaped(self, tmp_path: Path) -> None:
        """Characters of any script stay as they are."""
        request = json.dumps({"prompt": "狮子 🦁"})
        sidecar.write_sidecar(make_done_record(output=str(tmp_path / "lion.mp4"), request=request))
        assert "狮子 🦁" in (tmp_path / "lion.mp4.json").read_text("utf-8")

    def test_an_older_sidecar_is_replaced(self, tmp_path: Path) -> None:
        """The video was replaced as well."""
        for name in ("first", "second"):
            sidecar.write_sidecar(make_done_record(id=name, output=str(tmp_path / "lion.mp4")))
        assert sidecar.read_job_id(tmp_path / "lion.mp4") == "second"

    @pytest.mark.parametrize("text", ["mine", '{"mine": 1}', "[]", '{"job": 7}', ""])
    def test_a_file_of_the_user_is_not_replaced(self, tmp_path: Path, text: str) -> None:
        """Only a sidecar is replaced by a sidecar."""
        (tmp_path / "lion.mp4.json").write_text(text)
        sidecar.write_sidecar(make_done_record(output=str(tmp_path / "lion.mp4")))
        assert (tmp_path / "lion.mp4.json").read_text() == text

    @pytest.mark.parametrize("output", ["gone/lion.mp4", "file/lion.mp4", "n" * 250 + ".mp4"])
    def test_a_disk_error_does_not_fail_the_job(self, tmp_path: Path, output: str) -> None:
        """The video exists without its sidecar, whose name may be too long."""
        (tmp_path / "file").touch()
        sidecar.write_sidecar(make_done_record(output=str(tmp_path / output)))
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"job": 7}', '{"state": "done"}'])
def test_a_video_without_sidecar_has_no_job(tmp_path: Path, text: str | None) -> None:
    """Neither has one whose sidecar cannot be read."""
    if text is not None:
        (tmp_path / "lion.mp4.json").write_text(text)
    assert sidecar.read_job_id(tmp_path / "lion.mp4") is None
