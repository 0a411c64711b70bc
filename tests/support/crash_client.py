"""Runs clients that are made to die: a process that forks one for every line it reads.

Started as a script by ``Mortals``. Everything is imported once; a fork then costs milliseconds,
so that a hundred deaths fit into a test. A line is JSON: ``{"home", "submit", "die"}``, with
``die`` a number of seconds after the client is there, or ``["before" | "after", n]`` for the
n-th commit, or null.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from veo.client import Client, Endpoint
from veo.config import Config
from veo.errors import VeoError
from veo.job import as_completed
from veo.key import Key
from veo.ledger import Ledger
from veo.ledger.database import Database

with contextlib.suppress(ImportError):
    import uvloop  # noqa: F401 - as below; not on every platform
import veo.http.poll_session  # noqa: F401 - a client imports it later, and its life is short

if TYPE_CHECKING:
    from collections.abc import Iterator


class Mortals:
    """Clients of one sandbox that can be told when to die."""

    def __init__(self, url: str, key: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, url, key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, home: Path, *, submit: int = 0, die: Any = None, provider: str = "laozhang-async"
    ) -> bool:
        """Resume all that can be, submit some jobs, wait for all. Whether it lived to the end."""
        assert self._process.stdin
        assert self._process.stdout
        order = {"home": str(home), "submit": submit, "die": die, "provider": provider}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip() == "lived"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate("")


def client(home: Path, url: str, key: str) -> Client:
    """A client with no patience for minutes: the sandbox makes a video in a moment."""
    limits = {"median_s": 0.2, "submits_per_minute": 100_000, "max_in_flight": 100}
    names = ("laozhang-async", "laozhang-sync", "gemini", "vertex")
    providers = dict.fromkeys(names, limits)
    config = Config.model_validate({"providers": providers, "retired": "ignore"})
    return Client(config, home=home, endpoint=Endpoint(url, Key(key)))


def live(order: dict[str, Any], url: str, key: str, born: int) -> None:
    """One life; a byte into ``born`` says that it has begun."""
    home = Path(order["home"])
    if isinstance(order["die"], list):
        _die_at(*order["die"])
    with client(home, url, key) as mine:
        os.write(born, b"!")
        jobs = mine.resume()
        for _ in range(order["submit"]):
            name = f"{time.time_ns()}.mp4"
            provider = order["provider"]
            jobs.append(mine.submit(f"take {name}", provider=provider, output=home / name))
        for job in as_completed(jobs, timeout=60):
            with contextlib.suppress(VeoError):
                job.result()


def _die_at(when: str, number: int) -> None:
    """Kill this process around its n-th transaction that writes, just before or after commit."""
    whole, count = Database.write, iter(range(10_000))

    @contextlib.contextmanager
    def write(self: Database) -> Iterator[Any]:
        mine = next(count) == number
        with whole(self) as connection:
            yield connection
            if mine and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)

    Database.write = write  # type: ignore[method-assign]


def freeze(home: Path, url: str, key: str) -> None:
    """Plan a job, then stop the whole process just before the paid request would be sent."""
    begin_submit = Ledger.begin_submit

    def stop(self: Ledger, *arguments: Any, **changes: Any) -> Any:
        sys.stdout.write("planned\n")
        sys.stdout.flush()
        # To this thread: to the process, it might go on until another has stopped it.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        return begin_submit(self, *arguments, **changes)

    Ledger.begin_submit = stop  # type: ignore[method-assign]
    with client(home, url, key) as mine, contextlib.suppress(VeoError):
        mine.submit("a lion", output=home / "lion.mp4").result()


def main() -> None:
    """Fork a client for every order, kill it when its time has come, say how it ended."""
    url, key, *home = sys.argv[1:]
    if home:
        freeze(Path(home[0]), url, key)
        return
    for line in sys.stdin:
        order = json.loads(line)
        begun, born = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                live(order, url, key, born)
            finally:
                os._exit(0)
        os.close(born)
        os.read(begun, 1)
        os.close(begun)
        if isinstance(order["die"], int | float):
            time.sleep(order["die"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else "lived\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
