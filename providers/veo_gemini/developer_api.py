"""Veo on the Gemini Developer API, with an API key."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from veo.errors import KeyMissingError
from veo.model import Facts, load_facts
from veo_gemini import convert as wire
from veo_gemini.base import Route

if TYPE_CHECKING:
    from veo.http.client import ApiClient
    from veo.key import Key
    from veo.provider import ByteStream, ProviderClass
    from veo.request import Request
    from veo.update import RemoteVideo
    from veo_gemini.sdk_client import Sdk


class Gemini(Route):
    """``gemini``: models by their ``-preview`` names, billed per second of finished video."""

    facts: ClassVar[Facts] = load_facts("veo_gemini", "gemini")

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """The bytes of a finished video, from an offset.

        Raises:
            GoneError: Google has deleted it, or gives it to another project only.
        """
        from veo_gemini import files  # noqa: PLC0415 - an HTTP library that facts do not need

        if wire.is_operation(video.uri):
            return files.inline(self._inline(video.uri).video_bytes or b"", offset)
        url = files.file_url(video.uri, self.facts.base_url, self._connection.base_url)
        return files.stream(self._http, url, offset)

    def ping(self) -> str:
        """Which Veo models the key sees; lists models, which is not billed."""
        from veo_gemini.error_table import error_of  # noqa: PLC0415

        answer = self._http.get("v1beta/models?pageSize=1000")
        if not answer.ok:
            raise error_of(answer, "ping")
        return wire.offered(answer.json(), self.models)

    def _connect(self) -> Sdk:
        from veo_gemini.sdk_client import Sdk  # noqa: PLC0415 - half a second

        # Said aloud, or GOOGLE_GENAI_USE_VERTEXAI would send the key to the other API.
        return Sdk(self._connection.base_url, vertexai=False, api_key=self._key.reveal())

    def _source(self, request: Request) -> dict[str, Any]:
        return wire.source(request, {"uri": request.extend.uri} if request.extend else None)

    def _config(self, request: Request) -> dict[str, Any]:
        return wire.developer_config(request)

    @property
    def _key(self) -> Key:
        if self._connection.key is None:
            raise KeyMissingError("gemini needs an API key", hint=self.facts.key_help)
        return self._connection.key

    @cached_property
    def _http(self) -> ApiClient:
        from veo.http.client import ApiClient  # noqa: PLC0415

        auth = {"x-goog-api-key": self._key.reveal()}
        return ApiClient(self._connection.base_url, auth=auth, key=self._key)


if TYPE_CHECKING:
    _: ProviderClass = Gemini
