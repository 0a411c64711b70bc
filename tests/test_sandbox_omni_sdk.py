"""Google's own SDK drives the Interactions wire of the sandbox: an independent check of it.

The installed google-genai 2.x is used, and 3.x, which cannot be installed beside it: the variable
GENAI_3_FOLDER names a folder that `pip install --no-deps --target` has filled.
"""

import json
import os
import subprocess
import sys
from typing import Any

import omni_sdk_script
import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials
from omni import BY_URI, OMNI, SMALL
from sandbox_api import StartSandbox

from veo_sandbox import Sandbox

STREAM = [
    "interaction.created",
    "interaction.status_update",
    *("step.start", "step.delta", "step.stop"),
    *("step.start", "step.delta", "step.stop"),
    "interaction.completed",
]
RESULTS = {
    "create background": "in_progress",
    "get": ["completed", "uri"],
    "create blocking": ["completed", "data"],
    "create streamed": STREAM,
    "get streamed": STREAM,
    "edit": ["completed", "data"],
    "download": "ftyp",
    "file get": "ACTIVE",
    "upload": "ACTIVE",
    "edit an upload": ["completed", "data"],
    "file delete": "DeleteFileResponse",
    "delete": "NoneType",
    "cancel": "cancelled",
}
ERRORS = {
    "wrong format": (400, "Supported values: '16:9', '9:16'."),
    "wrong model": (404, f"Did you mean '{OMNI}'?"),
    "get unknown": (404, "Requested entity was not found."),
    "file get deleted": (403, "You do not have permission to access the File"),
    "cancel ended": (400, "The interaction is not in progress."),
    "get deleted": (404, "Requested entity was not found."),
}


def run_script(box: Sandbox, folder: str) -> dict[str, Any]:
    """Run the script with the SDK in a folder against a sandbox, and return what it prints."""
    finished = subprocess.run(
        [sys.executable, omni_sdk_script.__file__, box.url, box.key],
        env=os.environ | {"PYTHONPATH": folder},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return dict(json.loads(finished.stdout))


@pytest.fixture
def version_3() -> str:
    """Return the folder that holds google-genai 3.x, or skip: `.ci/run` installs it."""
    folder = os.environ.get("GENAI_3_FOLDER")
    if not folder:
        pytest.skip("GENAI_3_FOLDER names no folder that holds google-genai 3.x")
    return folder


def check_calls(box: Sandbox, calls: dict[str, Any]) -> None:
    """Assert the result of every call, and that none of the creates was sent twice."""
    results = {name: calls[name] for name in RESULTS}
    errors = {name: calls[name]["error"] for name in ERRORS}

    assert results == RESULTS
    assert errors == {name: status for name, (status, _) in ERRORS.items()}
    assert all(text in calls[name]["text"] for name, (_, text) in ERRORS.items())
    assert f"models/{OMNI}" in calls["models"]
    assert len(calls["file list"]) == 2
    creates = [entry["path"] for entry in box.requests() if entry["path"].endswith("/interactions")]
    assert len(creates) == 8
    assert calls.keys() == {*RESULTS, *ERRORS, "models", "file list"}


@pytest.fixture
def box(sandbox: StartSandbox) -> Sandbox:
    """Return a sandbox in which a slow lion takes long, for a cancel."""
    box = sandbox(processing_lag=0)
    box.fault("slow_task", match="slow", seconds=1000)
    return box


def test_version_2(box: Sandbox) -> None:
    """All calls of 2.x, under /v1beta."""
    calls = omni_sdk_script.Calls(box.url, box.key)
    calls.run()

    assert genai.__version__.startswith("2.")
    check_calls(box, calls.results)
    assert {entry["path"].split("/")[1] for entry in box.requests()} == {"v1beta", "upload"}


@pytest.mark.slow
def test_version_3(box: Sandbox, version_3: str) -> None:
    """All calls of 3.x, under /v1."""
    report = run_script(box, version_3)

    assert report["version"].startswith("3.")
    check_calls(box, report["calls"])
    assert {entry["path"].split("/")[1] for entry in box.requests()} == {"v1", "upload"}


def test_the_agent_platform(sandbox: StartSandbox) -> None:
    """With credentials: blocking, in a bucket, streamed, and with an API key refused."""
    box = sandbox()
    http = types.HttpOptions(
        base_url=box.url, retry_options=types.HttpRetryOptions(http_status_codes=[599])
    )
    client = genai.Client(
        vertexai=True,
        project="p",
        location="global",
        credentials=Credentials(token=box.key),
        http_options=http,
    )
    express = genai.Client(vertexai=True, api_key=box.key, http_options=http)
    inline = client.interactions.create(model=OMNI, input="a lion", response_format=[SMALL])
    stored = client.interactions.create(
        model=OMNI,
        input="a lion",
        response_format=[BY_URI | {"gcs_uri": "gs://films/lions"}],
        generation_config={"video_config": {"task": "text_to_video"}, "seed": 7},
        labels={"team": "lions"},
    )
    streamed = list(client.interactions.get(stored.id, stream=True))
    with pytest.raises(Exception, match="API keys are not supported") as caught:
        express.interactions.create(model=OMNI, input="a lion")

    assert inline.output_video.data is not None
    assert stored.output_video.uri.startswith("gs://films/lions/")
    assert [event.event_type for event in streamed] == STREAM
    assert caught.value.status_code == 401
    assert len(box.tasks()) == 2
