"""Workers on one Postgres that are killed and frozen, and lose the database; then the promises.

Batches side by side plan more jobs than their common cap allows. Workers make the videos, and the
limits of jobs in flight and of paid requests in a minute hold them back all the time. Workers are
killed one after the other and replaced, one is frozen for longer than its lease, and the database
restarts. Afterwards everything is checked from outside, in the sandbox's own record::

    python benchmarks/cluster.py --seed 1 --jobs 2000 --kills 20
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos import KEY, Report, Round, Runner, check_round
from table import Table, Target

from veo.config.ledger_url import LedgerUrl
from veo.ledger import Ledger, Record, State
from veo_commands import exit_codes

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from postgres_server import PostgresServer

PRICE = 0.15  # USD for a video
BATCHES, PLANNED_SHARE = 4, 1.1  # so many more items than the cap has room for
MAX_IN_FLIGHT, PER_MINUTE = 40, 480
LATENCY, RESPONSE_S = "uniform:2,6", 0.3  # of a task, and of every response
FROZEN_S = 40.0  # twice the lease of a worker
AWAY_S = 8.0  # between the stop of the database and its start
# After the paid request, whose response may have come but could not be stored.
KILLED_WITHIN_S = 10.0 + AWAY_S
MAX_END_S = 300.0  # after the last kill


class Cluster(Runner):
    """A round of the chaos run whose commands are workers on Postgres."""

    def __init__(
        self, plan: Round, folder: Path, chance: random.Random, server: PostgresServer
    ) -> None:
        super().__init__(plan, folder, chance, Report())
        self.server, self.url = server, server.schema_url("cluster")
        self.workers: list[subprocess.Popen[bytes]] = []
        self.posts: dict[int, dict[str, Any]] = {}  # the paid requests, by the id of the object
        self.ends: dict[int, float] = {}  # when each process was killed, by its id
        self.begun_at = self.ended_at = 0.0
        self.tasks = self.in_flight = self.per_minute = 0  # in the sandbox's record

    def run(self) -> None:
        """Plan the jobs, have them made among kills, and check what is left."""
        with self.service:
            self.service.change(latency=LATENCY, delay=RESPONSE_S)
            self._write_files()
            self._plan_jobs()
            self.begun_at = time.time()
            self.workers = [self.start(["worker"]) for _ in range(self.plan.processes)]
            self._disturb()
            self._wait_for_end()
            self.ended_at = time.time()
            for worker in self.workers:
                worker.send_signal(signal.SIGTERM)
                self._wait_for(worker)
            check_cluster(self)

    def _write_files(self) -> None:
        super()._write_files()
        config = self.folder / "veo.toml"
        text = config.read_text().replace("per_minute = 100000", f"per_minute = {PER_MINUTE}")
        text = text.replace("max_in_flight = 30", f"max_in_flight = {MAX_IN_FLIGHT}")
        text = re.sub("(connect|read)_s = .*\n|median_s = .*\n", "", text)
        config.write_text(f"{text}median_s = 4\n[budget]\ndaily = {PRICE * self.plan.jobs:.2f}\n")

    def environment(self) -> dict[str, str]:
        return super().environment() | {"VEO_LEDGER": self.url}

    def start(self, command: Sequence[str], *, is_calm: bool = False) -> subprocess.Popen[bytes]:
        """Start a command as it is, without the short pauses of the chaos run."""
        del is_calm
        words = [sys.executable, "-m", "veo_commands", *command]
        with self.errors.open("ab") as errors:
            return subprocess.Popen(
                words, env=self.environment(), cwd=self.folder, stdout=errors, stderr=errors
            )

    def _plan_jobs(self) -> None:
        """Run batches side by side, which together have more items than the cap has room for."""
        count = round(self.plan.jobs * PLANNED_SHARE / BATCHES)
        running = []
        for number in range(BATCHES):
            items = [self._make_item(number * count + index) for index in range(count)]
            name = f"batch-{number}.jsonl"
            (self.folder / name).write_text("\n".join(map(json.dumps, items)))
            command = ["batch", name, "--output-dir", "videos", "--detach", "--yes", "--json"]
            running.append(self.start(command))
        for process in running:
            self._wait_for(process)

    def _disturb(self) -> None:
        """Kill workers, evenly over all jobs; freeze one of them, and restart the database."""
        kills = self.plan.kills
        for number in range(kills):
            self._wait_until(lambda n=number: len(self.posts) > self.plan.jobs * (n + 0.5) / kills)
            if number == kills // 4:
                frozen = self.workers.pop(self.chance.randrange(len(self.workers)))
                thread = threading.Thread(target=self._freeze, args=(frozen,))
                thread.start()
            if number == kills // 2:
                self.report.kills["restart"] += 1
                self.server.stop("fast")
                ends_at = time.monotonic() + AWAY_S
                self._wait_until(lambda: time.monotonic() > ends_at)  # noqa: B023 - used at once
                self.server.start()
            time.sleep(self.chance.uniform(0, 1))
            victim = self.workers.pop(self.chance.randrange(len(self.workers)))
            victim.kill()
            self.ends[victim.pid] = time.time()
            victim.wait()
            self.report.kills["SIGKILL"] += 1
            self.workers.append(self.start(["worker"]))
        thread.join()
        self.workers.append(frozen)

    def _freeze(self, worker: subprocess.Popen[bytes]) -> None:
        self.report.kills["SIGSTOP"] += 1
        self.ends[worker.pid] = time.time()
        worker.send_signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        worker.send_signal(signal.SIGCONT)

    def _wait_for_end(self) -> None:
        with self.open_ledger() as ledger:
            live = set(State) - {State.DONE, State.UNKNOWN}
            self._wait_until(lambda: not ledger.list_jobs(states=live, limit=1), MAX_END_S)

    def _wait_until(self, condition: Any, seconds: float = MAX_END_S) -> None:
        """Wait for a condition, and collect the paid requests: the sandbox's log is limited."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                self.report.add_violation("hangs", f"not reached after {seconds} s")
                return
            log = self.service.requests()
            self.posts |= {id(each): each for each in log if each["method"] == "POST"}
            time.sleep(0.3)

    @contextmanager
    def open_ledger(self) -> Iterator[Ledger]:
        ledger = Ledger(self.folder / "home", url=LedgerUrl.parse(self.url))
        yield ledger
        ledger.close()

    def read_jobs(self) -> list[Record]:
        with self.open_ledger() as ledger:
            return ledger.list_jobs()[::-1]


