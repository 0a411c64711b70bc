"""Google's application-default credentials."""

from __future__ import annotations

import re
import threading
from functools import partial
from typing import Any

import google.auth
import requests
from google.auth import exceptions
from google.auth.credentials import Credentials
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials as TokenCredentials

from veo.errors import AuthError, ConfigError, KeyMissingError, UnreachableError
from veo.http.client import CONNECT_S, READ_S
from veo.key import KEY_MARK
from veo.network import MissingCertificatesError, find_certificates

# What is sent for a token: a signed JWT, or a refresh token with the secret of a client.
_SECRET = re.compile(r"(?:\beyJ|\b1//|\bGOCSPX-|\bya29\.)[\w.~/-]{8,}", re.ASCII)
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class OwnTransport(Credentials):
    """Credentials that are always refreshed over our proxies and certificates, also by the SDK.

    The SDK refreshes them by itself, with a session that ignores some variables of the
    environment: a paid request could pass where an access token could not be fetched.
    """

    def __init__(self, inner: Credentials) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inner = inner
        self._lock = threading.Lock()
        self._quota_project_id = inner.quota_project_id
        self.token, self.expiry = inner.token, inner.expiry

    def refresh(self, request: Any) -> None:
        """Fetch a new token; the request object of the caller is not used."""
        session = requests.Session()
        session.verify = str(find_certificates())
        session.max_redirects = 0  # what is sent for a token is a secret of its own origin
        send = partial(Request(session), timeout=(CONNECT_S, READ_S))
        with self._lock:  # the SDK and our own clients share these credentials
            self._inner.refresh(send)  # type: ignore[no-untyped-call]
            self.token, self.expiry = self._inner.token, self._inner.expiry


def make_credentials(token: str) -> Credentials:
    """Return credentials that consist of an access token, which cannot be refreshed."""
    return TokenCredentials(token)  # type: ignore[no-untyped-call]


def find_credentials(hint: str) -> tuple[Credentials, str | None]:
    """Return this machine's credentials, and the project that they or the environment name.

    Raises:
        KeyMissingError: There are none; ``hint`` says how to create them.
    """
    try:
        credentials, project = google.auth.default(scopes=[_SCOPE])
    except exceptions.DefaultCredentialsError as error:
        raise KeyMissingError(
            f"vertex found neither a key nor usable application-default credentials: {error}",
            hint=hint,
        ) from error
    return OwnTransport(credentials), project


def get_access_token(credentials: Credentials) -> str:
    """Return a valid access token, and refresh it if it has expired.

    Raises:
        AuthError: Google refuses one.
        UnreachableError: There is no connection to Google.
    """
    try:
        if not credentials.valid:
            credentials.refresh(None)  # type: ignore[no-untyped-call]
    except exceptions.GoogleAuthError as error:
        raise access_token_error(error) from error
    except MissingCertificatesError as error:
        raise ConfigError(str(error)) from error
    return str(credentials.token)


def access_token_error(error: exceptions.GoogleAuthError) -> AuthError | UnreachableError:
    """Return the error for a missing access token, without a secret that the server echoes."""
    error.args = (_SECRET.sub(KEY_MARK, str(error)),)  # a traceback shows it too
    if isinstance(error, exceptions.TransportError):
        return UnreachableError(f"no connection to Google for an access token: {error}")
    return AuthError(f"Google refuses an access token: {error}")
