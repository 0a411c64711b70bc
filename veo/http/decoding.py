"""Undo the compression of a response, in small pieces: a few bytes may stand for gigabytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from veo.errors import ProtocolError

ACCEPTED_ENCODING = "gzip"  # what polls ask for; files are asked for as they are
_PIECE_BYTES = 1 << 18
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib itself finds out which


class Decoder:
    """Decodes one response body.

    Raises:
        ProtocolError: The body has an encoding that was not asked for.
    """

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise ProtocolError(f"the response has the encoding {name[:40]!r}", retryable=False)
        is_plain = name in {"", "identity"}
        self._decoder = None if is_plain else zlib.decompressobj(_GZIP_OR_ZLIB)

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes of the body stand for, in pieces of 256 kB at most.

        Raises:
            zlib.error: They are not of the encoding.
        """
        decoder = self._decoder
        if decoder is None:
            yield data
            return
        # What follows the end is ignored: zlib would collect it.
        while not decoder.eof:
            piece = decoder.decompress(data, _PIECE_BYTES)
            if piece:
                yield piece
            data = decoder.unconsumed_tail
            # A full piece may have left output inside the decoder.
            if not data and len(piece) < _PIECE_BYTES:
                return
