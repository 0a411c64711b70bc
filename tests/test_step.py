"""A job's life, step by step, against a provider that does as it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
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
    NotReadyError,
    ProtocolError,
    RefusedError,
    ResponseLostError,
    StillRunningError,
    TaskNotFoundError,
    TooLargeError,
    UnknownOutcomeError,
    UnreachableError,
)
from veo.image import Image
from veo.ledger import State
from veo.provider import ByteStream
from veo.update import RemoteVideo, Stage, Update

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


def money(work: ActiveJob) -> tuple[int, int, bool]:
    """Reserved, charged, certain."""
    return work.record.reserved, work.record.charged, work.record.certain


def test_a_good_job_ends_done_with_its_file_and_its_charge(bench: Bench) -> None:
    """From planned to done: the file is whole, the quote is charged, every step is written."""
    bench.script_success()

    work = bench.run_job(bench.plan_job())

    assert work.record.state is State.DONE
    assert Path(work.record.output).read_bytes() == MP4_DATA
    assert money(work) == (0, 150_000, True)
    assert bench.event_kinds(work) == [
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
    """Sums of the differences in the history are what the row says."""
    bench.script_success()

    work = bench.run_job(bench.plan_job())
    events = bench.ledger.read_history(work.record.id)

    assert sum(event.reserved for event in events) == 0
    assert sum(event.charged for event in events) == 150_000


def test_the_intent_is_on_disk_before_the_request_leaves(bench: Bench) -> None:
    """While the provider is being asked, the ledger already says submitting."""
    seen: list[State] = []

    def look(_: Any) -> Update:
        seen.extend(record.state for record in bench.ledger.list_jobs())
        return ACCEPTED

    bench.script_success()
    bench.set_script("submit", look)
    bench.run_job(bench.plan_job())

    assert seen == [State.SUBMITTING]


@pytest.mark.parametrize(
    "error",
    [BusyError("429", retry_after=7.0), UnreachableError("refused"), NotReadyError("soon")],
)
def test_what_was_certainly_not_accepted_is_sent_again(bench: Bench, error: Exception) -> None:
    """A refusal that may pass is retried, and the job is done in the end."""
    bench.script_success()
    bench.set_script("submit", error, error, ACCEPTED)

    work = bench.run_job(bench.plan_job())

    assert work.record.state is State.DONE
    assert bench.provider.count_calls("submit") == 3
    assert work.record.submits == 3


def test_retry_after_is_honoured(bench: Bench) -> None:
    """The next try comes no sooner than the server said."""
    bench.script_success()
    bench.set_script("submit", BusyError("429", retry_after=77.0), ACCEPTED)
    work = bench.plan_job()
    before = bench.now

    when = take_step(bench.context, work)

    assert when == before + 77.0
    assert work.record.state is State.PLANNED


def test_a_busy_provider_is_slowed_for_every_job(bench: Bench) -> None:
    """After a 429 for one job, no other job of that provider is sent either."""
    bench.set_script("submit", BusyError("429", retry_after=30.0))
    take_step(bench.context, bench.plan_job())
    other = bench.plan_job()

    when = take_step(bench.context, other)

    assert when == pytest.approx(bench.now + 30.0)
    assert bench.provider.count_calls("submit") == 1


def test_a_refusal_for_good_fails_and_releases(bench: Bench) -> None:
    """A request that the provider refuses ends failed, and its money is free again."""
    bench.set_script("submit", RefusedError("no"))

    work = bench.run_job(bench.plan_job())

    assert work.record.state is State.FAILED
    assert money(work) == (0, 0, True)
    assert isinstance(work.error, RefusedError)


def test_endless_refusals_end(bench: Bench) -> None:
    """A provider that is always busy does not keep a job for ever."""
    bench.set_script("submit", BusyError("429"))

    work = bench.run_job(replace_wait(bench.plan_job(), None))

    assert work.record.state is State.FAILED
    assert bench.provider.count_calls("submit") == 11


def replace_wait(work: ActiveJob, wait: float | None) -> ActiveJob:
    """The same work with another patience."""
    work.wait_s = wait
    return work


@pytest.mark.parametrize(
    "error",
    [
        ResponseLostError("reset"),
        ProtocolError("<html>"),
        RefusedError("502", charged=None),
        KeyError("a bug of the provider"),
    ],
)
def test_a_lost_answer_is_unknown_and_never_sent_again(bench: Bench, error: Exception) -> None:
    """Sent without an answer: one POST, state unknown, money held, advice given."""
    bench.set_script("submit", error)

    work = bench.run_job(bench.plan_job())
    again = bench.run_job(work)

    assert again.record.state is State.UNKNOWN
    assert bench.provider.count_calls("submit") == 1
    assert money(again) == (150_000, 0, False)
    assert isinstance(again.error, UnknownOutcomeError)
    assert [each.kind for each in again.error.remedies] == ["attach_task", "resubmit"]


def test_a_job_found_submitting_becomes_unknown(bench: Bench) -> None:
    """A process that died between intent and answer leaves a job that nobody sends again."""
    bench.script_success()
    work = bench.plan_job()
    sent = bench.ledger.move_job(work.record, State.SUBMITTING)

    found = bench.run_job(ActiveJob(sent))

    assert found.record.state is State.UNKNOWN
    assert bench.provider.count_calls("submit") == 0


def test_a_stream_that_died_after_acceptance_is_unknown_and_charged(accepting: Bench) -> None:
    """A sync job whose process died after HTTP 200 has been paid for, and cannot be polled."""

    def die(report: Any) -> Update:
        report(Update(stage=Stage.SUBMITTED))
        raise KeyboardInterrupt

    accepting.set_script("submit", die)
    work = accepting.plan_job()
    with pytest.raises(KeyboardInterrupt):
        take_step(accepting.context, work)

    found = accepting.run_job(ActiveJob(work.record))

    assert found.record.state is State.UNKNOWN
    assert money(found) == (0, 150_000, False)


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

    work = accepting.run_job(accepting.plan_job())

    assert seen == [(State.RUNNING, 150_000)]
    assert work.record.state is State.DONE
    assert money(work) == (0, 150_000, True)


def test_a_sync_failure_after_acceptance_stays_charged_and_uncertain(accepting: Bench) -> None:
    """Money that went with HTTP 200 does not come back; documents disagree, so it is uncertain."""

    def stream(report: Any) -> Update:
        report(Update(stage=Stage.SUBMITTED))
        raise GenerationError("no link in the text", charged=True)

    accepting.set_script("submit", stream)

    work = accepting.run_job(accepting.plan_job())

    assert work.record.state is State.FAILED
    assert money(work) == (0, 150_000, False)


def test_a_failed_task_is_released_where_only_success_is_charged(bench: Bench) -> None:
    """The provider's no to an accepted task costs nothing on the async route."""
    bench.set_script("submit", ACCEPTED)
    bench.set_script("poll", Update(stage=Stage.FAILED, error=GenerationError("moderated")))

    work = bench.run_job(bench.plan_job())

    assert work.record.state is State.FAILED
    assert money(work) == (0, 0, True)


