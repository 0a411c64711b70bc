"""Reading what ``/v1/videos`` answers: bodies in, values out. No I/O, no trust.

What one field is called differs between the vendor's pages, the one completed body that it
published (captured 2025-11-27) and the gateway software that the newer route resembles; all are
read. What a task echoes (``model``, ``seconds``) is not read at all: the captured body says
``sora2_video_generation`` and ``"4"`` of an eight-second Veo video.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from veo.update import RemoteVideo, Stage, Update
from veo_laozhang.error_body import parse_error, read_error, redact_message
from veo_laozhang.error_table import generation_error, get_error, submit_error
from veo_laozhang.lenient_json import (
    get_path,
    get_text,
    parse_json,
    parse_progress,
    parse_timestamp,
)
from veo_laozhang.request_bodies import content_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.errors import VeoError
    from veo.http.client import Response
    from veo.model import Model

_log = logging.getLogger(__name__)

_WORDS = {
    Stage.SUBMITTED: "queued submitted pending not_start notstarted created starting preparing "
    "unknown",
    Stage.RUNNING: "processing in_progress running generating image_downloading video_generating",
    Stage.READY: "completed complete succeeded success finished done",
    Stage.FAILED: "failed failure fail error cancelled canceled expired timeout rejected",
}
STAGES = {word: stage for stage, words in _WORDS.items() for word in words.split()}

_IDS = (
    ("id",),
    ("task_id",),
    ("taskId",),
    ("video_id",),
    ("data", "id"),
    ("data", "task_id"),
)
_URLS: tuple[tuple[str | int, ...], ...] = (
    ("video_url",),
    ("result_url",),
    ("url",),
    ("videoUrl",),
    ("output", "url"),
    ("output",),
    ("output", 0),
    ("output", 0, "url"),
    ("result", "video_url"),
    ("result", "url"),
    ("metadata", "url"),
    ("data", 0, "url"),
    ("data", "url"),
    ("content", "video_url"),
)
# The gateway says get_task_failed for trouble with its own database, too.
_BACKEND = re.compile(
    r"\b(sql\w*|database|dial tcp|bad connection|connection refused)\b", re.IGNORECASE
)
_SUCCESS_CODES = ((str, "success"), (str, "0"), (str, "200"), (int, 0), (int, 200))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """A task as one answer tells it.

    Attributes:
        stage: How far it is; None where the answer is about no task at all.
        word: The status as it was said.
        progress: 0..1, if readable.
        url: Where the file is, if it is made and that is told; absolute, or a path of the API's
            own host.
        expires_at: Unix seconds, if it is made and that is told.
    """

    stage: Stage | None
    status: str
    progress: float | None
    url: str | None = None
    expires_at: float | None = None


def read_task(body: Any) -> TaskStatus:
    """A task from a decoded body of any shape."""
    body = unwrap_envelope(body)
    word = _read_status(body)
    stage = parse_stage(word) if word else _infer_stage(body)
    share = parse_progress(get_path(body, "progress"), running=stage is Stage.RUNNING)
    if stage is not Stage.READY:
        return TaskStatus(stage=stage, status=word, progress=share)
    expires_at = parse_timestamp(get_path(body, "expires_at"))
    url = read_video_url(body) or _read_legacy_url(body)
    return TaskStatus(stage=stage, status=word, progress=share, url=url, expires_at=expires_at)


def unwrap_envelope(body: Any) -> Any:
    """What lies inside ``{"code": "success", "data": {...}}`` and ``{"success": true, ...}``."""
    while _is_envelope(body) and isinstance(get_path(body, "data"), dict):
        body = body["data"]
    return body


def _is_envelope(body: Any) -> bool:
    code = get_path(body, "code")
    return get_path(body, "success") is True or (type(code), code) in _SUCCESS_CODES


def read_task_id(body: Any) -> str | None:
    """The task's id: the first that is a text, else the first number; none beside a no."""
    if _is_error_envelope(body):
        return None
    found = [get_path(body, *path) for path in _IDS]
    found += [get_path(body, "data")] if _is_envelope(body) else []
    words = (get_text(value) for value in found)
    numbers = (str(value) for value in found if type(value) is int)
    return next(filter(None, words), None) or next(numbers, None)


