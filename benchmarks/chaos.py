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
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import veo_sandbox
from veo.files.mp4 import find_defect
from veo.files.output import hash_file
from veo.files.sidecar import sidecar_path
from veo.ledger import LIVE, Ledger, Record, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

KEY = "sandbox-key-of-the-chaos-run"
CLIENT = Path(__file__).with_name("chaos_client.py")
# Providers with a model each; Google's have another wire for Omni than for Veo.
ROUTES = (
    ("laozhang-async", "veo-3.1-fast"),
    ("laozhang-async", "veo-3.1-fast"),  # twice as often: the default
    ("laozhang-sync", "veo-3.1-fast"),
    ("gemini", "gemini-omni-1.2-flash"),
    ("gemini", "veo-3.1-fast-generate-preview"),
    ("vertex", "gemini-omni-1.2-flash"),
    ("vertex", "veo-3.1-fast-generate-001"),
)
MAX_RATE = 0.3
MAX_RUNS = 8  # of the same command after the faults, until nothing is left to do
MAX_ESTIMATE = 1.01  # the bill as a multiple of an estimate, at most
MAX_COMMAND_S = 120.0  # with ``--timeout 30``, on a busy machine
DAY_S = 86_400

_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)
_FILES = ("content", "file")
_GET = ("poll", *_FILES)
_POST = ("create", "stream")


def _on(kinds: Sequence[str], names: str, **params: Any) -> tuple[dict[str, Any], ...]:
    """Return rules for some faults and the kinds of requests that they may affect."""
    return tuple({"fault": name, "on": list(kinds)} | params for name in names.split())


# Faults that the client cannot tell from a wrong key or an empty balance stop a run, and the next
# one continues. Those with ``accept`` bill the request and then fail, where the services do so.
FAULTS: tuple[dict[str, Any], ...] = (
    *_on(_GET + _POST, "http_408 http_500 http_502_html http_504_html reset html_200 stuck"),
    *_on(_GET + _POST, "http_429 http_503_overload google_429 interaction_429", retry_after=0),
    *_on(_GET + _POST, "google_503 interaction_503"),
    *_on(_POST, "reset http_408 http_500 http_502_html http_504_html", accept=True),
    *_on(_POST, "http_402 http_403 http_403_model http_413_html http_429_quota http_503_model"),
    *_on(("create",), "google_504 interaction_500", accept=True),
    *_on(("create",), "drop_answer garbage_json failed failed_object failed_silent moderated"),
    *_on(("create",), "filtered empty refused_late limited_late get_task_failed"),
    *_on(("create",), "slow_answer", seconds=4.0),
    *_on(("poll", "content"), "http_401 http_404 http_400 garbage_bytes"),
    *_on(("poll",), "garbage_json unknown_status task_not_exist google_500 google_404 google_403"),
    *_on(("poll",), "interaction_400 interaction_403 http_500_task"),
    # Statuses out of order: not begun after it ran or ended, completed while it runs.
    *_on(("poll",), "status_word", word="queued"),
    *_on(("poll",), "status_word", word="completed", when="running"),
    *_on(("poll",), "merge", body={"done": False}, drop=["response"]),
    *_on(("poll",), "output_first several_outputs no_output inline_output"),
    *_on(("stream",), "cut_stream silent_stream stream_error broken_chunk ignore_stream"),
    *_on(("stream",), "no_done crlf split_stream reseller pings event_lines no_space no_choices"),
    *_on(("stream",), "null_content english flow2api message_content content_parts"),
    *_on(_FILES, "short_file no_length slow_drip ignore_range redirect file_404 mislabelled"),
    # The connection breaks before a range, within it, and behind its last byte.
    *(rule for share in (0.0, 0.3, 0.99, 1.0) for rule in _on(_FILES, "cut", share=share)),
    *(rule for share in (0.0, 0.5) for rule in _on(_FILES, "cut_unframed", share=share)),
)


