"""A client of google-genai without retries, whose exceptions are translated to VeoErrors.

Paid requests use the SDK's synchronous client. It neither follows redirects nor keeps connections:
a kept connection that the server has just closed would look like a lost response. Polls use
``client.aio``, whose HTTP client is httpx over ``PollSession``; by default the SDK would use
aiohttp where it is installed, and retry requests. Every call has a time limit. A response with a
status other than 200 is intercepted before the SDK parses it, which would lose text and headers.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import zlib
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
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
from veo.http.addresses import AddressGuard
from veo.http.deadline import Deadline
from veo.http.decoding import Decoder
from veo.http.environment import find_proxy, tls_context, user_agent
from veo.http.failures import (
    innermost_cause,
    lost_response_error,
    too_long_error,
    unreachable_error,
)
from veo.http.poll_session import PollSession
from veo.http.urls import get_origin, map_to_base
from veo.key import Key
from veo.provider import check_send_time
from veo_gemini.credentials import access_token_error
from veo_gemini.error_table import Verb, google_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.model import Model

CONNECT_S = 10.0
POLL_MS = 60_000
SUBMIT_MS = 180_000
TOTAL_S = 300.0  # of a paid request, its upload included
# The Agent Platform sends a finished video within the response to a poll, in base64.
MAX_BYTES = 512 << 20
SECRET_HEADERS = ("x-goog-api-key", "authorization")
# aiohttp sets these itself, for the encodings that it can decode.
_HOP_HEADERS = {
    "host",
    "connection",
    "accept-encoding",
    "content-length",
    "transfer-encoding",
}
_BODY_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)
# The SDK does not validate what it parses, so any of these may come from an odd response.
_PARSE_ERRORS = (ValueError, TypeError, AttributeError, LookupError, RecursionError)

# Whether the current call has sent its request; without it an error of the SDK is ambiguous.
_sent: ContextVar[bool] = ContextVar("sent", default=False)


class Sdk:
    """A client of google-genai that many threads can use.

    Args:
        base_url: Base URL of the API; environment variables do not change it.
        home_url: Google's own URL, to which the redirects of a gateway may lead.
        credentials: ``vertexai``, and ``api_key`` or ``credentials``, ``project``, ``location``.

    Raises:
        ConfigError: The SDK or its HTTP client cannot be set up with them.
    """

    def __init__(self, base_url: str, home_url: str = "", **credentials: Any) -> None:
        self._base_url = base_url
        self._key = Key(credentials.get("api_key", ""))
        self._origin = _check_base_url(base_url)
        try:
            self._client = _build_client(base_url, home_url, credentials)
        except OSError as error:  # a certificate file that cannot be read
            raise unreachable_error(self._origin, error) from error
        except Exception as error:
            reason = self._key.redact(str(error))
            raise ConfigError(f"google-genai cannot be set up: {reason}") from error

    def generate(
        self, model: Model, source: dict[str, Any], config: dict[str, Any]
    ) -> types.GenerateVideosOperation:
        """Send the paid request once."""
        options = {"timeout": SUBMIT_MS} | config.get("http_options", {})
        with self._translate_errors("submit", model):
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
            return await asyncio.to_thread(self.get_operation, name, "poll")
        with self._translate_errors("poll"):
            return await self._client.aio.operations.get(_make_operation(name))

    def get_operation(self, name: str, verb: Verb) -> types.GenerateVideosOperation:
        """Return the state of an operation; blocks."""
        with self._translate_errors(verb):
            return self._client.operations.get(_make_operation(name))

    def get_model(self, name: str) -> types.Model:
        """Return what the API tells about a model; this is free."""
        with self._translate_errors("ping"):
            return self._client.models.get(model=name)

    @contextmanager
    def _translate_errors(self, verb: Verb, model: Model | None = None) -> Iterator[None]:
        token = _sent.set(False)
        try:
            yield
        except _Refusal as refusal:
            raise google_error(refusal.response, verb, model) from None
        except (httpx.HTTPError, httpx.InvalidURL, GoogleAuthError) as error:
            raise _transport_error(error, self._base_url) from error
        except VeoError:
            raise
        except Exception as error:
            # A paid request that was sent may have been accepted, whatever the error is.
            if _sent.get() and not isinstance(error, _PARSE_ERRORS):
                raise
            raise self._parse_error(error) from error
        finally:
            _sent.reset(token)

    def _parse_error(self, error: Exception) -> VeoError:
        reason = self._key.redact(f"{type(error).__name__}: {error}".partition("\n")[0][:200])
        if _sent.get():
            return ProtocolError(f"google-genai cannot read the response ({reason})")
        return ConfigError(f"google-genai cannot send the request ({reason})")


class _Refusal(Exception):  # noqa: N818 - carries a response out of the SDK
    def __init__(self, response: Response) -> None:
        self.response = response


class _PaidTransport(httpx.HTTPTransport):
    """Limits the size of a response, and the time of an exchange as a whole.

    The limits of httpx are those of single pauses; it unpacks a body at once, however long.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline = Deadline(TOTAL_S, f"the response took longer than {TOTAL_S:.0f} s")
        inner = request.extensions.get("trace", lambda *_: None)

        def trace(name: str, info: dict[str, Any]) -> None:
            inner(name, info)
            if name.endswith(("connect_tcp.complete", "start_tls.complete")):
                deadline.add_socket(info["return_value"].get_extra_info("socket"))

        request.extensions["trace"] = trace
        try:
            response = super().handle_request(request)
            body = _read_body(response)
            deadline.check()
        finally:
            deadline.close()
        return _strip_key(
            Response(response.status_code, response.headers, body, _read_key(request))
        )