def check_cluster(cluster: Cluster) -> None:
    """Count the broken promises of a run that is over."""
    from batch_inputs import most_in_flight, most_in_window

    report, jobs = cluster.report, cluster.read_jobs()
    check_round(cluster)
    if len(jobs) != cluster.plan.jobs:
        report.add_violation("cap", f"{len(jobs)} jobs are planned under it")
    paid = sum(each["amount"] for each in cluster.service.bills() if each["state"] == "charged")
    if paid > PRICE * cluster.plan.jobs + 1e-6:
        report.add_violation("cap", f"{paid} USD are billed")
    tasks = cluster.service.tasks()
    cluster.tasks, cluster.in_flight = len(tasks), most_in_flight(tasks)
    if cluster.in_flight > MAX_IN_FLIGHT:
        report.add_violation("in flight", f"{cluster.in_flight} tasks at the same moment")
    cluster.per_minute = most_in_window([each["at"] for each in cluster.posts.values()], 60.0)
    if cluster.per_minute > PER_MINUTE:
        report.add_violation("rate", f"{cluster.per_minute} paid requests within a minute")
    if len(cluster.posts) < len(tasks):
        report.add_violation("harness", "paid requests are missing in the record")
    _check_unknown(cluster, [job for job in jobs if job.state is State.UNKNOWN])
    codes = {worker.returncode for worker in cluster.workers}
    if codes - {exit_codes.DONE, exit_codes.INTERRUPTED}:  # one may just have started
        report.add_violation("exit code", f"{codes}")
    files = [path for path in cluster.server.data_folder.rglob("*") if path.is_file()]
    if any(KEY.encode() in path.read_bytes() for path in files):
        report.add_violation("key written", "into the database")


def _check_unknown(cluster: Cluster, jobs: Sequence[Record]) -> None:
    """Each job of unknown outcome was being sent by a process that was killed or frozen then."""
    with cluster.open_ledger() as ledger:
        for job in jobs:
            sent = [each for each in ledger.read_history(job.id) if each.kind == "submitting"][-1]
            pid = int(str(sent.owner).split("-")[-2])
            delay_s = cluster.ends.get(pid, float("inf")) - sent.at
            if not 0 <= delay_s <= KILLED_WITHIN_S:
                text = f"{job.id} was sent by {sent.owner}, which was killed {delay_s} s later"
                cluster.report.add_violation("unknown without a kill", text)


def run_cluster(seed: int, jobs: int, kills: int, workers: int, keep: Path | None) -> Cluster:
    """Run everything, in temporary folders."""
    from postgres_server import start_server

    plan = Round(
        number=seed,
        provider="laozhang-async",
        model="veo-3.1-fast",
        jobs=jobs,
        is_batch=True,
        processes=workers,
        rules=(),
        kills=kills,
        clock_s=0.0,
        disk_after=0,
        latency_s=4.0,
        storage="",
    )
    with start_server() as server, tempfile.TemporaryDirectory(prefix="veo-cluster-") as folder:
        cluster = Cluster(plan, Path(folder), random.Random(seed), server)
        cluster.run()
        if keep and cluster.report.violations:
            shutil.copytree(folder, keep, dirs_exist_ok=True)
    return cluster


def make_table(cluster: Cluster) -> Table:
    """Return the figures of a run, and its violations."""
    report, states = cluster.report, cluster.report.states
    table = Table(
        f"{cluster.plan.jobs:,} jobs, {cluster.plan.processes} workers", ("what", "value")
    )
    table.rows += [
        ("SIGKILL of a worker", report.kills["SIGKILL"]),
        (f"SIGSTOP of a worker for {FROZEN_S:.0f} s", report.kills["SIGSTOP"]),
        (f"restart of Postgres, {AWAY_S:.0f} s down", report.kills["restart"]),
        ("jobs done", states["done"]),
        ("jobs unknown, each in the POST of a kill", states["unknown"]),
        ("tasks of the sandbox", cluster.tasks),
        ("paid requests that reached it", len(cluster.posts)),
        (f"tasks in flight at most, of {MAX_IN_FLIGHT}", cluster.in_flight),
        (f"paid requests in 60 s at most, of {PER_MINUTE}", cluster.per_minute),
        ("seconds", round(cluster.ended_at - cluster.begun_at)),
    ]
    table.targets.append(Target("violations", report.violations.total(), 0))
    return table


def main() -> int:
    """Run as a command; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="folder for the files of a run with violations")
    options = parser.parse_args()
    cluster = run_cluster(options.seed, options.jobs, options.kills, options.workers, options.keep)
    print(f"{make_table(cluster)}\n\nseed {options.seed}")
    for detail in cluster.report.details[:40]:
        print(" ", detail)
    return 1 if cluster.report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
