"""``veo jobs``, ``show`` and ``resume``: the states of jobs, their costs, and how they continue."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from cli_runner import Veo

import veo_sandbox
from veo import Client
from veo.ledger import Ledger, State, listing, spill
from veo.ledger.spending import JobFilter, list_newest
from veo.paths import ledger_folder

pytest_plugins = ("veo_fixtures",)


@pytest.fixture
def mixed(veo: Veo, service: veo_sandbox.Sandbox) -> dict[str, str]:
    """The ids of three jobs by state: done, failed, unknown."""
    service.fault("drop_answer", on="create", match="unknown")
    made = {}
    for state in ("done", "unknown"):
        made[state] = veo("generate", f"{state} lion", "--json").objects[0]["job"]
    service.change(fail_rate=1.0)
    made["failed"] = veo("generate", "failed lion", "--json").objects[0]["job"]
    service.change(fail_rate=0.0)
    return made


def test_the_newest_come_first(veo: Veo, mixed: dict[str, str]) -> None:
    """`veo jobs` lists every job with its state, newest first."""
    lines = veo("jobs").out.splitlines()

    assert lines[0].split()[:2] == ["JOB", "STATE"]
    assert [line.split()[:2] for line in lines[1:]] == [
        [mixed["failed"], "failed"],
        [mixed["unknown"], "unknown"],
        [mixed["done"], "done"],
    ]


def test_jobs_are_filtered(veo: Veo, mixed: dict[str, str]) -> None:
    """--state and --limit select jobs; --quiet prints ids, --json objects."""
    states = veo("jobs", "--state", "done", "--state", "failed", "--json").objects
    ids = veo("jobs", "--quiet").out.split()

    assert {job["state"] for job in states} == {"done", "failed"}
    assert ids == [mixed["failed"], mixed["unknown"], mixed["done"]]
    assert len(veo("jobs", "--limit", "2", "--json").objects) == 2
    assert len(veo("jobs", "--limit", "2", "--all", "--json").objects) == 3


def test_the_light_listing_is_that_of_the_ledger(veo: Veo, mixed: dict[str, str]) -> None:
    """Read without SQLAlchemy, the newest jobs are the same records in the same order."""
    with closing(Ledger(ledger_folder())) as ledger:
        for limit in (None, 2):
            expected = list_newest(ledger, JobFilter(), limit)
            assert repr(listing.list_newest(ledger_folder(), limit)) == repr(expected)


@pytest.mark.parametrize("change", ["absent", "newer", "task beside it", "damaged"])
def test_the_light_listing_leaves_the_rest_to_the_ledger(veo: Veo, change: str) -> None:
    """It reads no ledger that must be made, changed or reported when it is opened."""
    folder = ledger_folder()
    if change != "absent":
        Ledger(folder).close()
        assert listing.list_newest(folder) == []
    if change == "newer":
        with closing(sqlite3.connect(folder / "ledger.db")) as connection, connection:
            connection.execute("INSERT INTO migrations VALUES ('m999_later', 0)")
    elif change == "task beside it":
        spill.save(folder, {"job": "lion", "task_id": "task"})
    elif change == "damaged":
        (folder / "ledger.db").write_bytes(b"not a database" * 100)

    assert listing.list_newest(folder) is None


def test_no_jobs(veo: Veo) -> None:
    """An empty ledger is not an error."""
    ran = veo("jobs")

    assert (ran.code, ran.out) == (0, "")


def test_costs_are_added_up(veo: Veo, mixed: dict[str, str]) -> None:
    """--cost sums charged, reserved and doubtful money, and shows what is left of budgets."""
    with Path("veo.toml").open("a") as file:
        file.write("[budget]\ndaily = 1.00\n")
    (sums,) = veo("jobs", "--cost", "--json").objects
    text = veo("jobs", "--cost").out

    assert sums == {
        "jobs": {"done": 1, "unknown": 1, "failed": 1},
        "charged": 0.15,
        "uncertain": 0.0,
        "reserved": 0.0,
        "doubtful": 0.15,
        "currency": "USD",
        "budgets": {"budget.daily": {"limit": 1.0, "free": 0.7}},
    }
    assert "$0.70 of $1.00 left" in text


def test_history_adds_up(veo: Veo, mixed: dict[str, str]) -> None:
    """`veo show` prints the history; its amounts add up to the charge."""
    (shown,) = veo("show", mixed["done"], "--json").objects
    text = veo("show", mixed["done"][:6]).out

    sums = {
        name: round(sum(line[name] for line in shown["history"]), 6)
        for name in ("reserved", "charged", "doubtful")
    }
    assert sums == {"reserved": 0.0, "charged": 0.15, "doubtful": 0.0}
    assert [line["kind"] for line in shown["history"]][:2] == ["planned", "submitting"]
    assert shown["request"]["prompt"] == "done lion"
    assert "reserved -$0.15, charged +$0.15" in text


def test_an_unknown_job_is_explained(veo: Veo, mixed: dict[str, str]) -> None:
    """`veo show` of a job of unknown outcome says that it may be charged, and names a remedy."""
    text = veo("show", mixed["unknown"]).out

    assert "possibly charged $0.15" in text
    assert "--resubmit" in text


def test_nothing_to_resume(veo: Veo) -> None:
    """`veo resume` with nothing to do says so, and succeeds."""
    ran = veo("resume")

    assert (ran.code, ran.out) == (0, "")
    assert "nothing to resume" in ran.err


def test_unknown_jobs_wait_for_a_decision(veo: Veo, mixed: dict[str, str]) -> None:
    """`veo resume` does not continue a job of unknown outcome, and names the remedies."""
    everything = veo("resume")
    named = veo("resume", mixed["unknown"])

    assert everything.code == 0
    assert mixed["unknown"] in everything.err
    assert "--resubmit" in everything.err
    assert named.code == 5
    assert "may have been accepted and paid for" in named.err
    assert "nothing to resume" not in everything.err


def test_a_named_job_that_has_ended(veo: Veo, mixed: dict[str, str]) -> None:
    """`veo resume` of ended jobs prints how they ended; the highest exit code counts."""
    done = veo("resume", mixed["done"])
    both = veo("resume", mixed["done"], mixed["failed"], "--json")

    assert done.code == 0
    assert Path(done.out.strip()).is_file()
    assert both.code == 1
    assert [job["state"] for job in both.objects] == ["done", "failed"]


def test_a_video_that_is_gone_is_downloaded_again(
    veo: Veo, service: veo_sandbox.Sandbox, mixed: dict[str, str]
) -> None:
    """`veo resume` of a job that is done, by the name of its file too, pays nothing for it."""
    (done,) = veo("show", mixed["done"], "--json").objects
    bills = len(service.bills())
    for name in (mixed["done"], done["output"]):
        Path(done["output"]).unlink()
        ran = veo("resume", name)
        assert (ran.code, ran.out.strip()) == (0, done["output"])
        assert Path(done["output"]).is_file()

    assert len(service.bills()) == bills


def test_a_task_is_attached_to_a_job(
    veo: Veo, service: veo_sandbox.Sandbox, mixed: dict[str, str]
) -> None:
    """--task-id gives a job of unknown outcome its task: downloaded, and not paid twice.

    A task with a typing error in its id, attached before, is replaced.
    """
    task = next(
        task["task"] for task in service.tasks() if task["request"]["prompt"] == "unknown lion"
    )
    before = len(service.bills())
    with Client() as client:
        client.attach_task(mixed["unknown"], "video_typo")
    ran = veo("resume", mixed["unknown"], "--task-id", task, "--json")

    assert [(job["state"], job["task_id"]) for job in ran.objects] == [("done", task)]
    assert len(service.bills()) == before


def test_the_advice_for_a_provider_without_tasks(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An unknown job of the sync route cannot get a task, and no message says that it can."""
    service.fault("drop_answer", on="stream")
    made = veo("generate", "a lion", "-p", "laozhang-sync")
    (job,) = veo("jobs", "--quiet").out.split()
    messages = [made.err, veo("resume").err, veo("resume", job).err, veo("show", job).out]
    attached = veo("resume", job, "--task-id", "task-9")

    assert made.code == 5
    assert all("--url ADDRESS" in each and "--task-id" not in each for each in messages)
    assert attached.code == 2
    assert "laozhang-sync has no tasks" in attached.err
    assert veo("show", job, "--json").objects[0]["state"] == "unknown"


