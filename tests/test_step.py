"""The life of a job, step by step, with a scripted provider."""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from mp4_boxes import make_box, make_file
from PIL import Image as Pil
from scripted import ACCEPTED, MP4_DATA, READY, RUNNING, VIDEO, Bench, take_step

from veo.engine.context import WAIT_FOR_CAPACITY, ActiveJob
from veo.errors import (
    AuthError,
    BusyError,
    DownloadError,
    GenerationError,
    GoneError,
    LeaseLostError,
    LedgerError,
    NotReadyError,
    ProtocolError,
    RefusedError,
    ResponseLostError,
    StillRunningError,
    TaskNotFoundError,
    TooLargeError,
    UnknownOutcomeError,
    UnreachableError,
    VeoError,
)
from veo.files.sidecar import sidecar_path
from veo.image import Image
from veo.ledger import Record, State
from veo.problems import Remedy
from veo.provider import ByteStream, check_send_time
from veo.update import RemoteVideo, Stage, Update
from veo_commands.format import describe_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose provider charges on success."""
    bench = Bench(tmp_path)
    yield bench
    bench.ledger.close()


@pytest.fixture
def accepting(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose provider charges on acceptance."""
    bench = Bench(tmp_path, charged="on_accept")
    yield bench
    bench.ledger.close()


def get_money(job: ActiveJob) -> tuple[int, int, bool]:
    """Return the reserved and charged amounts, and whether they are certain."""
    return job.record.reserved, job.record.charged, job.record.certain


def test_a_job_that_succeeds_ends_done_with_its_file_and_its_charge(bench: Bench) -> None:
    """From planned to done: the file is whole, the quote is charged, every step is written."""
    bench.script_success()

    job = bench.run_job(bench.plan_job())

    assert job.record.state is State.DONE
    assert Path(job.record.output).read_bytes() == MP4_DATA
    assert get_money(job) == (0, 150_000, True)
    assert bench.event_kinds(job) == [
        "planned",
        "submitting",
        "submitted",
        "running",
        "ready",
        "downloading",
        "verified",
        "done",
    ]


def test_the_events_of_a_job_add_up_to_its_money(bench: Bench) -> None:
    """The sums of the changes in the history equal the amounts of the row."""
    bench.script_success()

    job = bench.run_job(bench.plan_job())
    events = bench.ledger.read_history(job.record.id)

    assert sum(event.reserved for event in events) == 0
    assert sum(event.charged for event in events) == 150_000


def test_the_intent_is_on_disk_before_the_request_leaves(bench: Bench) -> None:
    """When the provider receives the request, the job is already submitting in the ledger."""
    seen: list[State] = []

    def read_states(_: Any) -> Update:
        seen.extend(record.state for record in bench.ledger.list_jobs())
        return ACCEPTED

    bench.script_success()
    bench.set_script("submit", read_states)
    bench.run_job(bench.plan_job())

    assert seen == [State.SUBMITTING]


@pytest.mark.parametrize(
    "error",
    [BusyError("429", retry_after=7.0), UnreachableError("refused"), NotReadyError("soon")],
)
def test_what_was_certainly_not_accepted_is_sent_again(bench: Bench, error: Exception) -> None:
    """A temporary refusal is retried, and the job ends done."""
    bench.script_success()
    bench.set_script("submit", error, error, ACCEPTED)

    job = bench.run_job(bench.plan_job())

    assert job.record.state is State.DONE
    assert bench.provider.count_calls("submit") == 3
    assert job.record.submits == 3


def test_retry_after_is_honoured(bench: Bench) -> None:
    """The next attempt is not earlier than the server asked."""
    bench.script_success()
    bench.set_script("submit", BusyError("429", retry_after=77.0), ACCEPTED)
    job = bench.plan_job()
    before = bench.now

    when = take_step(bench.context, job)

    assert when == before + 77.0
    assert job.record.state is State.PLANNED


