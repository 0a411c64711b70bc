"""Run one client in a separate process, so that the cost of the process is the cost of the client.

The only argument is the order as JSON. The process prints ``ready``, starts after it reads a line
from stdin, and finally prints its cost as JSON.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Order:
    """The work of one client."""

    client: str  # ``veo``, or one of ``peers``
    url: str  # base URL of the sandbox
    key: str  # API key of the sandbox
    folder: str  # folder for the videos, named ``0.mp4``, ``1.mp4``, ...
    jobs: int  # videos
    in_flight: int  # at a time
    median_s: float  # median seconds to make a video
    poll_s: float = 0.0  # seconds between polls, for clients without a poll schedule of their own
    read_s: float = 0.0  # read timeout in seconds; 0 for the client's default


@dataclass(frozen=True)
class Cost:
    """The cost of the work."""

    wall_s: float  # from the first call to the last file
    cpu_s: float  # in that time
    rss_mb: float  # peak memory of the process in MB, imports included
    errors: dict[str, int]  # number of failed jobs by error class


class ClientProcess:
    """A client that is imported and connected, and waits to be started."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        self._read_line()

    def start_work(self) -> None:
        """Start the work."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def read_cost(self) -> Cost:
        """Wait for the end of the work and return its cost."""
        return Cost(**json.loads(self._read_line()))

    def _read_line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the client exited with {self._process.wait()}")
        return line


@contextmanager
def start_client(order: Order) -> Iterator[ClientProcess]:
    """Start a client process, and kill it at the end of the context."""
    words = [sys.executable, __file__, json.dumps(asdict(order))]
    process = subprocess.Popen(
        words, text=True, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield ClientProcess(process)
    finally:
        process.kill()
        process.communicate()


def run_order(order: Order) -> Cost:
    """Run a client to its end and return its cost."""
    with start_client(order) as client:
        client.start_work()
        return client.read_cost()


def clean_environment() -> dict[str, str]:
    """Return the environment without keys, proxies and settings, and with bytecode caching on."""
    unwanted = re.compile(
        r"(VEO|OPENAI|GEMINI|GOOGLE)_.*|.*_PROXY|PYTHONDONTWRITEBYTECODE", re.IGNORECASE
    )
    return {name: value for name, value in os.environ.items() if not unwanted.fullmatch(name)}


def read_peak_mb() -> float:
    """Return the peak memory of this process in MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    """Execute the order given as the argument."""
    order = Order(**json.loads(sys.argv[1]))
    if order.client == "veo":
        from ours import prepare_work
    elif order.client == "baseline":
        from baseline import prepare_work
    else:
        from peers import prepare_work
    begin = prepare_work(order)
    print("ready", flush=True)
    sys.stdin.readline()
    imported, begun = process_time(), perf_counter()
    errors = begin()
    wall, cpu = perf_counter() - begun, process_time() - imported
    print(json.dumps(asdict(Cost(wall, cpu, read_peak_mb(), errors))))


if __name__ == "__main__":
    main()
