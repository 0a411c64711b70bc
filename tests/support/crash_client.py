"""Clients that are killed: processes that work on a ledger until a given moment."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fork_server import TIMEOUT_S, ForkedProcess, warm_up

import veo_sandbox
from veo.client import Client, Endpoint
from veo.config import Config
from veo.engine import submit
from veo.errors import LedgerError, VeoError
from veo.job import as_completed
from veo.key import Key
from veo.ledger import Ledger
from veo.ledger.database import Database
from veo.ledger.postgres import PostgresDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator


PROVIDERS = ("laozhang-async", "laozhang-sync", "gemini", "vertex")
BEGUN = "begun\n"
_was_full = threading.Event()  # the disk, at a commit of this process
PLANNED = "planned\n"


@dataclass(frozen=True)
class Life:
    """The work of one client, and when it is killed.

    Attributes:
        url: The sandbox.
        key: Its key.
        home: The folder of the ledger and of the videos.
        resume: Whether the client first resumes all jobs that it finds.
        submit: How many jobs it submits.
        provider: To which provider.
        edit: A video that it also edits.
        die: Seconds after the client is open; or ``before`` or ``after`` and the number of a
            commit, from 0; or None. ``full`` and a number does not kill it: the disk is full at
            that commit; ``stays full``: from then on.
        ledger: URL of its ledger, if that is not in the folder.
    """

    url: str
    key: str
    home: Path
    resume: bool = True
    submit: int = 0
    provider: str = PROVIDERS[0]
    edit: Path | None = None
    die: float | tuple[str, int] | None = None
    ledger: str | None = None

    def run(self) -> bool:
        """Run the client, and return whether it lived to the end, with room on the disk."""
        warm_up(live_once)
        running = ForkedProcess(live, self, stderr=2)
        assert running.stdout.readline() in {BEGUN, ""}  # nothing if it died while it opened
        if isinstance(self.die, float):
            time.sleep(self.die)
            running.kill()
        running.communicate()
        return running.wait() == 0


def open_client(life: Life) -> Client:
    """Open a client that polls soon: the sandbox makes a video in a moment."""
    limits = {"median_s": 0.2, "submits_per_minute": 100_000, "max_in_flight": 100}
    providers = dict.fromkeys(PROVIDERS, limits)
    settings = {"providers": providers, "retired": "ignore", "ledger": life.ledger}
    config = Config(**settings)
    return Client(config, home=life.home, endpoint=Endpoint(life.url, Key(life.key)))


def live(life: Life) -> None:
    """Do the work of a client, in a process of its own."""
    if isinstance(life.die, tuple):
        _die_at(*life.die)
    with contextlib.suppress(LedgerError), open_client(life) as client:
        sys.stdout.write(BEGUN)
        sys.stdout.flush()
        jobs = client.resume() if life.resume else []
        for _ in range(life.submit):
            name = f"{time.time_ns()}.mp4"
            jobs.append(
                client.submit(f"take {name}", provider=life.provider, output=life.home / name)
            )
        if life.edit:
            name = f"{time.time_ns()}.mp4"
            prompt = f"rain in {name}, keep everything else the same"
            jobs.append(
                client.edit(life.edit, prompt, provider=life.provider, output=life.home / name)
            )
        for job in as_completed(jobs, timeout=60):
            with contextlib.suppress(VeoError):
                job.result()
    if _was_full.is_set():
        sys.exit(1)


@cache
def live_once() -> None:
    """Live once with every provider: what the server then knows saves a third of a life."""
    with (
        contextlib.redirect_stdout(io.StringIO()),  # ``BEGUN`` is for nobody
        TemporaryDirectory() as folder,
        veo_sandbox.Sandbox(folder, clip="tiny", latency=0) as box,
    ):
        for provider in PROVIDERS:
            live(Life(box.url, box.key, Path(folder, provider), submit=1, provider=provider))


def _die_at(when: str, number: int) -> None:
    """Kill this process around its n-th transaction that writes, or let its commit fail."""
    submit.LATE_S = TIMEOUT_S  # a slow commit would be repeated, and change the numbers
    count = iter(range(10_000))
    for database in (Database, PostgresDatabase):
        _replace_write(database, count, when, number)


def _replace_write(
    database: type[Database | PostgresDatabase], count: Iterator[int], when: str, number: int
) -> None:
    whole: Any = database.write

    @contextlib.contextmanager
    def write(self: Any) -> Iterator[Any]:
        current = next(count)
        mine = current == number
        with whole(self) as connection:
            yield connection
            if (mine and when == "full") or (current >= number and when == "stays full"):
                _was_full.set()
                raise LedgerError("database or disk is full")
            if mine and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
        if mine and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    database.write = write  # type: ignore[method-assign]


def freeze(life: Life) -> None:
    """Plan a job, then stop the whole process just before the paid request would be sent."""
    begin_submit = Ledger.begin_submit

    def stop(self: Ledger, *arguments: Any, **changes: Any) -> Any:
        sys.stdout.write(PLANNED)
        sys.stdout.flush()
        # To this thread: to the process, it might go on until another has stopped it.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        return begin_submit(self, *arguments, **changes)

    Ledger.begin_submit = stop  # type: ignore[method-assign]
    with open_client(life) as client, contextlib.suppress(VeoError):
        client.submit("a lion", output=life.home / "lion.mp4").result()
