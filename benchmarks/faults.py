"""The faults that lose money: 40 jobs each, what was sent, what was paid, what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from child import Order, run, started
from comparison import PROFILES
from server import KEY, sandbox
from table import Table, Target

if TYPE_CHECKING:
    from server import Server

JOBS = 40
BAD_POLLS = ("http_500", "html_200", "garbage_json", "reset")
CLIENTS = {"veo": 0.0, "openai": 0.0, "google-genai": 0.25, "bare loop": 0.25}


@dataclass(frozen=True)
class Fault:
    """A way in which things go wrong.

    Attributes:
        name: Of the row.
        rules: What the sandbox does.
        read_s: Seconds that the client waits for an answer; 0 for its own patience.
        latency: Of a video, seconds.
        kill_after: Seconds until the client is killed, and run again; 0 for never.
        lost: Whether nobody can know of any job whether it was accepted.
    """

    name: str
    rules: tuple[dict[str, Any], ...] = ()
    read_s: float = 0.0
    latency: float = 2.0
    kill_after: float = 0.0
    lost: bool = False


FAULTS = (
    Fault(
        "POST answers dropped once",
        tuple({"fault": "drop_answer", "match": f"clip {n:05}.", "times": 1} for n in range(JOBS)),
        lost=True,
    ),
    Fault(
        "POSTs slower than the client waits",
        ({"fault": "slow_answer", "seconds": 3.0},),
        read_s=1.0,
        lost=True,
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
    """What came of the jobs.

    Attributes:
        posts: Paid requests a job.
        paid: Charges a job.
        whole: Whole files.
        broken: Files under their final names that are not whole.
        unknown: Jobs that the client lists as of unknown outcome.
    """

    posts: float
    paid: float
    whole: int
    broken: int
    unknown: int


def attempt(client: str, fault: Fault) -> Outcome:
    """Have a client make 40 videos while that goes wrong."""
    profile = PROFILES.get(client, "capture-2025-11")
    options = {"latency": fault.latency, "seed": 1, "profile": profile, "clip_bytes": 100_000}
    with sandbox(**options) as server:
        server.ask("faults", {"rules": list(fault.rules)})
        work = (JOBS, JOBS, fault.latency, CLIENTS[client], fault.read_s)
        order = Order(client, server.url, KEY, str(server.folder), *work)
        if fault.kill_after:
            with started(order) as killed:
                killed.begin()
                time.sleep(fault.kill_after)
        cost = run(order)
        return _outcome(server, cost.errors)


def _outcome(server: Server, errors: dict[str, int]) -> Outcome:
    while any(task["state"] in {"queued", "running"} for task in server.tasks()):
        time.sleep(0.2)  # what nobody waits for is made and charged all the same
    charged = [bill for bill in server.ask("bills") if bill["state"] == "charged"]
    sizes = [path.stat().st_size for path in server.folder.glob("*.mp4")]
    whole = sum(size >= 100_000 for size in sizes)
    posts = server.steps()["create"] / JOBS
    unknown = errors.get("UnknownOutcomeError", 0)
    return Outcome(posts, len(charged) / JOBS, whole, len(sizes) - whole, unknown)


def measure(repeat: int) -> Table:
    """One run of each: what is counted does not depend on the machine."""
    del repeat
    heads = ("POSTs a job", "charges a job", "whole files", "broken files", "listed as unknown")
    table = Table("40 jobs, and what goes wrong", ("fault, client", *heads))
    for fault in FAULTS:
        for client in CLIENTS:
            it = attempt(client, fault)
            cells = (it.posts, it.paid, it.whole, it.broken, it.unknown)
            table.rows.append((f"{fault.name}, {client}", *cells))
            if client == "veo":
                table.targets += _targets(fault, it)
    return table


def _targets(fault: Fault, it: Outcome) -> list[Target]:
    targets = [
        Target(f"{fault.name}: POSTs a job", it.posts, 1.0),
        Target(f"{fault.name}: broken files", it.broken, 0),
        Target(f"{fault.name}: jobs not accounted for", JOBS - it.whole - it.unknown, 0),
    ]
    if not fault.lost:
        targets.append(Target(f"{fault.name}: whole files", it.whole, JOBS, least=True))
    return targets
