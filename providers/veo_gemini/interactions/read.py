"""Convert interactions, as the service sends them, to updates. No I/O.

The shapes are those of captured responses (October 2026) and of google-genai's types. Everything
is read tolerantly: a key may be missing, or of another type. A video outweighs an unknown status,
because it is paid for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from veo.errors import (
    BusyError,
    GenerationError,
    ModeratedError,
    ProtocolError,
    RefusedError,
    TaskNotFoundError,
    VeoError,
)
from veo.update import RemoteVideo, Stage, Update
from veo.wire.values import get_path, get_text
from veo_gemini.error_table import is_moderation
from veo_gemini.interactions.usage import read_usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from veo.model import Model

_MAX_WORD_CHARS = 60  # of a status or a code
MAX_TEXT_CHARS = 500  # of a reason, which goes into the ledger and to the screen
INLINE = "interactions/"  # the address of a video that is part of its interaction, with the id
_RUNNING = {"in_progress", "queued", "requires_continuation"}
# ``completed`` is captured; the others are in the SDK's types, and were not seen for video.
_FAILED = {"failed", "cancelled", "incomplete", "requires_action", "budget_exceeded"}
_FAILURE_WORDS = re.compile("fail|error|cancel|expire|reject", re.IGNORECASE)
# Words in which an interaction that failed, not only one without a video, may report a filter.
_SAFETY_WORDS = re.compile(
    r"safety|blocked|sensitive words|prohibited|\bpolic(y|ies)\b", re.IGNORECASE
)


def read_created(body: Any, models: Mapping[str, Model], suffix: str = "") -> Update:
    """Return the update of the response to a paid request; it may be done already.

    Args:
        body: The response with status 200.
        models: The provider's models, for prices of tokens.
        suffix: Added to the id that the response names, for the task id.

    Raises:
        RefusedError: The body refuses the request, in spite of its status.
        ProtocolError: It names no interaction, so that it cannot be polled.
    """
    if name := get_text(get_path(body, "id")):
        return _read_accepted(body, name + suffix, models)
    code, text = _read_error(get_path(body, "error"))
    # Only errors of the request itself prove that nothing was made.
    if code in {"invalid_request", "content_blocked"}:
        kind = ModeratedError if code == "content_blocked" or _is_filter(text) else RefusedError
        raise kind(text)
    raise ProtocolError(f"the response names no interaction{': ' * bool(text)}{text}")


def read_interaction(body: Any, task_id: str, models: Mapping[str, Model]) -> Update:
    """Return the update of a polled interaction.

    Raises:
        ProtocolError: The body says nothing about the task; a later poll may.
        TaskNotFoundError: The body says, with status 200, that the interaction does not exist.
    """
    if not isinstance(body, dict):
        raise ProtocolError("the response is not an interaction")
    status = get_text(body.get("status"))
    if not status:
        return _read_bare_error(body, task_id)
    model = models.get(str(body.get("model")))
    usage = read_usage(body)
    charge = usage.charge(model) if usage and model else None
    word = status.lower()[:_MAX_WORD_CHARS]
    if word in _RUNNING:
        return Update(stage=Stage.RUNNING, task_id=task_id)
    video = find_video(body)
    if video is not None:
        remote = _describe_video(video, task_id)
        # A report without the tokens of the video is incomplete: the quote is nearer.
        charge = charge if usage and usage.video else None
        return Update(stage=Stage.READY, task_id=task_id, video=remote, charge=charge)
    is_over = word == "completed" or word in _FAILED or _FAILURE_WORDS.search(word)
    if not is_over and not list(_list_errors(body)):
        return Update(stage=Stage.RUNNING, task_id=task_id, message=f"status {word!r}")
    if word == "completed" or (usage and usage.video):
        error = _no_video_error(body, has_video_tokens=bool(usage and usage.video))
    else:
        error = _failure_error(body, word)
    if charge:  # the tokens of a refusal, too, are paid for
        error.charged = True
    return Update(stage=Stage.FAILED, task_id=task_id, error=error, charge=charge)


def _read_accepted(body: dict[str, Any], task_id: str, models: Mapping[str, Model]) -> Update:
    """Return the update of an accepted request: whatever else its response has, it has an id."""
    if get_text(body.get("status")) and not lacks_output(body):
        update = read_interaction(body, task_id, models)
        if update.stage is not Stage.RUNNING:
            return update
    return Update(stage=Stage.SUBMITTED, task_id=task_id)


def find_video(body: Any) -> dict[str, Any] | None:
    """Return the last video of an interaction that has an address or bytes.

    The steps of the model are in no fixed order, and there may be several; the user's own step
    repeats what was sent, so a video in it is not the result.
    """
    videos = [
        part
        for part in _output_parts(body)
        if part.get("type") == "video" or str(part.get("mime_type")).startswith("video/")
    ]
    located = (part for part in reversed(videos) if _address(part) or get_text(part.get("data")))
    return next(located, None)


def list_steps(body: Any) -> list[dict[str, Any]]:
    """Return the steps of an interaction, as far as they are objects."""
    return _dicts(get_path(body, "steps"))


def lacks_output(body: Any) -> bool:
    """Whether an interaction is completed, but neither a video nor the model's words are in it.

    On the Agent Platform this is no proof of a failure: the video may be in the bucket.
    """
    is_completed: bool = get_path(body, "status") == "completed"
    return is_completed and find_video(body) is None and not _words(body)


def lacks_evidence(body: Any) -> bool:
    """Whether an interaction is completed without output, errors or usage.

    Every end that was captured reports its usage, a refusal too.
    """
    return lacks_output(body) and read_usage(body) is None and not list(_list_errors(body))


def _describe_video(video: dict[str, Any], task_id: str) -> RemoteVideo:
    interaction = task_id.partition("#")[0]
    return RemoteVideo(
        _address(video) or f"{INLINE}{interaction}",
        get_text(video.get("mime_type")) or "video/mp4",
        id=interaction or None,  # a task that only its folder names has no handle
    )


def _no_video_error(body: dict[str, Any], *, has_video_tokens: bool) -> VeoError:
    """Return the error for a completed interaction without a video: a refusal, or a lost video."""
    words = _words(body) or "; ".join(text for _, text in _list_errors(body))[:MAX_TEXT_CHARS]
    if has_video_tokens:
        return GenerationError(
            f"Google made and charged a video, but its response holds none: {words or 'no reason'}",
            hint=f"Google stores interaction {body.get('id')} for 55 days: ask its support.",
            charged=True,
        )
    # The refusal is billed for a few tokens of text, and the model's words are its only reason.
    if words:
        return ModeratedError(f"the model refuses: {words}")
    # Without a usage the status may be wrong: a video may have been made, and paid for.
    return ModeratedError(
        "Google returned neither a video nor a reason, as it does for blocked content",
        charged=None if lacks_evidence(body) else False,
    )


def _failure_error(body: dict[str, Any], word: str) -> VeoError:
    reports = list(_list_errors(body))
    texts = "; ".join(dict.fromkeys(text for _, text in reports))
    text = texts[:MAX_TEXT_CHARS] or _words(body)
    codes = " ".join(dict.fromkeys(code for code, _ in reports))[:MAX_TEXT_CHARS]
    if _is_filter(f"{codes} {text}"):
        return ModeratedError(text or f"the interaction ended as {word}: {codes}")
    # These are failures of the service, so that a new job may succeed.
    is_transient = bool(re.search("internal|api_error|unavailable|timeout|13|14", codes))
    return GenerationError(
        f"the interaction ended as {word}: {text or 'no reason given'}", retryable=is_transient
    )


def _read_bare_error(body: dict[str, Any], task_id: str) -> Update:
    """Return what an error means that came with status 200 and in place of an interaction."""
    code, text = _read_error(body.get("error"))
    if code in {"too_many_requests", "429"}:
        # The rate limit struck after the request was accepted; the interaction never ends.
        error = BusyError(f"{text} (after it was accepted)", charged=None)
        return Update(stage=Stage.FAILED, task_id=task_id, error=error)
    if code in {"not_found", "404"} or "invalid interaction name" in text.lower():
        raise TaskNotFoundError(text)
    raise ProtocolError(text or "the response is not an interaction")


def _output_parts(body: Any) -> Iterator[dict[str, Any]]:
    for step in list_steps(body):
        if step.get("type") != "user_input":
            yield from _dicts(step.get("content"))


def _words(body: dict[str, Any]) -> str:
    """Return what the model says in text."""
    texts = (get_text(part.get("text")) for part in _output_parts(body))
    return " ".join(filter(None, texts))[:MAX_TEXT_CHARS]


def _list_errors(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield code and text of every error: the types name three places, no capture shows one."""
    steps = (step.get("error") for step in list_steps(body))
    for error in (body.get("error"), *_dicts(body.get("errors")), *steps):
        code, text = _read_error(error)
        if code or text:
            yield code, text


def _read_error(error: Any) -> tuple[str, str]:
    if isinstance(error, str):
        return "", error[:MAX_TEXT_CHARS]
    code, text = get_path(error, "code"), get_path(error, "message")
    reason = str(text or code or "")
    return "" if code is None else str(code)[:_MAX_WORD_CHARS], reason[:MAX_TEXT_CHARS]


def _is_filter(text: str) -> bool:
    return is_moderation(text) or bool(_SAFETY_WORDS.search(text))


def _address(part: dict[str, Any]) -> str:
    return get_text(part.get("uri"))


def _dicts(value: Any) -> list[dict[str, Any]]:
    """Return the dicts of a list; some services send a single one without the list."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]
