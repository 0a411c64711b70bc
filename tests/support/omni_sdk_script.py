"""Drive the sandbox's Interactions wire with the google-genai that this interpreter has.

`python omni_sdk_script.py BASE_URL KEY` prints a JSON object: the result of each call, or its
error. It imports nothing of this project, so that it runs in an environment of its own.
"""

import io
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from google import genai
from google.genai import types

MODEL = "gemini-omni-1.2-flash"
FORMAT = {"type": "video", "resolution": "360p", "duration": "3s"}
BY_URI = FORMAT | {"delivery": "uri"}
# The SDK resends a paid POST by itself; a status that no server sends switches that off.
ONCE = types.HttpRetryOptions(http_status_codes=[599])


class Calls:
    """Every call that is tried, by its name."""

    def __init__(self, url: str, key: str) -> None:
        options = types.HttpOptions(base_url=url, retry_options=ONCE)
        self.client = genai.Client(api_key=key, http_options=options)
        self.results: dict[str, Any] = {}

    def record(self, name: str, call: Callable[[], Any]) -> Any:
        """Make a call and keep what it returned, or the status and text of its error."""
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - each version has errors of its own
            status = getattr(error, "status_code", None) or getattr(error, "code", None)
            self.results[name] = {"error": status, "type": type(error).__name__, "text": str(error)}
            return None
        self.results[name] = describe(result)
        return result

    def wait(self, interaction: str) -> Any:
        """Poll until an interaction has ended."""
        for _ in range(400):
            result = self.client.interactions.get(interaction)
            if result.status != "in_progress":
                return result
            time.sleep(0.02)
        raise TimeoutError(interaction)

    def run(self) -> None:
        interactions = self.client.interactions
        started = self.record(
            "create background",
            lambda: interactions.create(
                model=MODEL, input="a lion", background=True, store=True, response_format=BY_URI
            ),
        )
        done = self.record("get", lambda: self.wait(started.id))
        self.record(
            "create blocking",
            lambda: interactions.create(
                model=MODEL, input=[{"type": "text", "text": "a lion"}], response_format=[FORMAT]
            ),
        )
        self.record(
            "create streamed",
            lambda: list(
                interactions.create(
                    model=MODEL, input="a lion", response_format=FORMAT, stream=True
                )
            ),
        )
        self.record("get streamed", lambda: list(interactions.get(started.id, stream=True)))
        self.record(
            "edit",
            lambda: interactions.create(
                model=MODEL,
                input="at night",
                previous_interaction_id=started.id,
                response_format={"type": "video", "resolution": "360p"},
                generation_config={"video_config": {"task": "edit"}, "thinking_level": "low"},
            ),
        )
        self.record(
            "wrong format",
            lambda: interactions.create(
                model=MODEL, input="a lion", response_format=FORMAT | {"aspect_ratio": "1:7"}
            ),
        )
        self.record("wrong model", lambda: interactions.create(model="omni-9", input="a lion"))
        self.record("get unknown", lambda: interactions.get("v1_" + "x" * 66))
        self.files(done)
        self.record("cancel ended", lambda: interactions.cancel(started.id))
        self.record("delete", lambda: interactions.delete(started.id))
        self.record("get deleted", lambda: interactions.get(started.id))
        slow = interactions.create(
            model=MODEL, input="a slow lion", background=True, response_format=BY_URI
        )
        self.record("cancel", lambda: interactions.cancel(slow.id))
        self.record("models", lambda: [model.name for model in self.client.models.list()])

    def files(self, done: Any) -> None:
        """Call everything that the Files API has."""
        files = self.client.files
        data = self.record("download", lambda: files.download(file=done.output_video.uri))
        name = done.output_video.uri.split(":download")[0].split("/v1beta/")[1]
        self.record("file get", lambda: files.get(name=name))
        uploaded = self.record(
            "upload",
            lambda: files.upload(file=io.BytesIO(data), config={"mime_type": "video/mp4"}),
        )
        self.record(
            "edit an upload",
            lambda: self.client.interactions.create(
                model=MODEL,
                input=[
                    {"type": "video", "uri": uploaded.uri, "mime_type": "video/mp4"},
                    {"type": "text", "text": "at night"},
                ],
                response_format={"type": "video", "resolution": "360p"},
            ),
        )
        self.record("file list", lambda: [file.name for file in files.list()])
        self.record("file delete", lambda: files.delete(name=uploaded.name))
        self.record("file get deleted", lambda: files.get(name=uploaded.name))


def describe(result: Any) -> Any:
    """Return what a test compares: status and video, names of events, length of bytes."""
    if isinstance(result, bytes):
        return result[4:8].decode()
    if isinstance(result, list):
        return [getattr(item, "event_type", item) for item in result]
    if video := getattr(result, "output_video", None):
        return [result.status, "uri" if video.uri else "data" if video.data else None]
    for name in ("status", "state", "name"):
        if (value := getattr(result, name, None)) is not None:
            return getattr(value, "value", value)
    return type(result).__name__


if __name__ == "__main__":
    calls = Calls(*sys.argv[1:3])
    calls.run()
    sys.stdout.write(json.dumps({"version": genai.__version__, "calls": calls.results}, indent=1))
