"""The sandbox as a separate process, so that its work does not count as the client's."""

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
    """A running sandbox and its records.

    Attributes:
        url: Base URL of the sandbox.
        folder: A folder for the client's files, emptied at the end.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def call_control(self, what: str, body: object = None) -> Any:
        """Call the control API: GET, or POST with a body, below ``/sandbox``."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/sandbox/{what}", data, headers)
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def count_requests(self) -> Counter[str]:
        """Return the number of requests of each kind: create, poll, file."""
        return Counter(map(_classify_request, self.call_control("requests")))

    def list_tasks(self) -> list[Any]:
        """Return every task in order of creation."""
        tasks: list[Any] = sorted(self.call_control("tasks"), key=lambda task: task["created_at"])
        return tasks

    def least_wall_s(self, slots: int) -> float:
        """Return the least seconds for all tasks, ``slots`` at a time (list schedule)."""
        free = [0.0] * slots
        for task in self.list_tasks():
            heapq.heappush(free, heapq.heappop(free) + task["done_at"] - task["created_at"])
        return max(free)


@contextmanager
def start_sandbox(**options: object) -> Iterator[Server]:
    """Start a sandbox with tiny clips; ``options`` are those of ``python -m veo_sandbox``."""
    home = Path(tempfile.mkdtemp(dir=_temporary_folder().name))
    given = {"home": home / "server", "clip": "tiny", "key": KEY} | options
    words = [word for name, value in given.items() for word in _to_option(name, value)]
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
        _truncate_files(home)


@cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return the folder for all files of this run, deleted when the process ends."""
    return tempfile.TemporaryDirectory(prefix="veo-benchmark-")


def _truncate_files(folder: Path) -> None:
    """Free the disk space without deleting files.

    After thousands of deletions ext4 creates files several times more slowly for half a minute,
    which would slow down the next client.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)


def _to_option(name: str, value: object) -> tuple[str, str]:
    return f"--{name.replace('_', '-')}", str(value)


def _classify_request(request: Any) -> str:
    if request["method"] == "POST":
        return "create"
    path = request["path"]
    is_file = request["port"] == "files" or path.endswith("/content") or ":download" in path
    return "file" if is_file else "poll"
