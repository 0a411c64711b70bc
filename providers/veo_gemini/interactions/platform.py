"""Interactions of the Agent Platform, whose polls do not always return the finished video."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from veo.errors import ProtocolError, RefusedError, ResponseLostError, TaskNotFoundError, VeoError
from veo.update import Stage, Update
from veo.wire.values import get_list, get_path, get_text, parse_json_or_none, parse_timestamp
from veo_gemini import request_bodies
from veo_gemini.error_table import google_error
from veo_gemini.interactions import read
from veo_gemini.interactions.usage import read_usage
from veo_gemini.interactions.wire import Interactions, decode_video, pace_polls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from veo.http import ApiClient
    from veo.model import Model
    from veo.request import Request

# How long after an interaction is completed its bucket may still get the file. A refusal without
# words looks the same until then.
FILE_GRACE_S = 120.0
STREAM_END = "interaction.completed"
# A poll proves nothing if it ends like this: the video may be in the bucket all the same.
_UNHELPFUL = (ProtocolError, ResponseLostError, TaskNotFoundError)


class PlatformAccess(Protocol):
    """What the wire needs of the provider ``vertex``."""

    @property
    def has_token(self) -> bool:
        """Whether there is a valid access token, so that connecting does not block."""

    @property
    def project(self) -> str:
        """The Google Cloud project; may block."""

    def connect_api(self) -> ApiClient:
        """Return the client of the API with a valid token; may block."""

    def connect_storage(self) -> ApiClient:
        """Return the client of Cloud Storage with a valid token; may block."""


class PlatformInteractions(Interactions):
    """The wire at the Agent Platform.

    Its task id is the id of the interaction, followed by ``#`` and the ``gs://`` folder of the job
    if there is one. The folder is unique, so that a video in it is the job's.
    """

    def __init__(
        self, access: PlatformAccess, models: Mapping[str, Model], storage_uri: str | None
    ) -> None:
        super().__init__(models)
        self._access = access
        self._storage_uri = storage_uri

    @property
    def _path(self) -> str:
        # Documented for ``global`` only; other versions of the path answer with a page.
        return f"v1beta1/projects/{self._access.project}/locations/global/interactions"

    def _connect(self) -> ApiClient:
        return self._access.connect_api()

    async def _connect_async(self) -> ApiClient:
        if self._access.has_token:
            return self._access.connect_api()
        return await asyncio.to_thread(self._access.connect_api)

    def _prepare(self, request: Request, model: Model) -> tuple[dict[str, Any], str]:
        source = request.source
        if source and not source.id and not source.uri.startswith("gs://"):
            raise RefusedError(f"{source.uri} is neither an interaction nor in Cloud Storage")
        folder = self._make_folder()
        return request_bodies.build_platform_interaction(
            request, model, folder
        ), f"#{folder}" if folder else ""

    def _make_folder(self) -> str | None:
        """Return a new folder for one job; None if videos are part of responses."""
        if self._storage_uri is None:
            return None
        return f"{self._storage_uri.rstrip('/')}/{make_folder_name()}"

    async def poll(self, task_id: str) -> Update:
        """Query the interaction once, and look for the video elsewhere if that does not help.

        Reported in September 2026: a poll without the video that lay in the bucket, and one with
        it inline although an address was asked for; a poll with ``stream=true`` had the video.
        """
        interaction, _, folder = task_id.partition("#")
        try:
            found, size = await self._get_body(interaction)
            update = read.read_interaction(found, task_id, self._models)
        except _UNHELPFUL:
            if part := await self._find_object(folder):
                return self._read_found({"status": "completed"}, part, task_id)
            raise
        if not read.lacks_output(found):
            return pace_polls(update, size)
        part, is_empty = await self._find_elsewhere(interaction, folder)
        if part:
            return self._read_found(found, part, task_id)
        if not is_empty and _ended_just_now(found):
            text = "completed, but its video is not there yet"
            return Update(stage=Stage.RUNNING, task_id=task_id, message=text)
        return pace_polls(update, size)

    def _read_found(self, body: dict[str, Any], part: dict[str, Any], task_id: str) -> Update:
        """Return the update of an interaction with a video that was found elsewhere."""
        steps = [*read.list_steps(body), _make_output(part)]
        return read.read_interaction({**body, "steps": steps}, task_id, self._models)

    async def _find_elsewhere(
        self, interaction: str, folder: str
    ) -> tuple[dict[str, Any] | None, bool]:
        """Return the video as a part, if there is one, and whether it is certain that none is."""
        if part := await self._find_object(folder):
            return part, False
        try:
            streamed = await self._get_stream(interaction)
        except VeoError:  # the poll itself has succeeded, and its response is what is known
            return None, False
        part = await asyncio.to_thread(find_streamed_video, streamed)
        return part, part is None and reports_no_video(streamed)

    async def _find_object(self, folder: str) -> dict[str, Any] | None:
        """Return the video in a job's folder as a part of an interaction; None if there is none."""
        if not folder.startswith("gs://"):
            return None
        http = await asyncio.to_thread(self._access.connect_storage)
        bucket, _, name = folder.removeprefix("gs://").partition("/")
        prefix = quote(f"{name}/", safe="")
        response = await http.get_async(f"storage/v1/b/{quote(bucket, safe='')}/o?prefix={prefix}")
        if not response.ok:
            return None  # the poll decides; access to the bucket fails again at the download
        name = next(_list_videos(parse_json_or_none(response.text)), "")
        return {"type": "video", "uri": f"gs://{bucket}/{name}"} if name else None

    async def _get_stream(self, interaction: str) -> str:
        http = await self._connect_async()
        response = await http.get_async(f"{self._interaction_path(interaction)}?stream=true")
        if not response.ok:
            raise google_error(response, "poll")
        return response.text

    def _find_data(self, interaction: str) -> bytes | None:
        data = super()._find_data(interaction)
        if data is None:
            path = f"{self._interaction_path(interaction)}?stream=true"
            response = self._connect().get(path)
            part = find_streamed_video(response.text) if response.ok else None
            data = decode_video({"steps": [_make_output(part)]}) if part else None
        return data


