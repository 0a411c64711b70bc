"""A batch of 200 videos into a bucket, killed whenever an upload is half done.

The server is moto's, behind a relay that passes on uploads slowly and tells when one is under way.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from child import clean_environment
from server import KEY, Server, start_sandbox
from table import Table, Target

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

VIDEOS, KILLS, BYTES = 200, 40, 1_000_000
CHUNK_BYTES, CHUNK_S = 1 << 16, 0.01  # what the relay passes on at a time, and then waits
CONFIG = """
output_dir = "s3://clips/all"
retired = "ignore"
confirm_above = 1000
[providers.laozhang-async]
base_url = "{url}/v1"
model = "veo-3.1-fast"
median_s = 1
max_in_flight = 200
submits_per_minute = 100000
"""


def measure(repeat: int) -> Table:  # noqa: ARG001 - one run has enough kills
    """Return what was found in the bucket after the last run."""
    heads = (
        "videos",
        "kills in mid-upload",
        "uploads",
        "not whole",
        "lost",
        "paid twice",
    )
    table = Table(f"{VIDEOS} x 1 MB into S3, SIGKILL in mid-upload", heads)
    found = _run()
    table.rows.append(tuple(found[name] for name in heads))
    table.targets += [
        Target("videos that are not whole", found["not whole"], 0),
        Target("videos lost", found["lost"], 0),
        Target("videos paid twice", found["paid twice"], 0),
        Target("kills in mid-upload", found["kills in mid-upload"], KILLS, is_minimum=True),
    ]
    return table


def _run() -> dict[str, float]:
    import boto3
    from moto.server import ThreadedMotoServer

    store = ThreadedMotoServer(port=0, verbose=False)
    store.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    os.environ.update(
        AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="secret", AWS_REGION="eu-west-1"
    )
    target = ("127.0.0.1", store.get_host_and_port()[1])
    s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{target[1]}", region_name="us-east-1")
    s3.create_bucket(Bucket="clips")
    with start_sandbox(latency="1", clip_bytes=BYTES) as sandbox, _relay(target) as relay:
        _start_client(sandbox, relay, "--detach").wait()  # no kill falls into a paid request
        kills = sum(iter(lambda: _run_batch(sandbox, relay), None))
        objects = {
            each["Key"]: each["Size"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket="clips")
            for each in page.get("Contents", [])
        }
        names = [name for name in objects if name.endswith(".mp4")]
        broken = sum(not _is_whole(s3, name) for name in names)
        made = [task["request"]["prompt"] for task in sandbox.list_tasks()]
    store.stop()
    return {
        "videos": len(names),
        "kills in mid-upload": kills,
        "uploads": relay.uploads,
        "not whole": broken,
        "lost": VIDEOS - len(names),
        "paid twice": len(made) - len(set(made)),
    }


def _run_batch(sandbox: Server, relay: Relay) -> int | None:
    """Run the batch; return 1 if it was killed in mid-upload, None if it has ended."""
    client = _start_client(sandbox, relay)
    later = time.monotonic() + random.uniform(0, 1)
    while client.poll() is None:
        if relay.kills < KILLS and time.monotonic() > later and relay.under_way:
            client.kill()
            client.wait()
            relay.kills += 1
            return 1
        time.sleep(0.005)
    if client.returncode:
        raise RuntimeError(f"the batch ended with {client.returncode}")
    return None


def _start_client(sandbox: Server, relay: Relay, *options: str) -> subprocess.Popen[bytes]:
    folder: Path = sandbox.folder
    names = [f"clip {number:03}" for number in range(VIDEOS)]
    items = [{"prompt": name, "output": f"{name}.mp4"} for name in names]
    (folder / "clips.json").write_text(json.dumps(items))
    (folder / "veo.toml").write_text(CONFIG.format(url=sandbox.url))
    env = clean_environment() | {
        "VEO_HOME": str(folder / "home"),
        "VEO_API_KEY": KEY,
        "AWS_ENDPOINT_URL": relay.url,
    }
    words = [sys.executable, "-m", "veo_commands", "batch", "clips.json", "-q", *options]
    return subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.DEVNULL)


def _is_whole(s3: Any, name: str) -> bool:
    found = s3.get_object(Bucket="clips", Key=name)
    data = found["Body"].read()
    return len(data) >= BYTES and hashlib.sha256(data).hexdigest() == found["Metadata"]["sha256"]


class Relay(socketserver.ThreadingTCPServer):
    """Passes connections on to the store, uploads slowly."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _RelayHandler)
        self.target = target
        self.uploads = self.under_way = self.kills = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, change: int) -> None:
        with self.lock:
            self.under_way += change
            self.uploads += change > 0


class _RelayHandler(socketserver.BaseRequestHandler):
    server: Relay
    request: socket.socket

    def handle(self) -> None:
        import socket

        with socket.create_connection(self.server.target) as store:
            back = threading.Thread(target=_copy, args=(store, self.request), daemon=True)
            back.start()
            left = 0
            while data := _receive(self.request):
                if not left and data.startswith(b"PUT ") and b".mp4 HTTP" in data[:300]:
                    head = data.partition(b"\r\n\r\n")[0]
                    length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                    left = len(head) + 4 + int(length)
                    self.server.count(1)
                store.sendall(data)
                if left:
                    time.sleep(CHUNK_S)
                    left = max(0, left - len(data))
                    self.server.count(-1) if not left else None
            if left:
                self.server.count(-1)
            store.shutdown(socket.SHUT_WR)
            back.join(5)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(CHUNK_BYTES)
    except ConnectionError:  # the client was killed
        return b""


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(CHUNK_BYTES):
            target.sendall(data)
    except OSError:
        pass


@contextmanager
def _relay(target: tuple[str, int]) -> Iterator[Relay]:
    with Relay(target) as relay:
        thread = threading.Thread(target=relay.serve_forever, daemon=True)
        thread.start()
        yield relay
        relay.shutdown()
