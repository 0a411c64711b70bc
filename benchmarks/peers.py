"""The clients that others use: the official SDKs and a bare loop, as their documentation shows."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from heapq import heappop, heappush
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from child import Order
    from requests import Session

    Make = Callable[[str, Path], None]


def prepare_work(order: Order) -> Callable[[], dict[str, int]]:
    """Connect a client and return a function that makes the videos."""
    if order.client == "bare heap":
        return run_bare_heap(order)
    if order.client == "bare aiohttp":
        return run_bare_aiohttp(order)
    make = PEERS[order.client](order)

    def attempt(number: int) -> str | None:
        try:
            make(f"clip {number:05}.", Path(order.folder) / f"{number}.mp4")
        except Exception as error:  # noqa: BLE001 - failures of any kind are counted
            return type(error).__name__
        return None

    def begin() -> dict[str, int]:
        with ThreadPoolExecutor(order.in_flight) as threads:
            failed = filter(None, threads.map(attempt, range(order.jobs)))
            return dict(Counter(failed))

    return begin


def make_with_openai(order: Order) -> Make:
    """openai-python: create, poll, download_content; its own loop polls every second."""
    import openai

    client = openai.OpenAI(base_url=f"{order.url}/v1", api_key=order.key)
    if order.read_s:
        client = client.with_options(timeout=order.read_s)
    every = {"poll_interval_ms": round(order.poll_s * 1000)} if order.poll_s else {}

    def make(prompt: str, path: Path) -> None:
        video = client.videos.create(prompt=prompt, model="veo-3.1-fast", seconds="8")
        video = client.videos.poll(video.id, **every)
        if video.status != "completed":
            raise RuntimeError(video.status)
        client.videos.download_content(video.id).stream_to_file(path)

    return make


def make_with_google_genai(order: Order) -> Make:
    """google-genai: generate_videos, the documented loop, files.download."""
    from google import genai
    from google.genai import types

    timeout_s = round(order.read_s * 1000) or None
    http = types.HttpOptions(base_url=order.url, timeout=timeout_s)
    client = genai.Client(api_key=order.key, http_options=http)

    def make(prompt: str, path: Path) -> None:
        model = "veo-3.1-fast-generate-preview"
        operation = client.models.generate_videos(model=model, prompt=prompt)
        while not operation.done:
            time.sleep(order.poll_s)
            operation = client.operations.get(operation)
        made: Any = operation.response
        video = made.generated_videos[0].video
        client.files.download(file=video)
        video.save(path)

    return make


def create_session_getter(key: str) -> Callable[[], Session]:
    """Return a function that gives each thread its own session."""
    import requests

    local = threading.local()

    def session() -> Session:
        if not hasattr(local, "session"):
            local.session = requests.Session()
            local.session.headers["Authorization"] = f"Bearer {key}"
        found: Session = local.session
        return found

    return session


def make_with_requests(order: Order) -> Make:
    """A loop over requests as people write it, with one session per thread."""
    import requests

    session, timeout_s = create_session_getter(order.key), order.read_s or 60.0

    def make(prompt: str, path: Path) -> None:
        http = session()
        body = {"model": "veo-3.1-fast", "prompt": prompt}
        task = http.post(f"{order.url}/v1/videos", json=body, timeout=timeout_s).json()
        while task["status"] != "completed":
            if task["status"] == "failed":
                raise RuntimeError(task)
            time.sleep(order.poll_s)
            task = http.get(f"{order.url}/v1/videos/{task['id']}", timeout=timeout_s).json()
        url = task["video_url"]
        with requests.get(url, stream=True, timeout=timeout_s) as response, path.open("wb") as file:
            response.raise_for_status()
            for chunk in response.iter_content(1 << 20):
                file.write(chunk)

    return make


def run_bare_heap(order: Order) -> Callable[[], dict[str, int]]:
    """A dispatcher with a heap and 400 threads that poll with ``Session.get``.

    This design can keep ten thousand jobs in flight, without a ledger or a poll schedule.
    It never ends.
    """
    session = create_session_getter(order.key)
    inbox: SimpleQueue[tuple[float, str]] = SimpleQueue()

    def create(number: int) -> None:
        body = {"model": "veo-3.1-fast", "prompt": f"clip {number:05}."}
        task = session().post(f"{order.url}/v1/videos", json=body, timeout=60).json()
        inbox.put((time.monotonic() + order.poll_s, task["id"]))

    def poll(task: str) -> None:
        session().get(f"{order.url}/v1/videos/{task}", timeout=60).json()
        inbox.put((time.monotonic() + order.poll_s, task))

    def begin() -> dict[str, int]:
        heap: list[tuple[float, str]] = []
        with ThreadPoolExecutor(400) as threads:
            for number in range(order.jobs):
                threads.submit(create, number)
            while True:
                wait = heap[0][0] - time.monotonic() if heap else None
                with suppress(Empty):
                    heappush(heap, inbox.get(timeout=None if wait is None else max(0.0, wait)))
                while heap and heap[0][0] <= time.monotonic():
                    threads.submit(poll, heappop(heap)[1])

    return begin


def run_bare_aiohttp(order: Order) -> Callable[[], dict[str, int]]:
    """A heap and one task per poll, on the event loop that veo uses, with aiohttp's defaults.

    It is the least that polls through aiohttp take: it keeps no ledger, checks nothing and trusts
    every response. It never ends.
    """
    import asyncio

    import aiohttp

    from veo.engine.dispatcher import new_event_loop

    async def work() -> dict[str, int]:
        heap: list[tuple[float, str]] = []
        session = aiohttp.ClientSession(
            f"{order.url}/v1/",
            headers={"Authorization": f"Bearer {order.key}"},
            connector=aiohttp.TCPConnector(limit=0),
        )

        async def create(number: int) -> None:
            body = {"model": "veo-3.1-fast", "prompt": f"clip {number:05}."}
            async with session.post("videos", json=body) as response:
                task = await response.json()
            heappush(heap, (time.monotonic() + order.poll_s, task["id"]))

        async def poll(task: str) -> None:
            async with session.get(f"videos/{task}") as response:
                await response.json()
            heappush(heap, (time.monotonic() + order.poll_s, task))

        async with session, asyncio.TaskGroup() as group:
            for number in range(order.jobs):
                group.create_task(create(number))
                await asyncio.sleep(0.001)  # not all at once
            while True:
                while heap and heap[0][0] <= time.monotonic():
                    group.create_task(poll(heappop(heap)[1]))
                await asyncio.sleep(0.005)

    def begin() -> dict[str, int]:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(work())

    return begin


PEERS: dict[str, Callable[[Order], Make]] = {
    "openai": make_with_openai,
    "google-genai": make_with_google_genai,
    "bare loop": make_with_requests,
}
