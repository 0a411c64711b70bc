"""A client of google-genai without retries, whose exceptions are translated to VeoErrors.

What the SDK sends goes through ``veo.http``, like the requests of every other provider: its
synchronous client through an ``ApiClient``, which knows what was sent of a paid request, and
``client.aio``, for polls, through a ``PollSession``. By default the SDK would use other clients,
and retry requests. A response with a status other than 200 is intercepted before the SDK parses
it, which would lose text and headers.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
from google import genai
from google.auth.exceptions import GoogleAuthError
from google.genai import types

from veo.errors import ConfigError, ProtocolError, VeoError
from veo.http import ApiClient, Response
from veo.http.addresses import AddressGuard
from veo.http.client import check_base_url
from veo.http.decoding import ACCEPTED_ENCODING
from veo.http.failures import unreachable_error
from veo.http.poll_session import PollSession
from veo.http.urls import map_to_base
from veo.key import Key
from veo.network import user_agent
from veo_gemini.credentials import access_token_error
from veo_gemini.error_table import Verb, google_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.model import Model

CONNECT_S = 10.0
POLL_MS = 60_000
SUBMIT_MS = 180_000
# The Agent Platform sends a finished video within the response to a poll, in base64.
MAX_BYTES = 512 << 20
SECRET_HEADERS = ("x-goog-api-key", "authorization")
# Headers that our own clients set.
_HOP_HEADERS = {"host", "connection", "accept-encoding", "content-length", "transfer-encoding"}
_BODY_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}

# The SDK does not validate what it parses, so any of these may come from an odd response.
_PARSE_ERRORS = (ValueError, TypeError, AttributeError, LookupError, RecursionError)

# Whether the current call has come to its request: an error of the SDK before that, or one of
# ours, proves that nothing was sent.
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
        self._origin = check_base_url(base_url)
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
        except GoogleAuthError as error:
            raise access_token_error(error) from error
        except httpx.InvalidURL as error:
            raise ConfigError(f"base_url is not an http(s) URL: {error}") from error
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


class _BlockingTransport(httpx.BaseTransport):
    """Sends the requests of the SDK's synchronous client through an ``ApiClient``."""

    def __init__(self, base_url: str, home_url: str) -> None:
        self._base_url, self._home_url = base_url, home_url

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        # A client for each request: the SDK has written the key, or a token, into its headers. In
        # this spelling they replace those of the client: the SDK's name stands before ours.
        headers = {name.title(): text for name, text in _list_headers(request).items()}
        http = ApiClient(
            self._base_url,
            auth=headers | {"Accept-Encoding": ACCEPTED_ENCODING},
            key=_read_key(request),
            home_url=self._home_url,
            connect_s=CONNECT_S,
            read_s=request.extensions["timeout"]["read"],
            max_bytes=MAX_BYTES,
        )
        _sent.set(True)
        if request.method == "GET":
            return _to_httpx(http.get(str(request.url)))
        return _to_httpx(http.post_bytes(str(request.url), request.read(), {}))


class _PollTransport(httpx.AsyncBaseTransport):
    """Sends the requests of the SDK's asynchronous client through a ``PollSession``."""

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
        headers = _list_headers(request)
        _sent.set(True)
        if request.method == "GET":
            response = await self._session.get(url, headers)
        else:  # the Agent Platform polls with a POST, which is free as well
            response = await self._session.request(request.method, url, headers, body)
        # The key is that of the request: also an access token, which the engine does not know.
        return _to_httpx(
            Response(response.status, response.headers, response.body, _read_key(request))
        )


def _list_headers(request: httpx.Request) -> dict[str, str]:
    return {name: text for name, text in request.headers.items() if name not in _HOP_HEADERS}


def _to_httpx(response: Response) -> httpx.Response:
    """Return a decoded response without the key for the SDK, whose objects would carry it on."""
    if response.status != httpx.codes.OK:
        raise _Refusal(response)
    headers = [pair for pair in response.headers.items() if pair[0].lower() not in _BODY_HEADERS]
    return httpx.Response(response.status, headers=headers, content=response.body)


def _build_client(base_url: str, home_url: str, credentials: dict[str, Any]) -> genai.Client:
    # The SDK would load the certificates up to three times, for connections that nothing here uses:
    # the transports below make their own. This context trusts none.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    options = types.HttpOptions(
        base_url=base_url,
        timeout=POLL_MS,
        headers={"user-agent": user_agent()},  # the SDK adds its own name
        httpx_client=httpx.Client(transport=_BlockingTransport(base_url, home_url)),
        httpx_async_client=httpx.AsyncClient(transport=_PollTransport(base_url, home_url)),
        client_args={"verify": tls},
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


def _read_key(request: httpx.Request) -> Key:
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return Key(request.headers.get("x-goog-api-key") or bearer)
