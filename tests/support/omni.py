"""Helpers that send the Interactions wire to the sandbox as plain HTTP."""

import base64
import time
from typing import Any

import requests
from sandbox_api import make_image

from veo_sandbox import Sandbox

OMNI = "gemini-omni-1.2-flash"
OMNI_11 = "gemini-omni-1.1-flash"
SMALL = {"type": "video", "resolution": "360p", "duration": "3s"}
"""The cheapest video, inline."""

BY_URI = SMALL | {"delivery": "uri"}


class OmniApi:
    """A caller of the Developer API; `folder` and `headers` are what the Agent Platform changes."""

    def __init__(self, box: Sandbox, folder: str = "/v1beta", **headers: str) -> None:
        self.box = box
        self.folder = folder
        self.headers = headers or {"x-goog-api-key": box.key}

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = self.headers | options.pop("headers", {})
        url = f"{self.box.url}{path}"
        return requests.request(method, url, headers=headers, timeout=20, **options)

    def post(self, **body: Any) -> requests.Response:
        """POST a create; a model and an input are added where they are missing."""
        body = {"model": OMNI, "input": "a lion"} | body
        return self.request("POST", f"{self.folder}/interactions", json=body)

    def start(self, **body: Any) -> str:
        """Start an interaction in the background and return its id."""
        response = self.post(background=True, **{"response_format": BY_URI} | body)
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    def get(self, interaction: str, query: str = "stream=false") -> requests.Response:
        return self.request("GET", f"{self.folder}/interactions/{interaction}?{query}")

    def cancel(self, interaction: str) -> requests.Response:
        return self.request("POST", f"{self.folder}/interactions/{interaction}/cancel")

    def delete(self, interaction: str) -> requests.Response:
        return self.request("DELETE", f"{self.folder}/interactions/{interaction}")

    def wait(self, interaction: str) -> dict[str, Any]:
        """Poll until the interaction has ended, and return the last body."""
        for _ in range(400):
            body = self.get(interaction).json()
            if body.get("status") != "in_progress":
                return dict(body)
            time.sleep(0.02)
        raise AssertionError(body)

    def make(self, **body: Any) -> dict[str, Any]:
        """Start an interaction and wait for its end."""
        return self.wait(self.start(**body))

    def upload(self, data: bytes, mime_type: str = "video/mp4", title: str = "clip") -> Any:
        """Upload a file in one piece and return its metadata."""
        address = self.start_upload(len(data), mime_type, title)
        command = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"}
        return requests.post(address, data=data, headers=command, timeout=20).json()["file"]

    def start_upload(self, size: int, mime_type: str = "video/mp4", title: str = "clip") -> str:
        """Start an upload and return its address."""
        headers = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(size),
            "X-Goog-Upload-Header-Content-Type": mime_type,
        }
        body = {"file": {"display_name": title}}
        response = self.request("POST", "/upload/v1beta/files", json=body, headers=headers)
        assert response.status_code == 200, response.text
        assert response.content == b""
        return response.headers["x-goog-upload-url"]


def task(name: str, **config: Any) -> dict[str, Any]:
    """Return a `generation_config` that names a task."""
    return {"generation_config": {"video_config": {"task": name}, **config}}


def text_part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def image_part(colour: str = "red") -> dict[str, str]:
    data = base64.b64encode(make_image(colour=colour)).decode()
    return {"type": "image", "mime_type": "image/png", "data": data}


def video_part(file: Any) -> dict[str, str]:
    """Return an uploaded file as a part."""
    return {"type": "video", "mime_type": "video/mp4", "uri": file["uri"]}


def find_videos(body: dict[str, Any]) -> list[dict[str, str]]:
    """Return the videos in an interaction."""
    outputs = [step for step in body["steps"] if step["type"] == "model_output"]
    return [part for step in outputs for part in step["content"] if part["type"] == "video"]


def find_message(response: requests.Response) -> str:
    """Return the text of an error in either form."""
    body = response.json()
    error = (body[0] if isinstance(body, list) else body)["error"]
    return str(error["message"])
