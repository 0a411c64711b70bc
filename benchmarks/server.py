"""The sandbox as a process of its own, so that its work is not counted as a client's."""

from __future__ import annotations

import heapq
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sandbox-key"


class Server:
    """A sandbox that serves, and what it knows.

    Attributes:
        url: Where it is.
        folder: A folder for a client's files, emptied in the end.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def ask(self, what: str, body: object = None) -> Any:
        """GET, or POST a body, below ``/sandbox``."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/sandbox/{what}", data, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def steps(self) -> Counter[str]:
        """How many requests of each kind came: create, poll, file."""
        return Counter(map(_step, self.ask("requests")))

    def tasks(self) -> list[Any]:
        """Every task, in the order of their creation."""
        tasks: list[Any] = sorted(self.ask("tasks"), key=lambda task: task["created_at"])
        return tasks

    def limit(self, slots: int) -> float:
        """Seconds that its tasks take at least, so many at a time, with nothing in between."""
        free = [0.0] * slots
        for task in self.tasks():
            heapq.heappush(free, heapq.heappop(free) + task["done_at"] - task["created_at"])
        return max(free)


@contextmanager
def sandbox(**options: object) -> Iterator[Server]:
    """A sandbox with tiny clips; ``options`` are those of ``python -m veo_sandbox``."""
    home = Path(tempfile.mkdtemp(dir=_folder().name))
    given = {"home": home / "server", "clip": "tiny", "key": KEY} | options
    words = [word for name, value in given.items() for word in _option(name, value)]
    process = subprocess.Popen(
        [sys.executable, "-m", "veo_sandbox", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        url = process.stdout.readline().split()[-1]
        (home / "client").mkdir()
        yield Server(url, home / "client")
    finally:
        process.terminate()
        process.communicate()
        _empty(home)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """For everything that is written; gone when the last measurement is done."""
    return tempfile.TemporaryDirectory(prefix="veo-benchmark-")


def _empty(folder: Path) -> None:
    """Free the disk, but delete nothing yet.

    For half a minute after thousands of files were deleted ext4 takes several times as long to
    make one, and the next client would pay for it.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)


def _option(name: str, value: object) -> tuple[str, str]:
    return f"--{name.replace('_', '-')}", str(value)


def _step(request: Any) -> str:
    if request["method"] == "POST":
        return "create"
    path = request["path"]
    is_file = request["port"] == "files" or path.endswith("/content") or ":download" in path
    return "file" if is_file else "poll"