def _read_body(response: httpx.Response) -> bytes:
    decoder, body = Decoder(response.headers.get("Content-Encoding", "")), bytearray()
    try:
        for chunk in response.stream:  # type: ignore[union-attr]
            for piece in decoder.decode(chunk):
                body += piece
                if len(body) > MAX_BYTES:
                    raise too_long_error(MAX_BYTES)
    except zlib.error as error:
        raise lost_response_error(error) from error
    except httpx.HTTPError:
        if response.status_code == httpx.codes.OK:
            raise
        # The status alone is enough for the error table.
    finally:
        response.close()
    return bytes(body)


class _PollTransport(httpx.AsyncBaseTransport):
    """Sends the requests of the SDK's asynchronous client through a ``PollSession``.

    Proxies, certificates, redirects, time limits and kept connections are then the same as for
    the polls of every other provider.
    """

    def __init__(self, base_url: str, home_url: str) -> None:
        self._session = PollSession(
            CONNECT_S,
            POLL_MS / 1000,
            SECRET_HEADERS,
            max_bytes=MAX_BYTES,
            map_url=partial(map_to_base, home_url=home_url, base_url=base_url),
            guard=AddressGuard(lambda: (base_url,)),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url, body = str(request.url), await request.aread()
        headers = {name: text for name, text in request.headers.items() if name not in _HOP_HEADERS}
        if request.method == "GET":
            response = await self._session.get(url, headers)
        else:  # the Agent Platform polls with a POST, which is free as well
            response = await self._session.request(request.method, url, headers, body)
        response = Response(response.status, response.headers, response.body, _read_key(request))
        return _strip_key(response)


def _strip_key(response: Response) -> httpx.Response:
    """Return a decoded response for the SDK, whose objects would carry an echoed key on.

    The key is that of the request: also an access token, which the engine does not know.
    """
    headers = [pair for pair in response.headers.items() if pair[0].lower() not in _BODY_HEADERS]
    return httpx.Response(response.status, headers=headers, content=response.body)


def _check_base_url(base_url: str) -> str:
    """Return the origin of a base URL."""
    try:
        return get_origin(base_url)
    except ProtocolError:
        raise ConfigError(f"base_url is not an http(s) URL: {base_url!r}") from None


def _build_client(base_url: str, home_url: str, credentials: dict[str, Any]) -> genai.Client:
    tls = tls_context()
    proxy = find_proxy(get_origin(base_url))
    transport = _PaidTransport(
        verify=tls,
        proxy=httpx.Proxy(proxy) if proxy else None,
        trust_env=False,  # ``veo.http.environment`` resolves proxies
        limits=httpx.Limits(max_keepalive_connections=0),
    )
    paid = httpx.Client(
        transport=transport,
        trust_env=False,
        event_hooks={"request": [_on_request], "response": [_on_response]},
    )
    polls = httpx.AsyncClient(
        transport=_PollTransport(base_url, home_url),
        event_hooks={"request": [_on_async_request], "response": [_on_async_response]},
    )
    options = types.HttpOptions(
        base_url=base_url,
        timeout=POLL_MS,
        headers={"user-agent": user_agent()},  # the SDK adds its own name
        httpx_client=paid,
        httpx_async_client=polls,
        client_args={"verify": tls},
        # The SDK would load the certificates again for live sessions, which nothing here uses.
        async_client_args={"verify": tls, "ssl": tls},
    )
    logger = logging.getLogger("google_genai._api_client")
    logger.addFilter(_is_not_about_keys)
    try:
        return genai.Client(http_options=options, **credentials)
    finally:
        logger.removeFilter(_is_not_about_keys)


def _is_not_about_keys(record: logging.LogRecord) -> bool:
    # "Both GOOGLE_API_KEY and GEMINI_API_KEY are set" is irrelevant: the SDK uses neither here.
    return "API_KEY" not in record.getMessage()


def _make_operation(operation: str) -> types.GenerateVideosOperation:
    return types.GenerateVideosOperation.model_validate({"name": operation})


def _on_request(request: httpx.Request) -> None:
    # A server cannot act on a request without its body.
    request.extensions["trace"] = _on_trace
    # The SDK has one time limit for everything; an unreachable host is detected much sooner.
    request.extensions["timeout"]["connect"] = CONNECT_S


def _on_trace(name: str, info: object) -> None:
    del info
    if name.endswith("send_request_body.started"):
        check_send_time()
        _sent.set(True)


def _on_response(response: httpx.Response) -> None:
    _sent.set(True)
    if response.status_code != httpx.codes.OK:
        body = b""
        with suppress(httpx.HTTPError):  # the status alone is enough for the error table
            body = response.read()
        raise _make_refusal(response, body)


async def _on_async_request(request: httpx.Request) -> None:
    del request
    _sent.set(True)


async def _on_async_response(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        raise _make_refusal(response, await response.aread())


def _make_refusal(response: httpx.Response, body: bytes) -> _Refusal:
    key = _read_key(response.request)
    return _Refusal(Response(response.status_code, response.headers, body, key))


def _read_key(request: httpx.Request) -> Key:
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return Key(request.headers.get("x-goog-api-key") or bearer)


def _transport_error(error: Exception, base_url: str) -> VeoError:
    kind = type(error).__name__
    if isinstance(error, GoogleAuthError):
        return access_token_error(error)
    if isinstance(innermost_cause(error), ssl.SSLCertVerificationError | socket.gaierror):
        return unreachable_error(get_origin(base_url), error)
    if isinstance(error, _NEVER_SENT):
        return UnreachableError(f"no connection to {base_url}: {str(error) or kind}")
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return ConfigError(f"base_url is not an http(s) URL: {error}")
    if not _sent.get():
        return _unsent_error(error, base_url)
    return ResponseLostError(f"the connection was lost before the response was complete ({kind})")


def _unsent_error(error: Exception, base_url: str) -> VeoError:
    kind = type(error).__name__
    if isinstance(error, httpx.NetworkError | httpx.TimeoutException):
        return UnreachableError(f"the connection to {base_url} broke before the request ({kind})")
    return ConfigError(f"google-genai cannot send the request ({kind})")
