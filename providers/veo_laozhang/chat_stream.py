"""Reading a chat answer: bytes in, text out. No I/O, no trust.

The stream of a real success (its text was published in November 2025) is a JSON echo of the
prompt, then one line of Markdown a chunk: waiting, progress, and the link. Look-alikes of the same
upstream were seen to put progress into ``reasoning_content``, to change the chunk's id on the way,
to end on a chunk without choices, and to send a chunk that is no JSON: all of that is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from veo_laozhang.lenient_json import dig, loads, text

_SILENT = ("", "event", "id", "retry")  # fields of an event stream that say nothing here


@dataclass(slots=True)
class ChatReader:
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
    heard: str = ""
    error: Any = None
    reason: str = ""
    done: bool = False
    events: int = 0
    junk: list[str] = field(default_factory=list)
    cut: str = ""
    _rest: bytes = b""

    @property
    def finished(self) -> bool:
        """Whether the answer came to an end of its own, so that no word of it can be half."""
        return self.done or bool(self.reason)

    def feed(self, data: bytes) -> None:
        """Take in the next bytes, cut anywhere."""
        # Lines are cut before they are decoded: no byte of a longer UTF-8 sign is a line feed.
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)

    def end(self) -> None:
        """No more bytes will come."""
        self._line(self._rest)
        self._rest = b""
        self._event(loads("\n".join(self.junk)))

    def _line(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r")
        name, _, value = line.partition(":")
        if self.done or not line.strip():
            return
        if name != "data":
            self.junk += [] if name in _SILENT else [line]
        elif value.strip() == "[DONE]":
            self.done = True
        else:
            self._event(loads(value))

    def _event(self, event: Any) -> None:
        choices = dig(event, "choices")
        if dig(event, "error") or (choices is None and dig(event, "message")):
            self.error = self.error or event
        self.events += choices is not None
        for choice in choices if isinstance(choices, list) else ():
            self._choice(choice)

    def _choice(self, choice: Any) -> None:
        for part in (dig(choice, "delta"), dig(choice, "message")):
            thought, said = (_spoken(dig(part, key)) for key in ("reasoning_content", "content"))
            self.content += said
            self.heard += thought + said
        self.reason = text(dig(choice, "finish_reason")) or self.reason


def _spoken(content: Any) -> str:
    """The text of a content that may be a string, null, or a list of parts."""
    if isinstance(content, list):
        return "".join(_spoken(dig(part, "text") or part) for part in content)
    return content if isinstance(content, str) else ""
