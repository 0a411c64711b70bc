"""Read the responses of ``/v1/videos``. No I/O, and nothing in them is trusted.

The names of the fields differ between the vendor's pages, the one completed body that the vendor
published (captured 2025-11-27) and the public source of the gateway that the newer route
resembles; all of them are read. What a task echoes (``model``, ``seconds``) is ignored: the
captured body says ``sora2_video_generation`` and ``"4"`` for a Veo video of 8 seconds.
"""

from __future__ import annotations

import base64
import logging
import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from veo.errors import ProtocolError, VeoError
from veo.update import RemoteVideo, Stage, Update
from veo.wire.values import get_path, get_text, parse_json_or_none, parse_timestamp
from veo_laozhang.error_body import parse_error, read_error
from veo_laozhang.error_table import generation_error, get_error, submit_error
from veo_laozhang.evidence import add_evidence
from veo_laozhang.lenient_json import parse_progress
from veo_laozhang.request_bodies import content_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from veo.http import Response
    from veo.model import Model

_log = logging.getLogger(__name__)

# Documented, captured, from the gateway's source, and seen at relays of the same interface;
# compared in lower case, with underscores, without the prefix ``task_status_``. The gateway's
# word ``unknown`` is left out: it says as little as a word that is not in the table.
_STATUSES = {
    Stage.SUBMITTED: "queued submitted pending not_start notstarted created starting preparing",
    Stage.RUNNING: "processing in_progress running generating image_downloading video_generating",
    Stage.READY: "completed complete succeeded succeed success finished done ready processed",
    Stage.FAILED: "failed failure fail error cancelled canceled expired timeout rejected aborted "
    "blocked moderation_blocked nsfw",
}
STAGES = {word: stage for stage, words in _STATUSES.items() for word in words.split()}

# Where the status may be, the most reliable place first.
_STATUS_PATHS = (
    *(("status",), ("state",), ("task_status",)),
    *(("output", "task_status"), ("output", "status"), ("detail", "status")),
    *(("data", "status"), ("data", "task_status")),
)
# Some relays send a number instead of a word.
_FLAG_WORDS = {0: "generating", 1: "success", 2: "failed", 3: "failed"}
# Where the task id may be, the most reliable place first.
_ID_PATHS = (
    *(("id",), ("task_id",), ("taskId",), ("video_id",)),
    *(("data", "id"), ("data", "task_id"), ("data", 0, "task_id"), ("data", 0, "id")),
)
INLINE = "inline:"  # before the id of a task whose response holds the video itself
_URL_PATHS: tuple[tuple[str | int, ...], ...] = (
    *(("video_url",), ("result_url",), ("url",), ("videoUrl",)),
    *(("output", "url"), ("output",), ("output", 0), ("output", 0, "url"), ("output", "video_url")),
    *(("result", "video_url"), ("result", "url"), ("metadata", "url")),
    *(("data", 0, "url"), ("data", "url"), ("content", "video_url")),
    *(("detail", "video_url"), ("detail", "url"), ("response", "resultUrls", 0)),
)
# The gateway also sends get_task_failed for errors of its own database.
_DATABASE_ERROR = re.compile(
    r"\b(sql\w*|database|dial tcp|bad connection|connection refused)\b", re.IGNORECASE
)
_MILLISECONDS = re.compile(r"\d{1,6}")
_SUCCESS_CODES = ((str, "success"), (str, "0"), (str, "200"), (int, 0), (int, 200))


class TaskStatus(NamedTuple):
    """The status of a task according to one response."""

    stage: Stage | None  # None if the response is not about a task
    status: str  # as the service wrote it
    progress: float | None  # 0..1; None if unreadable
    url: str | None = None  # of the finished file, absolute or a path on the API's own host
    is_inline: bool = False  # whether the response holds the video itself
    expires_at: float | None = None  # Unix seconds


