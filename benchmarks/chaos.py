"""Random jobs, faults and kills, round after round; then the promises are checked from outside.

Each round has a sandbox that misbehaves by the seed, a ledger, and processes of the command line
that are killed, terminated, stopped and continued, some with a full disk or a clock that is set.
When the faults are over, the same commands run until nothing is left to do. Then the sandbox's
tasks and bills are compared with the ledger, and the files with their hashes::

    python benchmarks/chaos.py --seed 1 --jobs 2000 --kills 200
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import veo_sandbox
from veo.files.mp4 import find_defect
from veo.files.output import hash_file
from veo.files.sidecar import sidecar_path
from veo.ledger import LIVE, Ledger, Record, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KEY = "sandbox-key-of-the-chaos-run"
CLIENT = Path(__file__).with_name("chaos_client.py")
PROVIDERS = ("laozhang-async", "laozhang-sync", "gemini")
MAX_RATE = 0.3
MAX_RUNS = 8  # of the same command after the faults, until nothing is left to do
MAX_ESTIMATE = 1.01  # the bill as a multiple of an estimate, at most
DAY_S = 86_400

_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)
_GET = ("poll", "content", "file")
_POST = ("create", "stream")
_FILES = ("content", "file")
# Faults by the kinds of request that they may affect; those that the client cannot tell from a
# wrong key or an empty balance stop a run, and the next one continues.
FAULTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("http_408", "http_500", "http_502_html", "http_504_html"), _GET + _POST),
    **dict.fromkeys(("http_429", "http_503_overload", "reset", "html_200"), _GET + _POST),
    **dict.fromkeys(("http_401", "http_404", "http_400", "garbage_bytes"), ("poll", "content")),
    **dict.fromkeys(("garbage_json", "unknown_status", "task_not_exist", "google_500"), ("poll",)),
    **dict.fromkeys(("drop_answer", "http_402", "http_413_html", "garbage_json"), ("create",)),
    **dict.fromkeys(("failed", "failed_object", "failed_silent", "moderated"), ("create",)),
    **dict.fromkeys(("cut_stream", "silent_stream", "stream_error", "broken_chunk"), ("stream",)),
    **dict.fromkeys(("no_done", "crlf", "split_stream", "reseller"), ("stream",)),
    **dict.fromkeys(("cut", "cut_unframed", "short_file", "no_length", "slow_drip"), _FILES),
    **dict.fromkeys(("ignore_range", "redirect", "file_404", "mislabelled"), _FILES),
}


@dataclass(frozen=True)
class Round:
    """One round: some jobs of one provider, with its faults and kills."""

    number: int
    provider: str
    jobs: int
    is_batch: bool
    processes: int
    rules: tuple[dict[str, Any], ...]
    kills: int
    clock_s: float  # by how much the wall clock of the processes is set
    disk_after: int  # paid requests until the disk is full; 0 for never
    latency_s: float

    def prompt(self, index: int) -> str:
        return f"round {self.number} clip {index}."


@dataclass
class Report:
    """What a run did and found."""

    rounds: int = 0
    jobs: int = 0
    states: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)  # rounds with that fault
    bad_responses: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    def add_violation(self, kind: str, detail: str) -> None:
        self.violations[kind] += 1
        self.details.append(f"{kind}: {detail}")


def plan_rounds(seed: int, jobs: int, kills: int) -> Iterator[Round]:
    """Yield rounds until so many jobs are planned; the kills are spread over them."""
    chance, number, left, jobs_left = random.Random(seed), 0, kills, jobs
    while jobs_left > 0:
        number += 1
        is_batch = chance.random() < 0.8
        count = min(jobs_left, chance.randint(10, 40) if is_batch else chance.randint(1, 3))
        share = round(left * count / jobs_left)
        names = chance.sample(sorted(FAULTS), chance.randint(1, 5))
        rates = [chance.uniform(0.02, MAX_RATE / len(names)) for _ in names]
        yield Round(
            number=number,
            provider=chance.choice(PROVIDERS),
            jobs=count,
            is_batch=is_batch,
            processes=chance.choice((1, 1, 2, 3)) if is_batch else count,
            rules=tuple(map(_make_rule, names, rates)),
            kills=share,
            clock_s=chance.choice((0.0, 0.0, 0.0, -DAY_S, DAY_S, 3600.0)),
            disk_after=chance.choice((0, 0, 0, 0, 0, 0, chance.randint(1, 5))),
            latency_s=chance.uniform(0.05, 1.5),
        )
        jobs_left, left = jobs_left - count, left - share


def _make_rule(name: str, rate: float) -> dict[str, Any]:
    extra = {"retry_after": 0} if name in {"http_429", "http_503_overload"} else {}
    return {"fault": name, "on": list(FAULTS[name]), "rate": round(rate, 3)} | extra


class Runner:
    """Runs one round in a folder of its own."""

    def __init__(self, plan: Round, folder: Path, chance: random.Random, report: Report) -> None:
        self.plan, self.folder, self.chance, self.report = plan, folder, chance, report
        self.videos = folder / "videos"
        self.errors = folder / "stderr.txt"
        self.service = veo_sandbox.Sandbox(
            folder / "service",
            key=KEY,
            clip="tiny",
            content_lag=0,
            latency=str(plan.latency_s),
            seed=plan.number,
        )

    def run(self) -> None:
        """Run the commands among faults and kills, then without, and check what is left."""
        with self.service:
            self._write_files()
            for rule in self.plan.rules:
                self.service.fault(**rule)
                self.report.faults[rule["fault"]] += 1
            self._run_with_faults()
            self.service.clear_faults()
            self.service.change(latency="0")
            self.service.advance(60)
            self._run_to_the_end()
            seen = self.service.requests()
            self.report.bad_responses += sum(each["status"] >= 400 for each in seen)
            check_round(self)

    def _write_files(self) -> None:
        for name in ("home", "config", "videos"):
            (self.folder / name).mkdir()
        url, model = self.service.url, "" if self.plan.provider == "gemini" else "veo-3.1-fast"
        path = "" if self.plan.provider == "gemini" else "/v1"
        waits = "" if self.plan.provider == "gemini" else "connect_s = 3\nread_s = 3\n"
        (self.folder / "veo.toml").write_text(
            f'provider = "{self.plan.provider}"\nretired = "ignore"\nconfirm_above = 100000\n'
            f'[providers.{self.plan.provider}]\nbase_url = "{url}{path}"\nmedian_s = 0.5\n'
            f"submits_per_minute = 100000\nmax_in_flight = 30\n{waits}"
            + (f'model = "{model}"\n' if model else "")
        )
        items = [self._make_item(index) for index in range(self.plan.jobs)]
        (self.folder / "batch.json").write_text(json.dumps(items))

    def _make_item(self, index: int) -> dict[str, str]:
        return {"prompt": self.plan.prompt(index), "output": f"{index:03}.mp4"}

    def _commands(self) -> list[list[str]]:
        """Return the commands that make all videos, in so many processes."""
        if self.plan.is_batch:
            command = ["batch", "batch.json", "--output-dir", "videos", "--timeout", "30"]
            return [command] * self.plan.processes
        return [
            ["generate", self.plan.prompt(index), "-o", f"videos/{index:03}.mp4", "--timeout", "30"]
            for index in range(self.plan.jobs)
        ]

    def start(self, command: Sequence[str], *, is_calm: bool = False) -> subprocess.Popen[bytes]:
        """Start a command; its messages are collected."""
        outside = {name: text for name, text in os.environ.items() if "PROXY" not in name.upper()}
        env = outside | {
            "VEO_HOME": str(self.folder / "home"),
            "VEO_CONFIG_HOME": str(self.folder / "config"),
            "VEO_API_KEY": KEY,
            "GEMINI_API_KEY": KEY,
        }
        if self.plan.clock_s and not is_calm:
            env["CHAOS_CLOCK"] = str(self.plan.clock_s)
        if self.plan.disk_after and not is_calm:
            env["CHAOS_DISK"] = str(self.plan.disk_after)
        with self.errors.open("ab") as errors:
            words = [sys.executable, str(CLIENT), *command]
            return subprocess.Popen(words, env=env, cwd=self.folder, stdout=errors, stderr=errors)

    def _run_with_faults(self) -> None:
        commands = self._commands()
        running = [self.start(command) for command in commands]
        for _ in range(self.plan.kills):
            time.sleep(self.chance.uniform(0.3, 2.5))
            index = self.chance.randrange(len(running))
            if running[index].poll() is not None:
                running[index] = self.start(["resume", "--timeout", "30"])
                continue
            self._hurt(running[index])
            if running[index].poll() is not None:
                again = commands[index] if self.plan.is_batch else ["resume", "--timeout", "30"]
                running[index] = self.start(again)
        for process in running:
            process.wait(120)

    def _hurt(self, process: subprocess.Popen[bytes]) -> None:
        """Kill, terminate, or stop a process for a while."""
        number = self.chance.choice(
            (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)
        )
        self.report.kills[number.name] += 1
        process.send_signal(number)
        if number is signal.SIGSTOP:
            time.sleep(self.chance.uniform(0.1, 1.5))
            process.send_signal(signal.SIGCONT)
        else:
            process.wait(60)

    def _run_to_the_end(self) -> None:
        """Run the commands again until nothing is left to do."""
        batch = ["batch", "batch.json", "--output-dir", "videos", "--timeout", "30"]
        for _ in range(MAX_RUNS):
            if self.plan.is_batch:
                self.start(batch, is_calm=True).wait(180)
            self.start(["resume", "--timeout", "30"], is_calm=True).wait(180)
            jobs = self.read_jobs()
            is_complete = not self.plan.is_batch or len({job.fingerprint for job in jobs}) >= (
                self.plan.jobs
            )
            if is_complete and not any(job.state in LIVE for job in jobs):
                return

    def read_jobs(self) -> list[Record]:
        """Return the jobs of the round, the oldest first."""
        ledger = Ledger(self.folder / "home")
        jobs = ledger.list_jobs()[::-1]
        ledger.close()
        return jobs


def check_round(runner: Runner) -> None:
    """Count the broken promises of a round that is over."""
    plan, report, jobs = runner.plan, runner.report, runner.read_jobs()
    by_prompt: dict[str, list[Record]] = {}
    for job in jobs:
        by_prompt.setdefault(job.parse_request().prompt, []).append(job)
    report.rounds += 1
    report.jobs += len(jobs)
    report.states.update(str(job.state) for job in jobs)
    bills = {each["task"]: each for each in runner.service.bills() if each["state"] == "charged"}
    tasks: dict[str, list[dict[str, Any]]] = {}
    for task in runner.service.tasks():
        tasks.setdefault(task["request"]["prompt"], []).append(task)
    for prompt, found in tasks.items():
        _check_money(report, f"{plan.provider}, {prompt}", found, by_prompt.get(prompt, []), bills)
    for job in jobs:
        if job.state in LIVE:
            report.add_violation("never ends", f"{plan.number}: {job.id} is {job.state}")
    _check_files(runner, jobs)
    _check_texts(runner)


def _check_money(
    report: Report,
    name: str,
    tasks: Sequence[dict[str, Any]],
    jobs: Sequence[Record],
    bills: dict[str, Any],
) -> None:
    paid = [round(bills[each["task"]]["amount"] * 1e6) for each in tasks if each["task"] in bills]
    if len(paid) > 1:
        report.add_violation("paid twice", f"{name} {paid}")
    known = {job.task_id for job in jobs}
    is_open = any(job.state is State.UNKNOWN for job in jobs)
    has_tasks = not name.startswith("laozhang-sync")
    for task in tasks:
        if has_tasks and task["answered"] and task["task"] not in known and not is_open:
            report.add_violation("task lost", f"{name} {task['task']}")
    counted = sum(job.charged + job.reserved + job.doubtful for job in jobs)
    # What Omni costs is known afterwards, from its usage; until then an estimate is in doubt.
    if sum(paid) > counted * MAX_ESTIMATE:
        report.add_violation("money unaccounted", f"{name}: {sum(paid)} billed, {counted} counted")
    for job in jobs:
        if job.state is State.DONE and job.charged != sum(paid):
            report.add_violation("wrong charge", f"{name}: {job.charged} for {paid}")


def _check_files(runner: Runner, jobs: Sequence[Record]) -> None:
    report, done = runner.report, {job.output: job for job in jobs if job.state is State.DONE}
    files = {str(path): path for path in runner.videos.glob("*.mp4")}
    for name, path in files.items():
        with path.open("rb") as file:
            defect = find_defect(file)
        if defect or name not in done or hash_file(path) != done[name].sha256:
            report.add_violation("wrong file", f"{runner.plan.number}: {path.name} {defect}")
    for name in done.keys() - files.keys():
        report.add_violation("file missing", f"{runner.plan.number}: {name}")
    for name in done.keys() & files.keys():
        if not sidecar_path(files[name]).is_file():
            report.add_violation("sidecar missing", f"{runner.plan.number}: {name}")


def _check_texts(runner: Runner) -> None:
    text = runner.errors.read_text("utf-8", "replace")
    for words in ("Traceback", "bug in veo", "a bug:"):
        if words in text:
            start = text.index(words)
            runner.report.add_violation("bug shown", text[max(0, start - 100) : start + 800])
    service = runner.folder / "service"
    for path in runner.folder.rglob("*"):
        if path.is_file() and service not in path.parents and KEY.encode() in path.read_bytes():
            runner.report.add_violation("key written", f"{runner.plan.number}: {path.name}")


def run_chaos(seed: int, jobs: int, kills: int, *, keep: Path | None = None) -> Report:
    """Run all rounds. The folder of a round with violations is moved to ``keep``."""
    report = Report()
    for plan in plan_rounds(seed, jobs, kills):
        folder = Path(tempfile.mkdtemp(prefix="veo-chaos-"))
        before = report.violations.total()
        Runner(plan, folder, random.Random(f"{seed} {plan.number}"), report).run()
        if keep and report.violations.total() > before:
            shutil.copytree(folder, keep / f"round-{plan.number}", dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        print(
            f"round {plan.number}: {plan.provider}, {plan.jobs} jobs, {plan.kills} kills;"
            f" {report.violations.total()} violations so far",
            file=sys.stderr,
        )
    return report


def main() -> int:
    """Run as a command; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="folder for the rounds with violations")
    options = parser.parse_args()
    begun = time.monotonic()
    report = run_chaos(options.seed, options.jobs, options.kills, keep=options.keep)
    print(
        f"seed {options.seed}: {report.rounds} rounds, {report.jobs} jobs, "
        f"{report.kills.total()} kills {dict(report.kills)}, "
        f"{report.bad_responses} bad responses, {time.monotonic() - begun:.0f} s"
    )
    print("states:", dict(report.states))
    print("rounds by fault:", dict(sorted(report.faults.items())))
    print("violations:", dict(report.violations) or "none")
    for detail in report.details[:40]:
        print(" ", detail)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
