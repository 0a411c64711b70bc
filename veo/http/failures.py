"""The error for a failed exchange: nothing was sent, or the response was lost."""

from __future__ import annotations

from veo.errors import ResponseLostError, UnreachableError


def lost_response_error(error: BaseException) -> ResponseLostError:
    """Return the error for a request that may have been received, without a whole response."""
    cause = innermost_cause(error)
    kind = "silence" if isinstance(cause, TimeoutError) else type(cause).__name__
    return ResponseLostError(f"the connection was lost before the response was complete ({kind})")


def unreachable_error(
    origin: str, error: BaseException, *, by_proxy: bool = False
) -> UnreachableError:
    """Return the error for a request of which certainly nothing was received."""
    cause = innermost_cause(error)
    reason = cause.strerror if isinstance(cause, OSError) else None
    prefix = "the proxy says: " if by_proxy else ""
    text = prefix + (reason or str(cause) or type(cause).__name__)
    return UnreachableError(f"no connection to {origin}: {text}")


def innermost_cause(error: BaseException) -> BaseException:
    """Return the error at the bottom; urllib3 wraps up to five of them in arguments."""
    while not isinstance(error, TimeoutError):  # its cause is a detail of the library
        wrapped = [arg for arg in error.args if isinstance(arg, BaseException)]
        inner = error.__cause__ or next(iter(wrapped), None)
        if inner is None:
            return error
        error = inner
    return error
