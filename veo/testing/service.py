"""The local server that imitates a service, as the suite controls it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Literal, Protocol

import pytest

Trouble = Literal["busy", "lost", "failed", "moderated", "cut"]


class Service(Protocol):
    """A local server that imitates a service, a new one for each test.

    Attributes:
        url: Scheme, host and port; the provider keeps the path of its own base URL.
        key: The only key that the server accepts.
        options: Settings of the provider's configuration table that the server needs; optional.
    """

    url: str
    key: str

    def trouble(self, kind: Trouble) -> None:
        """Cause a fault.

        ``busy``: refuse the next paid request as overloaded, and accept it when it is repeated.
        ``lost``: accept the next paid request, and close the connection without a response.
        ``failed`` and ``moderated``: accept requests and fail them later, the latter because of
        their content. ``cut``: interrupt the next download in the middle.

        Raises:
            NotImplementedError: The server cannot cause this fault.
        """

    def wait(self, seconds: float) -> None:
        """Let time pass, so that the server deletes videos after their retention.

        Raises:
            NotImplementedError: The server never deletes videos.
        """

    def accepted(self) -> Sequence[str]:
        """Return each accepted paid request as text that contains the prompt and all options."""

    def charged(self) -> Decimal:
        """Return the USD charged so far."""


def call_or_skip(function: Callable[..., None], value: object) -> None:
    """Call a function of the service, or skip the test if the service cannot do this."""
    try:
        function(value)
    except NotImplementedError as error:
        pytest.skip(f"the service cannot do this: {error}")