def read_video_url(body: Any) -> str | None:
    """Where the file is: the first place that holds a URL or a path; empty and null count not."""
    places = (get_text(get_path(body, *path)) for path in _URLS)
    return next((place for place in places if _is_location(place)), None)


def _read_legacy_url(body: Any) -> str | None:
    """Where older gateways put it."""
    reason = get_text(get_path(body, "fail_reason"))
    return reason if _is_location(reason) else None


def _is_location(place: str) -> bool:
    return place.startswith(("http://", "https://", "/"))


def _read_status(body: Any) -> str:
    status = get_path(body, "status")
    return str(status).strip()[:40] if status is not None and status != "" else ""


def parse_stage(word: str) -> Stage:
    """The stage that a status word tells; a word that nobody knows ends nothing."""
    known = STAGES.get(word.casefold().replace("-", "_").replace(" ", "_"))
    if known is None:
        _warn_unknown_status(word)
    return known or Stage.RUNNING


@lru_cache(maxsize=64)
def _warn_unknown_status(word: str) -> None:
    _log.warning("unknown task status %r: taken as still running", word)


def _infer_stage(body: Any) -> Stage | None:
    """The stage of a task whose status is not told."""
    if read_video_url(body):
        return Stage.READY
    known = read_task_id(body) or get_path(body, "progress")
    if get_path(body, "error"):
        return Stage.FAILED if known else None
    return Stage.SUBMITTED if known is not None else None


def read_submit_response(answer: Response, model: Model | None = None) -> Update:
    """The task that an answer to the paid POST promises.

    Raises:
        VeoError: There is none; ``charged`` says whether that is certain.
    """
    body = parse_json(answer.body)
    name = read_task_id(unwrap_envelope(body)) if answer.ok else None
    if not name:
        raise submit_error(answer, model)
    return Update(stage=Stage.SUBMITTED, task_id=name)


def _is_error_envelope(body: Any) -> bool:
    """Whether it is an error envelope: ``{"code": "<error>", "data": ...}`` and its like."""
    code = get_path(body, "code")
    failed = isinstance(code, str) and code not in ("", "ok", "success", "0", "200")
    return failed or get_path(body, "success") is False


def read_poll(answer: Response, task_id: str) -> Update:
    """How a task is doing, by an answer to its GET.

    Raises:
        TaskNotFoundError: The service does not know it, or not yet.
        VeoError: The answer says nothing about the task.
    """
    body = parse_json(answer.body) if answer.ok else None
    task = read_task(body)
    if task.stage is None:
        return _read_poll_error(answer, task_id)
    return Update(
        stage=task.stage,
        task_id=task_id,
        progress=task.progress,
        video=_remote_video(task, task_id) if task.stage is Stage.READY else None,
        error=_task_error(body, task.status, answer) if task.stage is Stage.FAILED else None,
        poll_after=_read_poll_delay(answer.headers),
    )


def _task_error(body: Any, word: str, answer: Response) -> VeoError:
    body = unwrap_envelope(body)
    told = f"the task is {word or 'failed'}", get_text(get_path(body, "error", "code"))
    return generation_error(
        redact_message(parse_error(body, ": ".join(filter(None, told))), answer)
    )


def _remote_video(task: TaskStatus, task_id: str) -> RemoteVideo:
    """The file's own URL, else the task's content.

    A URL of the content is taken as the path that it is, whatever host it names: gateways name
    themselves as they were once set up, and only our own host may see the key.
    """
    own = content_path(task_id)
    named = task.url if task.url and not task.url.split("?")[0].endswith(f"/{own}") else None
    return RemoteVideo(named or own, expires_at=task.expires_at)


def _read_poll_error(answer: Response, task_id: str) -> Update:
    """A failed task can show as a failed GET: seen as the code ``get_task_failed``."""
    said = read_error(answer)
    if "get_task_failed" not in said.searchable_text or _BACKEND.search(said.message):
        raise get_error(answer)
    return Update(stage=Stage.FAILED, task_id=task_id, error=generation_error(said))


def _read_poll_delay(headers: Mapping[str, str]) -> float | None:
    """Seconds, from the header that the OpenAI clients heed."""
    value = headers.get("openai-poll-after-ms", "")
    return int(value) / 1000 if re.fullmatch(r"\d{1,6}", value) else None
