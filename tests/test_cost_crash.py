"""After any number of kills and a reconciliation the ledger equals the bills, to the cent."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cli_runner import Veo
from crash_client import Life
from ledger_rows import find_untraced

import veo_sandbox
from veo.ledger import Ledger, State
from veo.ledger.spending import group_spending
from veo.paths import ledger_folder

pytest_plugins = ("veo_fixtures",)
pytestmark = pytest.mark.slow

KILLS = 8
ROUTES = {
    "laozhang-async": "videos",
    "laozhang-sync": "chat",
    "gemini": "gemini",
    "vertex": "vertex",
}


def sum_charges(server: veo_sandbox.Sandbox, route: str) -> int:
    """Return what the sandbox charged for a route, millionths of a USD."""
    bills = [bill for bill in server.bills() if bill["route"] == route]
    return sum(round(bill["amount"] * 1e6) for bill in bills if bill["state"] == "charged")


def task_options(server: veo_sandbox.Sandbox, ledger: Ledger) -> list[str]:
    """Return the --task options that a person finds in the console, by the jobs' prompts."""
    tasks = {task["request"]["prompt"]: task["task"] for task in server.tasks()}
    open_ = ledger.list_jobs(states=[State.UNKNOWN])
    known = {job.task_id for job in ledger.list_jobs()}
    pairs = {job.id: tasks.get(job.parse_request().prompt) for job in open_}
    options = [f"{job}={task}" for job, task in pairs.items() if task and task not in known]
    return [part for pair in options for part in ("--task", pair)]


@pytest.mark.parametrize("seed", range(2))
def test_sums_are_the_providers_after_any_number_of_deaths(
    sandbox: Callable[..., veo_sandbox.Sandbox], veo: Veo, seed: int
) -> None:
    """Kill clients on every route at random, a fifth of the tasks failing, and settle the rest."""
    server = sandbox(latency="uniform:0.05,0.3", fail_rate=0.2, seed=seed)
    moments = random.Random(seed)
    life = Life(server.url, server.key, ledger_folder())
    for number in range(KILLS):
        route = list(ROUTES)[number % len(ROUTES)]
        replace(life, submit=3, die=moments.uniform(0.05, 0.6), provider=route).run()
    assert all(replace(life, submit=2, provider=route).run() for route in ROUTES)
    ledger = Ledger(ledger_folder())
    bills = f"{server.url}/sandbox/bills"
    common = ("cost", "--reconcile", bills, "--settle", "--since", "today")
    veo(*common, "--settled-after", "0.001s", *task_options(server, ledger))
    assert life.run()
    sums = {key[0]: account for key, account in group_spending(ledger, ["provider"]).items()}
    lost = find_untraced(ledger)
    left = ledger.list_jobs(states=[State.UNKNOWN])
    ledger.close()

    assert {name: sums[name].charged for name in ROUTES} == {
        name: sum_charges(server, route) for name, route in ROUTES.items()
    }
    assert {(each.held, each.in_doubt) for each in sums.values()} == {(0, 0)}
    assert lost == []
    assert left == []
    assert veo("cost", "--reconcile", bills).code == 0


def test_files_of_settled_jobs_are_on_disk(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A job that was killed during its paid request is settled, and its video is downloaded."""
    life = Life(service.url, service.key, ledger_folder())
    for number in range(3, 9):
        replace(life, submit=1, die=("before", number)).run()
    assert life.run()
    ledger = Ledger(ledger_folder())
    bills = f"{service.url}/sandbox/bills"
    veo("cost", "--reconcile", bills, "--settle", *task_options(service, ledger))
    veo("resume")
    jobs = ledger.list_jobs()
    ledger.close()
    paid = {bill["task"] for bill in service.bills() if bill["state"] == "charged"}

    assert {job.task_id for job in jobs if job.state is State.DONE} == paid
    assert all(Path(job.output).is_file() for job in jobs if job.state is State.DONE)
