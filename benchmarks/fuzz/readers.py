"""Every reader of text that others write, as a function of bytes, with sound inputs to begin from.

A reader may raise errors of ``veo.errors``; anything else that it raises is a defect.
"""

from __future__ import annotations

import io
import json
import tempfile
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from google.genai import types

from veo.batch.input import parse_items
from veo.batch.item import read_items
from veo.config import Config, merge_models, read_config
from veo.errors import VeoError
from veo.files import mp4, sidecar
from veo.http import Response
from veo.key import Key
from veo.reconcile.charges import parse_charges
from veo.row import InvalidRowError
from veo.text.parsing import decode_text, parse_toml
from veo.wire.values import parse_json_or_none
from veo_gemini import Gemini, operations
from veo_gemini.error_table import google_error
from veo_gemini.interactions import read as interactions
from veo_gemini.interactions.developer import read_file
from veo_gemini.interactions.errors import CHAIN_RULES, POLL_RULES
from veo_gemini.interactions.platform import find_streamed_video
from veo_laozhang import LaoZhangAsync, chat_text
from veo_laozhang.chat_stream import ChatStreamParser
from veo_laozhang.error_table import get_error, submit_error
from veo_laozhang.files import file_error, read_file_url
from veo_laozhang.responses import read_poll, read_submit_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from veo.model import Model

KEY = Key("sk-0123456789abcdef")
NAME = "models/veo-3.1-fast-generate-preview/operations/abc"
MODEL = LaoZhangAsync.facts.models["veo-3.1-fast"]


class Reader(NamedTuple):
    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def _to_json(*values: object) -> tuple[bytes, ...]:
    return tuple(json.dumps(value, ensure_ascii=False).encode() for value in values)


def read_status(data: bytes) -> None:
    """Read the response to a poll."""
    read_poll(Response(200, {}, data, KEY), "task_1")


def read_created(data: bytes) -> None:
    """Read the response to a paid request."""
    read_submit_response(Response(200, {}, data, KEY), MODEL)


def read_content(data: bytes) -> None:
    """Read what came in place of a file."""
    read_file_url(Response(200, {}, data, KEY))


def read_stream(data: bytes) -> None:
    """Read a chat in chunks; what the parser finds is searched for a video."""
    parser = ChatStreamParser()
    for start in range(0, len(data), 97):
        parser.feed(data[start : start + 97])
    parser.close()
    text = str(parser.transcript)
    chat_text.find_video_url(text)
    chat_text.parse_progress(text)
    chat_text.find_last_line(text)
    chat_text.strip_echo(text)


def read_errors(data: bytes) -> None:
    """Read the body of an error, whatever its status."""
    status = (400, 403, 429, 500)[zlib.crc32(data) % 4]  # one an input, for speed
    response = Response(status, {"Retry-After": data[:20].decode("latin-1")}, data, KEY)
    submit_error(response, MODEL)
    get_error(response)
    file_error(response, is_own=False)
    google_error(response, "submit", first=CHAIN_RULES)
    google_error(response, "poll", first=POLL_RULES)


def read_operation(data: bytes) -> None:
    """Read an operation of Google, as its SDK parses it."""
    body = None
    with suppress(ValueError, RecursionError):
        body = json.loads(data)
    operation = None
    # The SDK does not validate; the client turns whatever it raises into an error of ours.
    with suppress(Exception):
        operation = types.GenerateVideosOperation().from_api_response(body)
    if operation is not None:
        operations.read_operation(operation, NAME)


def read_interaction(data: bytes) -> None:
    """Read an interaction of Google as the response to a paid request, a poll and an upload."""
    response = Response(200, {}, data, KEY)
    body = parse_json_or_none(response.text)
    for read in (interactions.read_created, read_polled_interaction):
        with suppress(VeoError):
            read(body, Gemini.facts.models)
    read_file(response)


def read_polled_interaction(body: object, models: Mapping[str, Model]) -> None:
    interactions.read_interaction(body, "v1_abc", models)


def read_interaction_stream(data: bytes) -> None:
    """Read the streamed poll of an interaction."""
    find_streamed_video(Response(200, {}, data, KEY).text)


def read_batch(data: bytes) -> None:
    """Read a batch file."""
    items, _ = parse_items(data)
    read_items(items)


def read_settings(data: bytes) -> None:
    """Read a configuration file."""
    file = _scratch_file("veo.toml")
    file.write_bytes(data)
    read_config(file, env={"VEO_CONFIG_HOME": str(file.parent / "none")})


def read_models(data: bytes) -> None:
    """Read the rows of models in a configuration."""
    with suppress(ValueError):
        tables = parse_toml(decode_text(data))
        rows = {"laozhang-async": {"models": tables}}
        config = None
        with suppress(InvalidRowError):  # which ``read_config`` translates
            config = Config(providers=rows)
        if config:
            merge_models(LaoZhangAsync.facts, config.for_provider("laozhang-async"))


def read_sidecar(data: bytes) -> None:
    """Read the file beside a video."""
    output = _scratch_file("a.mp4")
    sidecar.sidecar_path(output).write_bytes(data)
    sidecar.read_job_id(output)


def read_bills(data: bytes) -> None:
    """Read a list of charges."""
    with suppress(UnicodeDecodeError):  # told as an error of ours before the parser is called
        text = decode_text(data)
        parse_charges(text, "list")


def read_video(data: bytes) -> None:
    """Read the index of an MP4 file."""
    mp4.inspect_video(io.BytesIO(data))


def read_text_with_key(data: bytes) -> None:
    """Remove the key from a text; nothing of it may be left."""
    text = KEY.redact(data.decode("utf-8", "replace"))
    if KEY.reveal() in text:
        raise AssertionError("the key is still there")


