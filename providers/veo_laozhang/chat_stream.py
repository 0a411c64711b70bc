"""Parse a chat response: bytes in, text out. No I/O, and nothing in the bytes is trusted.

A successful stream (its text was published in November 2025) is a JSON echo of the prompt, then
one line of Markdown per chunk: waiting, progress, and the link. Resellers of the same upstream
were seen to put progress into ``reasoning_content``, to change the chunk's id on the way, to end
with a chunk without choices, and to send a chunk that is not JSON. All of these are accepted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from veo.wire.values import parse_json
from veo_laozhang.lenient_json import get_path, get_text

# Fields of an event stream without content; "" is a comment.
_IGNORED_FIELDS = ("", "event", "id", "retry")


@dataclass(slots=True)
class ChatStreamParser:
    """The state of a chat response: an event stream, or JSON if the service ignored ``stream``."""

    content: str = ""  # the text of the message
    transcript: str = ""  # the same with ``reasoning_content``, in the order of arrival
    error: Any = None  # the first one
    finish_reason: str = ""  # the last one
    is_done: bool = False  # ``[DONE]`` was received; anything after it is ignored
    event_count: int = 0
    stray_lines: list[str] = field(default_factory=list)  # do not belong to an event stream
    interruption: str = ""  # why the stream was interrupted; empty if it was not
    _buffer: bytes = b""

    @property
    def is_finished(self) -> bool:
        """Whether the message is complete, so that its last URL cannot be cut off."""
        return self.is_done or bool(self.finish_reason)

    def feed(self, data: bytes) -> None:
        """Parse the next bytes, which may end anywhere."""
        # Split before decoding: no multi-byte character of UTF-8 contains a line feed.
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._parse_line(line)

    def close(self) -> None:
        """Parse what is left at the end of the stream."""
        self._parse_line(self._buffer)
        self._buffer = b""
        # A service that ignores ``stream`` sends one JSON body.
        self._parse_event(parse_json("\n".join(self.stray_lines)))

    def _parse_line(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r")
        name, _, value = line.partition(":")
        if self.is_done or not line.strip():
            return
        if name != "data":
            self.stray_lines += [] if name in _IGNORED_FIELDS else [line]
        elif value.strip() == "[DONE]":
            self.is_done = True
        else:
            self._parse_event(parse_json(value))

    def _parse_event(self, event: Any) -> None:
        choices = get_path(event, "choices")
        if get_path(event, "error") or (choices is None and get_path(event, "message")):
            self.error = self.error or event
        self.event_count += choices is not None
        for choice in choices if isinstance(choices, list) else ():
            self._parse_choice(choice)

    def _parse_choice(self, choice: Any) -> None:
        for part in (get_path(choice, "delta"), get_path(choice, "message")):
            reasoning = _join_text(get_path(part, "reasoning_content"))
            content = _join_text(get_path(part, "content"))
            self.content += content
            self.transcript += reasoning + content
        self.finish_reason = get_text(get_path(choice, "finish_reason")) or self.finish_reason


def _join_text(content: Any) -> str:
    """Return the text of a content, which may be a string, null, or a list of parts."""
    if isinstance(content, list):
        return "".join(_join_text(get_path(part, "text") or part) for part in content)
    return content if isinstance(content, str) else ""
