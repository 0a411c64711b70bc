"""Faults that lose money: for 40 jobs each, what was sent, charged and saved."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from child import Order, run_order, start_client
from comparison import PROFILES
from server import KEY, start_sandbox
from table import Table, Target

if TYPE_CHECKING:
    from server import Server

JOBS = 40
BAD_POLLS = ("http_500", "html_200", "garbage_json", "reset")
CLIENTS = {"veo": 0.0, "openai": 0.0, "google-genai": 0.25, "bare loop": 0.25}


@dataclass(frozen=True)
class Fault:
    """An injected fault.

    Attributes:
        name: Label of the row.
        rules: Fault rules of the sandbox.
        read_s: The client's read timeout in seconds; 0 for its default.
        latency: Seconds to make a video.
        kill_after: Seconds after which the client is killed and run again; 0 for never.
        lost: Whether no client can tell if a job was accepted.
    """

    name: str
    rules: tuple[dict[str, Any], ...] = ()
    read_s: float = 0.0
    latency: float = 2.0
    kill_after: float = 0.0
    outcome_unknowable: bool = False


FAULTS = (
    Fault(
        "POST responses dropped once",
        tuple({"fault": "drop_answer", "match": f"clip {n:05}.", "times": 1} for n in range(JOBS)),
        outcome_unknowable=True,
    ),
    Fault(
        "POSTs slower than the client waits",
        ({"fault": "slow_answer", "seconds": 3.0},),
        read_s=1.0,
        outcome_unknowable=True,
    ),
    Fault(
        "10 % bad polls",
        tuple({"fault": name, "on": "poll", "rate": 0.1 / len(BAD_POLLS)} for name in BAD_POLLS),
    ),
    Fault("downloads cut off once", ({"fault": "cut", "first": 1},)),
    Fault("kill -9, run again", latency=8.0, kill_after=4.0),
)


@dataclass(frozen=True)
class Outcome:
    """What happened to the jobs.

    Attributes:
        posts: Paid requests per job.
        paid: Charges per job.
        whole: Complete files.
        broken: Incomplete files under their final names.
        unknown: Jobs that the client reports as having an unknown outcome.
    """

    posts_per_job: float
    charges_per_job: float
    complete: int
    broken: int
    unknown: int


def run_client(client: str, fault: Fault) -> Outcome:
    """Have a client make 40 videos while the fault is active."""
    profile = PROFILES.get(client, "capture-2025-11")
    options = {"latency": fault.latency, "seed": 1, "profile": profile, "clip_bytes": 100_000}
    with start_sandbox(**options) as server:
        server.call_control("faults", {"rules": list(fault.rules)})
        work = (JOBS, JOBS, fault.latency, CLIENTS[client], fault.read_s)
        order = Order(client, server.url, KEY, str(server.folder), *work)
        if fault.kill_after:
            with start_client(order) as killed:
                killed.start_work()
                time.sleep(fault.kill_after)
        cost = run_order(order)
        return _read_outcome(server, cost.errors)


def _read_outcome(server: Server, errors: dict[str, int]) -> Outcome:
    while any(task["state"] in {"queued", "running"} for task in server.list_tasks()):
        time.sleep(0.2)  # tasks that no client waits for are still made and charged
    charged = [bill for bill in server.call_control("bills") if bill["state"] == "charged"]
    sizes = [path.stat().st_size for path in server.folder.glob("*.mp4")]
    whole = sum(size >= 100_000 for size in sizes)
    posts = server.count_requests()["create"] / JOBS
    unknown = errors.get("UnknownOutcomeError", 0)
    return Outcome(posts, len(charged) / JOBS, whole, len(sizes) - whole, unknown)


def measure(repeat: int) -> Table:
    """Run each fault once: the counts do not depend on the machine."""
    del repeat
    heads = (
        "POSTs per job",
        "charges per job",
        "complete files",
        "broken files",
        "reported as unknown",
    )
    table = Table("40 jobs with injected faults", ("fault, client", *heads))
    for fault in FAULTS:
        for client in CLIENTS:
            it = run_client(client, fault)
            cells = (it.posts_per_job, it.charges_per_job, it.complete, it.broken, it.unknown)
            table.rows.append((f"{fault.name}, {client}", *cells))
            if client == "veo":
                table.targets += _targets(fault, it)
    return table


def _targets(fault: Fault, it: Outcome) -> list[Target]:
    targets = [
        Target(f"{fault.name}: POSTs per job", it.posts_per_job, 1.0),
        Target(f"{fault.name}: broken files", it.broken, 0),
        Target(f"{fault.name}: jobs not accounted for", JOBS - it.complete - it.unknown, 0),
    ]
    if not fault.outcome_unknowable:
        targets.append(Target(f"{fault.name}: complete files", it.complete, JOBS, is_minimum=True))
    return targets
