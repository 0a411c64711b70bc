"""The verbs that both of Google's APIs share."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from veo.errors import GoneError
from veo_gemini import convert as wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.genai.types import Video

    from veo.model import Facts, Model
    from veo.provider import Connection
    from veo.request import Request
    from veo.update import Report, Update
    from veo_gemini.sdk_client import Sdk


class Route(ABC):
    """A route through google-genai; the SDK is set up when something is first asked of it."""

    facts: ClassVar[Facts]

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._ready: Sdk | None = None

    @property
    def name(self) -> str:
        """The name that configuration and command line use."""
        return self.facts.name

    @property
    def models(self) -> Mapping[str, Model]:
        """The models it offers, by name, the preferred first."""
        return self._connection.models

    def submit(self, request: Request, report: Report) -> Update:
        """Send the paid request, once; returns with the operation's name as the task id."""
        model = self.models[request.model or ""]
        sdk, source, config = self._sdk, self._source(request), self._config(request)
        return wire.read_submit_response(sdk.generate(model, source, config))

    async def poll(self, task_id: str) -> Update:
        """Query the operation once."""
        sdk = self._ready
        if sdk is None:  # the import takes half a second, and the credentials may be asked for
            sdk = await asyncio.to_thread(lambda: self._sdk)
        return wire.update(await sdk.poll_operation(task_id), task_id)

    @property
    def _sdk(self) -> Sdk:
        with self._lock:
            if self._ready is None:
                self._ready = self._connect()
            return self._ready

    @abstractmethod
    def _connect(self) -> Sdk:
        """The SDK with the credentials of this route."""

    @abstractmethod
    def _source(self, request: Request) -> dict[str, Any]:
        """What a video is made from, as the SDK takes it."""

    @abstractmethod
    def _config(self, request: Request) -> dict[str, Any]:
        """The options of a request, as the SDK takes them."""

    def _inline(self, operation: str) -> Video:
        """The video that an operation's answer carries, bytes and all.

        Raises:
            GoneError: The answer carries none any more.
        """
        video = wire.find_video(self._sdk.operation(operation, "open"))
        if video is None or not video.video_bytes:
            raise GoneError(f"{operation} no longer contains its video")
        return video
