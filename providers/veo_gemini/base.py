"""What the providers of both of Google's APIs share."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from veo.errors import GoneError
from veo_gemini import operations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.genai.types import Video

    from veo.model import Model, ProviderFacts
    from veo.provider import ByteStream, Connection
    from veo.request import Request
    from veo.update import Update, UpdateCallback
    from veo_gemini.interactions.wire import Interactions
    from veo_gemini.sdk_client import Sdk

INTERACTIONS = "interactions"  # ``wire`` in the rows of models that are no long-running operations


class GoogleProvider(ABC):
    """A provider of two wires; a model's row says which one it speaks.

    Veo's long-running operations go through google-genai, which is imported and set up on the
    first of them. Interactions go through ``ApiClient``: the SDK would repeat a paid request four
    times, and follow a redirect to another host with the key.
    """

    facts: ClassVar[ProviderFacts]
    # Of all instances: Google's libraries import each other in circles, so that an import fails
    # while another thread imports another one of them.
    _lock: ClassVar = threading.RLock()

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._connected: Sdk | None = None

    @property
    def name(self) -> str:
        """The provider's name in the configuration and on the command line."""
        return self.facts.name

    @property
    def models(self) -> Mapping[str, Model]:
        """The models by name, the preferred first."""
        return self._connection.models

    def submit(self, request: Request, report: UpdateCallback) -> Update:
        """Send the paid request once; the operation's or the interaction's name is the task id."""
        from veo.http.failures import before_sending  # noqa: PLC0415 - imports an HTTP library

        model = self.models[request.model or ""]
        if model.wire == INTERACTIONS:
            with before_sending():
                wire = self._interactions
            return wire.submit(request, model)
        with before_sending():  # imports the SDK and finds credentials; an extension sends a GET
            sdk, source = self._sdk, self._build_source(request)
            config = self._build_config(request)
        return operations.read_submit_response(sdk.generate(model, source, config))

    async def poll(self, task_id: str) -> Update:
        """Query the operation or the interaction once."""
        if not operations.is_operation_name(task_id):
            return await self._interactions.poll(task_id)
        sdk = self._connected
        if sdk is None:  # importing the SDK takes 0.5 s, and credentials may need a request
            import asyncio  # noqa: PLC0415 - facts about models do not need it

            sdk = await asyncio.to_thread(lambda: self._sdk)
        return operations.read_operation(await sdk.poll_operation(task_id), task_id)

    @property
    def _sdk(self) -> Sdk:
        with self._lock:
            if self._connected is None:
                self._connected = self._connect()
            return self._connected

    @property
    @abstractmethod
    def _interactions(self) -> Interactions:
        """The Interactions wire with the credentials of this provider."""

    @abstractmethod
    def _connect(self) -> Sdk:
        """Return the SDK with the credentials of this provider."""

    @abstractmethod
    def _build_source(self, request: Request) -> dict[str, Any]:
        """Return the prompt and the images or the video of a request, for the SDK."""

    @abstractmethod
    def _build_config(self, request: Request) -> dict[str, Any]:
        """Return the options of a request, for the SDK."""

    def _open_inline_video(self, operation: str, offset: int) -> ByteStream:
        from veo.http import open_bytes  # noqa: PLC0415 - imports an HTTP library

        return open_bytes(self._fetch_inline_video(operation).video_bytes or b"", offset)

    def _fetch_inline_video(self, operation: str) -> Video:
        """Return the video that is part of an operation's response, with its bytes.

        Raises:
            GoneError: The response no longer contains it.
        """
        video = operations.find_video(self._sdk.get_operation(operation, "open"))
        if video is None or not video.video_bytes:
            raise GoneError(f"{operation} no longer contains its video")
        return video