def read_task(body: Any) -> TaskStatus:
    """Return the status of a task from a JSON value of any structure."""
    body = unwrap_envelope(body)
    status = _read_status(body)
    stage = (_find_stage(status) or _weigh_evidence(body, status)) if status else _infer_stage(body)
    progress = parse_progress(get_path(body, "progress"), running=stage is Stage.RUNNING)
    task = TaskStatus(stage, status, progress)
    if stage is not Stage.READY:
        return task
    # Older gateways put the URL of a finished file into the reason of a failure.
    reason = get_text(get_path(body, "fail_reason"))
    return task._replace(
        url=read_video_url(body) or (reason if _is_location(reason) else None),
        is_inline=_find_inline(body) is not None,
        expires_at=parse_timestamp(get_path(body, "expires_at")),
    )


def unwrap_envelope(body: Any) -> Any:
    """Return the inner body of ``{"code": "success", "data": {...}}`` and the like."""
    while isinstance(get_path(body, "data"), dict) and _is_envelope(body):
        body = body["data"]
    return body


def _is_envelope(body: Any) -> bool:
    code = get_path(body, "code")
    return get_path(body, "success") is True or (type(code), code) in _SUCCESS_CODES


def read_task_id(body: Any) -> str | None:
    """Return the task's id: the first text, else the first number; None in an error envelope."""
    if _is_error_envelope(body):
        return None
    values = [get_path(body, *path) for path in _ID_PATHS]
    values += [get_path(body, "data")] if _is_envelope(body) else []
    texts = (get_text(value) for value in values)
    numbers = (str(value) for value in values if type(value) is int)  # no bool
    return next(filter(None, texts), None) or next(numbers, None)


def read_inline_video(body: Any) -> bytes | None:
    """Return the bytes of a video that a relay has put into the response itself, if any.

    Raises:
        ProtocolError: They are not valid base64.
    """
    text = _find_inline(unwrap_envelope(body))
    try:
        return base64.b64decode(text.partition(",")[2]) if text else None
    except ValueError:
        raise ProtocolError("the video within the response is not valid base64") from None


def _find_inline(body: Any) -> str | None:
    texts = (get_text(get_path(body, *path)) for path in _URL_PATHS)
    return next((text for text in texts if text.startswith("data:video/")), None)


def read_video_url(body: Any) -> str | None:
    """Return the first URL or path of a file; empty and null fields are skipped."""
    texts = (get_text(get_path(body, *path)) for path in _URL_PATHS)
    return next(filter(_is_location, texts), None)


def _is_location(text: str) -> bool:
    return text.startswith(("http://", "https://", "/"))


def _read_status(body: Any) -> str:
    """Return the first known status of a body; if none is known, the first one."""
    first = ""
    for value in _status_values(body):
        word = str(value).strip()[:40] if isinstance(value, str | int) else ""
        if word and _find_stage(word):
            return word
        first = first or word
    return first


def _status_values(body: Any) -> Iterator[Any]:
    yield from (get_path(body, *path) for path in _STATUS_PATHS)
    flag = get_path(body, "successFlag")
    yield _FLAG_WORDS.get(flag) if type(flag) is int else flag


def _find_stage(status: str) -> Stage | None:
    word = status.casefold().replace("-", "_").replace(" ", "_")
    return STAGES.get(word.removeprefix("task_status_"))


def _weigh_evidence(body: Any, status: str) -> Stage:
    """Return the stage of a task whose status is not known, by what else the response holds.

    A video means ready and an error failed; everything else ends no job.
    """
    progress = parse_progress(get_path(body, "progress"), running=True)
    # Some gateways name the address of the file while it is still being made.
    if _has_video(body) and (not progress or progress == 1.0):
        return Stage.READY
    if _has_error(body):
        return Stage.FAILED
    if status.casefold() == "unknown":
        return Stage.SUBMITTED
    _warn_unknown_status(status)
    return Stage.RUNNING


def _has_video(body: Any) -> bool:
    return bool(read_video_url(body) or _find_inline(body))


