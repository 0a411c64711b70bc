"""What others use: the official SDKs and a bare loop, each as its documentation shows it."""

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


def work(order: Order) -> Callable[[], dict[str, int]]:
    """A client that is imported and connected; calling it does the order."""
    if order.client == "bare heap":
        return bare_heap(order)
    make = PEERS[order.client](order)

    def attempt(number: int) -> str | None:
        try:
            make(f"clip {number:05}.", Path(order.folder) / f"{number}.mp4")
        except Exception as error:  # noqa: BLE001 - how often it fails is what is asked
            return type(error).__name__
        return None

    def begin() -> dict[str, int]:
        with ThreadPoolExecutor(order.in_flight) as threads:
            failed = filter(None, threads.map(attempt, range(order.jobs)))
            return dict(Counter(failed))

    return begin


def openai_sdk(order: Order) -> Make:
    """openai-python: create, poll, download_content; its loop asks every second by itself."""
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


def google_genai(order: Order) -> Make:
    """google-genai: generate_videos, the loop of its documentation, files.download."""
    from google import genai
    from google.genai import types

    patience = round(order.read_s * 1000) or None
    http = types.HttpOptions(base_url=order.url, timeout=patience)
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


def sessions(key: str) -> Callable[[], Session]:
    """Gives each thread a session of its own."""
    import requests

    local = threading.local()

    def session() -> Session:
        if not hasattr(local, "session"):
            local.session = requests.Session()
            local.session.headers["Authorization"] = f"Bearer {key}"
        found: Session = local.session
        return found

    return session


def bare_loop(order: Order) -> Make:
    """A loop over requests as people write it, a session for each thread."""
    import requests

    session, patience = sessions(order.key), order.read_s or 60.0

    def make(prompt: str, path: Path) -> None:
        http = session()
        body = {"model": "veo-3.1-fast", "prompt": prompt}
        task = http.post(f"{order.url}/v1/videos", json=body, timeout=patience).json()
        while task["status"] != "completed":
            if task["status"] == "failed":
                raise RuntimeError(task)
            time.sleep(order.poll_s)
            task = http.get(f"{order.url}/v1/videos/{task['id']}", timeout=patience).json()
        url = task["video_url"]
        with requests.get(url, stream=True, timeout=patience) as answer, path.open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_content(1 << 20):
                file.write(chunk)

    return make


def bare_heap(order: Order) -> Callable[[], dict[str, int]]:
    """A dispatcher with a heap and a pool of 400 threads that poll with ``Session.get``.

    The shape that keeps ten thousand jobs in flight, without a ledger or a policy; it never ends.
    """
    session = sessions(order.key)
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


PEERS: dict[str, Callable[[Order], Make]] = {
    "openai": openai_sdk,
    "google-genai": google_genai,
    "bare loop": bare_loop,
}
