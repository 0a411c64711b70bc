"""1,000 jobs in flight and SIGTERM: stopped within two seconds, all resumed, none paid twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from server import KEY, start_sandbox
from table import Table, Target

if TYPE_CHECKING:
    from pathlib import Path

    from server import Server

JOBS = 1000
LIMIT_S = 2.0
WAIT_S = 300.0


def measure(repeat: int) -> Table:
    """Stop a batch while all of its jobs are in flight, and run it again."""
    del repeat
    heads = ("seconds to stop", "resumable", "done after the next run", "charges per job")
    table = Table(f"SIGTERM with {JOBS:,} jobs in flight", ("client", *heads))
    with start_sandbox(latency="3600", clip_bytes=2000) as server:
        batch = _write_batch(server.folder)
        process = _start(server, batch)
        _wait_for_tasks(server)
        time.sleep(3.0)  # polls are under way
        begun = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        seconds = time.perf_counter() - begun
        server.call_control("clock", {"advance": 3700})
        states = Counter(json.loads(line)["state"] for line in _run(server, batch).splitlines())
        bills = [bill for bill in server.call_control("bills") if bill["state"] == "charged"]
    share = len(bills) / JOBS
    table.rows.append(("veo batch", seconds, process.returncode == 130, states["done"], share))
    table.targets += [
        Target("seconds to stop", seconds, LIMIT_S),
        Target("jobs done after the next run", states["done"], JOBS, is_minimum=True),
        Target("charges per job", share, 1.0),
    ]
    return table


def _write_batch(folder: Path) -> Path:
    items = [{"prompt": f"clip {n}", "output": f"{n:04}.mp4"} for n in range(JOBS)]
    (folder / "batch.json").write_text(json.dumps(items))
    return folder / "batch.json"


def _start(server: Server, batch: Path) -> subprocess.Popen[str]:
    (batch.parent / "veo.toml").write_text(
        'provider = "laozhang-async"\nretired = "ignore"\nconfirm_above = 100000\n'
        f'[providers.laozhang-async]\nbase_url = "{server.url}/v1"\nmodel = "veo-3.1-fast"\n'
        f"median_s = 5\nsubmits_per_minute = 1000000\nmax_in_flight = {JOBS}\n"
        # The sandbox takes minutes for a thousand requests at once on a busy machine; a response
        # that is given up leaves a job of unknown outcome, which is not what is measured.
        "read_s = 600\n"
    )
    places = {name: str(batch.parent / name.lower()) for name in ("VEO_HOME", "VEO_CONFIG_HOME")}
    return subprocess.Popen(
        [sys.executable, "-m", "veo_commands", "batch", str(batch), "--json", "--timeout", "3600"],
        env=os.environ | places | {"VEO_API_KEY": KEY},
        cwd=batch.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _run(server: Server, batch: Path) -> str:
    return _start(server, batch).communicate(timeout=WAIT_S)[0]


def _wait_for_tasks(server: Server) -> None:
    end = time.monotonic() + WAIT_S
    while len(server.call_control("tasks")) < JOBS:
        assert time.monotonic() < end
        time.sleep(0.5)
