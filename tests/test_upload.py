"""A local video is uploaded before the paid request, free of charge, and not more than once."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from scripted import ACCEPTED, READY, Bench, ScriptedProvider, make_model, take_step

from veo.engine.context import ActiveJob
from veo.errors import (
    AuthError,
    BusyError,
    GenerationError,
    GoneError,
    LeaseLostError,
    RefusedError,
    ResponseLostError,
)
from veo.key import Key
from veo.ledger import State
from veo.provider import Uploader
from veo.request import Request
from veo.update import RemoteVideo, Stage, Update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOTE = "Uploads are closed in some countries."
DAYS = 86_400.0


class UploadingProvider(ScriptedProvider):
    """A scripted provider that takes videos; each upload is kept for two days."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        features = frozenset({"extend", "edit"})
        row = make_model(features=features, uploads=True, upload_note=NOTE, extend_s=7)
        self.models = {row.name: row}
        self.scripts["upload"] = deque([None])
        self._bench = bench

    def upload(self, path: Path, report: Callable[[int, int], None]) -> RemoteVideo:
        """Return the file as stored at the provider, or raise the next error of the script."""
        error = self._play_next("upload", path)
        assert error is None
        report(5, 10)
        number = self.count_calls("upload")
        return RemoteVideo(f"files/{number}", expires_at=self._bench.now + 2 * DAYS)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose provider takes uploads and whose tasks succeed."""
    bench = Bench(tmp_path)
    bench.provider = UploadingProvider(bench)
    bench.route.provider = bench.provider
    bench.script_success()
    yield bench
    bench.ledger.close()


@pytest.fixture
def clip(tmp_path: Path) -> RemoteVideo:
    """A local video of 5 seconds."""
    path = tmp_path / "a clip.mp4"
    path.write_bytes(b"a clip")
    return RemoteVideo.of_file(path, hashlib.sha256(b"a clip").hexdigest(), 5.0)


def list_sent(bench: Bench) -> list[Request]:
    """Return the paid requests."""
    return [argument for called, argument in bench.provider.calls if called == "submit"]


def test_the_protocol_is_recognised(bench: Bench) -> None:
    """A provider is an uploader if it has the method."""
    assert isinstance(bench.provider, Uploader)
    assert not isinstance(ScriptedProvider(), Uploader)


def test_a_path_and_back(clip: RemoteVideo, tmp_path: Path) -> None:
    """The address of a local video is the path of its file; JSON keeps all of it."""
    assert clip.local_path == tmp_path / "a clip.mp4"
    assert RemoteVideo("https://files.example/a.mp4").local_path is None
    request = Request(prompt="p", edit=clip)
    assert Request.from_json(request.to_json()) == request


@pytest.mark.parametrize("use", ["extend", "edit"])
def test_the_paid_request_names_the_upload(bench: Bench, clip: RemoteVideo, use: str) -> None:
    """It is stored before the request is sent, and the request in the ledger stays as it was."""
    job = bench.run_job(bench.plan_job(**{use: clip}))

    assert job.record.state is State.DONE
    assert bench.event_kinds(job)[:3] == ["planned", "uploaded", "submitting"]
    (sent,) = list_sent(bench)
    assert sent.source == RemoteVideo("files/1", expires_at=1_172_800.0, seconds=5.0)
    assert job.record.parse_request().source == clip
    assert (job.record.charged, job.record.submits) == (150_000, 1)


def test_progress_is_reported(bench: Bench, clip: RemoteVideo) -> None:
    """The watcher of the job sees how much is uploaded."""
    messages: list[str | None] = []
    job = bench.plan_job(edit=clip)
    job.on_change = lambda work: messages.append(work.message)
    bench.run_job(job)

    assert messages[0] == "50% of a clip.mp4 is uploaded"


@pytest.mark.parametrize(
    ("later", "uploads"), [(0.0, 1), (1.9 * DAYS, 1), (2 * DAYS - 60, 2), (3 * DAYS, 2)]
)
def test_a_recorded_upload_is_not_repeated(
    bench: Bench, clip: RemoteVideo, later: float, uploads: int
) -> None:
    """A process that dies after it leaves its result to the next one, until the file expires."""
    job = bench.plan_job(edit=clip)

    def die(*_: Any, **_changes: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.ledger, "begin_submit", die)
        with pytest.raises(KeyboardInterrupt):
            take_step(bench.context, job)
    (planned,) = bench.ledger.list_jobs()
    assert planned.state is State.PLANNED
    bench.now += later
    found = bench.run_job(ActiveJob(planned))

    assert found.record.state is State.DONE
    assert bench.provider.count_calls("upload") == uploads
    sent = list_sent(bench)[-1]
    assert sent.edit
    assert sent.edit.uri == f"files/{uploads}"


def test_a_failed_upload_is_repeated(bench: Bench, clip: RemoteVideo) -> None:
    """Whatever the error says about money: an upload is free, and nothing was sent."""
    bench.set_script("upload", ResponseLostError("reset"), BusyError("503", retry_after=9.0), None)
    began = bench.now
    job = bench.run_job(bench.plan_job(edit=clip))

    assert job.record.state is State.DONE
    assert (bench.provider.count_calls("upload"), job.record.submits) == (3, 1)
    assert bench.now >= began + 9.0


@pytest.mark.parametrize(
    "error", [RefusedError("too long"), AuthError("no"), ResponseLostError("x"), KeyError("bug")]
)
def test_an_upload_that_fails_for_good_costs_nothing(
    bench: Bench, clip: RemoteVideo, error: Exception
) -> None:
    """The job fails, its reservation is released, and the paid request is never sent."""
    bench.set_script("upload", error)
    job = bench.run_job(bench.plan_job(edit=clip))

    assert job.record.state is State.FAILED
    assert (job.record.reserved, job.record.charged, job.record.certain) == (0, 0, True)
    failure = job.record.error_json()
    assert failure
    assert failure["charged"] is False
    assert list_sent(bench) == []


@pytest.mark.parametrize("change", ["changed", "deleted"])
def test_a_file_that_changed_is_not_uploaded(bench: Bench, clip: RemoteVideo, change: str) -> None:
    """The video that was planned is the one that is sent, or none."""
    job = bench.plan_job(edit=clip)
    assert clip.local_path
    if change == "changed":
        clip.local_path.write_bytes(b"another")
    else:
        clip.local_path.unlink()
    bench.run_job(job)

    assert job.record.state is State.FAILED
    assert bench.provider.count_calls("upload") == 0


def test_a_process_that_lost_its_lease_does_not_send(bench: Bench, clip: RemoteVideo) -> None:
    """It notices when it stores the upload."""
    job = bench.plan_job(edit=clip)

    def upload(path: Path, report: Any) -> RemoteVideo:
        bench.ledger.release_leases("me")
        return RemoteVideo("files/1")

    bench.provider.upload = upload  # type: ignore[attr-defined]
    take_step(bench.context, job)

    assert isinstance(job.error, LeaseLostError)
    assert list_sent(bench) == []


def test_a_refused_upload_has_the_note_of_its_model(bench: Bench, clip: RemoteVideo) -> None:
    """The hint says what is known about uploads, also if the task fails only later."""
    empty = Update(stage=Stage.FAILED, error=GenerationError("no video", hint="Try again."))
    bench.set_script("poll", replace(empty, charge=Decimal("0.001")))
    failed = bench.run_job(bench.plan_job(edit=clip))
    bench.set_script("submit", RefusedError("content_blocked"))
    refused = bench.run_job(bench.plan_job(edit=clip))
    bench.set_script("submit", RefusedError("content_blocked"))
    own = bench.run_job(bench.plan_job(edit=RemoteVideo("files/own")))

    hints = [(work.record.error_json() or {})["hint"] for work in (failed, refused, own)]
    assert hints == [f"Try again. {NOTE}", NOTE, None]


def test_a_video_at_the_provider_is_not_uploaded(bench: Bench) -> None:
    """The request names it as it is."""
    bench.set_script("poll", READY)
    bench.run_job(bench.plan_job(extend=RemoteVideo("files/own", id="v1_abc")))

    assert bench.provider.count_calls("upload") == 0
    assert list_sent(bench)[0].extend == RemoteVideo("files/own", id="v1_abc")


def test_an_upload_that_is_gone_is_repeated_once(bench: Bench, clip: RemoteVideo) -> None:
    """It was deleted before its time: the paid request was not sent, so the file is sent again."""
    gone = GoneError("deleted in the console", retryable=False, charged=False)
    bench.set_script("submit", gone, ACCEPTED)
    job = bench.run_job(bench.plan_job(edit=clip))
    bench.set_script("submit", gone)
    failed = bench.run_job(bench.plan_job(edit=clip))

    assert (job.record.state, failed.record.state) == (State.DONE, State.FAILED)
    uris = [request.edit and request.edit.uri for request in list_sent(bench)]
    assert uris == ["files/1", "files/2", "files/3", "files/4"]
    assert (failed.record.charged, failed.record.reserved) == (0, 0)


def test_the_key_is_removed_from_what_an_upload_returns(
    bench: Bench, clip: RemoteVideo, caplog: pytest.LogCaptureFixture
) -> None:
    """From the address and the handle that are stored, and from an error of its code."""
    bench.route.key = Key("a-key-that-leaks")
    bench.provider.upload = lambda *_: RemoteVideo(  # type: ignore[attr-defined]
        "files/1?key=a-key-that-leaks", id="a-key-that-leaks"
    )
    stored = bench.run_job(bench.plan_job(edit=clip)).record

    def fail(*_: Any) -> RemoteVideo:
        raise KeyError("a-key-that-leaks")

    bench.provider.upload = fail  # type: ignore[attr-defined]
    failed = bench.run_job(bench.plan_job(edit=clip)).record

    assert stored.state is State.DONE
    texts = [str(stored.upload), str(failed.error), caplog.text]
    assert not [text for text in texts if "a-key-that-leaks" in text]
