"""Interactions over HTTP: one paid POST, polls, and videos that are part of a response."""

from __future__ import annotations

import asyncio
import base64
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from veo.errors import GoneError, ProtocolError, ResponseLostError, TaskNotFoundError
from veo.http import ApiClient, Response, open_bytes
from veo.http.failures import before_sending
from veo.update import Stage, Update
from veo.wire.values import get_path, get_text, parse_json_or_none
from veo_gemini.error_table import google_error
from veo_gemini.interactions import errors, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.model import Model
    from veo.provider import ByteStream
    from veo.request import Request
    from veo.wire.error_rules import ErrorRule

SUBMIT_S = 180.0  # as for the other wire: a service may ignore ``background``
# A poll returns the images of the request, or the video itself, in base64.
MAX_RESPONSE_BYTES = 512 << 20
# A poll is as large as the request, whose images it repeats: such polls are made less often.
_LARGE_POLL_BYTES = 4 << 20
_POLL_BYTES_PER_S = 2 << 20
_MAX_PACE_S = 10.0
# Parsing more than this would delay the other polls of the event loop by milliseconds.
_PARSE_IN_THREAD_BYTES = 1 << 18


class Interactions(ABC):
    """The Interactions wire of one API. Safe to use from many threads."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models

    @abstractmethod
    def _connect(self) -> ApiClient:
        """Return the client of the API; may block."""

    async def _connect_async(self) -> ApiClient:
        return self._connect()

    @property
    @abstractmethod
    def _path(self) -> str:
        """The path of ``interactions`` below the base URL."""

    @abstractmethod
    def _prepare(self, request: Request, model: Model) -> tuple[dict[str, Any], str]:
        """Return the body of the paid request, and what is added to the id for the task id.

        Raises:
            VeoError: The request cannot be sent.
        """

    def submit(self, request: Request, model: Model) -> Update:
        """Send the paid request once; it is never repeated or redirected."""
        with before_sending():
            body, suffix = self._prepare(request, model)
            http = self._connect()
            path = self._path
        try:
            response = http.start_json(path, body, silence_s=SUBMIT_S, total_s=SUBMIT_S).read()
            if not response.ok:
                raise google_error(response, "submit", model, _choose_rules(request))
        except ResponseLostError as error:
            if not suffix:
                raise
            # Without the id, only the folder leads to the video, and is a task id by itself.
            text = f"{error.message}; a video would be in {suffix[1:]}, as task {suffix!r}"
            raise ResponseLostError(text, request_id=error.request_id) from error
        return read.read_created(_parse(response), self._models, suffix)

    async def poll(self, task_id: str) -> Update:
        """Query the interaction once.

        A status without any evidence of an end is not believed: the task may still be running.
        """
        body, size = await self._get_body(task_id)
        update = read.read_interaction(body, task_id, self._models)
        if read.lacks_evidence(body):
            text = "completed, but without a result yet"
            update = Update(stage=Stage.RUNNING, task_id=task_id, message=text)
        return pace_polls(update, size)

    def open_inline(self, uri: str, offset: int) -> ByteStream:
        """Return the bytes of a video that is part of its interaction.

        Raises:
            GoneError: The interaction no longer exists, or no longer contains the video.
        """
        data = self._find_data(uri.removeprefix(read.INLINE))
        if data is None:
            raise GoneError(f"{uri} no longer contains its video")
        return open_bytes(data, offset)

    def _find_data(self, interaction: str) -> bytes | None:
        response = self._connect().get(self._interaction_path(interaction))
        if not response.ok:
            raise google_error(response, "open")
        return decode_video(_parse(response))

    async def _get_body(self, interaction: str) -> tuple[Any, int]:
        """Return the interaction as JSON, and the bytes of the response."""
        http = await self._connect_async()
        response = await http.get_async(self._interaction_path(interaction))
        if not response.ok:
            raise google_error(response, "poll", first=errors.POLL_RULES)
        size = len(response.body)
        if size > _PARSE_IN_THREAD_BYTES:
            return await asyncio.to_thread(_parse, response), size
        return _parse(response), size

    def _interaction_path(self, interaction: str) -> str:
        name = interaction.removeprefix(read.INLINE)
        # Dots alone would lead to another path, and no quoting prevents that.
        if not name.strip("."):
            raise TaskNotFoundError(f"{interaction!r} is not the id of an interaction")
        return f"{self._path}/{quote(name, safe='')}"


def pace_polls(update: Update, size: int) -> Update:
    """Return the update of a running task with a longer wait if its polls are large."""
    if update.stage is not Stage.RUNNING or size < _LARGE_POLL_BYTES:
        return update
    return replace(update, poll_after=min(_MAX_PACE_S, size / _POLL_BYTES_PER_S))


def decode_video(body: Any) -> bytes | None:
    """Return the bytes of the video that is part of an interaction; None if there is none.

    Raises:
        ProtocolError: They are not base64.
    """
    data = get_text(get_path(read.find_video(body), "data"))
    try:
        return base64.b64decode(data, validate=True) or None
    except ValueError:
        raise ProtocolError("the video in the response is not base64") from None


def _parse(response: Response) -> Any:
    """Return the body as JSON, with the key redacted that a server may echo; None if unreadable."""
    return parse_json_or_none(response.text)


def _choose_rules(request: Request) -> tuple[ErrorRule, ...]:
    if request.source is None:
        return errors.SUBMIT_RULES
    return errors.CHAIN_RULES if request.source.id else errors.UPLOADED_RULES
