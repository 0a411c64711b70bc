"""google-genai without retries, and everything that it can raise as errors of ours.

Paid requests use the SDK's synchronous client: it neither redirects nor keeps a connection, because
a kept connection that the server has just closed would look like a lost response. Polls use
``client.aio``, whose HTTP client is httpx over ``PollSession``; left alone the SDK would choose
aiohttp where it is installed, and repeat requests by itself. Every call has a time limit. Any
status but 200 is taken from the HTTP client before the SDK reads it, so that no text and no header
gets lost.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress
from contextvars import ContextVar
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
from veo.http import Response
from veo.http.environment import find_proxy, tls_context
from veo.http.failures import unreachable_error
from veo.http.poll_session import PollSession
from veo.http.urls import get_origin
from veo.key import Key
from veo_gemini.credentials import refused
from veo_gemini.error_table import error_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.model import Model
    from veo_gemini.error_table import Verb

CONNECT_S = 10.0
POLL_MS = 60_000
SUBMIT_MS = 180_000
# The Agent Platform sends a finished video within the response to a poll, in base64.
MAX_BYTES = 512 << 20
SECRET_HEADERS = ("x-goog-api-key", "authorization")
# aiohttp writes these by itself, for the encodings that it can decode.
_OWN_HEADERS = {"host", "connection", "accept-encoding", "content-length", "transfer-encoding"}
_BODY_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}

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
        self._origin = _check_base_url(base_url)
        try:
            self._client = _client(base_url, credentials)
        except (ValueError, ImportError) as error:
            why = self._key.redact(str(error))
            raise ConfigError(f"google-genai cannot be set up: {why}") from error
        except OSError as error:  # a certificate file that cannot be read
            raise unreachable_error(self._origin, error) from error

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

    async def poll_operation(self, name: str) -> types.GenerateVideosOperation:
        """Return the state of an operation, on a kept connection."""
        if not PollSession.can_reach(self._origin):
            return await asyncio.to_thread(self.operation, name, "poll")
        with self._translated("poll"):
            return await self._client.aio.operations.get(_named(name))

    def operation(self, name: str, verb: Verb) -> types.GenerateVideosOperation:
        """Return an operation with all that it carries. Blocks."""
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


class _PollTransport(httpx.AsyncBaseTransport):
    """Sends what the SDK's asynchronous client asks for through a ``PollSession``.

    Proxies, certificates, redirects, time limits and kept connections are then those of every
    other provider's polls.
    """

    def __init__(self) -> None:
        self._session = PollSession(CONNECT_S, POLL_MS / 1000, SECRET_HEADERS, max_bytes=MAX_BYTES)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url, body = str(request.url), await request.aread()
        headers = {name: text for name, text in request.headers.items() if name not in _OWN_HEADERS}
        if request.method == "GET":
            response = await self._session.get(url, headers)
        else:  # the Agent Platform polls with a POST, which is free as well
            response = await self._session.request(request.method, url, headers, body)
        # The body is decoded already.
        kept = [pair for pair in response.headers.items() if pair[0].lower() not in _BODY_HEADERS]
        return httpx.Response(response.status, headers=kept, content=response.body)


def _check_base_url(base_url: str) -> str:
    """Return the origin of a base URL."""
    try:
        return get_origin(base_url)
    except ProtocolError:
        raise ConfigError(f"base_url is not an http(s) URL: {base_url!r}") from None


def _client(base_url: str, credentials: dict[str, Any]) -> genai.Client:
    tls = tls_context()
    proxy = find_proxy(get_origin(base_url))
    paid = httpx.Client(
        verify=tls,
        proxy=proxy,
        trust_env=False,  # ``veo.http.environment`` resolves proxies
        limits=httpx.Limits(max_keepalive_connections=0),
        event_hooks={"request": [_leaving], "response": [_arriving]},
    )
    polls = httpx.AsyncClient(
        transport=_PollTransport(),
        event_hooks={"request": [_leaving_async], "response": [_arriving_async]},
    )
    options = types.HttpOptions(
        base_url=base_url,
        timeout=POLL_MS,
        httpx_client=paid,
        httpx_async_client=polls,
        client_args={"verify": tls},
        async_client_args={"verify": tls},
    )
    logger = logging.getLogger("google_genai._api_client")
    logger.addFilter(_about_keys)
    try:
        return genai.Client(http_options=options, **credentials)
    finally:
        logger.removeFilter(_about_keys)


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
    if response.status_code != httpx.codes.OK:
        body = b""
        with suppress(httpx.HTTPError):  # the status says enough
            body = response.read()
        raise _refusal(response, body)


async def _leaving_async(request: httpx.Request) -> None:
    del request
    _sent.set(True)


async def _arriving_async(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        raise _refusal(response, await response.aread())


def _refusal(response: httpx.Response, body: bytes) -> _Refusal:
    key = _secret(response.request)
    return _Refusal(Response(response.status_code, response.headers, body, key))


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
