"""One poll of a provider, for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from veo.provider import Provider
    from veo.update import Update


def poll(provider: Provider, task_id: str) -> Update:
    """Poll a task once, on an event loop of its own."""
    return asyncio.run(provider.poll(task_id))