def test_a_task_is_not_attached_to_a_job_that_is_done(veo: Veo, mixed: dict[str, str]) -> None:
    """--task-id for a job whose outcome is known is an error of the user."""
    ran = veo("resume", mixed["done"], "--task-id", "task-9")

    assert ran.code == 2
    assert "a task can be attached only while the outcome is unknown" in ran.err


def test_an_unknown_job_is_resubmitted(
    veo: Veo, service: veo_sandbox.Sandbox, mixed: dict[str, str]
) -> None:
    """--resubmit sends a job of unknown outcome again; both requests may be charged."""
    service.clear_faults()
    ran = veo("resume", mixed["unknown"], "--resubmit")
    (shown,) = veo("show", mixed["unknown"], "--json").objects

    assert ran.code == 0
    assert "charged $0.15, possibly $0.15 more" in ran.err
    assert [line["kind"] for line in shown["history"]].count("submitting") == 2


@pytest.mark.parametrize(
    "args",
    [("--resubmit",), ("--task-id", "x"), ("a", "b", "--task-id", "x")],
)
def test_decisions_require_a_job(veo: Veo, args: tuple[str, ...]) -> None:
    """--resubmit and --task-id require named jobs."""
    ran = veo("resume", *args)

    assert (ran.code, len(ran.errors)) == (2, 1)


def test_many_are_resumed(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """`veo resume` continues all unfinished jobs at once, with one line per job."""
    service.change(latency="0.5")
    left = {veo("generate", f"lion {n}", "--detach").out.strip() for n in range(3)}
    ran = veo("resume", "--json")

    assert ran.code == 0
    assert {job["job"] for job in ran.objects} == left
    assert {job["state"] for job in ran.objects} == {"done"}


def test_a_job_of_another_process_is_skipped(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A job that another process is working on is skipped, and reported."""
    service.change(latency="30")
    job = veo("generate", "a lion", "--detach").out.strip()
    ledger = Ledger(ledger_folder())
    with ledger.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO workers (id, host, pid, seen_at) VALUES ('far', 'far', 1, ?)",
            (time.time(),),
        )
    ledger.take_leases([ledger.find_job(job)], "far")
    everything, named = veo("resume"), veo("resume", job, "--json")
    ledger.close()

    assert everything.code == 0
    assert "another process is working on it" in everything.err
    assert named.code == 6
    assert named.objects[0]["state"] in {State.SUBMITTED, State.RUNNING}