@dataclass(frozen=True)
class Round:
    """One round: some jobs of one provider, with its faults and kills."""

    number: int
    provider: str
    model: str
    jobs: int
    is_batch: bool
    processes: int
    rules: tuple[dict[str, Any], ...]
    kills: int
    clock_s: float  # by how much the wall clock of the processes is set
    disk_after: int  # paid requests until the disk is full; 0 for never
    latency_s: float
    storage: str  # the option of ``vertex`` for videos that are stored, not returned

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
    deck = chance.sample(FAULTS, len(FAULTS))  # each fault has its turn
    while jobs_left > 0:
        number += 1
        provider, model = chance.choice(ROUTES)
        is_batch = chance.random() < 0.8
        count = min(jobs_left, chance.randint(10, 40) if is_batch else chance.randint(1, 3))
        share = round(left * count / jobs_left)
        rules = [rule for rule in deck if _is_possible(rule, provider)][: chance.randint(1, 5)]
        deck = [rule for rule in deck if rule not in rules] + rules
        rates = [round(chance.uniform(0.02, MAX_RATE / len(rules)), 3) for _ in rules]
        yield Round(
            number=number,
            provider=provider,
            model=model,
            jobs=count,
            is_batch=is_batch,
            processes=chance.choice((1, 1, 2, 3)) if is_batch else count,
            rules=tuple(rule | {"rate": rate} for rule, rate in zip(rules, rates, strict=True)),
            kills=share,
            clock_s=chance.choice((0.0, 0.0, 0.0, -DAY_S, DAY_S, 3600.0)),
            disk_after=chance.choice((0, 0, 0, 0, 0, 0, chance.randint(1, 5))),
            latency_s=chance.uniform(0.05, 1.5),
            storage=chance.choice(("", 'storage_uri = "gs://bucket/videos"\n')),
        )
        jobs_left, left = jobs_left - count, left - share


def _is_possible(rule: dict[str, Any], provider: str) -> bool:
    kinds = {"stream", *_FILES} if provider == "laozhang-sync" else {"create", *_GET}
    return not kinds.isdisjoint(rule["on"])