def _ended_just_now(body: dict[str, Any]) -> bool:
    ended_at = parse_timestamp(body.get("updated"))
    return ended_at is not None and abs(time.time() - ended_at) <= FILE_GRACE_S


def make_folder_name() -> str:
    """Return a new name for the folder of one job."""
    return f"veo-{secrets.token_hex(8)}"


def find_streamed_video(text: str) -> dict[str, Any] | None:
    """Return the last video of an event stream: in a ``step.delta``, or in a whole interaction."""
    found = None
    for event in _read_events(text):
        delta = event.get("delta")
        steps = [_make_output(delta)] if isinstance(delta, dict) else []
        steps += read.list_steps(event.get("interaction"))
        found = read.find_video({"steps": steps}) or found
    return found


def reports_no_video(text: str) -> bool:
    """Whether an event stream has ended with the tokens of the interaction, and none of a video."""
    ends = [each for each in _read_events(text) if each.get("event_type") == STREAM_END]
    usage = read_usage(ends[-1].get("interaction")) if ends else None
    return usage is not None and usage.input > 0 and usage.video == 0


def _read_events(text: str) -> Iterator[dict[str, Any]]:
    for block in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        lines = [line.removeprefix("data:") for line in block.split("\n") if line[:5] == "data:"]
        event = parse_json_or_none("\n".join(lines))
        if isinstance(event, dict):
            yield event


def _make_output(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "model_output", "content": [part]}


def _list_videos(listing: Any) -> Iterator[str]:
    """Return the names of the videos in a listing of a bucket."""
    names = (get_text(get_path(row, "name")) for row in get_list(listing, "items"))
    return (name for name in names if name.endswith(".mp4"))
