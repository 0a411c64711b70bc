"""Google's application-default credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import google.auth
import requests
from google.auth import exceptions
from google.auth.transport.requests import Request

from veo.errors import AuthError, ConfigError, KeyMissingError, UnreachableError
from veo.http.environment import MissingCertificatesError, find_certificates

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


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
    return credentials, project


def get_access_token(credentials: Credentials) -> str:
    """Return a valid access token, and refresh it if it has expired.

    Raises:
        AuthError: Google refuses one.
        UnreachableError: There is no connection to Google.
    """
    try:
        if not credentials.valid:
            session = requests.Session()
            session.verify = str(find_certificates())
            credentials.refresh(Request(session))  # type: ignore[no-untyped-call]
    except exceptions.GoogleAuthError as error:
        raise access_token_error(error) from error
    except MissingCertificatesError as error:
        raise ConfigError(str(error)) from error
    return str(credentials.token)


def access_token_error(error: exceptions.GoogleAuthError) -> AuthError | UnreachableError:
    """Return the error for a missing access token."""
    if isinstance(error, exceptions.TransportError):
        return UnreachableError(f"no connection to Google for an access token: {error}")
    return AuthError(f"Google refuses an access token: {error}")
