"""A full disk under the ledger while responses arrive: no paid task is lost."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest
from batch_inputs import find_videos, list_jobs, make_items, wait_until, write_batch
from scripted import ACCEPTED, VIDEO, Bench, take_step
from sqlalchemy import insert

from veo.errors import LedgerError
from veo.ledger import Ledger, Record, State, spill
from veo.ledger.database import Database
from veo.ledger.schema import workers
from veo.update import Stage, Update

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli_runner import Veo

    import veo_sandbox
    from veo.engine.context import ActiveJob

pytest_plugins = ("veo_fixtures",)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench whose provider accepts jobs."""
    bench = Bench(tmp_path)
    bench.set_script("submit", ACCEPTED)
    return bench


def fill_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every change fail after a request is about to be sent."""
    move = bench.ledger.move_job

    def fail(record: Record, state: State | None = None, **changes: Any) -> Record:
        if record.state is State.SUBMITTING:
            raise LedgerError("database or disk is full")
        return move(record, state, **changes)

    monkeypatch.setattr(bench.ledger, "move_job", fail)


def submit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> ActiveJob:
    """Send a job while the disk is full."""
    spill.prepare(bench.ledger.folder)
    job = bench.plan_job()
    fill_disk(bench, monkeypatch)
    take_step(bench.context, job)
    return job


def test_a_task_that_cannot_be_stored_is_kept_and_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside the ledger, and on the screen; the next process takes it in."""
    job = submit(bench, monkeypatch)
    told = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    stored = bench.ledger.find_job(job.record.id).state
    reopened = Ledger(bench.ledger.folder)
    found = reopened.find_job(job.record.id)

    assert isinstance(job.error, LedgerError)
    assert stored is State.SUBMITTING
    assert [job.record.id in told[0].getMessage(), "task-1" in told[0].getMessage()] == [True] * 2
    assert (found.state, found.task_id, found.owner) == (State.SUBMITTED, "task-1", None)
    assert "kept beside" in str(reopened.read_history(found.id)[-1].message)
    assert Ledger(bench.ledger.folder).find_job(job.record.id) == found


def test_a_video_that_cannot_be_stored(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route without tasks has an address instead; the charge is counted."""
    bench.set_script("submit", Update(stage=Stage.READY, video=VIDEO))
    job = submit(bench, monkeypatch)
    found = Ledger(bench.ledger.folder).find_job(job.record.id)

    assert (found.state, found.remote_video()) == (State.READY, VIDEO)
    assert (found.reserved, found.charged) == (0, job.record.reserved)


def test_a_file_that_cannot_be_written_either(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The task is on the screen all the same, with the command that attaches it."""
    (bench.ledger.folder / "accepted.jsonl").mkdir()
    job = submit(bench, monkeypatch)

    assert "task-1" in caplog.text
    assert "note it" in caplog.text
    assert job.error
    assert job.error.remedies[0].task_id == "task-1"


@pytest.mark.parametrize("charged", ["on_accept", "on_success"])
def test_a_disk_that_is_full_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, charged: str
) -> None:
    """A report within the response cannot be stored: the video that follows is, and is charged."""
    bench = Bench(tmp_path, charged)
    job = bench.plan_job()

    def respond(report: Callable[[Update], None]) -> Update:
        with monkeypatch.context() as patch:
            fill_disk(bench, patch)
            report(Update(stage=Stage.RUNNING, progress=0.5))
        return Update(stage=Stage.READY, video=VIDEO)

    bench.set_script("submit", respond)
    take_step(bench.context, job)
    found = bench.ledger.find_job(job.record.id)

    assert (found.state, found.remote_video()) == (State.READY, VIDEO)
    assert (found.reserved, found.charged, found.certain) == (0, 150_000, True)


