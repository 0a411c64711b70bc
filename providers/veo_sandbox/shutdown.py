"""Tells everything that waits in the server that it stops."""

import asyncio


class Shutdown:
    """A signal for the server's event loop and the exchanges that wait in it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def has_begun(self) -> bool:
        return self._event.is_set()

    async def wait(self) -> None:
        # Remembered here, because the server's loop starts after this object exists.
        self._loop = asyncio.get_running_loop()
        await self._event.wait()

    def begin(self) -> None:
        """Begin the shutdown; may be called from any thread."""
        # Nobody waits yet, so no event loop has to be woken.
        if self._loop is None:
            self._event.set()
        else:
            # An asyncio event may only be set in its own loop.
            self._loop.call_soon_threadsafe(self._event.set)
