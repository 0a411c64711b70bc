"""veo on the same workload, with its ledger on disk, every video checked, every state recorded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from veo import Client, Config, Endpoint
from veo.key import Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from child import Order


def open_client(order: Order) -> Client:
    """Open a client of the sandbox whose ledger is in the folder of the videos."""
    settings = {
        "max_in_flight": order.in_flight,
        "submits_per_minute": 1_000_000,
        "model": "veo-3.1-fast",  # which all other clients of the benchmark name, too
    }
    config = Config(providers={"laozhang-async": settings}, retired="ignore")
    options = {"read_s": order.read_s} if order.read_s else {}
    there = Endpoint(order.url, Key(order.key), order.median_s, options)
    return Client(config, home=Path(order.folder) / "home", endpoint=there)


def prepare_work(order: Order) -> Callable[[], dict[str, int]]:
    """Connect a client and return a function that makes the videos that are still missing."""
    import veo.http.poll_session  # noqa: F401 - as the peers do; veo imports it for its first poll

    mine = open_client(order)
    mine.connect("laozhang-async")

    def begin() -> dict[str, int]:
        items = (
            {"prompt": f"clip {number:05}.", "output": f"{number}.mp4"}
            for number in range(order.jobs)
        )
        batch = mine.batch(items, output_dir=Path(order.folder))
        errors = [type(entry.error).__name__ for entry in batch if entry.error]
        mine.close()
        return dict(Counter(errors))

    return begin