def test_a_busy_provider_is_slowed_for_every_job(bench: Bench) -> None:
    """After a 429 for one job, no other job of that provider is sent either."""
    bench.set_script("submit", BusyError("429", retry_after=30.0))
    take_step(bench.context, bench.plan_job())
    other = bench.plan_job()

    when = take_step(bench.context, other)

    assert when == pytest.approx(bench.now + 30.0)
    assert bench.provider.count_calls("submit") == 1


def test_a_final_refusal_fails_and_releases(bench: Bench) -> None:
    """A job whose request is refused fails, and its reservation is released."""
    bench.set_script("submit", RefusedError("no"))

    job = bench.run_job(bench.plan_job())

    assert job.record.state is State.FAILED
    assert get_money(job) == (0, 0, True)
    assert isinstance(job.error, RefusedError)


def test_retries_are_limited(bench: Bench) -> None:
    """A provider that is always busy does not keep a job for ever."""
    bench.set_script("submit", BusyError("429"))

    job = bench.run_job(set_wait(bench.plan_job(), None))

    assert job.record.state is State.FAILED
    assert bench.provider.count_calls("submit") == 11


def set_wait(job: ActiveJob, wait_s: float | None) -> ActiveJob:
    """Set how long the job is waited for."""
    job.wait_s = wait_s
    return job


@pytest.mark.parametrize(
    "error",
    [
        ResponseLostError("reset"),
        ProtocolError("<html>"),
        RefusedError("502", charged=None),
        KeyError("a bug of the provider"),
    ],
)
def test_a_lost_response_is_unknown_and_never_sent_again(bench: Bench, error: Exception) -> None:
    """Sent without a response: one POST, state unknown, money reserved, remedies given."""
    bench.set_script("submit", error)

    job = bench.run_job(bench.plan_job())
    again = bench.run_job(job)

    assert again.record.state is State.UNKNOWN
    assert bench.provider.count_calls("submit") == 1
    assert get_money(again) == (150_000, 0, False)
    assert isinstance(again.error, UnknownOutcomeError)
    assert [each.kind for each in again.error.remedies] == ["attach_task", "resubmit"]


def test_a_job_found_submitting_becomes_unknown(bench: Bench) -> None:
    """A job whose process died between intent and response is not sent again."""
    bench.script_success()
    job = bench.plan_job()
    sent = bench.ledger.move_job(job.record, State.SUBMITTING)

    found = bench.run_job(ActiveJob(sent))

    assert found.record.state is State.UNKNOWN
    assert bench.provider.count_calls("submit") == 0


def test_a_stream_that_died_after_acceptance_is_unknown_and_charged(accepting: Bench) -> None:
    """A sync job whose process died after HTTP 200 has been paid for, and cannot be polled."""

    def die(report: Any) -> Update:
        report(Update(stage=Stage.SUBMITTED))
        raise KeyboardInterrupt

    accepting.set_script("submit", die)
    job = accepting.plan_job()
    with pytest.raises(KeyboardInterrupt):
        take_step(accepting.context, job)

    found = accepting.run_job(ActiveJob(job.record))

    assert found.record.state is State.UNKNOWN
    assert get_money(found) == (0, 150_000, False)


def test_a_sync_route_is_charged_the_moment_it_is_accepted(accepting: Bench) -> None:
    """The charge is in the ledger while the video is still being made."""
    seen: list[tuple[State, int]] = []

    def stream(report: Any) -> Update:
        report(Update(stage=Stage.SUBMITTED))
        report(Update(stage=Stage.RUNNING, progress=0.2))
        seen.extend((record.state, record.charged) for record in accepting.ledger.list_jobs())
        return Update(stage=Stage.READY, video=VIDEO)

    accepting.set_script("submit", stream)
    accepting.set_script("open", MP4_DATA)

    job = accepting.run_job(accepting.plan_job())

    assert seen == [(State.RUNNING, 150_000)]
    assert job.record.state is State.DONE
    assert get_money(job) == (0, 150_000, True)


