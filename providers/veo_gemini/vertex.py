"""Veo on the Agent Platform (Vertex AI), with an express key or a project's credentials."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, ValidationError

from veo.errors import AuthError, ConfigError, KeyMissingError, RefusedError, VeoError
from veo.model import Facts, FrozenFacts, load_facts
from veo_gemini import convert as wire
from veo_gemini.base import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.auth.credentials import Credentials

    from veo.provider import ByteStream, Connection, ProviderClass
    from veo.request import Request
    from veo.update import RemoteVideo
    from veo_gemini.sdk_client import Sdk


class Settings(FrozenFacts):
    """The options of ``[providers.vertex]``; ``Vertex.facts.options`` tells what they mean."""

    project: str | None = None
    location: str = Field(default="us-central1", pattern=r"^[a-z0-9-]+$")
    generate_audio: bool = True
    storage_uri: str | None = Field(default=None, pattern=r"^gs://[^/]+")
    storage_base_url: str = "https://storage.googleapis.com"


class Vertex(Route):
    """``vertex``: models by their ``-001`` names, billed per second of finished video.

    With a ``project`` option it uses application-default credentials; else the express key if
    there is one; else application-default credentials, which then must name the project.
    """

    facts: ClassVar[Facts] = load_facts("veo_gemini", "vertex")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._settings = _settings(connection.options)
        self._token_lock = threading.Lock()

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """The bytes of a finished video, from an offset.

        Raises:
            GoneError: The operation or the object in Cloud Storage is not there any more.
            AuthError: It lies in Cloud Storage, and the credentials do not open it.
        """
        from veo_gemini import files  # noqa: PLC0415 - an HTTP library that facts do not need

        if not video.uri.startswith("gs://"):
            return files.inline(self._inline(video.uri).video_bytes or b"", offset)
        http = files.storage(self._settings.storage_base_url, self._token(video.uri))
        return files.stream(http, files.object_path(video.uri), offset, "storage")

    def ping(self) -> str:
        """Whether the credentials see the preferred model; an unbilled look at the model."""
        name = next(iter(self.models))
        self._sdk.model(name)
        return f"{name} is there for {self._who}"

    def _connect(self) -> Sdk:
        from veo_gemini.sdk_client import Sdk  # noqa: PLC0415 - half a second

        base_url = self._connection.base_url
        if self._express:
            return Sdk(base_url, vertexai=True, api_key=self._express)
        credentials, project = self._adc
        location = self._settings.location
        if base_url == self.facts.base_url:
            base_url = regional(base_url, location)
        return Sdk(
            base_url, vertexai=True, credentials=credentials, project=project, location=location
        )

    def _source(self, request: Request) -> dict[str, Any]:
        return wire.source(request, self._continued(request.extend) if request.extend else None)

    def _config(self, request: Request) -> dict[str, Any]:
        settings = self._settings
        return wire.platform_config(
            request, generate_audio=settings.generate_audio, storage_uri=settings.storage_uri
        )

    def _continued(self, video: RemoteVideo) -> dict[str, Any]:
        if video.uri.startswith("gs://"):
            return {"uri": video.uri, "mime_type": video.mime}
        if not wire.is_operation(video.uri):
            raise RefusedError(f"{video.uri} was not made by vertex, which extends only its own")
        try:
            data = self._inline(video.uri).video_bytes
        except VeoError as error:
            error.charged = False  # the paid request has not been sent yet
            raise
        return {"video_bytes": data, "mime_type": video.mime}

    @property
    def _express(self) -> str | None:
        key = self._connection.key
        return key.reveal() if key and not self._settings.project else None

    @property
    def _who(self) -> str:
        return "the express key" if self._express else f"project {self._adc[1]}"

    @cached_property
    def _adc(self) -> tuple[Credentials, str]:
        from veo_gemini import credentials as adc  # noqa: PLC0415 - google-auth

        credentials, project = adc.find(self.facts.key_help)
        project = self._settings.project or project
        if project is None:
            raise KeyMissingError(
                "the application-default credentials name no project",
                hint="Set project in [providers.vertex], or GOOGLE_CLOUD_PROJECT.",
            )
        return credentials, project

    def _token(self, uri: str) -> str:
        if self._express:
            raise AuthError(
                f"{uri} lies in Cloud Storage, which an express key does not open",
                hint=f"Fetch it with: gcloud storage cp {uri} FILE",
            )
        from veo_gemini import credentials as adc  # noqa: PLC0415 - google-auth

        with self._token_lock:
            return adc.token(self._adc[0])


def regional(base_url: str, location: str) -> str:
    """The host of a region: ``us-central1-aiplatform...``; ``global`` has none of its own."""
    return base_url if location == "global" else base_url.replace("//", f"//{location}-", 1)


def _settings(options: Mapping[str, Any]) -> Settings:
    try:
        return Settings.model_validate(dict(options))
    except ValidationError as error:
        told = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError(f"[providers.vertex] {'; '.join(told)}") from None


if TYPE_CHECKING:
    _: ProviderClass = Vertex
