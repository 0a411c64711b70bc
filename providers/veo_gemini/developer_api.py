"""Veo on the Gemini Developer API, with an API key."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from veo.errors import KeyMissingError
from veo.model import Facts, load_facts
from veo_gemini import convert
from veo_gemini.base import GoogleProvider

if TYPE_CHECKING:
    from veo.http import ApiClient
    from veo.key import Key
    from veo.provider import ByteStream, ProviderClass
    from veo.request import Request
    from veo.update import RemoteVideo
    from veo_gemini.sdk_client import Sdk


class Gemini(GoogleProvider):
    """The provider ``gemini``: ``-preview`` models, charged per second of finished video."""

    facts: ClassVar[Facts] = load_facts("veo_gemini", "gemini")

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """Return the bytes of a finished video from an offset.

        Raises:
            GoneError: Google has deleted it, or another project made it.
        """
        from veo_gemini import files  # noqa: PLC0415 - imports an HTTP library, which facts do not need

        if convert.is_operation_name(video.uri):
            return files.open_bytes(self._fetch_inline_video(video.uri).video_bytes or b"", offset)
        url = files.resolve_file_url(video.uri, self.facts.base_url, self._connection.base_url)
        return files.open_url(self._http, url, offset)

    def ping(self) -> str:
        """Return which Veo models the key can use; listing models is free."""
        from veo_gemini.error_table import google_error  # noqa: PLC0415

        response = self._http.get("v1beta/models?pageSize=1000")
        if not response.ok:
            raise google_error(response, "ping")
        return convert.describe_offer(response.json(), self.models)

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

    def _build_source(self, request: Request) -> dict[str, Any]:
        return convert.build_source(
            request, {"uri": request.extend.uri} if request.extend else None
        )

    def _build_config(self, request: Request) -> dict[str, Any]:
        return convert.build_developer_config(request)

    @property
    def _key(self) -> Key:
        if self._connection.key is None:
            raise KeyMissingError("gemini needs an API key", hint=self.facts.key_help)
        return self._connection.key

    @cached_property
    def _http(self) -> ApiClient:
        from veo.http import ApiClient  # noqa: PLC0415

        auth = {"x-goog-api-key": self._key.reveal()}
        base_url, home_url = self._connection.base_url, self.facts.base_url
        return ApiClient(base_url, auth=auth, key=self._key, home_url=home_url)


if TYPE_CHECKING:
    _: ProviderClass = Gemini