@pytest.mark.parametrize(
    "trouble",
    [ResponseLostError("reset"), ProtocolError("garbage"), BusyError("503"), KeyError("x")],
)
def test_bad_polls_do_not_kill_a_job(bench: Bench, trouble: Exception) -> None:
    """GETs are repeated as often as it takes."""
    bench.script_success()
    bench.set_script("poll", *[trouble] * 7, RUNNING, trouble, READY)

    work = bench.run_job(bench.plan_job())

    assert work.record.state is State.DONE
    assert bench.provider.count_calls("submit") == 1


def test_a_task_too_new_to_be_known_is_asked_for_again(bench: Bench) -> None:
    """Right after the submit, an unknown task is only too new."""
    bench.script_success()
    bench.set_script("poll", TaskNotFoundError("?"), TaskNotFoundError("?"), RUNNING, READY)

    assert bench.run_job(bench.plan_job()).record.state is State.DONE


def test_a_task_that_stays_unknown_has_expired(bench: Bench) -> None:
    """After the grace the job is expired, and whether it was charged is uncertain."""
    bench.set_script("submit", ACCEPTED)
    bench.set_script("poll", TaskNotFoundError("task_not_exist"))

    work = bench.run_job(bench.plan_job())

    assert work.record.state is State.EXPIRED
    assert work.record.certain is False


def test_a_refused_key_while_polling_leaves_the_job_as_it_is(bench: Bench) -> None:
    """A key that stops working ends the work, not the job."""
    bench.set_script("submit", ACCEPTED)
    bench.set_script("poll", AuthError("401"))

    work = bench.run_job(bench.plan_job())

    assert work.record.state is State.SUBMITTED
    assert isinstance(work.error, AuthError)
    assert bench.ledger.find_job(work.record.id).owner is None


