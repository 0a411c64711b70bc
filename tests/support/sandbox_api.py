"""A minimal client of the sandbox: what curl would send and see."""

import io
import time
from collections.abc import Callable
from typing import Any

import requests
from PIL import Image

from veo_sandbox import Sandbox

StartSandbox = Callable[..., Sandbox]
"""The fixture `sandbox`."""

DAY = 86_400


class Api:
    """A caller with a key."""

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

    def remix(self, task: str, **body: Any) -> requests.Response:
        """POST a remix of a video."""
        url = f"{self.base}/v1/videos/{task}/remix"
        return requests.post(url, json=body, headers=self.headers, timeout=10)

    def create_from_text(
        self, model: str = "veo-3.1-fast", prompt: str = "lion", **more: Any
    ) -> str:
        """Create a video from text and return its id."""
        response = self.post({"model": model, "prompt": prompt, **more})
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    def post_form(self, *images: bytes, **fields: str) -> requests.Response:
        """POST a create as a form with images."""
        parts = [("input_reference", ("p.jpg", data, "image/jpeg")) for data in images]
        plain = [(name, (None, value)) for name, value in fields.items()]
        return self.post(files=plain + parts)


def make_image(kind: str = "PNG", size: tuple[int, int] = (64, 64), colour: str = "red") -> bytes:
    """Return an image file."""
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind)
    return stream.getvalue()


def wait_finished(api: Api, task: str) -> dict[str, Any]:
    """Poll until the task has ended, and return the last body."""
    for _ in range(400):
        body = api.get(f"/v1/videos/{task}").json()
        if body.get("status") in {"completed", "failed"}:
            return dict(body)
        time.sleep(0.02)
    raise AssertionError(body)
