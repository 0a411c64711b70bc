"""The end of a server, told to everything that waits in it."""

import asyncio


class Shutdown:
    """Tells the server's loop and its waiting exchanges that the sandbox is being stopped."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def has_begun(self) -> bool:
        """Whether it is."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Until it is."""
        self._loop = asyncio.get_running_loop()
        await self._event.wait()

    def begin(self) -> None:
        """Say so, from any thread."""
        if self._loop is None:
            self._event.set()
        else:
            self._loop.call_soon_threadsafe(self._event.set)
