"""Veo on the Agent Platform (Vertex AI), with an express key or a project's credentials."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, ValidationError

from veo.errors import AuthError, ConfigError, KeyMissingError, RefusedError, VeoError
from veo.model import Facts, FrozenModel, load_facts
from veo_gemini import convert
from veo_gemini.base import GoogleProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.auth.credentials import Credentials

    from veo.provider import ByteStream, Connection, ProviderClass
    from veo.request import Request
    from veo.update import RemoteVideo
    from veo_gemini.sdk_client import Sdk


class VertexSettings(FrozenModel):
    """The options of ``[providers.vertex]``; ``models.toml`` describes them."""

    project: str | None = None
    location: str = Field(default="us-central1", pattern=r"^[a-z0-9-]+$")
    generate_audio: bool = True
    storage_uri: str | None = Field(default=None, pattern=r"^gs://[^/]+")
    storage_base_url: str = "https://storage.googleapis.com"


class Vertex(GoogleProvider):
    """The provider ``vertex``: ``-001`` models, charged per second of finished video.

    With the option ``project`` it uses application-default credentials. Otherwise it uses the
    express key; without one, application-default credentials that must name the project.
    """

    facts: ClassVar[Facts] = load_facts("veo_gemini", "vertex")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._settings = _parse_settings(connection.options)
        self._token_lock = threading.Lock()

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """Return the bytes of a finished video from an offset.

        Raises:
            GoneError: The operation or the object in Cloud Storage no longer exists.
            AuthError: The credentials do not give access to the object in Cloud Storage.
        """
        from veo_gemini import files  # noqa: PLC0415 - imports an HTTP library, which facts do not need

        if not video.uri.startswith("gs://"):
            return files.open_bytes(self._fetch_inline_video(video.uri).video_bytes or b"", offset)
        http = files.connect_storage(
            self._settings.storage_base_url, self._get_access_token(video.uri)
        )
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

    def _build_source(self, request: Request) -> dict[str, Any]:
        return convert.build_source(
            request, self._build_extended_video(request.extend) if request.extend else None
        )

    def _build_config(self, request: Request) -> dict[str, Any]:
        settings = self._settings
        return convert.build_platform_config(
            request, generate_audio=settings.generate_audio, storage_uri=settings.storage_uri
        )

    def _build_extended_video(self, video: RemoteVideo) -> dict[str, Any]:
        if video.uri.startswith("gs://"):
            return {"uri": video.uri, "mime_type": video.mime}
        if not convert.is_operation_name(video.uri):
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
        return key.reveal() if key and not self._settings.project else None

    @property
    def _identity(self) -> str:
        return "the express key" if self._express_key else f"project {self._adc[1]}"

    @cached_property
    def _adc(self) -> tuple[Credentials, str]:
        from veo_gemini import credentials as adc  # noqa: PLC0415 - imports google-auth

        credentials, project = adc.find_credentials(self.facts.key_help)
        project = self._settings.project or project
        if project is None:
            raise KeyMissingError(
                "the application-default credentials do not name a project",
                hint="Set project in [providers.vertex], or GOOGLE_CLOUD_PROJECT.",
            )
        return credentials, project

    def _get_access_token(self, uri: str) -> str:
        if self._express_key:
            raise AuthError(
                f"{uri} is in Cloud Storage, to which an express key gives no access",
                hint=f"Fetch it with: gcloud storage cp {uri} FILE",
            )
        from veo_gemini import credentials as adc  # noqa: PLC0415 - imports google-auth

        with self._token_lock:  # a refresh is not thread-safe
            return adc.get_access_token(self._adc[0])


def regional_url(base_url: str, location: str) -> str:
    """Return the base URL of a region, ``us-central1-aiplatform...``; ``global`` has no prefix."""
    return base_url if location == "global" else base_url.replace("//", f"//{location}-", 1)


def _parse_settings(options: Mapping[str, Any]) -> VertexSettings:
    try:
        return VertexSettings.model_validate(dict(options))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise ConfigError(f"[providers.vertex] {'; '.join(problems)}") from None


if TYPE_CHECKING:
    _: ProviderClass = Vertex
