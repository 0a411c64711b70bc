"""Veo and Gemini Omni on the Agent Platform (Vertex AI).

Veo takes an express key or a project's credentials, Omni only credentials.
"""

from __future__ import annotations

import os
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from veo.errors import AuthError, ConfigError, KeyMissingError, RefusedError, VeoError
from veo.model import ProviderFacts, load_facts
from veo.row import Bounds, InvalidRowError, Row
from veo_gemini import operations, request_bodies
from veo_gemini.base import GoogleProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.auth.credentials import Credentials

    from veo.http import ApiClient
    from veo.provider import ByteStream, Connection, ProviderClass
    from veo.request import Request
    from veo.update import RemoteVideo
    from veo_gemini.interactions.platform import PlatformInteractions
    from veo_gemini.sdk_client import Sdk


class VertexSettings(Row):
    """The options of ``[providers.vertex]``; ``models.toml`` describes them."""

    project: str | None = None
    key_is_access_token: bool = False
    location: Annotated[str, Bounds(pattern=r"^[a-z0-9-]+$")] = "us-central1"
    generate_audio: bool = True
    storage_uri: Annotated[str, Bounds(pattern=r"^gs://[^/]+")] | None = None
    storage_base_url: str = "https://storage.googleapis.com"


class Vertex(GoogleProvider):
    """The provider ``vertex``: models of the Agent Platform, charged per second of video.

    With the option ``project`` it uses application-default credentials. Otherwise it uses the
    express key; without one, application-default credentials that must name the project. With
    ``key_is_access_token`` the key is an access token, and takes the place of credentials.
    """

    facts: ClassVar[ProviderFacts] = load_facts("veo_gemini", "vertex")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._settings = _parse_settings(connection.options)
        self._token_lock = threading.Lock()
        self._clients: dict[str, tuple[str, ApiClient]] = {}

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """Return the bytes of a finished video from an offset.

        Raises:
            GoneError: The operation or the object in Cloud Storage no longer exists.
            AuthError: The credentials do not give access to the object in Cloud Storage.
        """
        from veo_gemini import files  # noqa: PLC0415 - imports an HTTP library, which facts do not need
        from veo_gemini.interactions import read  # noqa: PLC0415

        if video.uri.startswith(read.INLINE):
            return self._interactions.open_inline(video.uri, offset)
        if not video.uri.startswith("gs://"):
            return self._open_inline_video(video.uri, offset)
        if self._express_key:
            raise AuthError(
                f"{video.uri} is in Cloud Storage, to which an express key gives no access",
                hint=f"Fetch it with: gcloud storage cp {video.uri} FILE",
            )
        http = self.connect_storage()
        return files.open_url(http, files.build_object_path(video.uri), offset, "storage")

    def ping(self) -> str:
        """Check that the credentials give access to the preferred model; this is free."""
        name = next(iter(self.models))
        self._sdk.get_model(name)
        return f"{name} is available to {self._identity}"

    def check_credentials(self) -> None:
        """Look for application-default credentials, where no express key is used."""
        if not self._express_key:
            _ = self._adc

    def list_models(self) -> list[str]:
        """Return the names of Google's models on the platform; this is free."""
        from veo_gemini.listing import list_models  # noqa: PLC0415 - imports an HTTP library

        http = self._connect_with_key() if self._express_key else self.connect_api()
        return list_models(http, "v1beta1/publishers/google/models", "publisherModels")

    @property
    def has_token(self) -> bool:
        """Whether there is a valid access token, so that connecting does not block."""
        return "_adc" in vars(self) and bool(self._adc[0].valid)

    @property
    def project(self) -> str:
        """The Google Cloud project of the credentials; may block."""
        return self._adc[1]

    def connect_api(self) -> ApiClient:
        """Return the client of the API, whose location is ``global``, with an access token.

        Raises:
            ConfigError: Only an API key is configured, which this wire does not accept.
        """
        if self._express_key:
            raise ConfigError(
                "the Agent Platform accepts no API key for Gemini Omni, only credentials",
                hint="Set project in [providers.vertex] and run `gcloud auth application-default "
                "login`.",
            )
        return self._connect_with_token(self._connection.base_url, self.facts.base_url)

    def connect_storage(self) -> ApiClient:
        """Return the client of Cloud Storage, with an access token."""
        return self._connect_with_token(self._settings.storage_base_url)

    def _connect(self) -> Sdk:
        from veo_gemini.sdk_client import Sdk  # noqa: PLC0415 - takes half a second

        base_url = self._connection.base_url
        if self._express_key:
            return Sdk(base_url, vertexai=True, api_key=self._express_key)
        credentials, project = self._adc
        location = self._settings.location
        if base_url == self.facts.base_url:
            base_url = regional_url(base_url, location)
        return Sdk(
            base_url, vertexai=True, credentials=credentials, project=project, location=location
        )

    @cached_property
    def _interactions(self) -> PlatformInteractions:
        from veo_gemini.interactions.platform import PlatformInteractions  # noqa: PLC0415

        return PlatformInteractions(self, self.models, self._settings.storage_uri)

    def _build_source(self, request: Request) -> dict[str, Any]:
        return request_bodies.build_source(
            request, self._build_extended_video(request.extend) if request.extend else None
        )

    def _build_config(self, request: Request) -> dict[str, Any]:
        settings = self._settings
        return request_bodies.build_platform_config(
            request, generate_audio=settings.generate_audio, storage_uri=settings.storage_uri
        )

    def _build_extended_video(self, video: RemoteVideo) -> dict[str, Any]:
        if video.uri.startswith("gs://"):
            return {"uri": video.uri, "mime_type": video.mime}
        if not operations.is_operation_name(video.uri):
            raise RefusedError(
                f"{video.uri} was not made by vertex, which extends only its own videos"
            )
        try:
            data = self._fetch_inline_video(video.uri).video_bytes
        except VeoError as error:
            error.charged = False  # the paid request has not been sent yet
            raise
        return {"video_bytes": data, "mime_type": video.mime}

    @property
    def _express_key(self) -> str | None:
        key = self._connection.key
        needs_credentials = self._settings.project or self._settings.key_is_access_token
        return key.reveal() if key and not needs_credentials else None

    @property
    def _identity(self) -> str:
        return "the express key" if self._express_key else f"project {self._adc[1]}"

    @cached_property
    def _adc(self) -> tuple[Credentials, str]:
        with self._lock:
            from veo_gemini import credentials as adc  # noqa: PLC0415 - imports google-auth

        if self._settings.key_is_access_token and self._connection.key:
            credentials = adc.make_credentials(self._connection.key.reveal())
            project = os.environ.get("GOOGLE_CLOUD_PROJECT")
        else:
            credentials, project = adc.find_credentials(self.facts.key_help)
        project = self._settings.project or project
        if project is None:
            raise KeyMissingError(
                "the credentials do not name a project",
                hint="Set project in [providers.vertex], or GOOGLE_CLOUD_PROJECT.",
            )
        return credentials, project

    def _connect_with_token(self, base_url: str, home_url: str = "") -> ApiClient:
        """Return the client of an API: the same one while the access token stays valid."""
        credentials = self._adc[0]
        from veo.http import ApiClient  # noqa: PLC0415
        from veo.key import Key  # noqa: PLC0415
        from veo_gemini import credentials as adc  # noqa: PLC0415 - imported by ``_adc``
        from veo_gemini.interactions.wire import MAX_RESPONSE_BYTES  # noqa: PLC0415

        with self._token_lock:  # a refresh is not thread-safe
            token = adc.get_access_token(credentials)
            known, http = self._clients.get(base_url, ("", None))
            if http is None or known != token:
                auth = {"Authorization": f"Bearer {token}"}
                if quota_project := credentials.quota_project_id:
                    auth["x-goog-user-project"] = quota_project
                http = ApiClient(
                    base_url,
                    auth=auth,
                    key=Key(token),
                    home_url=home_url,
                    max_bytes=MAX_RESPONSE_BYTES,
                )
                self._clients[base_url] = token, http
        return http

    def _connect_with_key(self) -> ApiClient:
        from veo.http import ApiClient  # noqa: PLC0415

        auth = {"x-goog-api-key": str(self._express_key)}
        return ApiClient(self._connection.base_url, auth=auth, key=self._connection.key)


def regional_url(base_url: str, location: str) -> str:
    """Return the base URL of a region, ``us-central1-aiplatform...``; ``global`` has no prefix."""
    return base_url if location == "global" else base_url.replace("//", f"//{location}-", 1)


def _parse_settings(options: Mapping[str, Any]) -> VertexSettings:
    try:
        return VertexSettings(**options)
    except InvalidRowError as error:
        raise ConfigError(f"[providers.vertex] {error}") from None


if TYPE_CHECKING:
    _: ProviderClass = Vertex
