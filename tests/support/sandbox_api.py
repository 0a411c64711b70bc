"""The plainest client of the sandbox: what curl would send and see."""

import io
import time
from collections.abc import Callable
from typing import Any

import requests
from PIL import Image

from veo_sandbox import Sandbox

Start = Callable[..., Sandbox]
"""The fixture `sandbox`."""

DAY = 86_400


class Api:
    """One caller with a key."""

    def __init__(self, sandbox: Sandbox, key: str | None = None) -> None:
        self.base = sandbox.url
        self.headers = {"Authorization": f"Bearer {key or sandbox.key}"}

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET a path."""
        return requests.get(self.base + path, headers=self.headers, timeout=10, **options)

    def post(self, body: Any = None, **options: Any) -> requests.Response:
        """POST a create."""
        url = f"{self.base}/v1/videos"
        return requests.post(url, json=body, headers=self.headers, timeout=10, **options)

    def text(self, model: str = "veo-3.1-fast", prompt: str = "lion", **more: Any) -> str:
        """Create a video from text; its id."""
        answer = self.post({"model": model, "prompt": prompt, **more})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def form(self, *pictures: bytes, **fields: str) -> requests.Response:
        """POST a create as a form with pictures."""
        parts = [("input_reference", ("p.jpg", data, "image/jpeg")) for data in pictures]
        plain = [(name, (None, value)) for name, value in fields.items()]
        return self.post(files=plain + parts)


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 64), colour: str = "red") -> bytes:
    """A picture file."""
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind)
    return stream.getvalue()


def finished(api: Api, task: str) -> dict[str, Any]:
    """Poll until the task has ended."""
    for _ in range(400):
        body = api.get(f"/v1/videos/{task}").json()
        if body.get("status") in {"completed", "failed"}:
            return dict(body)
        time.sleep(0.02)
    raise AssertionError(body)
