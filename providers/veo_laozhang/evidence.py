"""Keep the end of a paid response that is not understood: it may be the only way to its video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from veo_laozhang.chat_text import find_all_urls, strip_echo

if TYPE_CHECKING:
    from veo.errors import VeoError
    from veo.key import Key

MAX_BYTES = 8_000  # a published stream has 2 kB
_MAX_URLS = 8
_MAX_URL_CHARS = 2_000


def extend_end(end: bytearray, chunk: bytes) -> None:
    """Add the next bytes of a body to its end, of which the last ``MAX_BYTES`` are kept."""
    end += chunk
    del end[:-MAX_BYTES]  # cheap: bytes at the front of a bytearray go without moving the others


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
