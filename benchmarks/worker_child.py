"""One process of `workers.py`: a worker, or PGQueuer alone with as much of a ledger and of HTTP.

The only argument is the order as JSON. A process prints ``ready``, works until SIGTERM, and prints
how late its steps were on average, in seconds.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

NUMBERS = """
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
INSERT INTO jobs ({names}) SELECT {values} FROM jobs, numbers WHERE jobs.id = :job
"""
COPIED = {  # the columns in which the copies of a job differ from it
    "id": "CAST(:prefix AS text) || n",
    "state": "CAST(:state AS text)",
    "task_id": "CAST(:task AS text) || n",
    "owner": "CAST(:owner AS text)",
    "submitted_at": "CAST(:now AS float)",
    "version": "2",
}


def open_client(order: dict[str, Any]) -> Any:
    from veo import Client, Config

    settings = {
        "base_url": f"{order['url']}/v1",
        "api_key_env": "BENCHMARK_KEY",
        "max_in_flight": order["in_flight"],
        "submits_per_minute": 1_000_000,
        "model": "veo-3.1-fast",
    }
    config = {"providers": {"laozhang-async": settings}, "retired": "ignore"}
    config |= {"ledger": order["ledger"], "timeout": 100_000}
    return Client(Config(**config), home=Path(order["home"]) / "home")


def fill_ledger(order: dict[str, Any]) -> None:
    """Make a ledger with jobs that are running, and many that wait."""
    from veo.ledger.schema import jobs

    names = [column.name for column in jobs.columns]
    columns = [COPIED.get(name, f'jobs."{name}"') for name in names]
    quoted = [f'"{name}"' for name in names]
    copy = text(NUMBERS.format(names=", ".join(quoted), values=", ".join(columns)))
    with open_client(order) as client:
        # Without a lease: the process that fills the ledger sends nothing.
        plan = client.plan("a lion")
        new = client.prepare_job(plan, run="run", output=str(order["home"]) + "/0.mp4")
        job = client.ledger.plan_jobs([new]).records[0]
        with client.ledger.database.write() as connection:
            for prefix, state, count in (
                ("r", "running", order["running"]),
                ("w", "planned", order["waiting"]),
            ):
                if not count:
                    continue
                task = "task_" if state == "running" else None
                owner = "queue" if order["ledger"] else None
                values = {"prefix": prefix, "state": state, "count": count, "job": job.id}
                values |= {"task": task, "owner": owner, "now": time.time()}
                connection.execute(copy, values)
            connection.execute(text("DELETE FROM events"))
            connection.execute(text("DELETE FROM jobs WHERE id = :job"), {"job": job.id})
        with client.ledger.database.write() as connection:
            connection.execute(text("ANALYZE"))


def run_worker(order: dict[str, Any]) -> None:
    from veo.engine.context import StepContext
    from veo.worker.worker import Worker, run_until_stopped

    # Each job is due again at once, so that nothing but the steps takes time.
    StepContext.next_poll_at = lambda self, *_: self.timer()  # type: ignore[method-assign]
    with open_client(order) as client:
        worker = Worker(client, order["slots"])
        print("ready", flush=True)
        run_until_stopped(worker)
        print(worker.stats.late_s / max(1, worker.stats.steps), flush=True)


def run_sqlite(order: dict[str, Any]) -> None:
    """Work on all jobs of a ledger in a file, as a command does."""
    from veo.engine.context import StepContext

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    StepContext.next_poll_at = lambda self, *_: self.timer()  # type: ignore[method-assign]
    with open_client(order) as client:
        client.resume()
        print("ready", flush=True)
        signal.sigwait({signal.SIGTERM})
        client.stop(wait=False)
        print("nan", flush=True)


async def run_bare(order: dict[str, Any], *, fill: bool) -> None:
    """Run PGQueuer with one insert, one request and one update a step, as an engine needs them."""
    import aiohttp
    import asyncpg
    from pgqueuer import PgQueuer
    from pgqueuer.errors import RetryRequested
    from pgqueuer.queries import Queries

    engine = create_engine(order["ledger"].replace("://", "+psycopg://", 1), pool_size=16)
    async with asyncpg.create_pool(order["ledger"], min_size=2, max_size=6) as pool:
        queries = Queries.from_asyncpg_pool(pool)
        if fill:
            await queries.install()
            await pool.execute("CREATE TABLE attempts (job TEXT, n INT)")
            await pool.execute("CREATE TABLE work (job TEXT PRIMARY KEY, n INT)")
            for prefix, count, delay in (("r", order["running"], 0), ("w", order["waiting"], 3600)):
                ids = [f"{prefix}{number}" for number in range(count)]
                rows = [(each, 0) for each in ids]
                await pool.copy_records_to_table("work", records=rows)
                payloads: list[bytes | None] = [each.encode() for each in ids]
                delays: list[timedelta | None] = [timedelta(seconds=delay)] * count
                await queries.enqueue(["step"] * count, payloads, [0] * count, delays)
            await pool.execute("ANALYZE")
            return
        pgq = PgQueuer.from_asyncpg_pool(pool)
        late: list[float] = []

        def write(statement: str, job: str) -> None:
            with engine.begin() as connection:
                connection.execute(text(statement), {"job": job})

        async with aiohttp.ClientSession() as http:

            async def step(job: Any) -> None:
                late.append((datetime.now(UTC) - job.execute_after).total_seconds())
                name = job.payload.decode()
                await asyncio.to_thread(write, "INSERT INTO attempts VALUES (:job, 1)", name)
                async with http.get(f"{order['url']}/v1/videos/{name}") as response:
                    await response.json()
                await asyncio.to_thread(write, "UPDATE work SET n = n + 1 WHERE job = :job", name)
                raise RetryRequested(delay=timedelta(0))

            pgq.entrypoint("step", accepts_context=False)(step)
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, pgq.shutdown.set)
            print("ready", flush=True)
            await pgq.run(
                batch_size=10,
                max_concurrent_tasks=order["slots"],
                heartbeat_timeout=timedelta(seconds=15),
            )
        print(sum(late) / max(1, len(late)), flush=True)


def main() -> None:
    """Execute the order given as the argument."""
    import logging
    import os

    logging.getLogger("pgqueuer").setLevel(logging.CRITICAL)
    os.environ["BENCHMARK_KEY"] = "benchmark"
    order = json.loads(sys.argv[1])
    kind = order["kind"]
    if kind in {"fill worker", "fill sqlite"}:
        fill_ledger(order)
    elif kind == "sqlite":
        run_sqlite(order)
    elif kind == "worker":
        run_worker(order)
    else:
        asyncio.run(run_bare(order, fill=kind == "fill bare"))


if __name__ == "__main__":
    main()
