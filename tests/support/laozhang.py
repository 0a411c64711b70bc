"""Captured and documented responses of LaoZhang, and helpers for its tests.

``CAPTURED`` is the one completed task that the vendor published (2025-11-27); the text of
``STREAM`` is that of a published success. The storage host and the file name are replaced.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from PIL import Image as PillowImage

from veo.http import Response
from veo.image import Image
from veo.key import Key
from veo.provider import Connection
from veo.request import Request
from veo_laozhang import LaoZhangAsync, LaoZhangSync

if TYPE_CHECKING:
    from veo.update import Update

FILE = "https://bucket.oss-cn-shanghai.aliyuncs.com/flow/0f7f9f5e-2c1a-4a52-9d0e-6f1f3b1f2a10.mp4"
KEY = Key("sandbox-key")

CAPTURED = {
    "completed_at": 1764173113,
    "created_at": 1764172941,
    "id": "video_9c4e4872-3cd2-4bfb-9374-f85deed351ca",
    "model": "sora2_video_generation",
    "object": "video",
    "progress": 100,
    "result_url": FILE,
    "seconds": "4",
    "size": "720x1280",
    "status": "completed",
    "url": FILE,
    "video_url": FILE,
}

PROMPT = "一只猫 走过 https://example.com/not-this.mp4 at 50%"
LINES = [
    '```json\n{\n    "prompt": "' + PROMPT + '",\n    "mode": "竖屏模式"\n}\n```\n\n',
    "> ⌛️ 视频正在生成中\uff0c请耐心等待...\n\n",
    *(f"> 🏃 进度\uff1a{share}%\n\n" for share in ("9.0", "18.0", "27.9", "36.9", "45.9")),
    f"> ✅ 视频生成成功\uff0c[点击这里]({FILE}) 查看视频~~~\n\n",
]


def make_response(body: Any = b"", status: int = 200, **headers: str) -> Response:
    """Return a response; anything but bytes becomes JSON, ``_`` in a header's name ``-``."""
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return Response(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, data, KEY
    )


def make_chunk(delta: Any, finish: str | None = None, **more: Any) -> bytes:
    """Return one event of a chat stream, as the vendor documents it."""
    body = {
        "id": "foaicmpl-2b1c",
        "object": "chat.completion.chunk",
        "created": 1764172941,
        "model": "veo-3.1-fast",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return make_event(body | more)


def make_event(body: Any) -> bytes:
    """Return one event with JSON."""
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def make_stream(lines: list[str], *, ended: bool = True) -> bytes:
    """Return a chat stream: the role, one chunk per line, the end."""
    head = make_chunk({"role": "assistant"})
    body = b"".join(make_chunk({"content": line}) for line in lines)
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    tail = make_chunk({}, "stop", usage=usage) + b"data: [DONE]\n\n"
    return head + body + (tail if ended else b"")


STREAM = make_stream(LINES)


def make_request(**options: Any) -> Request:
    """Return a request for the preferred model."""
    return Request(**{"prompt": "a cat", "model": "veo-3.1-fast"} | options)


def connect_async(url: str, **options: Any) -> LaoZhangAsync:
    """Return the async route of a server."""
    return LaoZhangAsync(Connection(f"{url}/v1", KEY, LaoZhangAsync.facts.models, options))


def connect_sync(url: str, **options: Any) -> LaoZhangSync:
    """Return the sync route of a server."""
    return LaoZhangSync(Connection(f"{url}/v1", KEY, LaoZhangSync.facts.models, options))


def ignore_update(_: Update) -> None:
    """Ignore a reported update."""


def make_image(kind: str, colour: str) -> Image:
    """Return a small image."""
    data = io.BytesIO()
    PillowImage.new("RGB", (72, 128), colour).save(data, kind)
    return Image.of(data.getvalue())
