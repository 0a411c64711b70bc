"""The examples of two users' guides run against the sandbox, but for host and key unchanged."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from google import genai
from google.genai import types
from sandbox_api import Api, StartSandbox, make_image, wait_finished

from veo_sandbox import Sandbox

CREATE = """curl -s -X POST "https://api.laozhang.ai/v1/videos" \\
  -H "Authorization: Bearer $VEO_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "veo-3.1-fast",
    "prompt": "A cinematic shot of a majestic lion in the savannah."
  }'
"""

CREATE_FROM_IMAGES = """curl -s -X POST "https://api.laozhang.ai/v1/videos" \\
  -H "Authorization: Bearer $VEO_API_KEY" \\
  -F "model=veo-3.1-fast-fl" \\
  -F "prompt=Smooth timelapse transition between frames" \\
  -F "input_reference=@start_frame.jpg" \\
  -F "input_reference=@end_frame.jpg"
"""

POLL = """curl -s "https://api.laozhang.ai/v1/videos/{task_id}" \\
  -H "Authorization: Bearer $VEO_API_KEY"
"""

CONTENT = """curl -s "https://api.laozhang.ai/v1/videos/{task_id}/content" \\
  -H "Authorization: Bearer $VEO_API_KEY"
"""

DOWNLOAD = """curl -s -o output.mp4 "{video_url}"
"""

FROM_TEXT = """
import requests
import time

API_KEY = "your-api-key"
BASE_URL = "https://api.laozhang.ai/v1"

# 1. 创建任务
response = requests.post(
    f"{BASE_URL}/videos",
    headers={"Authorization": f"Bearer {API_KEY}"},
    json={
        "model": "veo-3.1-fast",
        "prompt": "一只猫咪在花园里"
    }
)
video_id = response.json()["id"]

# 2. 轮询状态
while True:
    response = requests.get(
        f"{BASE_URL}/videos/{video_id}",
        headers={"Authorization": f"Bearer {API_KEY}"}
    )
    data = response.json()
    status = data["status"]

    if status == "completed":
        video_url = data.get("video_url") or data.get("url")
        print(f"视频URL: {video_url}")
        break
    elif status == "failed":
        print("生成失败")
        break

    time.sleep(5)

# 3. 下载视频
video_data = requests.get(video_url).content
with open("output.mp4", "wb") as f:
    f.write(video_data)
"""

FROM_IMAGE = """
import requests
import time

API_KEY = "your-api-key"
BASE_URL = "https://api.laozhang.ai/v1"

with open("your_image.jpg", "rb") as f:
    response = requests.post(
        f"{BASE_URL}/videos",
        headers={"Authorization": f"Bearer {API_KEY}"},
        files={"input_reference": ("image.jpg", f, "image/jpeg")},
        data={
            "model": "veo-3.1-fast-fl",
            "prompt": "让这只猫咪动起来"
        }
    )
video_id = response.json()["id"]
"""

STREAM = """
import requests

API_KEY = "your-api-key"
BASE_URL = "https://api.laozhang.ai/v1"

response = requests.post(
    f"{BASE_URL}/chat/completions",
    headers={"Authorization": f"Bearer {API_KEY}"},
    json={
        "model": "veo-3.1-fast-fl",
        "messages": [{
            "role": "user",
            "content": [
                {"type": "text", "text": "让这只猫咪动起来"},
                {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg"}}
            ]
        }],
        "stream": True
    },
    stream=True
)
"""

DIRECT = """
from google import genai
from google.genai import types

client = genai.Client()

# Create task
operation = client.models.generate_videos(
    model="veo-3.1-generate-preview",
    prompt="A cinematic shot of a majestic lion.",
    config=types.GenerateVideosConfig(
        negative_prompt="cartoon, drawing, low quality",
        aspect_ratio="16:9",
        resolution="1080p"
    ),
)

# Poll
import time
while not operation.done:
    time.sleep(10)
    operation = client.operations.get(operation)

# Download
video = operation.response.generated_videos[0]
client.files.download(file=video.video)
video.video.save("output.mp4")
"""

DIRECT_FRAMES = """
operation = client.models.generate_videos(
    model="veo-3.1-generate-preview",
    prompt="Smooth transition between scenes",
    image=first_frame,
    config=types.GenerateVideosConfig(
        last_frame=last_frame,
    ),
)
"""

DIRECT_REFERENCES = """
ref1 = types.VideoGenerationReferenceImage(
    image=dress_image, reference_type="asset")
ref2 = types.VideoGenerationReferenceImage(
    image=woman_image, reference_type="asset")

operation = client.models.generate_videos(
    model="veo-3.1-generate-preview",
    prompt="The woman walks through the garden...",
    config=types.GenerateVideosConfig(
        reference_images=[ref1, ref2],
    ),
)
"""

DIRECT_EXTENSION = """
operation = client.models.generate_videos(
    model="veo-3.1-generate-preview",
    video=previous_operation.response.generated_videos[0].video,
    prompt="The character continues walking toward the sunset...",
    config=types.GenerateVideosConfig(
        number_of_videos=1,
        resolution="720p"
    ),
)
"""


@pytest.fixture
def box(sandbox: StartSandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Return a sandbox of this profile; nobody sleeps between polls for long."""
    pause = time.sleep
    monkeypatch.setattr("time.sleep", lambda _: pause(0.02))
    return sandbox(profile="seed", processing_lag=0)


def run_curl(box: Sandbox, command: str, **values: str) -> Any:
    """Run a command line of the guide and return the JSON that it prints, if any."""
    for name, value in values.items():
        command = command.replace(f"{{{name}}}", value)
    environment = {"VEO_API_KEY": box.key, "PATH": "/usr/bin:/bin"}
    command = command.replace("https://api.laozhang.ai", box.url)
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=True)
    return json.loads(done.stdout) if done.stdout else None


