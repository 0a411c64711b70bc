"""How much of a core this process takes: about all that one interpreter can."""

from __future__ import annotations

WINDOW_S = 0.05
MOST = 0.9  # of a core; above that the interpreter has no time to spare


class Load:
    """Looks at the time that passes and the time that is worked."""

    def __init__(self) -> None:
        self._light = True
        self._at, self._worked = float("-inf"), 0.0

    def light(self, now: float, worked: float) -> bool:
        """Whether there was time to spare lately.

        Args:
            now: By any clock, seconds.
            worked: Processor time of the process so far, seconds.
        """
        if now - self._at >= WINDOW_S:
            self._light = worked - self._worked < MOST * (now - self._at)
            self._at, self._worked = now, worked
        return self._light
