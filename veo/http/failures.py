"""The error for a failed exchange: nothing was sent, or the response was lost."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from veo.errors import (
    ConfigError,
    HostNotFoundError,
    ProtocolError,
    ResponseLostError,
    ResponseTooLongError,
    UnreachableError,
    VeoError,
)
from veo.http.addresses import InsideAddressError
from veo.network import MissingCertificatesError, certificate_hint, proxy_name


@contextmanager
def before_sending() -> Iterator[None]:
    """Turn whatever fails before a paid request is sent into an error that says so.

    Raises:
        VeoError: ``charged`` is False: nothing has left this machine.
    """
    try:
        yield
    except VeoError as error:
        error.charged = False
        raise
    except Exception as error:
        # Of other errors only the type is shown: their texts may quote a header with the key.
        text = f" ({error})" if isinstance(error, ImportError) else ""
        name = type(error).__name__
        raise ConfigError(f"the request cannot be sent: {name}{text}") from error


def lost_response_error(error: BaseException) -> ResponseLostError:
    """Return the error for a request that may have been received, without a whole response."""
    cause = innermost_cause(error)
    kind = "silence" if isinstance(cause, TimeoutError) else type(cause).__name__
    return ResponseLostError(f"the connection was lost before the response was complete ({kind})")


def too_long_error(limit: int) -> ResponseTooLongError:
    """Return the error for a response body of more than ``limit`` bytes, decompressed."""
    return ResponseTooLongError(f"the response is longer than {limit} bytes")


def unreachable_error(
    origin: str, error: BaseException
) -> UnreachableError | ConfigError | ProtocolError:
    """Return the error for a request of which certainly nothing was received."""
    cause = innermost_cause(error)
    if isinstance(cause, InsideAddressError):
        hint = "Only addresses of the kind of base_url's own are reached inside a network."
        return ProtocolError(
            f"no request is sent to {origin}: {cause}", hint=hint, charged=False, retryable=False
        )
    if isinstance(cause, ssl.SSLCertVerificationError | MissingCertificatesError):
        return _certificate_error(origin, cause)
    proxy = proxy_name(origin)
    if isinstance(cause, socket.gaierror):
        setting = "the variable that names the proxy" if proxy else "base_url if it is set"
        return HostNotFoundError(
            f"cannot find the host of {proxy or origin}: {cause.strerror or cause}",
            hint=f"Check the network connection, and {setting}.",
        )
    reason = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    path = f"{origin} through the proxy {proxy}" if proxy else origin
    return UnreachableError(f"no connection to {path}: {reason or type(cause).__name__}")


def _certificate_error(origin: str, cause: OSError) -> ConfigError:
    """Return the error for a certificate that is not trusted; a retry would not help."""
    reason = getattr(cause, "verify_message", "") or str(cause)
    if not isinstance(cause, MissingCertificatesError):
        reason = f"the certificate of {origin} is not trusted: {reason}"
    return ConfigError(reason, hint=certificate_hint())


def innermost_cause(error: BaseException) -> BaseException:
    """Return the error at the bottom; urllib3 wraps up to five of them in arguments."""
    while not isinstance(error, TimeoutError):  # its cause is a detail of the library
        wrapped = [arg for arg in error.args if isinstance(arg, BaseException)]
        inner = error.__cause__ or next(iter(wrapped), None)
        if inner is None:
            return error
        error = inner
    return error