def test_a_sync_failure_after_acceptance_stays_charged_and_uncertain(accepting: Bench) -> None:
    """What HTTP 200 charges is not refunded; the documents disagree, so it is uncertain."""

    def stream(report: Any) -> Update:
        report(Update(stage=Stage.SUBMITTED))
        raise GenerationError("no link in the text", charged=True)

    accepting.set_script("submit", stream)

    job = accepting.run_job(accepting.plan_job())

    assert job.record.state is State.FAILED
    assert get_money(job) == (0, 150_000, False)


def test_a_failed_task_is_released_where_only_success_is_charged(bench: Bench) -> None:
    """A task that fails after acceptance costs nothing on the async route."""
    bench.set_script("submit", ACCEPTED)
    bench.set_script("poll", Update(stage=Stage.FAILED, error=GenerationError("moderated")))

    job = bench.run_job(bench.plan_job())

    assert job.record.state is State.FAILED
    assert get_money(job) == (0, 0, True)


@pytest.mark.parametrize(
    "trouble",
    [ResponseLostError("reset"), ProtocolError("garbage"), BusyError("503"), KeyError("x")],
)
def test_failed_polls_do_not_end_a_job(bench: Bench, trouble: Exception) -> None:
    """They are repeated until one succeeds."""
    bench.script_success()
    bench.set_script("poll", *[trouble] * 7, RUNNING, trouble, READY)

    job = bench.run_job(bench.plan_job())

    assert job.record.state is State.DONE
    assert bench.provider.count_calls("submit") == 1


def test_a_task_too_new_to_be_known_is_polled_again(bench: Bench) -> None:
    """Right after the submit the provider may not know the task yet."""
    bench.script_success()
    bench.set_script("poll", TaskNotFoundError("?"), TaskNotFoundError("?"), RUNNING, READY)

    assert bench.run_job(bench.plan_job()).record.state is State.DONE


def test_a_task_that_stays_unknown_has_expired(bench: Bench) -> None:
    """After the retention time the job is expired, and whether it was charged is uncertain."""
    bench.set_script("submit", ACCEPTED)
    bench.set_script("poll", TaskNotFoundError("task_not_exist"))
    job = bench.plan_job()
    take_step(bench.context, job)
    bench.now += 90_001.0

    job.deadline = None
    bench.run_job(job)

    assert job.record.state is State.EXPIRED
    assert job.record.certain is False


def test_a_refused_key_while_polling_leaves_the_job_as_it_is(bench: Bench) -> None:
    """A key that stops working ends the work on the job, not the job."""
    bench.set_script("submit", ACCEPTED)
    bench.set_script("poll", AuthError("401"))

    job = bench.run_job(bench.plan_job())

    assert job.record.state is State.SUBMITTED
    assert isinstance(job.error, AuthError)
    assert bench.ledger.find_job(job.record.id).owner is None


def test_a_deadline_ends_the_wait_not_the_job(bench: Bench) -> None:
    """After the deadline the job is still running, and can be resumed."""
    bench.set_script("submit", ACCEPTED)
    bench.set_script("poll", RUNNING)
    job = bench.run_job(bench.plan_job())

    assert isinstance(job.error, StillRunningError)
    assert bench.ledger.find_job(job.record.id).state is State.RUNNING
    assert bench.ledger.find_job(job.record.id).owner is None

    bench.script_success()
    (taken,) = bench.ledger.take_leases([bench.ledger.find_job(job.record.id)], "other")
    assert bench.run_job(ActiveJob(taken)).record.state is State.DONE
    assert bench.provider.count_calls("submit") == 1


def test_an_interrupted_download_continues_where_it_stopped(bench: Bench) -> None:
    """The second request asks for the bytes that are missing, and the file is whole."""

    def cut() -> Iterator[bytes]:
        yield MP4_DATA[:10]
        raise ResponseLostError("cut")

    bench.script_success()
    bench.set_script("open", ByteStream(cut(), 0, len(MP4_DATA), "tag"), MP4_DATA)

    job = bench.run_job(bench.plan_job())

    assert [call[1] for verb, call in bench.provider.calls if verb == "open"] == [0, 10]
    assert Path(job.record.output).read_bytes() == MP4_DATA