def test_a_deadline_stops_the_waiting_not_the_job(bench: Bench) -> None:
    """After the time the job is still running, and can be resumed to its end."""
    bench.set_script("submit", ACCEPTED)
    bench.set_script("poll", RUNNING)
    work = bench.run_job(bench.plan_job())

    assert isinstance(work.error, StillRunningError)
    assert bench.ledger.find_job(work.record.id).state is State.RUNNING
    assert bench.ledger.find_job(work.record.id).owner is None

    bench.script_success()
    (taken,) = bench.ledger.take_leases([bench.ledger.find_job(work.record.id)], "other")
    assert bench.run_job(ActiveJob(taken)).record.state is State.DONE
    assert bench.provider.count_calls("submit") == 1


def test_a_cut_download_goes_on_where_it_stopped(bench: Bench) -> None:
    """The second request asks for the bytes that are missing, and the file is whole."""

    def cut() -> Iterator[bytes]:
        yield MP4_DATA[:10]
        raise ResponseLostError("cut")

    bench.script_success()
    bench.set_script("open", ByteStream(cut(), 0, len(MP4_DATA), "tag"), MP4_DATA)

    work = bench.run_job(bench.plan_job())

    assert [told[1] for verb, told in bench.provider.calls if verb == "open"] == [0, 10]
    assert Path(work.record.output).read_bytes() == MP4_DATA


def test_another_file_under_the_same_link_is_fetched_from_the_start(bench: Bench) -> None:
    """Bytes of two different files are never mixed."""

    def cut() -> Iterator[bytes]:
        yield b"\x00" * 10
        raise ResponseLostError("cut")

    bench.script_success()
    bench.set_script("open", ByteStream(cut(), 0, len(MP4_DATA), "old"), MP4_DATA)

    work = bench.run_job(bench.plan_job())

    assert [told[1] for verb, told in bench.provider.calls if verb == "open"] == [0, 10, 0]
    assert Path(work.record.output).read_bytes() == MP4_DATA


def test_an_offset_that_the_server_refuses_leads_to_the_start(bench: Bench) -> None:
    """A part that no byte can follow does not block the download for ever."""

    def cut() -> Iterator[bytes]:
        yield MP4_DATA[:10]
        raise ResponseLostError("cut")

    bench.script_success()
    refused = GoneError("416", retryable=True)
    bench.set_script("open", ByteStream(cut(), 0, len(MP4_DATA), "tag"), refused, MP4_DATA)

    work = bench.run_job(bench.plan_job())

    assert work.record.state is State.DONE
    assert [told[1] for verb, told in bench.provider.calls if verb == "open"] == [0, 10, 0]


def test_a_plausible_but_truncated_file_never_gets_its_name(bench: Bench) -> None:
    """Lengths that agree are not enough: the container is followed to its end."""
    bench.script_success()
    bench.set_script("open", MP4_DATA[:-4])

    work = bench.run_job(bench.plan_job())

    assert isinstance(work.error, DownloadError)
    assert work.error.exit_code == 7
    assert not Path(work.record.output).exists()
    assert bench.ledger.find_job(work.record.id).state is State.DOWNLOADING


def test_a_file_that_is_not_ready_yet_is_waited_for(bench: Bench) -> None:
    """'Not ready' right after completed is no failure."""
    bench.script_success()
    bench.set_script("open", *[NotReadyError("IN_PROGRESS", retry_after=4.0)] * 5, MP4_DATA)

    assert bench.run_job(bench.plan_job()).record.state is State.DONE


def test_a_link_that_has_gone_is_asked_for_once_more(bench: Bench) -> None:
    """An expired link is replaced by the one that the task names now."""
    bench.script_success()
    fresh = replace(READY, video=RemoteVideo("https://files.example/two.mp4"))
    bench.set_script("poll", READY, fresh)
    bench.set_script("open", GoneError("403"), MP4_DATA)

    work = bench.run_job(bench.plan_job())

    assert work.record.state is State.DONE
    assert [told[0][-7:] for verb, told in bench.provider.calls if verb == "open"] == [
        "one.mp4",
        "two.mp4",
    ]


def test_a_video_that_has_gone_for_good_is_expired_and_stays_charged(bench: Bench) -> None:
    """A made video costs its price even when nobody fetched it in time."""
    bench.script_success()
    bench.set_script("open", GoneError("404"))

    work = bench.run_job(bench.plan_job())

    assert work.record.state is State.EXPIRED
    assert money(work) == (0, 150_000, True)


