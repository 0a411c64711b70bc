"""One client at work, in a process of its own: what it costs is what the process costs.

The order is JSON in the only argument; it says ``ready``, begins after a line on stdin, and says
what it took as JSON.
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
    """What a client has to do.

    Attributes:
        client: ``veo``, or one of ``peers``.
        url: Where the sandbox is.
        key: Its key.
        folder: Where the videos go, as ``0.mp4``, ``1.mp4``, ...
        jobs: How many.
        in_flight: How many at a time.
        median_s: Seconds that a video usually takes.
        poll_s: Seconds between two polls, for those who do not decide it themselves.
        read_s: Seconds to wait for an answer; 0 for the client's own patience.
    """

    client: str
    url: str
    key: str
    folder: str
    jobs: int
    in_flight: int
    median_s: float
    poll_s: float = 0.0
    read_s: float = 0.0


@dataclass(frozen=True)
class Cost:
    """What it took.

    Attributes:
        wall: Seconds from the first call to the last file.
        cpu: CPU seconds of that.
        rss_mb: The most memory that the process ever had, imports included.
        errors: How many jobs failed, by error.
    """

    wall: float
    cpu: float
    rss_mb: float
    errors: dict[str, int]


class Started:
    """A client that is imported and connected, and waits for the word to begin."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        self._line()

    def begin(self) -> None:
        """Let it work."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def cost(self) -> Cost:
        """What it took; waits for its end."""
        return Cost(**json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a client ended with {self._process.wait()}")
        return line


@contextmanager
def started(order: Order) -> Iterator[Started]:
    """A client in a process of its own, which ends with the context."""
    words = [sys.executable, __file__, json.dumps(asdict(order))]
    process = subprocess.Popen(
        words, text=True, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield Started(process)
    finally:
        process.kill()
        process.communicate()


def run(order: Order) -> Cost:
    """Have a client do its work."""
    with started(order) as client:
        client.begin()
        return client.cost()


def _environment() -> dict[str, str]:
    """Without the user's keys, proxies and settings; with compiled modules, as installed."""
    unwanted = re.compile(
        r"(VEO|OPENAI|GEMINI|GOOGLE)_.*|.*_PROXY|PYTHONDONTWRITEBYTECODE", re.IGNORECASE
    )
    return {name: value for name, value in os.environ.items() if not unwanted.fullmatch(name)}


def peak_mb() -> float:
    """The most memory that this process ever had, MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    """Do one order."""
    order = Order(**json.loads(sys.argv[1]))
    if order.client == "veo":
        from ours import work
    elif order.client == "least":
        from baseline import work
    else:
        from peers import work
    begin = work(order)
    print("ready", flush=True)
    sys.stdin.readline()
    imported, begun = process_time(), perf_counter()
    errors = begin()
    wall, cpu = perf_counter() - begun, process_time() - imported
    print(json.dumps(asdict(Cost(wall, cpu, peak_mb(), errors))))


if __name__ == "__main__":
    main()