def test_another_file_under_the_same_link_is_fetched_from_the_start(bench: Bench) -> None:
    """Bytes of two different files are never mixed."""

    def cut() -> Iterator[bytes]:
        yield b"\x00" * 10
        raise ResponseLostError("cut")

    bench.script_success()
    bench.set_script("open", ByteStream(cut(), 0, len(MP4_DATA), "old"), MP4_DATA)

    job = bench.run_job(bench.plan_job())

    assert [call[1] for verb, call in bench.provider.calls if verb == "open"] == [0, 10, 0]
    assert Path(job.record.output).read_bytes() == MP4_DATA


def test_an_offset_that_the_server_refuses_leads_to_the_start(bench: Bench) -> None:
    """A part that cannot be continued does not block the download for ever."""

    def cut() -> Iterator[bytes]:
        yield MP4_DATA[:10]
        raise ResponseLostError("cut")

    bench.script_success()
    refused = GoneError("416", retryable=True)
    bench.set_script("open", ByteStream(cut(), 0, len(MP4_DATA), "tag"), refused, MP4_DATA)

    job = bench.run_job(bench.plan_job())

    assert job.record.state is State.DONE
    assert [call[1] for verb, call in bench.provider.calls if verb == "open"] == [0, 10, 0]


def test_a_plausible_but_truncated_file_never_gets_its_name(bench: Bench) -> None:
    """The length alone is not enough: the boxes of the container are read to the end."""
    bench.script_success()
    bench.set_script("open", MP4_DATA[:-4])

    job = bench.run_job(bench.plan_job())

    assert isinstance(job.error, DownloadError)
    assert job.error.exit_code == 7
    assert not Path(job.record.output).exists()
    assert bench.ledger.find_job(job.record.id).state is State.DOWNLOADING


def test_a_file_that_is_not_ready_yet_is_waited_for(bench: Bench) -> None:
    """'Not ready' right after 'completed' is not a failure."""
    bench.script_success()
    bench.set_script("open", *[NotReadyError("IN_PROGRESS", retry_after=4.0)] * 5, MP4_DATA)

    assert bench.run_job(bench.plan_job()).record.state is State.DONE


def test_an_expired_link_is_refreshed(bench: Bench) -> None:
    """The task is polled once more, and its new link is used."""
    bench.script_success()
    fresh = replace(READY, video=RemoteVideo("https://files.example/two.mp4"))
    bench.set_script("poll", READY, fresh)
    bench.set_script("open", GoneError("403"), MP4_DATA)

    job = bench.run_job(bench.plan_job())

    assert job.record.state is State.DONE
    assert [call[0][-7:] for verb, call in bench.provider.calls if verb == "open"] == [
        "one.mp4",
        "two.mp4",
    ]


def test_a_deleted_video_is_expired_and_stays_charged(bench: Bench) -> None:
    """A video that was made is charged even if it was not downloaded in time."""
    bench.script_success()
    bench.set_script("open", GoneError("404"))
    job = bench.plan_job()
    while job.record.state is not State.READY:
        bench.now = max(bench.now, take_step(bench.context, job) or 0.0)
    bench.now += 90_001.0

    bench.run_job(job)

    assert job.record.state is State.EXPIRED
    assert get_money(job) == (0, 150_000, True)


def test_an_existing_file_is_not_overwritten(bench: Bench) -> None:
    """A file that appears under the output's name stays; the video's name gets the job's id."""
    bench.script_success()
    job = bench.plan_job()
    Path(job.record.output).write_text("somebody else's")

    bench.run_job(job)

    assert (bench.folder / "0.mp4").read_text() == "somebody else's"
    assert Path(job.record.output).read_bytes() == MP4_DATA
    assert job.record.id in job.record.output