def test_a_name_taken_meanwhile_is_not_overwritten(bench: Bench) -> None:
    """A file that appeared under the output's name stays; the video gets the job's id."""
    bench.script_success()
    work = bench.plan_job()
    Path(work.record.output).write_text("somebody else's")

    bench.run_job(work)

    assert (bench.folder / "0.mp4").read_text() == "somebody else's"
    assert Path(work.record.output).read_bytes() == MP4_DATA
    assert work.record.id in work.record.output


def test_a_file_named_just_before_a_crash_is_recognised(bench: Bench) -> None:
    """Killed between the rename and the last line: resume says done without a download."""
    bench.script_success()
    done = bench.run_job(bench.plan_job()).record
    history = len(bench.provider.calls)
    table = "UPDATE jobs SET state='downloading', owner='me'"
    with bench.ledger.database.write() as connection:
        connection.exec_driver_sql(table)

    work = bench.run_job(ActiveJob(bench.ledger.find_job(done.id)))

    assert work.record.state is State.DONE
    assert work.record.output == done.output
    assert len(bench.provider.calls) == history


def test_a_413_leads_to_one_smaller_try(bench: Bench, tmp_path: Path) -> None:
    """A picture that is too large for the route is sent once more, smaller, with a line."""
    frame = tmp_path / "frame.jpg"
    Pil.effect_noise((2000, 2000), 90).convert("RGB").save(frame, quality=95)
    bench.script_success()
    bench.set_script("submit", TooLargeError("413"), ACCEPTED)

    work = bench.run_job(bench.plan_job(start_frame=bench.context.images.store(Image.of(frame))))
    sizes = [len(told.start_frame.data) for verb, told in bench.provider.calls if verb == "submit"]

    assert work.record.state is State.DONE
    assert len(sizes) == 2
    assert sizes[1] < sizes[0]


def test_a_second_413_is_final(bench: Bench, tmp_path: Path) -> None:
    """One smaller try, not more."""
    frame = tmp_path / "frame.png"
    Pil.new("RGB", (300, 300), "red").save(frame)
    bench.set_script("submit", TooLargeError("413"))

    work = bench.run_job(bench.plan_job(start_frame=bench.context.images.store(Image.of(frame))))

    assert work.record.state is State.FAILED
    assert bench.provider.count_calls("submit") == 2


def test_a_frame_that_changed_since_it_was_planned_is_not_sent(
    bench: Bench, tmp_path: Path
) -> None:
    """What is paid for is what was looked at."""
    frame = tmp_path / "frame.png"
    Pil.new("RGB", (300, 300), "red").save(frame)
    work = bench.plan_job(start_frame=bench.context.images.store(Image.of(frame)))
    Pil.new("RGB", (300, 300), "blue").save(frame)

    bench.run_job(work)

    assert work.record.state is State.FAILED
    assert bench.provider.count_calls("submit") == 0
    assert money(work) == (0, 0, True)


def test_a_full_provider_parks_the_next_job(tmp_path: Path) -> None:
    """Not more jobs in flight than allowed; the next waits without a clock."""
    bench = Bench(tmp_path, max_in_flight=1)
    bench.set_script("submit", ACCEPTED)
    take_step(bench.context, bench.plan_job())

    assert take_step(bench.context, bench.plan_job()) == WAIT_FOR_CAPACITY
    assert bench.provider.count_calls("submit") == 1
    bench.ledger.close()


def test_a_process_that_lost_its_lease_does_not_send(bench: Bench) -> None:
    """The write before the paid request fails, and nothing leaves."""
    bench.script_success()
    work = bench.plan_job()
    bench.ledger.take_leases([work.record], "other")

    bench.run_job(work)

    assert bench.provider.count_calls("submit") == 0
    assert isinstance(work.error, LeaseLostError)


def test_an_answer_after_the_lease_was_lost_is_kept(bench: Bench) -> None:
    """A task id that comes late turns the unknown job into one that can be polled."""
    bench.script_success()
    work = bench.plan_job()

    def while_others_take_over(_: Any) -> Update:
        (taken,) = bench.ledger.take_leases([bench.ledger.find_job(work.record.id)], "other")
        bench.run_job(ActiveJob(taken))
        return ACCEPTED

    bench.set_script("submit", while_others_take_over)
    bench.run_job(work)
    kept = bench.ledger.find_job(work.record.id)

    assert (kept.state, kept.task_id, kept.owner) == (State.SUBMITTED, "task-1", None)
    assert "late response" in bench.event_kinds(work)
