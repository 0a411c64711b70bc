"""The public API as a user's type checker sees it; mypy checks this file, nobody runs it.

A line with ``type: ignore`` must be an error, because unused ones are errors themselves.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import veo


def use_everything(client: veo.Client) -> None:
    job = client.submit("a lion", start_frame="a.png", duration="8s", fit="crop", max_cost=1)
    client.submit("a lion", reference=["a.png", Path("b.png"), b"..."], max_cost=0.5)
    client.submit(veo.Request(prompt="a", start_frame="a.png"), max_cost="$0.50")
    client.submit_all(["a", veo.Request(prompt="b")], max_cost=Decimal(2))
    client.batch([{"prompt": "a"}], output_dir="clips", max_cost=3, fail_fast=True)
    video: veo.Video = job.result()
    charged: Decimal = video.charged + job.charged + job.quoted
    for status in job.updates():
        progress: float | None = status.progress
        print(progress, charged)


async def use_coroutines() -> None:
    async with veo.Client(sandbox=True, provider="gemini", api_key="k", home="here") as client:
        job = client.submit("a lion")
        task: asyncio.Task[veo.Video] = asyncio.create_task(job)
        async for status in job.updates():
            print(status.state)
        print((await task).path, (await job).path, veo.__version__)


def make_mistakes(client: veo.Client) -> None:
    client.submit("a lion", aspect_ration="16:9")  # type: ignore[call-arg]
    client.submit("a lion", seed="one")  # type: ignore[arg-type]
    client.batch([], output_folder="clips")  # type: ignore[call-arg]
    veo.Request(prompt="a", start_fram="a.png")  # type: ignore[call-arg]
    veo.Client(sandbox="yes")  # type: ignore[arg-type]
