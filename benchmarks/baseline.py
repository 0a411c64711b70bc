"""The baseline: the same work with one thread and the standard library only.

It submits, polls as often as veo does, downloads, checks only the length, hashes, syncs and renames
each video, and writes as many SQLite rows, each synced. It handles no errors and no second process.
Whatever a client takes beyond this is the cost of the client itself.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sqlite3
import time
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from veo.engine.poll_schedule import Durations, ProgressTracker, poll_delay

if TYPE_CHECKING:
    from collections.abc import Callable

    from child import Order

SPREAD = 0.35


class Baseline:
    """The baseline client for one order."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._known = Durations(order.median_s, SPREAD)
        self._api = self._connection(order.url)
        self._files: http.client.HTTPConnection | None = None
        self._head = {"Authorization": f"Bearer {order.key}", "Content-Type": "application/json"}
        self._heap: list[tuple[float, int, str, float, ProgressTracker]] = []
        self._next = 0
        self._ledger = sqlite3.connect(Path(order.folder) / "least.db", isolation_level=None)
        self._ledger.execute("PRAGMA journal_mode=WAL")
        self._ledger.execute("PRAGMA synchronous=FULL")
        self._ledger.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state, task, at)")
        self._ledger.execute("CREATE TABLE events (job, state, at)")

    def __call__(self) -> dict[str, int]:
        """Make the videos."""
        for _ in range(min(self._order.in_flight, self._order.jobs)):
            self._create()
        while self._heap:
            when, number, task, begun, progress = heappop(self._heap)
            time.sleep(max(0.0, when - time.time()))
            said = self._ask(self._api, "GET", f"/v1/videos/{task}")
            now = time.time()
            if said["status"] == "completed":
                self._note(number, "ready")
                self._fetch(number, said["video_url"])
                if self._next < self._order.jobs:
                    self._create()
                continue
            if not progress.last and said.get("progress"):
                self._note(number, "running")
            progress.record((said.get("progress") or 0) / 100, now - begun)
            again = now + poll_delay(now - begun, self._known, progress)
            heappush(self._heap, (again, number, task, begun, progress))
        return {}

    def _create(self) -> None:
        number, self._next = self._next, self._next + 1
        self._note(number, "submitting")
        body = json.dumps({"model": "veo-3.1-fast", "prompt": f"clip {number:05}."})
        fresh = self._connection(
            self._order.url
        )  # the server may just have closed a kept connection
        task = self._ask(fresh, "POST", "/v1/videos", body)["id"]
        fresh.close()
        self._note(number, "submitted", task)
        now, progress = time.time(), ProgressTracker()
        heappush(self._heap, (now + poll_delay(0.0, self._known), number, task, now, progress))

    def _fetch(self, number: int, url: str) -> None:
        self._note(number, "downloading")
        self._files = self._files or self._connection(url)
        self._files.request("GET", urlsplit(url).path)
        part = Path(self._order.folder) / f"{number}.part"
        response, digest = self._files.getresponse(), hashlib.sha256()
        with part.open("wb", buffering=0) as file:
            while data := response.read(1 << 18):
                file.write(data)
                digest.update(data)
            os.fsync(file.fileno())
        self._note(number, "verified", digest.hexdigest())
        part.rename(part.with_suffix(".mp4"))
        self._note(number, "done")

    def _note(self, number: int, state: str, task: str = "") -> None:
        now = time.time()
        self._ledger.execute("BEGIN IMMEDIATE")
        self._ledger.execute("REPLACE INTO jobs VALUES (?, ?, ?, ?)", (number, state, task, now))
        self._ledger.execute("INSERT INTO events VALUES (?, ?, ?)", (number, state, now))
        self._ledger.execute("COMMIT")

    def _ask(
        self, connection: http.client.HTTPConnection, verb: str, path: str, body: str | None = None
    ) -> Any:
        connection.request(verb, path, body, self._head)
        return json.loads(connection.getresponse().read())

    def _connection(self, url: str) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(url).netloc)


def prepare_work(order: Order) -> Callable[[], dict[str, int]]:
    """Connect and return a function that makes the videos."""
    return Baseline(order)