def test_a_full_disk_after_a_busy_provider_accepts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is stored before the capacity of the provider, which only guides the pace."""
    job = bench.plan_job()
    limiter = bench.route.limiter
    limiter.set_capacity(bench.ledger.back_off("scripted", limiter.limits, 0.0, 2))

    def fail(*_: object) -> None:
        raise LedgerError("database or disk is full")

    monkeypatch.setattr(bench.ledger, "recover", fail)
    take_step(bench.context, job)
    found = bench.ledger.find_job(job.record.id)

    assert (found.state, found.task_id) == (State.SUBMITTED, "task-1")


class TestSpill:
    """The file."""

    def test_its_space_is_taken_beforehand(self, tmp_path: Path) -> None:
        """Writing into it needs no new space."""
        spill.prepare(tmp_path)
        file = tmp_path / "accepted.jsonl"
        blocks = file.stat().st_blocks
        for number in range(100):
            spill.save(tmp_path, {"job": f"j{number}"})
        assert (file.stat().st_size, file.stat().st_mode & 0o777) == (1 << 16, 0o600)
        assert file.stat().st_blocks == blocks

    def test_all_tasks_are_taken_in_once(self, tmp_path: Path) -> None:
        """And the space stays."""
        for number in range(1000):  # more than there is space for
            spill.save(tmp_path, {"job": number, "text": "x" * 50})
        taken: list[Any] = []
        spill.take_in(tmp_path, taken.append)
        spill.take_in(tmp_path, taken.append)
        assert [entry["job"] for entry in taken] == list(range(1000))
        assert spill.save(tmp_path, {"job": 1}).stat().st_size >= 1 << 16

    def test_an_error_keeps_all(self, tmp_path: Path) -> None:
        """The disk is still full."""
        spill.save(tmp_path, {"job": 1})

        def fail(_: object) -> None:
            raise LedgerError("full")

        with pytest.raises(LedgerError):
            spill.take_in(tmp_path, fail)
        taken: list[Any] = []
        spill.take_in(tmp_path, taken.append)
        assert taken == [{"job": 1}]

    @pytest.mark.parametrize("text", [b'{"job": "a', b"[1]\n5\nnull", b"\xff\xfe", b"[" * 9999])
    def test_a_line_that_is_not_whole(self, tmp_path: Path, text: bytes) -> None:
        """The process died while it wrote; the lines after it count."""
        (tmp_path / "accepted.jsonl").write_bytes(text)
        spill.save(tmp_path, {"job": 2})
        taken: list[Any] = []
        spill.take_in(tmp_path, taken.append)
        assert taken == [{"job": 2}]

    def test_an_edited_file_does_not_stop_the_ledger(self, tmp_path: Path) -> None:
        """Entries of other shapes, and of jobs that do not exist, change nothing."""
        entries = [{"job": "x"}, {"job": 5, "video": {"odd": 1}}, {"video": 7}, {}]
        (tmp_path / "accepted.jsonl").write_text("\n".join(map(json.dumps, entries)))
        assert Ledger(tmp_path).list_jobs() == []


def test_no_lost_write_passes_for_a_committed_one(tmp_path: Path) -> None:
    """However many others fail before its thread looks; a request would be sent twice."""
    database = Database(tmp_path)
    outcome: list[BaseException | None] = []

    def write() -> None:
        try:
            with database.write() as connection:
                connection.execute(insert(workers).values(id="a", host="h", pid=1, seen_at=0.0))
            outcome.append(None)
        except LedgerError as error:
            outcome.append(error)

    with database._commit_lock:
        thread = threading.Thread(target=write)
        thread.start()
        wait_until(lambda: database._executed > database._committed)
        with database._statement_lock:
            for _ in range(50):
                database._record_failure(sqlite3.OperationalError("database or disk is full"))
            database._driver.rollback()
            database._committed = database._executed
            for _ in range(50):
                database._record_failure(sqlite3.OperationalError("disk I/O error"))
    thread.join(10)

    assert "full" in str(outcome[0])
    assert database._lost == {}


def test_a_batch_on_a_full_disk(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every accepted task is in the ledger or on the screen, and none is paid for twice."""
    begin, count = Ledger.begin_submit, iter(range(100))

    def fill(self: Ledger, *args: Any, **options: Any) -> Any:
        result = begin(self, *args, **options)
        if next(count) == 2:
            driver = self.database._driver  # type: ignore[union-attr]
            driver.execute("PRAGMA max_page_count = 1")  # as many as there are
        return result

    file = write_batch(*make_items(8))
    service.change(delay=0.2)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "begin_submit", fill)
        full = veo("batch", file)
    accepted = {task["task"] for task in service.tasks()}
    stored = {job.task_id for job in list_jobs()}
    codes = [veo("batch", file).code for _ in range(2)]
    posts = len(service.tasks())

    assert full.code != 0
    assert "full" in full.err
    assert accepted
    assert accepted <= stored
    assert codes[-1] in {0, 5}
    assert posts == 8
    unknown = sum(job.state is State.UNKNOWN for job in list_jobs())
    assert len(find_videos()) == 8 - unknown