def run_python(box: Sandbox, code: str, **names: Any) -> dict[str, Any]:
    """Run an example and return the names that it has set."""
    code = code.replace("https://api.laozhang.ai", box.url).replace("your-api-key", box.key)
    exec(compile(code, "example", "exec"), names)
    return names


@pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("curl"), reason="the guide's commands are for bash"
)
def test_the_command_lines_of_the_guide(box: Sandbox) -> None:
    """Every response has the members that the guide prints."""
    for name in ("start_frame.jpg", "end_frame.jpg"):
        Path(name).write_bytes(make_image("JPEG"))
    box.change(latency=100)
    created = run_curl(box, CREATE)
    from_images = run_curl(box, CREATE_FROM_IMAGES)
    box.advance(45)
    running = run_curl(box, POLL, task_id=created["id"])
    box.advance(55)
    wait_finished(Api(box), created["id"])
    done = run_curl(box, POLL, task_id=created["id"])
    content = run_curl(box, CONTENT, task_id=created["id"])
    run_curl(box, DOWNLOAD, video_url=content["url"])

    assert list(created) == ["id", "status", "created_at"]
    assert re.fullmatch(r"task_[a-z0-9]{12}", created["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created["created_at"])
    assert (created["status"], from_images["status"]) == ("queued", "queued")
    assert running == {"id": created["id"], "status": "processing", "progress": 45}
    assert done["output"].keys() == {"url", "duration", "resolution"}
    assert done["output"] == {"url": content["url"], "duration": 8, "resolution": "720p"}
    assert Path("output.mp4").read_bytes()[4:8] == b"ftyp"


def test_the_python_of_the_sample(box: Sandbox) -> None:
    """From text, from an image, and as a stream."""
    Path("your_image.jpg").write_bytes(make_image("JPEG"))
    run_python(box, FROM_TEXT)
    image = run_python(box, FROM_IMAGE)["response"]
    stream = run_python(box, STREAM)["response"]

    assert Path("output.mp4").read_bytes()[4:8] == b"ftyp"
    assert image.json()["status"] == "queued"
    assert stream.text.rstrip().endswith("data: [DONE]")


def test_a_failed_task(box: Sandbox) -> None:
    """An error tells why, and it costs nothing."""
    box.fault("failed", message="no")
    task = Api(box).create_from_text()

    assert wait_finished(Api(box), task) == {
        "id": task,
        "status": "failed",
        "error": {"code": "task_failed", "message": "no"},
    }
    assert [bill["state"] for bill in box.bills()] == ["refunded"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_direct_examples(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's SDK, pointed to the sandbox by its own variables."""
    monkeypatch.setenv("GOOGLE_API_KEY", box.key)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", box.url)
    image = types.Image(image_bytes=make_image(), mime_type="image/png")
    first = run_python(box, DIRECT)
    client = genai.Client()
    common = {"client": client, "types": types}
    small = client.models.generate_videos(
        model="veo-3.1-generate-preview", source={"prompt": "A lion."}
    )
    while not small.done:
        small = client.operations.get(small)
    run_python(box, DIRECT_FRAMES, **common, first_frame=image, last_frame=image)
    run_python(box, DIRECT_REFERENCES, **common, dress_image=image, woman_image=image)
    run_python(box, DIRECT_EXTENSION, **common, previous_operation=small)

    assert first["operation"].done
    assert Path("output.mp4").read_bytes()[4:8] == b"ftyp"
    assert {entry["status"] for entry in box.requests()} == {200}


def test_a_client_that_does_not_rewrite_addresses(sandbox: StartSandbox) -> None:
    """With `file_host`, addresses of Gemini's files lead to the sandbox itself."""
    box = sandbox(file_host="self", processing_lag=0)
    client = genai.Client(api_key=box.key, http_options=types.HttpOptions(base_url=box.url))
    operation = client.models.generate_videos(
        model="veo-3.1-fast-generate-preview", source={"prompt": "A lion."}
    )
    while not operation.done:
        operation = client.operations.get(operation)
    uri = operation.response.generated_videos[0].video.uri
    data = requests.get(uri, headers={"x-goog-api-key": box.key}, timeout=10).content
    longer = client.models.generate_videos(
        model="veo-3.1-fast-generate-preview", source={"prompt": "on", "video": {"uri": uri}}
    )

    assert uri.startswith(f"{box.url}/v1beta/files/")
    assert data[4:8] == b"ftyp"
    assert longer.name
