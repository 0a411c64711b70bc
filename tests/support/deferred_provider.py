"""A scripted provider whose polls can be sent now and read when the test has answered them."""

from __future__ import annotations

import socket
from time import monotonic
from typing import TYPE_CHECKING, Any

from scripted import Bench, ScriptedProvider

from veo.engine.context import ProviderHandle
from veo.engine.rate_limit import RateLimiter

if TYPE_CHECKING:
    from pathlib import Path

    from veo.update import Update


class Letter:
    """A poll that was sent; ``answer`` lets its next scripted line come."""

    def __init__(self, provider: Patient, task_id: str) -> None:
        self.task_id = task_id
        self.until = monotonic() + 60.0
        self._provider = provider
        self._here, self._there = socket.socketpair()
        self.socket: int | None = self._here.fileno()

    def answer(self) -> None:
        """Say something."""
        self._there.send(b".")

    def ready(self) -> bool:
        """Whether something was said; a provider's bug, if the script says so."""
        if self._provider.broken:
            raise KeyError("a bug")
        return bool(self._here.recv(1, socket.MSG_PEEK))

    def read(self) -> Update:
        """What the script says."""
        self.close()
        return ScriptedProvider.poll(self._provider, self.task_id)

    def close(self) -> None:
        """Whether it was read or not."""
        self._here.close()
        self._there.close()


class Patient(ScriptedProvider):
    """Its polls can be read later."""

    def __init__(self, charged: str = "on_success", **changes: Any) -> None:
        super().__init__(charged, **changes)
        self.letters: list[Letter] = []
        self.connected = True
        self.proxied = False
        self.broken = False

    def ask(self, task_id: str, *, wait: bool = True) -> Letter | None:
        """Send a poll."""
        if self.proxied or not (self.connected or wait):
            return None
        self.letters.append(Letter(self, task_id))
        return self.letters[-1]


def patient(folder: Path) -> tuple[Bench, Patient]:
    """A bench with such a provider."""
    bench, provider = Bench(folder), Patient()
    bench.provider = provider
    bench.route = ProviderHandle(provider, bench.facts, RateLimiter(1000, 1_000_000))
    return bench, provider
