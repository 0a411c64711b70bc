"""Google's application-default credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import google.auth
from google.auth import exceptions
from google.auth.transport.requests import Request

from veo.errors import AuthError, KeyMissingError, UnreachableError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def find(help_: str) -> tuple[Credentials, str | None]:
    """The credentials of this machine, and the project that they or the environment name.

    Raises:
        KeyMissingError: There are none; ``help_`` says how to get some.
    """
    try:
        credentials, project = google.auth.default(scopes=[_SCOPE])
    except exceptions.DefaultCredentialsError as error:
        raise KeyMissingError(
            f"vertex found neither a key nor usable application-default credentials: {error}",
            hint=help_,
        ) from error
    return credentials, project


def token(credentials: Credentials) -> str:
    """An access token that is still good.

    Raises:
        AuthError: Google gives none.
        UnreachableError: Google cannot be asked.
    """
    try:
        if not credentials.valid:
            credentials.refresh(Request())  # type: ignore[no-untyped-call]
    except exceptions.GoogleAuthError as error:
        raise refused(error) from error
    return str(credentials.token)


def refused(error: exceptions.GoogleAuthError) -> AuthError | UnreachableError:
    """Why there is no access token, as an error of ours."""
    if isinstance(error, exceptions.TransportError):
        return UnreachableError(f"no connection to Google for an access token: {error}")
    return AuthError(f"Google gives no access token: {error}")
