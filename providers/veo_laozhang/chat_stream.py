"""Parse a chat response: bytes in, text out. No I/O, and nothing in the bytes is trusted.

A successful stream (its text was published in November 2025) is a JSON echo of the prompt, then
one line of Markdown per chunk: waiting, progress, and the link. Resellers of the same upstream
were seen to put progress into ``reasoning_content``, to change the chunk's id on the way, to end
with a chunk without choices, and to send a chunk that is not JSON. All of these are accepted.

Events are those of the HTML standard (9.2.6): lines end with CR, LF or both, the ``data`` lines of
an event are joined, a blank line ends it. An event that is complete JSON in its first line is read
at once, and the last one also without its blank line. The work is linear in the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from veo.wire.values import get_list, get_path, get_text, parse_json_or_none
from veo_laozhang.error_body import MESSAGE_KEYS
from veo_laozhang.lenient_json import find_video_urls

# Fields of an event stream without content; "" is a comment.
_IGNORED_FIELDS = ("", "event", "id", "retry")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_MAX_STRAY_CHARS = 1_000_000  # of lines that do not belong to an event stream


class Text:
    """A text that grows by small pieces: adding is cheap, and reading it as well."""

    __slots__ = ("_buffer", "_value")

    def __init__(self) -> None:
        self._buffer = StringIO()
        self._value: str | None = ""

    def add(self, piece: str) -> None:
        if piece:
            self._buffer.write(piece)
            self._value = None

    def __str__(self) -> str:
        if self._value is None:
            self._value = self._buffer.getvalue()
        return self._value

    def __len__(self) -> int:
        return self._buffer.tell()

    def tail(self, count: int) -> str:
        """Return the last characters, without reading the others."""
        end = self._buffer.tell()
        self._buffer.seek(max(0, end - count))
        return self._buffer.read()

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(slots=True)
class ChatStreamParser:
    """The state of a chat response: an event stream, or JSON if the service ignored ``stream``."""

    content: Text = field(default_factory=Text)  # the text of the message
    # The same with ``reasoning_content``, in the order of arrival.
    transcript: Text = field(default_factory=Text)
    error: Any = None  # the first one
    finish_reason: str = ""  # the last one
    is_done: bool = False  # ``[DONE]`` was received; anything after it is ignored
    event_count: int = 0
    video_urls: list[str] = field(default_factory=list)  # in fields of their own, not in the text
    stray_lines: list[str] = field(default_factory=list)  # do not belong to an event stream
    interruption: str = ""  # why the stream was interrupted; empty if it was not
    _stray_chars: int = 0
    _line: bytearray = field(default_factory=bytearray)  # the last one, as far as it has arrived
    _is_after_cr: bool = False  # a line feed that follows belongs to the line end before it
    _is_begun: bool = False  # a byte order mark can only stand before the first line
    _data: list[str] = field(default_factory=list)  # lines of an event that is not complete

    @property
    def is_finished(self) -> bool:
        """Whether the message is complete, so that its last URL cannot be cut off."""
        return self.is_done or bool(self.finish_reason)

    def feed(self, data: bytes) -> None:
        """Parse the next bytes, which may end anywhere."""
        if self._is_after_cr and data.startswith(b"\n"):
            data = data[1:]
        if not data:
            return
        self._is_after_cr = data.endswith(b"\r")
        # Split before decoding: no multi-byte character of UTF-8 contains a line end.
        *lines, rest = _LINE_END.split(data)
        for line in lines:
            self._line += line
            self._parse_line(bytes(self._line))
            self._line.clear()
        self._line += rest

    def close(self) -> None:
        """Parse what is left at the end of the stream."""
        self._parse_line(bytes(self._line))
        self._line.clear()
        self._end_event()
        # A service that ignores ``stream`` sends one JSON body.
        self._parse_event(parse_json_or_none("\n".join(self.stray_lines)))

    def _parse_line(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace")
        if not self._is_begun:
            line, self._is_begun = line.removeprefix("\ufeff"), True
        name, _, value = line.partition(":")
        if self.is_done:
            return
        if not line.strip():
            self._end_event()
        elif name == "data":
            self._parse_data(value.removeprefix(" "))
        elif name not in _IGNORED_FIELDS and self._stray_chars < _MAX_STRAY_CHARS:
            self._stray_chars += len(line)
            self.stray_lines.append(line)

    def _parse_data(self, value: str) -> None:
        if value.strip() == "[DONE]":
            self._end_event()
            self.is_done = True
            return
        # No beginning of a JSON object is JSON, so an event that is complete here has one line.
        event = None if self._data else parse_json_or_none(value)
        if isinstance(event, dict):
            self._parse_event(event)
        else:
            self._data.append(value)

    def _end_event(self) -> None:
        lines, self._data = self._data, []
        event = parse_json_or_none("\n".join(lines)) if lines else None
        # Some services leave out the blank lines between events.
        events: Iterable[Any] = (event,) if event is not None else map(parse_json_or_none, lines)
        for each in events:
            self._parse_event(each)

    def _parse_event(self, event: Any) -> None:
        choices = get_path(event, "choices")
        is_error = choices is None and any(get_path(event, key) for key in MESSAGE_KEYS)
        if get_path(event, "error") or is_error:
            self.error = self.error or event
        self.event_count += choices is not None
        self.video_urls += find_video_urls(event)
        for choice in get_list(event, "choices"):
            self._parse_choice(choice)

    def _parse_choice(self, choice: Any) -> None:
        for part in filter(None, (get_path(choice, "delta"), get_path(choice, "message"))):
            reasoning = _join_text(get_path(part, "reasoning_content"))
            content = _join_text(get_path(part, "content"))
            self.content.add(content)
            self.transcript.add(reasoning + content)
            self.video_urls += find_video_urls(part)
        self.finish_reason = get_text(get_path(choice, "finish_reason")) or self.finish_reason


def _join_text(content: Any) -> str:
    """Return the text of a content, which may be a string, null, or a list of parts."""
    if isinstance(content, list):
        parts = (get_path(part, "text") or part for part in content)
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
