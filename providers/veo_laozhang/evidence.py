"""Keep the end of a paid response that is not understood: it may be the only way to its video."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from veo_laozhang.chat_text import find_all_urls, strip_echo

if TYPE_CHECKING:
    from veo.errors import VeoError
    from veo.key import Key

MAX_BYTES = 8_000  # a published stream has 2 kB
_MAX_URLS = 8
_MAX_URL_CHARS = 2_000


class BodyEnd:
    """Collects the last bytes of a body; the work is linear in its length."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._size - len(self._chunks[0]) >= MAX_BYTES:
            self._size -= len(self._chunks.popleft())

    def read(self) -> bytes:
        return b"".join(self._chunks)[-MAX_BYTES:]


def add_evidence(error: VeoError, body: bytes, text: str, key: Key) -> VeoError:
    """Return an error with the end of the response, and with the addresses that it names.

    Args:
        error: The error of a paid request without a video.
        body: The end of the response as it was sent.
        text: The text of its message, if it has one.
        key: Removed from what is kept.
    """
    raw = body[-MAX_BYTES:].decode("utf-8", "replace")
    error.response_end = key.redact(raw)
    urls = find_all_urls(strip_echo(text)) or find_all_urls(strip_echo(raw))
    short = [key.redact(url) for url in urls if len(url) <= _MAX_URL_CHARS]
    error.urls = tuple(short[-_MAX_URLS:])
    return error
