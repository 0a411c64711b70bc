"""A task or a file that the provider does not have at the moment: nothing is paid a second time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from batch_inputs import find_videos, list_jobs, make_items, write_batch
from scripted import ACCEPTED, MP4_DATA, READY, RUNNING, Bench, take_step
from sqlalchemy import update

import veo_laozhang.files
from veo.engine import download, retry_delay
from veo.engine.context import ActiveJob
from veo.errors import (
    DownloadError,
    GoneError,
    MissingVideoError,
    NotReadyError,
    ResponseLostError,
    TaskNotFoundError,
)
from veo.key import Key
from veo.ledger import Ledger, State
from veo.ledger.schema import jobs
from veo.paths import ledger_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli_runner import Veo

    import veo_sandbox

pytest_plugins = ("veo_fixtures",)

CLIPS = 3
DAY_S = 86_400


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow each other at once."""
    monkeypatch.setattr(retry_delay, "RETRY_DELAYS_S", (0.02,))
    monkeypatch.setattr(veo_laozhang.files, "NOT_READY_S", 0.02)
    monkeypatch.setattr(download, "MAX_NOT_READY_RETRIES", 3)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose provider charges on success and keeps videos for a day."""
    bench = Bench(tmp_path)
    yield bench
    bench.ledger.close()


def count_posts(service: veo_sandbox.Sandbox) -> int:
    """Return the number of paid requests that reached the sandbox."""
    return sum(seen["method"] == "POST" for seen in service.requests())


def change_rows(**values: object) -> None:
    """Change columns of all jobs, behind the back of the ledger."""
    ledger = Ledger(ledger_folder())
    with ledger.database.write() as connection:
        connection.execute(update(jobs).values(values))
    ledger.close()


def age_jobs(seconds: float) -> None:
    """Let all jobs have been sent so long ago."""
    change_rows(submitted_at=time.time() - seconds)


def run_batch(veo: Veo, *options: str) -> int:
    return veo("batch", write_batch(*make_items(CLIPS)), *options).code


@pytest.mark.parametrize("step", ["file", "content"])
def test_one_404_does_not_lose_a_video(veo: Veo, service: veo_sandbox.Sandbox, step: str) -> None:
    """Input 1: the file's host, or the API's own, says 404 once, then sends the file."""
    service.fault("file_404", on=["file", "content"], first=1)

    assert run_batch(veo) == 0
    assert count_posts(service) == len(find_videos()) == CLIPS


@pytest.mark.parametrize("fault", ["file_404", "http_404", "http_500"])
def test_a_file_that_is_missing_for_a_while(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Input 2 and 4: exit 7; the same batch asks again, pays nothing, and downloads in the end."""
    monkeypatch.setattr(download, "MAX_RETRIES", 2)
    service.fault(fault, on=["file", "content"])
    codes = [run_batch(veo), run_batch(veo)]
    states = {job.state for job in list_jobs()}
    service.clear_faults()

    assert (codes, states) == ([7, 7], {State.READY})
    assert run_batch(veo) == 0
    assert count_posts(service) == len(find_videos()) == CLIPS


