"""Remove the key from everything that a provider returns or raises, before anything uses it.

A server may echo the key anywhere: in a task id, an ETag, a status word, an operation. What it
sends is stored, printed and logged later, so it is cleaned here, where providers are called.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from veo.errors import ProtocolError, VeoError

if TYPE_CHECKING:
    from veo.engine.context import ProviderHandle
    from veo.key import Key
    from veo.provider import ByteStream
    from veo.update import RemoteVideo, Update

_MAX_CAUSES = 20  # of an error; a chain may be a circle
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class CallGuard:
    """The context of a call to a provider: removes the key from an error, and from its causes.

    A bug in the provider's code becomes a ``ProtocolError``, which does not know whether money was
    charged: a bug must not end in a second payment. A class, because every poll comes here, and a
    generator takes three times as long.
    """

    handle: ProviderHandle
    doing: str  # for the log
    retryable: bool | None = None  # whether the call may be repeated after a bug

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, Exception):
            return
        key, name = self.handle.key, self.handle.facts.name
        if key:
            redact_error(error, key)
        if isinstance(error, VeoError):
            return
        trace = "".join(traceback.format_exception(error))
        trace = key.redact(trace) if key else trace
        _log.error("provider %s failed while %s\n%s", name, self.doing, trace)
        text = f"the provider's code failed: {type(error).__name__}"
        raise ProtocolError(text, retryable=self.retryable) from error


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
