"""Reading a chat answer: bytes in, text out. No I/O, no trust.

The stream of a real success (its text was published in November 2025) is a JSON echo of the
prompt, then one line of Markdown a chunk: waiting, progress, and the link. Look-alikes of the same
upstream were seen to put progress into ``reasoning_content``, to change the chunk's id on the way,
to end on a chunk without choices, and to send a chunk that is no JSON: all of that is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from veo_laozhang.lenient_json import get_path, get_text, parse_json

_IGNORED_FIELDS = ("", "event", "id", "retry")  # fields of an event stream that say nothing here


@dataclass(slots=True)
class ChatStreamParser:
    """What a chat answer has said so far: an event stream, or JSON that ignored ``stream``.

    Attributes:
        content: The text of the answer.
        heard: The same with ``reasoning_content``, in the order in which it came.
        error: The first error object.
        reason: The last ``finish_reason``.
        done: Whether the end was said: nothing after it counts.
        events: How many events were part of a chat.
        junk: The lines that belong to no event stream.
        cut: What ended it before its end, if something did.
    """

    content: str = ""
    transcript: str = ""
    error: Any = None
    finish_reason: str = ""
    is_done: bool = False
    event_count: int = 0
    stray_lines: list[str] = field(default_factory=list)
    interruption: str = ""
    _buffer: bytes = b""

    @property
    def is_finished(self) -> bool:
        """Whether the answer came to an end of its own, so that no word of it can be half."""
        return self.is_done or bool(self.finish_reason)

    def feed(self, data: bytes) -> None:
        """Take in the next bytes, cut anywhere."""
        # Lines are cut before they are decoded: no byte of a longer UTF-8 sign is a line feed.
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._parse_line(line)

    def close(self) -> None:
        """No more bytes will come."""
        self._parse_line(self._buffer)
        self._buffer = b""
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
            thought, said = (
                _content_text(get_path(part, key)) for key in ("reasoning_content", "content")
            )
            self.content += said
            self.transcript += thought + said
        self.finish_reason = get_text(get_path(choice, "finish_reason")) or self.finish_reason


def _content_text(content: Any) -> str:
    """The text of a content that may be a string, null, or a list of parts."""
    if isinstance(content, list):
        return "".join(_content_text(get_path(part, "text") or part) for part in content)
    return content if isinstance(content, str) else ""
