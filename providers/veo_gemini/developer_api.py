"""Gemini Omni and Veo on the Gemini Developer API, with an API key."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from veo.errors import KeyMissingError
from veo.model import ProviderFacts, load_facts
from veo_gemini import operations, request_bodies
from veo_gemini.base import GoogleProvider

if TYPE_CHECKING:
    from pathlib import Path

    from veo.http import ApiClient
    from veo.key import Key
    from veo.provider import ByteStream, ProviderClass
    from veo.request import Request
    from veo.update import RemoteVideo, UploadCallback
    from veo_gemini.interactions.wire import Interactions
    from veo_gemini.sdk_client import Sdk


class Gemini(GoogleProvider):
    """The provider ``gemini``: models of the Developer API, charged per second of video."""

    facts: ClassVar[ProviderFacts] = load_facts("veo_gemini", "gemini")

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """Return the bytes of a finished video from an offset.

        Raises:
            NotReadyError: It is still processed.
            GoneError: Google has deleted it, or another project made it.
        """
        from veo_gemini import files  # noqa: PLC0415 - imports an HTTP library, which facts do not need
        from veo_gemini.interactions import developer, read  # noqa: PLC0415

        if video.uri.startswith(read.INLINE):
            return self._interactions.open_inline(video.uri, offset)
        if operations.is_operation_name(video.uri):
            return self._open_inline_video(video.uri, offset)
        url = files.resolve_file_url(video.uri, self.facts.base_url, self._connection.base_url)
        if video.id:  # an interaction may be completed before its file can be read
            return developer.open_file(self._http, url, offset)
        return files.open_url(self._http, url, offset)

    def upload(self, path: Path, report: UploadCallback) -> RemoteVideo:
        """Upload a video to the Files API, for 2 days and free of charge."""
        from veo_gemini.interactions import developer  # noqa: PLC0415

        return developer.upload_file(self._http, path, report)

    def ping(self) -> str:
        """Return which of the models the key can use; listing models is free."""
        from veo_gemini.listing import describe_offer  # noqa: PLC0415 - see above

        return describe_offer(self.list_models(), self.models)

    def list_models(self) -> list[str]:
        """Return the names of all models that the service lists for the key; this is free."""
        from veo_gemini.listing import list_models  # noqa: PLC0415

        return list_models(self._http, "v1beta/models", "models")

    def _connect(self) -> Sdk:
        from veo_gemini.sdk_client import Sdk  # noqa: PLC0415 - takes half a second

        # Without ``vertexai`` the variable GOOGLE_GENAI_USE_VERTEXAI decides, and the key could be
        # sent to the other API.
        return Sdk(
            self._connection.base_url,
            home_url=self.facts.base_url,
            vertexai=False,
            api_key=self._key.reveal(),
        )

    @cached_property
    def _interactions(self) -> Interactions:
        from veo_gemini.interactions.developer import DeveloperInteractions  # noqa: PLC0415

        return DeveloperInteractions(self._http, self.models)

    def _build_source(self, request: Request) -> dict[str, Any]:
        return request_bodies.build_source(
            request, {"uri": request.extend.uri} if request.extend else None
        )

    def _build_config(self, request: Request) -> dict[str, Any]:
        return request_bodies.build_developer_config(request)

    @property
    def _key(self) -> Key:
        if self._connection.key is None:
            raise KeyMissingError("gemini needs an API key", hint=self.facts.key_help)
        return self._connection.key

    @cached_property
    def _http(self) -> ApiClient:
        from veo.http import ApiClient  # noqa: PLC0415
        from veo_gemini.interactions.wire import MAX_RESPONSE_BYTES  # noqa: PLC0415

        return ApiClient(
            self._connection.base_url,
            auth={"x-goog-api-key": self._key.reveal()},
            key=self._key,
            home_url=self.facts.base_url,
            max_bytes=MAX_RESPONSE_BYTES,
        )


if TYPE_CHECKING:
    _: ProviderClass = Gemini