@cache
def _scratch_file(name: str) -> Path:
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() else None
    return Path(tempfile.mkdtemp(dir=parent)) / name


_DONE = {
    "id": "video_1",
    "status": "completed",
    "progress": 100,
    "video_url": "https://files.example/a.mp4",
    "seconds": "8",
}
_CHAT = (
    'data: {"choices": [{"index": 0, "delta": {"content": "> \u8fdb\u5ea6\uff1a9.0%\\n"}}]}\n\n'
    'data: {"choices": [{"delta": {"content": "[a](https://files.example/a.mp4)"}, '
    '"finish_reason": "stop"}]}\n\n: PING\n\ndata: [DONE]\n\n'
)
_ROW = (
    '[new]\nlike = "veo-3.1"\ndurations = [8]\nresolutions = ["720p"]\nprice = { usd = "0.15", '
    'per = "call", charged = "on_success", as_of = 2026-01-01, source = "x" }\n'
)
_OPERATION = {
    "name": NAME,
    "done": True,
    "response": {
        "generateVideoResponse": {"generatedSamples": [{"video": {"uri": "https://a/b"}}]}
    },
}
_LOG = {
    "data": {
        "items": [
            {
                "id": 7,
                "type": 2,
                "quota": 75000,
                "created_at": 1790000000,
                "other": '{"task_id":"t"}',
            }
        ]
    }
}

_INTERACTION = {
    "id": "v1_abc",
    "status": "completed",
    "model": "gemini-omni-1.2-flash",
    "usage": {
        "total_input_tokens": 19,
        "total_output_tokens": 17873,
        "output_tokens_by_modality": [{"modality": "video", "tokens": 17376}],
    },
    "steps": [
        {"type": "user_input", "content": [{"type": "text", "text": "a"}]},
        {
            "type": "model_output",
            "content": [{"type": "video", "mime_type": "video/mp4", "uri": "https://a/b"}],
        },
    ],
}
_DELTA = {"index": 1, "delta": {"type": "video", "mime_type": "video/mp4", "data": "AAAA"}}

READERS: dict[str, Reader] = {
    "status": Reader(
        read_status,
        _to_json(
            _DONE,
            {"id": "t", "status": "in_progress", "progress": "45%"},
            {"code": "success", "data": {"task_id": "t", "status": "FAILURE", "fail_reason": "no"}},
            {"status": "failed", "error": {"message": "no", "code": "x"}},
        ),
    ),
    "create": Reader(
        read_created, _to_json({"id": "video_1", "status": "queued"}, {"data": [{"task_id": "t"}]})
    ),
    "content": Reader(read_content, _to_json(_DONE, {"error": {"message": "not completed yet"}})),
    "stream": Reader(read_stream, (_CHAT.encode(), *_to_json({"choices": [{"message": {}}]}))),
    "errors": Reader(
        read_errors,
        (
            *_to_json(
                {"error": {"message": "no (request id: 1)", "type": "x", "code": None}},
                {"code": "task_not_exist", "message": "task_not_exist", "data": None},
                {
                    "error": {
                        "code": 429,
                        "status": "RESOURCE_EXHAUSTED",
                        "details": [{"retryDelay": "3s"}],
                    }
                },
            ),
            b"<html><title>502 Bad Gateway</title></html>",
        ),
    ),
    "operation": Reader(
        read_operation,
        _to_json(_OPERATION, {"name": NAME, "done": True, "error": {"code": 3, "message": "no"}}),
    ),
    "interaction": Reader(
        read_interaction,
        _to_json(
            _INTERACTION,
            {"id": "v1_a", "status": "failed", "errors": [{"code": "safety", "message": "no"}]},
            {"error": {"code": "too_many_requests", "message": "Please retry in 23.397s."}},
            {"file": {"uri": "https://a/v1beta/files/b", "state": "PROCESSING"}},
        ),
    ),
    "interaction stream": Reader(
        read_interaction_stream,
        (f"event: step.delta\r\ndata: {json.dumps(_DELTA)}\r\n\r\ndata: [DONE]\n\n".encode(),),
    ),
    "batch": Reader(
        read_batch,
        (
            b'[{"prompt": "a", "duration": 8, "seed": 1}, {"prompt": "b", "output": "b.mp4"}]',
            b'{"prompt": "a", "reference_images": ["a"]}\n{"prompt": "b", "start-frame": "b"}\n',
        ),
    ),
    "config": Reader(
        read_settings,
        (
            b'provider = "gemini"\ntimeout = 60\n[budget]\ndaily = 5.0\n[sandbox]\nspeed = 2\n',
            b'[providers.gemini]\nbase_url = "https://a/v1"\nmax_in_flight = 3\n',
        ),
    ),
    "models": Reader(read_models, (_ROW.encode(), b'["veo-3.1"]\nretention_s = 60\n')),
    "sidecar": Reader(read_sidecar, _to_json({"job": "abcdefghjk", "state": "done"})),
    "bills": Reader(
        read_bills,
        (
            b"task,amount,state,at\nt1,0.15,charged,2026-11-01T10:00:00Z\nt1,0.15,refunded,\n",
            b"task;cost\nt1;0,15\n",
            *_to_json(_LOG, [{"task": "t", "amount": 0.15, "model": "m"}]),
        ),
    ),
    "video": Reader(
        read_video,
        (
            bytes.fromhex("000000106674797069736f6d00000200")
            + bytes.fromhex("0000000d6d6461746672616d65000000086d6f6f76"),
        ),
    ),
    "key": Reader(read_text_with_key, (b"a " + KEY.reveal().encode(), b"%73k-0123456789abcdef")),
}


def check(reader: Reader, data: bytes) -> None:
    """Read an input; an error of ours is a right answer."""
    with suppress(VeoError):
        reader.read(data)