def test_another_key_asks(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Input 3 and 4: key B does not find the tasks of key A; A downloads them, and pays nothing."""
    service.change(latency="60")
    file = write_batch(*make_items(CLIPS))
    assert veo("batch", file, "--detach").code == 0
    age_jobs(1000)  # within the first minutes a task may be too new to be known
    service.fault("other_account")
    key = service.key
    monkeypatch.setenv("VEO_API_KEY", "key-of-another-account")
    results = [veo("batch", file), veo("batch", file), veo("resume")]
    states = {job.state for job in list_jobs()}
    service.advance(60)
    monkeypatch.setenv("VEO_API_KEY", key)

    assert [result.code for result in results] == [7, 7, 7]
    assert all("sent with another key" in result.err for result in results)
    assert states <= {State.SUBMITTED, State.RUNNING}
    assert veo("batch", file).code == 0
    assert count_posts(service) == len(find_videos()) == CLIPS
    assert all(key not in str(job) for job in list_jobs())


def test_another_key_asks_google(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Input 3 at Google, which answers 404 to the key of another project."""
    config = Path("veo.toml")
    config.write_text(f'{config.read_text()}\n[providers.gemini]\nbase_url = "{service.url}"\n')
    monkeypatch.setenv("GEMINI_API_KEY", service.key)
    service.change(latency="60", processing_lag=0)
    assert veo("generate", "lion", "-p", "gemini", "-o", "lion.mp4", "--detach").code == 0
    age_jobs(1000)
    service.fault("other_account")
    monkeypatch.setenv("GEMINI_API_KEY", "key-of-another-project")
    other = veo("resume")
    service.advance(60)
    monkeypatch.setenv("GEMINI_API_KEY", service.key)

    assert other.code == 7
    assert "sent with another key" in other.err
    assert veo("resume").code == 0
    assert (count_posts(service), find_videos()) == (1, {"lion.mp4"})


def test_jobs_of_older_ledgers_that_expired_are_resumed(
    veo: Veo, service: veo_sandbox.Sandbox
) -> None:
    """`veo resume JOB`, `--task-id` and the same batch ask once more before anything is paid."""
    service.fault("file_404", on=["file", "content"])
    run_batch(veo)
    change_rows(state=State.EXPIRED, ended_at=time.time(), error="{}")
    service.clear_faults()
    first, second, _ = list_jobs()

    assert veo("resume", first.id).code == 0
    assert veo("resume", second.id, "--task-id", second.task_id).code == 0
    assert run_batch(veo) == 0
    assert count_posts(service) == len(find_videos()) == CLIPS


def test_resume_without_names_asks_for_expired_jobs(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Within the retention time, and not for those that another job has replaced."""
    service.fault("file_404", on=["file", "content"])
    run_batch(veo)
    change_rows(state=State.EXPIRED, ended_at=time.time(), error="{}")
    service.clear_faults()
    age_jobs(3 * DAY_S)
    assert "nothing to resume" in veo("resume").err
    age_jobs(10)
    service.fault("file_404", on=["file", "content"], match="take 1", first=3)
    run_batch(veo, "--remake")
    before = len(list_jobs())
    change_rows(state=State.EXPIRED, ended_at=time.time(), error="{}")

    assert veo("resume").code == 0
    states = [job.state for job in list_jobs()]
    assert states.count(State.DONE) == CLIPS
    assert len(states) == before


def test_only_remake_pays_again(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """After the retention time the job ends; it stands for its item until a person says so."""
    service.fault("file_404", on=["file", "content"])
    run_batch(veo)
    age_jobs(3 * DAY_S)
    codes = [run_batch(veo), run_batch(veo)]
    posts = count_posts(service)
    ended = {job.state for job in list_jobs()}
    service.clear_faults()
    service.fault("file_404", on=["file", "content"], match="take 1")
    remade = run_batch(veo, "--remake")

    assert (codes, posts, ended) == ([1, 1], CLIPS, {State.EXPIRED})
    # Two videos are there again and cost nothing; the third is paid for, and missing as well.
    assert (remade, count_posts(service)) == (7, CLIPS + 1)


def test_remake_gives_up_a_job_within_the_retention_time(
    veo: Veo, service: veo_sandbox.Sandbox
) -> None:
    """The person decides; the job that is given up ends as expired and keeps its charge."""
    # Three requests a job in each of three runs; the files of the new tasks are there.
    service.fault("file_404", on=["file", "content"], times=9 * CLIPS)
    assert run_batch(veo) == 7
    assert veo("batch", "batch.json").err.count("--remake makes it again") == 1
    assert run_batch(veo, "--remake") == 0

    assert len(find_videos()) == CLIPS
    assert count_posts(service) == 2 * CLIPS
    old = [job for job in list_jobs() if job.state is State.EXPIRED]
    assert [job.charged for job in old] == [150_000] * CLIPS


def test_a_task_that_is_not_found_can_be_corrected(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A wrong `--task-id` does not end the job: the right one continues it."""
    service.fault("drop_answer")
    assert run_batch(veo) == 5
    age_jobs(1000)
    for job, task in zip(list_jobs(), service.tasks(), strict=True):
        assert veo("resume", job.id, "--task-id", "task_of_somebody_else").code == 7
        assert veo("resume", job.id, "--task-id", task["task"]).code == 0

    assert count_posts(service) == len(find_videos()) == CLIPS


def test_a_timeout_before_the_download_exits_7(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--timeout` on a job that is made and not downloaded: `DownloadError`, as help says."""
    monkeypatch.setattr(retry_delay, "RETRY_DELAYS_S", (60.0,))
    bench.set_script("submit", READY)
    bench.set_script("open", ResponseLostError("cut"))
    job = bench.plan_job()
    job.wait_s = 10.0
    bench.run_job(job)

    assert type(job.error) is DownloadError
    assert (job.error.exit_code, job.error.charged) == (7, True)
    assert bench.ledger.find_job(job.record.id).state is State.READY


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("poll", TaskNotFoundError("task_not_exist")),
        ("open", GoneError("404")),
        ("open", NotReadyError("404")),
    ],
)
def test_it_ends_only_after_the_retention_time(bench: Bench, method: str, error: Exception) -> None:
    """Before it the job can be resumed; after it, it has expired, and its money stays counted."""
    bench.script_success()
    bench.set_script(method, error)
    job = bench.run_job(bench.plan_job())

    assert isinstance(job.error, MissingVideoError)
    assert bench.ledger.find_job(job.record.id).is_missing
    bench.now += 2 * DAY_S
    (taken,) = bench.ledger.take_leases([bench.ledger.find_job(job.record.id)], "other")
    again = bench.run_job(ActiveJob(taken))

    assert again.record.state is State.EXPIRED
    assert again.record.charged + again.record.reserved == 150_000
    assert again.record.covers_request
    assert bench.provider.count_calls("submit") == 1


def test_a_task_that_is_found_again_has_no_error(bench: Bench) -> None:
    """The next response about the task clears what was written down."""
    bench.set_script("submit", ACCEPTED)
    bench.set_script("poll", *[TaskNotFoundError("?")] * 100)
    job = bench.run_job(bench.plan_job())
    (taken,) = bench.ledger.take_leases([bench.ledger.find_job(job.record.id)], "other")
    bench.set_script("poll", RUNNING, READY)
    bench.set_script("open", MP4_DATA)
    again = ActiveJob(taken)
    take_step(bench.context, again)

    assert job.record.error is not None
    assert (again.record.error, again.record.state) == (None, State.RUNNING)
    assert bench.run_job(again).record.state is State.DONE


def test_a_key_leaves_a_salted_hash(bench: Bench) -> None:
    """Two jobs of one key have different hashes, and the key is in no row."""
    bench.route.key = Key("sk-secret")
    bench.script_success()
    first, second = bench.run_job(bench.plan_job()), bench.run_job(bench.plan_job("tiger"))

    hashes = [first.record.key_hash, second.record.key_hash]
    assert hashes == [Key("sk-secret").fingerprint(job.record.id) for job in (first, second)]
    assert len(set(hashes)) == 2
    assert "sk-secret" not in str(first.record)