def test_a_file_named_just_before_a_crash_is_recognised(bench: Bench) -> None:
    """Killed between the rename and the last write, the job is done without a new download."""
    bench.script_success()
    done = bench.run_job(bench.plan_job()).record
    history = len(bench.provider.calls)
    table = "UPDATE jobs SET state='downloading', owner='me'"
    with bench.ledger.database.write() as connection:
        connection.exec_driver_sql(table)

    job = bench.run_job(ActiveJob(bench.ledger.find_job(done.id)))

    assert job.record.state is State.DONE
    assert job.record.output == done.output
    assert len(bench.provider.calls) == history


def test_after_a_413_the_images_are_sent_smaller(bench: Bench, tmp_path: Path) -> None:
    """An image that is too large for the provider is sent once more, smaller, with a message."""
    frame = tmp_path / "frame.jpg"
    Pil.effect_noise((1000, 1000), 90).convert("RGB").save(frame, quality=95)
    bench.script_success()
    bench.set_script("submit", TooLargeError("413"), ACCEPTED)

    job = bench.run_job(bench.plan_job(start_frame=bench.context.images.store(Image.of(frame))))
    sizes = [len(call.start_frame.data) for verb, call in bench.provider.calls if verb == "submit"]

    assert job.record.state is State.DONE
    assert len(sizes) == 2
    assert sizes[1] < sizes[0]


def test_a_second_413_is_final(bench: Bench, tmp_path: Path) -> None:
    """There is one attempt with smaller images."""
    frame = tmp_path / "frame.png"
    Pil.new("RGB", (300, 300), "red").save(frame)
    bench.set_script("submit", TooLargeError("413"))

    job = bench.run_job(bench.plan_job(start_frame=bench.context.images.store(Image.of(frame))))

    assert job.record.state is State.FAILED
    assert bench.provider.count_calls("submit") == 2


def test_an_image_that_changed_since_it_was_planned_is_not_sent(
    bench: Bench, tmp_path: Path
) -> None:
    """Only what was checked is paid for."""
    frame = tmp_path / "frame.png"
    Pil.new("RGB", (300, 300), "red").save(frame)
    job = bench.plan_job(start_frame=bench.context.images.store(Image.of(frame)))
    Pil.new("RGB", (300, 300), "blue").save(frame)

    bench.run_job(job)

    assert job.record.state is State.FAILED
    assert bench.provider.count_calls("submit") == 0
    assert get_money(job) == (0, 0, True)


def test_a_job_waits_for_capacity(tmp_path: Path) -> None:
    """The limit of jobs in flight holds; the next job waits without a time."""
    bench = Bench(tmp_path, max_in_flight=1)
    bench.set_script("submit", ACCEPTED)
    take_step(bench.context, bench.plan_job())

    assert take_step(bench.context, bench.plan_job()) == WAIT_FOR_CAPACITY
    assert bench.provider.count_calls("submit") == 1
    bench.ledger.close()


