"""Small GETs that are sent now and read later, so that one thread can wait for hundreds."""

from __future__ import annotations

import io
import re
import ssl
import weakref
from collections import deque
from contextlib import contextmanager, suppress
from socket import socket as Socket  # noqa: N812 - a class
from time import monotonic
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import SSLError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

_FEW = 8
_PIECE = 1 << 18
_MOST = 1 << 22  # bytes of an answer; all that wait for theirs would wait for a longer one
_GO_ON = b"HTTP/1.1 100"
_EMPTY = re.compile(rb"HTTP/1\.\d (1\d\d|204|304)\b")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)


class Connections:
    """Kept connections to one origin, each used for one exchange at a time, by any thread.

    Args:
        pool: How urllib3 makes them: it sends and receives in one, so that its own keeping of
            connections is of no use here.
    """

    def __init__(self, pool: HTTPConnectionPool) -> None:
        self._pool = pool
        self._kept: deque[Any] = deque()
        weakref.finalize(self, _close, self._kept)

    @property
    def proxied(self) -> bool:
        """Whether a proxy is in the way."""
        return self._pool.proxy is not None

    def take(self, *, fresh: bool) -> Any:
        """An open connection; without one a new one or, unless it may be ``fresh``, None."""
        while self._kept:
            try:
                connection = self._kept.pop()
            except IndexError:
                break
            if connection.is_connected:
                return connection
            connection.close()
        return self._pool._new_conn() if fresh else None  # noqa: SLF001

    def give(self, connection: Any) -> None:
        """Keep a connection that has had its whole answer.

        The one that was kept longest is looked at: after a rush nobody may ask for it any more,
        and the server will have closed it.
        """
        self._kept.append(connection)
        if len(self._kept) > _FEW:
            with suppress(IndexError):
                oldest = self._kept.popleft()
                if oldest.is_connected:
                    self._kept.appendleft(oldest)
                else:
                    oldest.close()


def _close(connections: Iterable[Any]) -> None:
    for connection in connections:
        connection.close()


class Sent:
    """A GET that was sent, on a connection that is its own until the answer is read.

    An answer of more than 4 MB counts as cut short, unless it is read without ``ready``.

    Args:
        connections: Where the connection goes in the end.
        connection: As urllib3 has it.
        until: When the answer has to be there, on the monotonic clock.
    """

    __slots__ = ("_come", "_connection", "_connections", "_ended", "until")

    def __init__(self, connections: Connections, connection: Any, until: float) -> None:
        self._connections = connections
        self._connection = connection
        self._come = b""
        self._ended = False
        self.until = until

    @property
    def socket(self) -> int | None:
        """What becomes readable as the answer comes; None where there is no real socket."""
        sock = self._connection.sock
        return sock.fileno() if isinstance(sock, Socket) else None

    def ready(self) -> bool:
        """Take in what has come, without waiting; whether that is all."""
        sock = self._connection.sock
        sock.settimeout(0)
        try:
            while not self._is_whole:
                piece = sock.recv(_PIECE)
                self._come += piece
                self._ended = not piece or len(self._come) > _MOST
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            self._ended = True
        return True

    @property
    def _is_whole(self) -> bool:
        return self._ended or whole(self._come)

    def receive(self) -> BaseHTTPResponse:
        """The answer with its body in ``data``.

        Waits for it, unless some of it was taken in or its time is over: then it is there or lost.
        Raises whatever urllib3, http.client or the socket raise.
        """
        left = self.until - monotonic()
        come = bool(self._come) or self._ended or left <= 0
        lost = come and not self.ready()
        connection, self._connection = self._connection, None
        with closed_if_broken(connection):
            if lost:
                raise TimeoutError
            connection.timeout = left
            answer = self._parsed(connection) if come else connection.getresponse()
        self._connections.give(connection)
        return answer

    def __del__(self) -> None:
        if self._connection:
            self._connection.close()  # nobody wants to know any more

    def _parsed(self, connection: Any) -> BaseHTTPResponse:
        sock, connection.sock = connection.sock, _Come(self._come)
        try:
            answer: BaseHTTPResponse = connection.getresponse()
        finally:
            if connection.sock is None:
                sock.close()
            else:
                connection.sock = sock
        return answer


class _Come:
    """What came through a socket, to be read as if it came now."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        """The bytes."""
        del mode
        return io.BytesIO(self._data)

    def settimeout(self, seconds: float) -> None:
        """There is nothing to wait for."""

    def close(self) -> None:
        """There is nothing to close."""


def whole(data: bytes) -> bool:
    """Whether that is a whole answer, so that reading it would not wait for more.

    Nothing is taken from it here: urllib3 reads it, and what is whole for this alone counts as
    cut short. An answer that ends with its connection is whole when that does.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    if end and head.startswith(_GO_ON):
        return whole(body)
    if not end or _EMPTY.match(head):
        return bool(end)
    if _CHUNKED.search(head):
        return _no_chunk_is_missing(body)
    length = _LENGTH.search(head)
    return length is not None and len(body) >= int(length[1])


def _no_chunk_is_missing(body: bytes) -> bool:
    while True:
        line, end, body = body.partition(b"\r\n")
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            return bool(end)  # no chunk: whoever reads it will say so
        if size == 0:
            return body.startswith(b"\r\n") or b"\r\n\r\n" in body
        body = body[size + 2 :]


@contextmanager
def closed_if_broken(connection: Any) -> Iterator[None]:
    """A connection on which something went wrong is never used again."""
    try:
        yield
    except BaseException as error:
        connection.close()
        if isinstance(error, ssl.SSLError):
            raise SSLError(error) from error  # as the pools of urllib3 call it
        raise
