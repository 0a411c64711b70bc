"""The other side of a wire, as the suite drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

Trouble = Literal["busy", "lost", "failed", "moderated", "cut"]


class Service(Protocol):
    """The other side of a wire, as the suite drives it: a local server, a fresh one each test.

    Attributes:
        url: Scheme, host and port; the provider keeps the path of its own base URL.
        key: The one key that it takes.
    """

    url: str
    key: str

    def trouble(self, kind: Trouble) -> None:
        """Misbehave from now on.

        ``busy``: refuse the next paid request as overloaded, then take it. ``lost``: take the
        next paid request, and close the connection without an answer. ``failed`` and
        ``moderated``: accept what comes, and fail it later, the latter for what it shows.
        ``cut``: break the next download in the middle.

        Raises:
            NotImplementedError: It does not know how.
        """

    def wait(self, seconds: float) -> None:
        """Let time pass, as far as it keeps videos only for a while.

        Raises:
            NotImplementedError: It knows no time.
        """

    def accepted(self) -> Sequence[str]:
        """Every paid request that was accepted, as text: the prompt and all options in it."""

    def charged(self) -> Decimal:
        """USD taken so far."""


def trigger_trouble(service: Service, kind: Trouble) -> None:
    """Have a service misbehave, or skip the test where it cannot."""
    run_or_skip(lambda: service.trouble(kind))


def run_or_skip(act: Callable[[], None]) -> None:
    """Do something, or skip the test where the service cannot."""
    try:
        act()
    except NotImplementedError as error:
        pytest.skip(f"the service cannot do this: {error}")
