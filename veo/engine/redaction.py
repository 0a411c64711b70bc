"""Remove the key from everything that a provider returns or raises, before anything uses it.

A server may echo the key anywhere: in a task id, an ETag, a status word, an operation. What it
sends is stored, printed and logged later, so it is cleaned here, where providers are called.
"""

from __future__ import annotations

import logging
import traceback
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from veo.errors import ProtocolError, VeoError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.engine.context import ProviderHandle
    from veo.key import Key
    from veo.provider import ByteStream
    from veo.update import RemoteVideo, Update

_MAX_CAUSES = 20  # of an error; a chain may be a circle
_log = logging.getLogger(__name__)


@contextmanager
def guard_call(
    handle: ProviderHandle, doing: str, *, retryable: bool | None = None
) -> Iterator[None]:
    """Remove the key from an error that a provider raises, and from its causes.

    A bug in its code becomes a ``ProtocolError``, which does not know whether money was charged: a
    bug must not end in a second payment. ``doing`` is for the log.
    """
    try:
        yield
    except Exception as error:
        if handle.key:
            redact_error(error, handle.key)
        if isinstance(error, VeoError):
            raise
        trace = "".join(traceback.format_exception(error))
        trace = handle.key.redact(trace) if handle.key else trace
        _log.error("provider %s failed while %s\n%s", handle.facts.name, doing, trace)
        text = f"the provider's code failed: {type(error).__name__}"
        raise ProtocolError(text, retryable=retryable) from error


def redact_error(error: BaseException, key: Key) -> None:
    """Remove the key from the texts of an error and of its causes, in place."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            return
        cause.args = tuple(key.redact(arg) if isinstance(arg, str) else arg for arg in cause.args)
        if notes := getattr(cause, "__notes__", None):  # a traceback shows them too
            notes[:] = map(key.redact, notes)
        if isinstance(cause, VeoError):
            _redact_facts(cause, key)
        cause = cause.__cause__ or cause.__context__


def redact_update(update: Update, key: Key | None) -> Update:
    """Return a provider's report without the key."""
    if key is None:
        return update
    if update.error:
        redact_error(update.error, key)
    video = update.video
    task_id, message = _redact_text(update.task_id, key), _redact_text(update.message, key)
    if video is None and task_id is update.task_id and message is update.message:
        return update  # nearly every poll
    return replace(
        update,
        task_id=task_id,
        message=message,
        video=video and redact_video(video, key),
    )


def redact_video(video: RemoteVideo, key: Key | None) -> RemoteVideo:
    """Return the description of a remote video without the key."""
    if key is None:
        return video
    uri, mime = key.redact(video.uri), key.redact(video.mime)
    return replace(video, uri=uri, mime=mime, id=_redact_text(video.id, key))


def redact_stream(stream: ByteStream, key: Key | None) -> ByteStream:
    """Return an open video without the key in what is stored of it."""
    if key is not None:
        stream.etag = _redact_text(stream.etag, key)
    return stream


def _redact_facts(error: VeoError, key: Key) -> None:
    error.message = key.redact(error.message)
    error.hint = _redact_text(error.hint, key)
    error.request_id = _redact_text(error.request_id, key)
    error.response_end = _redact_text(error.response_end, key)
    error.urls = tuple(map(key.redact, error.urls))
    error.remedies = tuple(
        replace(remedy, task_id=_redact_text(remedy.task_id, key)) for remedy in error.remedies
    )


def _redact_text(text: str | None, key: Key) -> str | None:
    return key.redact(text) if text else text
