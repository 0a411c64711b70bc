"""An API key that does not get into texts by accident, and is removed from those of others."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

KEY_MARK = "[key]"  # what stands in a text in place of the key
# Gateways of the new-api family drop it from a key before they log or echo the key.
_DROPPED_PREFIX = "sk-"
# A shorter text, or a shorter part of one, is found in texts that have nothing to do with a key.
_MIN_ENCODED_CHARS = 8
# What can stand for a character in JSON, URLs, HTML and programs, also escaped several times.
# The counts are bounded, so that searching a hostile text stays linear. It begins with a set of
# characters, which the regular expression engine looks for quickly.
_ESCAPE = re.compile(
    r"[\\%&](?:"
    r"(?<=\\)\\{0,7}(?:(?:u00|x)([0-9a-f]{2})|(?=[^\\]))"
    r"|(?<=%)(?:25){0,4}([0-9a-f]{2})"
    r"|(?<=&)(?:amp;){0,4}#(?:x0{0,8}([0-9a-f]{2})|0{0,8}([0-9]{2,3}));)"
)


_known: set[str] = set()  # the keys of this process


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A secret whose ``repr`` and ``str`` are harmless; only ``reveal`` returns it."""

    _value: str

    def __post_init__(self) -> None:
        if len(self._value) >= _MIN_ENCODED_CHARS:
            _known.add(self._value)

    def reveal(self) -> str:
        """Return the key itself, for the header that carries it."""
        return self._value

    def fingerprint(self, salt: str) -> str:
        """Return a short hash that tells whether a later key is the same one.

        Args:
            salt: The id of the job, so that the hashes of two jobs cannot be compared. At most
                64 bytes.
        """
        digest = hashlib.blake2b(self._value.encode(), key=salt.encode(), digest_size=6)
        return digest.hexdigest()

    def redact(self, text: str) -> str:
        """Replace every occurrence of the key in a text that a server sent, for any use of it.

        The key is found as it is, in base64, in hexadecimal digits, and with any of its
        characters escaped as in JSON, URLs or HTML.
        """
        if not self._value:
            return text
        forms = _key_forms(self._value)
        return forms.pattern.sub(KEY_MARK, text) if forms.occur_in(text) else text

    def redact_bytes(self, data: bytes) -> bytes:
        """Return the body of a response without the key; see ``redact``."""
        if not self._value:
            return data
        text = data.decode("latin-1")  # every byte is a character, and stays what it is
        redacted = self.redact(text)
        return data if redacted is text else redacted.encode("latin-1")

    def restore(self, url: str) -> str:
        """Return a URL of the API's own origin with the key again, if it was removed from it."""
        if not self._value:
            return url
        for mark in (KEY_MARK, quote(KEY_MARK, safe="")):
            url = url.replace(mark, quote(self._value, safe=""))
        return url

    def __repr__(self) -> str:
        return f"Key({KEY_MARK})"

    __str__ = __repr__


def redact_known(text: str) -> str:
    """Return a log or a traceback without any key that this process has used."""
    # The longest first: a key may be a part of another one.
    for value in sorted(_known, key=len, reverse=True):
        text = Key(value).redact(text)
    return text


class _KeyForms(NamedTuple):
    beginnings: tuple[str, ...]  # of all forms, in lower case
    pattern: re.Pattern[str]

    def occur_in(self, text: str) -> bool:
        """Return whether the pattern can match; far faster than the pattern itself."""
        lowered = text.lower()
        for beginning in self.beginnings:  # a loop: every poll comes here
            if beginning in lowered:
                return True
        if "\\" not in lowered and "%" not in lowered and "&" not in lowered:
            return False
        unescaped = _ESCAPE.sub(_unescape, lowered)
        return any(beginning in unescaped for beginning in self.beginnings)


@lru_cache(maxsize=64)
def _key_forms(value: str) -> _KeyForms:
    spelled = [value]
    encoded = [value.encode().hex()]
    without_prefix = value.removeprefix(_DROPPED_PREFIX)
    if len(without_prefix) >= _MIN_ENCODED_CHARS:
        spelled.append(without_prefix)
    encoded += [form for offset in range(3) for form in _base64_forms(value, offset)]
    encoded = [form for form in encoded if len(form) >= _MIN_ENCODED_CHARS]
    # The longest first: a form that begins like a longer one would leave the rest of that one.
    patterns = ["".join(map(_any_spelling, text)) for text in spelled]
    patterns += [re.escape(form) for form in sorted(encoded, key=len, reverse=True)]
    pattern = re.compile("|".join(patterns), re.IGNORECASE)
    beginnings = {form[:_MIN_ENCODED_CHARS].lower() for form in spelled + encoded}
    return _KeyForms(tuple(beginnings), pattern)


def _base64_forms(value: str, offset: int) -> set[str]:
    """Return what base64 makes of a key that begins ``offset`` bytes into a group of three.

    Characters that also depend on the bytes before and after the key are not part of it.
    """
    data = b"\0" * offset + value.encode()
    first = -(-offset * 8 // 6)
    last = len(data) * 8 // 6
    codes = (base64.b64encode(data), base64.urlsafe_b64encode(data))
    return {code.decode()[first:last] for code in codes}


def _any_spelling(character: str) -> str:
    """Return a pattern for a character as it is or escaped."""
    code = ord(character)
    hexadecimal = f"{code:02x}"
    prefix = "" if character.isalnum() else r"\\{0,8}"
    return (
        rf"(?:{prefix}{re.escape(character)}|\\{{1,8}}(?:u00|x){hexadecimal}"
        rf"|%(?:25){{0,4}}{hexadecimal}|&(?:amp;){{0,4}}#(?:x0{{0,8}}{hexadecimal}|0{{0,8}}{code});)"
    )


def _unescape(match: re.Match[str]) -> str:
    digits = match[1] or match[2] or match[3]
    if digits:
        return chr(int(digits, 16)).lower()
    code = int(match[4] or 0)
    return chr(code).lower() if code else ""