def start_client(
    command: Sequence[str], env: dict[str, str], folder: Path, errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    words = [sys.executable, str(CLIENT), *command]
    return subprocess.Popen(words, env=env, cwd=folder, stdout=errors, stderr=errors)


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
        url, files, provider = self.service.url, self.service.files_url, self.plan.provider
        options = {
            "gemini": f'base_url = "{url}"\n',
            "vertex": f'base_url = "{url}"\nstorage_base_url = "{files}"\nproject = "chaos"\n'
            f"key_is_access_token = true\n{self.plan.storage}",
        }
        laozhang = f'base_url = "{url}/v1"\nconnect_s = 3\nread_s = 3\n'
        (self.folder / "veo.toml").write_text(
            f'provider = "{provider}"\nretired = "ignore"\nconfirm_above = 100000\n'
            f'[providers.{provider}]\nmodel = "{self.plan.model}"\nmedian_s = 0.5\n'
            f"submits_per_minute = 100000\nmax_in_flight = 30\n{options.get(provider, laozhang)}"
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

    def environment(self) -> dict[str, str]:
        """Return the environment of the commands."""
        outside = {name: text for name, text in os.environ.items() if "PROXY" not in name.upper()}
        return outside | {
            "VEO_HOME": str(self.folder / "home"),
            "VEO_CONFIG_HOME": str(self.folder / "config"),
            "VEO_API_KEY": KEY,
            "GEMINI_API_KEY": KEY,
            "GOOGLE_API_KEY": KEY,
            "CHAOS_PROVIDER": self.plan.provider,
        }

    def start(self, command: Sequence[str], *, is_calm: bool = False) -> subprocess.Popen[bytes]:
        """Start a command; its messages are collected."""
        env = self.environment()
        if self.plan.clock_s and not is_calm:
            env["CHAOS_CLOCK"] = str(self.plan.clock_s)
        if self.plan.disk_after and not is_calm:
            env["CHAOS_DISK"] = str(self.plan.disk_after)
        with self.errors.open("ab") as errors:
            return start_client(command, env, self.folder, errors)

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
            self._wait_for(process)

    def _hurt(self, process: subprocess.Popen[bytes]) -> None:
        """Kill, terminate, or stop a process for a while."""
        number = self.chance.choice(_SIGNALS)
        self.report.kills[number.name] += 1
        process.send_signal(number)
        if number is signal.SIGSTOP:
            time.sleep(self.chance.uniform(0.1, 1.5))
            process.send_signal(signal.SIGCONT)
        else:
            self._wait_for(process)

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(MAX_COMMAND_S)
        except subprocess.TimeoutExpired:
            self.report.add_violation("hangs", f"{self.plan.number}: {process.args}")
            process.kill()
            process.wait()

    def _run_to_the_end(self) -> None:
        """Run the commands again until nothing is left to do."""
        batch = ["batch", "batch.json", "--output-dir", "videos", "--timeout", "30"]
        resume = ["resume", "--timeout", "30"]
        for command in ([batch, resume] if self.plan.is_batch else [resume]) * MAX_RUNS:
            self._wait_for(self.start(command, is_calm=True))
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
    # The bucket of the Agent Platform is at the address of the files, and takes the access token.
    has_bucket = plan.provider == "vertex" and plan.storage
    for leak in () if has_bucket else runner.service.leaks():
        report.add_violation("key sent elsewhere", f"{plan.number}: {leak}")
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
    # The task of Omni at the Agent Platform is followed by the folder of its video.
    known = {(job.task_id or "").partition("#")[0] for job in jobs}
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
        # An estimate is not certain: Omni's usage was in no response, the video in the bucket.
        if job.state is State.DONE and job.certain and job.charged != sum(paid):
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


def run_chaos(
    seed: int, jobs: int, kills: int, *, keep: Path | None = None, processes: int = 1
) -> Report:
    """Run all rounds. The folder of a round with violations is moved to ``keep``.

    Rounds share nothing, so that several ``processes`` can run them.
    """
    report = Report()
    rounds = plan_rounds(seed, jobs, kills)
    if processes == 1:
        found: Iterable[Report] = (run_round(plan, seed, keep) for plan in rounds)
        return _merge_reports(report, found)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        found = pool.map(run_round, *zip(*((plan, seed, keep) for plan in rounds), strict=True))
        return _merge_reports(report, found)


def run_round(plan: Round, seed: int, keep: Path | None) -> Report:
    report, begun = Report(), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="veo-chaos-"))
    Runner(plan, folder, random.Random(f"{seed} {plan.number}"), report).run()
    if keep and report.violations:
        shutil.copytree(folder, keep / f"round-{plan.number}", dirs_exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    print(
        f"round {plan.number}: {plan.provider}, {plan.model}, {plan.jobs} jobs,"
        f" {plan.kills} kills, {time.monotonic() - begun:.0f} s;"
        f" {report.violations.total()} violations",
        file=sys.stderr,
        flush=True,
    )
    return report


def _merge_reports(total: Report, found: Iterable[Report]) -> Report:
    for report in found:
        for name in ("rounds", "jobs", "states", "faults", "bad_responses", "kills", "violations"):
            setattr(total, name, getattr(total, name) + getattr(report, name))
        total.details += report.details
    return total


def main() -> int:
    """Run as a command; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="folder for the rounds with violations")
    parser.add_argument("--processes", type=int, default=1, help="rounds at a time")
    options = parser.parse_args()
    begun = time.monotonic()
    report = run_chaos(
        options.seed, options.jobs, options.kills, keep=options.keep, processes=options.processes
    )
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