def _has_error(body: Any) -> bool:
    error = get_path(body, "error")
    if isinstance(error, dict):
        return any(get_text(text) for text in error.values())
    return bool(get_text(error))


@lru_cache(maxsize=64)  # warns once per status, not on every poll
def _warn_unknown_status(status: str) -> None:
    _log.warning("unknown task status %r: treated as running", status)


def _infer_stage(body: Any) -> Stage | None:
    """Return the stage of a task without a status; None if the body is not a task."""
    if _has_video(body):
        return Stage.READY
    mark = read_task_id(body) or get_path(body, "progress")
    if get_path(body, "error"):
        return Stage.FAILED if mark else None
    return Stage.SUBMITTED if mark is not None else None


def read_submit_response(response: Response, model: Model | None = None) -> Update:
    """Return the task that a response to the paid POST accepted.

    Raises:
        VeoError: There is none; ``charged`` is None if that is not certain.
    """
    body = parse_json_or_none(response.body)
    task_id = read_task_id(unwrap_envelope(body)) if response.ok else None
    if not task_id:
        error = submit_error(response, model)
        # If it was accepted all the same, the response is the only way to the task.
        raise add_evidence(error, response.body, "", response.key) if response.ok else error
    return Update(stage=Stage.SUBMITTED, task_id=task_id)


def _is_error_envelope(body: Any) -> bool:
    """Return whether it is an error envelope: ``{"code": "<error>", ...}`` and the like."""
    code = get_path(body, "code")
    is_error = isinstance(code, str) and code not in ("", "ok", "success", "0", "200")
    return is_error or get_path(body, "success") is False


def read_poll(response: Response, task_id: str) -> Update:
    """Return the state of a task from the response to a GET.

    Raises:
        TaskNotFoundError: The service does not know the task, or not yet.
        VeoError: The response is not about the task.
    """
    body = parse_json_or_none(response.body) if response.ok else None
    task = read_task(body)
    if task.stage is None:
        return _read_poll_error(response, task_id)
    return Update(
        stage=task.stage,
        task_id=task_id,
        progress=task.progress,
        video=_remote_video(task, task_id) if task.stage is Stage.READY else None,
        error=_task_error(body, task.status, response) if task.stage is Stage.FAILED else None,
        poll_after=_read_poll_delay(response.headers),
    )


def _task_error(body: Any, status: str, response: Response) -> VeoError:
    body = unwrap_envelope(body)
    parts = f"the task is {status or 'failed'}", get_text(get_path(body, "error", "code"))
    message = ": ".join(filter(None, parts))
    error = parse_error(body, message)
    # Some status words say more than the message beside them, such as ``moderation_blocked``.
    return generation_error(replace(error, codes=(*error.codes, status)), response.key)


def _remote_video(task: TaskStatus, task_id: str) -> RemoteVideo:
    """Return the video at the URL of the task, or at the task's content.

    A URL of the content is replaced by its path: gateways write their configured host name into
    it, and the key may be sent to the host of the base URL only.
    """
    if not task.url and task.is_inline:
        # The ledger stores where the bytes are, not the bytes.
        return RemoteVideo(INLINE + task_id)
    content = content_path(task_id)
    url = task.url or content
    is_content = url.split("?")[0].endswith(f"/{content}")
    return RemoteVideo(content if is_content else url, expires_at=task.expires_at)


def _read_poll_error(response: Response, task_id: str) -> Update:
    """Return the failure of a task that the gateway reports as a failed GET, ``get_task_failed``.

    Raises:
        VeoError: The response is another error, which says nothing about the task.
    """
    body = read_error(response)
    if "get_task_failed" not in body.searchable_text or _DATABASE_ERROR.search(body.message):
        raise get_error(response)
    error = generation_error(body, response.key)
    return Update(stage=Stage.FAILED, task_id=task_id, error=error)


def _read_poll_delay(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of the header that the OpenAI clients observe."""
    value = headers.get("openai-poll-after-ms", "")
    return int(value) / 1000 if _MILLISECONDS.fullmatch(value) else None
