"""google-genai on a short leash, and everything that it can raise as errors of ours.

It never retries, redirects or reuses a connection here: a kept connection that the server has
just closed would look like a lost answer. Every call has a time limit. Whatever is not a 200 is
taken from the HTTP client before the SDK reads it, so that no text and no header gets lost.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx
from google import genai
from google.auth.exceptions import GoogleAuthError
from google.genai import types

from veo.errors import (
    ConfigError,
    ProtocolError,
    ResponseLostError,
    UnreachableError,
    VeoError,
)
from veo.http.client import Response
from veo.key import Key
from veo_gemini.credentials import refused
from veo_gemini.error_table import error_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from veo.model import Model
    from veo_gemini.error_table import Verb

CONNECT_S = 10.0
ASK_MS = 60_000
SUBMIT_MS = 180_000

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, RecursionError)

_sent: ContextVar[bool] = ContextVar("sent", default=False)


class Sdk:
    """One client of google-genai; safe to use from many threads.

    Args:
        base_url: Where the API is; no environment variable changes it.
        credentials: ``vertexai``, and ``api_key`` or ``credentials``, ``project``, ``location``.

    Raises:
        ConfigError: The SDK or its HTTP client cannot be set up so.
    """

    def __init__(self, base_url: str, **credentials: Any) -> None:
        self._base_url = base_url
        self._key = Key(credentials.get("api_key", ""))
        try:
            self._client = _client(base_url, credentials)
        except (ValueError, ImportError) as error:
            why = self._key.redact(str(error))
            raise ConfigError(f"google-genai cannot be set up: {why}") from error

    def generate(
        self, model: Model, source: dict[str, Any], config: dict[str, Any]
    ) -> types.GenerateVideosOperation:
        """The paid request, once."""
        options = {"timeout": SUBMIT_MS} | config.get("http_options", {})
        with self._translated("submit", model):
            return self._client.models.generate_videos(
                model=model.name,
                source=types.GenerateVideosSource.model_validate(source),
                config=types.GenerateVideosConfig.model_validate(
                    config | {"http_options": options}
                ),
            )

    def operation(self, name: str, verb: Verb = "poll") -> types.GenerateVideosOperation:
        """One look at an operation, by its name."""
        with self._translated(verb):
            return self._client.operations.get(_named(name))

    def model(self, name: str) -> types.Model:
        """What the API tells about a model; unbilled."""
        with self._translated("ping"):
            return self._client.models.get(model=name)

    @contextmanager
    def _translated(self, verb: Verb, model: Model | None = None) -> Iterator[None]:
        before = _sent.set(False)
        try:
            yield
        except _Refusal as refusal:
            raise error_of(refusal.answer, verb, model) from None
        except (httpx.HTTPError, httpx.InvalidURL, GoogleAuthError) as error:
            raise _transport(error, self._base_url) from error
        except _UNREADABLE as error:
            raise self._misread(error) from error
        finally:
            _sent.reset(before)

    def _misread(self, error: Exception) -> VeoError:
        why = self._key.redact(f"{type(error).__name__}: {error}".partition("\n")[0][:200])
        if _sent.get():
            return ProtocolError(f"google-genai cannot read the response ({why})")
        return ConfigError(f"google-genai cannot send the request ({why})")


class _Refusal(Exception):  # noqa: N818 - an answer on its way out of the SDK, no error yet
    def __init__(self, answer: Response) -> None:
        self.answer = answer


def _client(base_url: str, credentials: dict[str, Any]) -> genai.Client:
    tls = _tls()
    leash = httpx.Client(
        verify=tls,
        limits=httpx.Limits(max_keepalive_connections=0),
        event_hooks={"request": [_leaving], "response": [_arriving]},
    )
    options = types.HttpOptions(
        base_url=base_url,
        timeout=ASK_MS,
        httpx_client=leash,
        client_args={"verify": tls},
        async_client_args={"verify": tls},
    )
    logger = logging.getLogger("google_genai._api_client")
    logger.addFilter(_about_keys)
    try:
        return genai.Client(http_options=options, **credentials)
    finally:
        logger.removeFilter(_about_keys)


@cache
def _tls() -> ssl.SSLContext:
    """The certificates, loaded once: the SDK alone would load them three times, 20 ms each."""
    return httpx.create_ssl_context()


def _about_keys(record: logging.LogRecord) -> bool:
    """Drops "Both GOOGLE_API_KEY and GEMINI_API_KEY are set": the SDK uses neither here."""
    return "API_KEY" not in record.getMessage()


def _named(operation: str) -> types.GenerateVideosOperation:
    return types.GenerateVideosOperation.model_validate({"name": operation})


def _leaving(request: httpx.Request) -> None:
    _sent.set(True)
    # The SDK has one limit for everything; an unreachable host is known much sooner.
    request.extensions["timeout"]["connect"] = CONNECT_S


def _arriving(response: httpx.Response) -> None:
    if response.status_code == httpx.codes.OK:
        return
    body = b""
    with suppress(httpx.HTTPError):  # the status says enough
        body = response.read()
    raise _Refusal(
        Response(response.status_code, response.headers, body, _secret(response.request))
    )


def _secret(request: httpx.Request) -> Key:
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return Key(request.headers.get("x-goog-api-key") or bearer)


def _transport(error: Exception, base_url: str) -> VeoError:
    kind = type(error).__name__
    if isinstance(error, GoogleAuthError):
        return refused(error)
    if isinstance(error, _NEVER_SENT):
        return UnreachableError(f"no connection to {base_url}: {str(error) or kind}")
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return ConfigError(f"base_url is not an http(s) URL: {error}")
    return ResponseLostError(f"the connection was lost before the response was complete ({kind})")