def test_a_folder_that_cannot_be_read_later_is_no_bug(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The video is paid for: the job waits for the user, who resumes it."""
    bench.script_success()
    job = bench.plan_job()
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr("veo.engine.download.describe_clip", Mock(side_effect=denied))
    bench.run_job(job)
    assert isinstance(job.error, DownloadError)
    assert job.error.remedies == (Remedy("resume", job.record.id),)
    assert job.record.state is State.DOWNLOADING


def test_a_process_that_lost_its_lease_does_not_send(bench: Bench) -> None:
    """The write before the paid request fails, and nothing is sent."""
    bench.script_success()
    job = bench.plan_job()
    bench.ledger.take_leases([job.record], "other")

    bench.run_job(job)

    assert bench.provider.count_calls("submit") == 0
    assert isinstance(job.error, LeaseLostError)


def test_a_process_that_slept_since_its_note_does_not_send(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may have the job by now, also if nothing noticed the sleep; a new note is needed."""
    bench.script_success()
    naps_s = [bench.ledger.database.lease_s]
    boot_clock = [0.0]
    monkeypatch.setattr("veo.provider._BOOT_CLOCK", 0)
    now = time.monotonic
    monkeypatch.setattr(time, "clock_gettime", lambda _: now() + boot_clock[0], raising=False)
    sent: list[State] = []

    def sleep(job: ActiveJob) -> None:
        if job.record.state is State.SUBMITTING and naps_s:
            boot_clock[0] += naps_s.pop()

    def submit(_: Any) -> Update:
        check_send_time()
        sent.append(job.record.state)
        return ACCEPTED

    bench.set_script("submit", submit)
    job = bench.plan_job()
    job.on_change = sleep
    bench.run_job(job)
    assert (bench.provider.count_calls("submit"), sent) == (2, [State.SUBMITTING])
    assert job.record.state is State.DONE


def test_a_response_after_the_lease_was_lost_is_stored(bench: Bench) -> None:
    """A late task id makes the unknown job one that can be polled."""
    bench.script_success()
    job = bench.plan_job()

    def lose_the_lease(_: Any) -> Update:
        (taken,) = bench.ledger.take_leases([bench.ledger.find_job(job.record.id)], "other")
        bench.run_job(ActiveJob(taken))
        return ACCEPTED

    bench.set_script("submit", lose_the_lease)
    bench.run_job(job)
    kept = bench.ledger.find_job(job.record.id)

    assert (kept.state, kept.task_id, kept.owner) == (State.SUBMITTED, "task-1", None)
    assert "late response" in bench.event_kinds(job)


@pytest.mark.parametrize("error", [LeaseLostError("taken"), LedgerError("away")])
def test_a_worker_does_not_take_the_ledger_for_a_broken_download(
    bench: Bench, error: VeoError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is another worker's, or goes on when the database is back: it is not parked."""
    bench.script_success()
    bench.context.queue_worker = "worker"
    job = bench.plan_job()
    real = bench.ledger.move_job

    def move_job(record: Record, state: State | None = None, **changes: Any) -> Record:
        if changes.get("kind") == "verified":
            raise error
        return real(record, state, **changes)

    monkeypatch.setattr(bench.ledger, "move_job", move_job)
    bench.run_job(job)
    assert job.error is error


def test_a_watched_job_teaches_how_long_its_model_takes(bench: Bench) -> None:
    """The time from the submit to the poll that found the video."""
    bench.script_success()
    job = bench.run_job(bench.plan_job())

    assert bench.ledger.read_durations("scripted", "m-1") == [
        (job.record.ready_at or 0) - (job.record.submitted_at or 0)
    ]


def test_a_job_resumed_hours_later_teaches_nothing(bench: Bench) -> None:
    """Its video was ready long before the poll that found it."""
    bench.script_success()
    job = bench.plan_job()
    while job.record.state is not State.RUNNING:
        bench.now = max(bench.now, take_step(bench.context, job) or 0)
    bench.now += 7200
    resumed = ActiveJob(job.record)
    bench.run_job(resumed)

    assert resumed.record.state is State.DONE
    assert bench.ledger.read_durations("scripted", "m-1") == []


def test_a_poll_after_a_pause_of_the_process_teaches_nothing(bench: Bench) -> None:
    """The machine slept between two polls."""
    bench.script_success()
    job = bench.plan_job()
    while job.record.state is not State.RUNNING:
        bench.now = max(bench.now, take_step(bench.context, job) or 0)
    bench.now += 7200
    job.wait_s = job.deadline = None
    bench.run_job(job)

    assert job.record.state is State.DONE
    assert bench.ledger.read_durations("scripted", "m-1") == []


def test_a_video_in_the_response_to_the_submit_teaches_its_time(bench: Bench) -> None:
    """A call that makes the video ends when the video is ready, however long it was silent."""
    bench.script_success()
    job = bench.plan_job()

    def make_slowly(_: Any) -> Update:
        bench.now += 500
        return READY

    bench.set_script("submit", make_slowly)
    bench.run_job(job)

    assert bench.ledger.read_durations("scripted", "m-1") == [500]


def test_a_task_is_attached_only_to_a_job_of_unknown_outcome(bench: Bench) -> None:
    """A task for another job changes nothing, not even the history."""
    bench.script_success()
    done = bench.run_job(bench.plan_job())
    before = bench.event_kinds(done)
    bench.set_script("submit", ResponseLostError("lost"))
    unknown = bench.run_job(bench.plan_job("two"))

    assert not bench.ledger.attach_task(done.record.id, "task-9")
    assert bench.event_kinds(done) == before
    assert bench.ledger.attach_task(unknown.record.id, "task-9")
    assert bench.event_kinds(unknown)[-1] == "task attached"


@pytest.mark.parametrize(("seconds", "is_told"), [(8, False), (4, True), (15, True)])
def test_another_length_than_the_bought_one_is_told_and_stored(
    bench: Bench, seconds: int, *, is_told: bool
) -> None:
    """The job is done; the ledger, the message and the sidecar state both lengths."""
    bench.script_success()
    bench.set_script("open", make_file(seconds=seconds))
    job = bench.run_job(bench.plan_job())
    record = bench.ledger.find_job(job.record.id)
    assert (record.state, record.video_s, record.bought_s) == (State.DONE, seconds, 8)
    told = [event.message or "" for event in bench.ledger.read_history(record.id)]
    assert any(f"{seconds}.0 s long instead of 8 s" in text for text in told) is is_told
    sidecar = json.loads(sidecar_path(Path(record.output)).read_text())
    assert sidecar["video"] == {"seconds": seconds, "bought": 8}
    assert ("instead of" in describe_outcome(record)) is is_told


@pytest.mark.parametrize(
    "data",
    [
        make_box(b"ftyp", b"isom") + make_box(b"moov") + make_box(b"mdat"),
        make_file(b""),
        make_file(frames=0),
        make_file(kind=b"soun"),
    ],
)
def test_a_file_without_a_video_is_not_done(bench: Bench, data: bytes) -> None:
    """The video stays to be fetched, and nothing has the name of the output."""
    bench.script_success()
    bench.set_script("open", data)
    job = bench.run_job(bench.plan_job())
    assert job.record.state is State.DOWNLOADING
    assert isinstance(job.error, DownloadError)
    assert not Path(job.record.output).exists()


def test_a_task_that_never_ends(bench: Bench) -> None:
    """After the retention time its reservation is an amount in doubt, which can be settled."""
    bench.set_script("submit", ACCEPTED)
    bench.set_script("poll", RUNNING)
    job = bench.plan_job()
    job.wait_s = None
    take_step(bench.context, job)
    reserved = job.record.reserved
    bench.now += 90_001.0
    bench.run_job(job)
    found = bench.ledger.find_job(job.record.id)

    assert isinstance(job.error, UnknownOutcomeError)
    assert (found.state, found.task_id) == (State.UNKNOWN, "task-1")
    assert (found.held_amount, found.in_doubt_amount) == (0, reserved)

    assert bench.ledger.attach_task(found.id, "task-1")
    bench.set_script("poll", READY)
    bench.set_script("open", MP4_DATA)
    (taken,) = bench.ledger.take_leases([bench.ledger.find_job(found.id)], "other")
    assert bench.run_job(ActiveJob(taken)).record.state is State.DONE


def test_a_kill_around_the_last_commit_leaves_a_sidecar(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written before the job is done: a job that is done is not looked at again."""
    bench.script_success()
    job, move = bench.plan_job(), bench.ledger.move_job

    def die(record: Record, state: State | None = None, **changes: Any) -> Record:
        if state is State.DONE:
            raise LedgerError("the process dies")
        return move(record, state, **changes)

    monkeypatch.setattr(bench.ledger, "move_job", die)
    bench.run_job(job)
    sidecar = Path(f"{job.record.output}.json")
    written = json.loads(sidecar.read_text())
    sidecar.unlink()
    monkeypatch.undo()
    (taken,) = bench.ledger.take_leases([bench.ledger.find_job(job.record.id)], "other")
    done = bench.run_job(ActiveJob(taken)).record

    assert written["state"] == "done"
    assert done.state is State.DONE
    assert json.loads(sidecar.read_text())["sha256"] == done.sha256 == written["sha256"]
