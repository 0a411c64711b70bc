"""Inputs that are almost sound: seeds with a few changes, by bytes and by JSON values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

_TOKENS: tuple[bytes, ...] = (
    *(b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\\u0000"),
    *(b"\xe2\x80\xa8", b"null", b"NaN", b"Infinity", b"-1", b"1e400", b"9" * 400, b"0.1"),
    *(b"true", b'""', b"[]", b"{}", b"[" * 60, b'{"a":' * 60, b'"', b"'", b",", b";", b"\n"),
    *(b"\r\n", b"\t", b"=", b"\\", b"%", b"&", b"data: ", b"https://", b"<html>", b"](", b"!["),
    *(b"data:video/mp4;base64,", b"moov", b"\0\0\0\1"),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1e308, 10**400, "", "\0", "\ud800", "9" * 50, "45%", "failed"),
    *([], {}, [[]], [None], {"": None}, {"message": {}}, "https://a.test/a.mp4", "http://[::1"),
)
_MAX_BYTES = 20_000


def mutate(seeds: Sequence[bytes], random: Random) -> bytes:
    """Return a seed with one to four changes."""
    data = random.choice(seeds)
    if random.random() < 0.5:
        data = _change_json(data, random)
    for _ in range(random.randint(0, 3)):
        data = _change_bytes(data, seeds, random)
    return data[:_MAX_BYTES]


def _change_bytes(data: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    start = random.randint(0, len(data))
    end = min(len(data), start + random.choice((0, 1, 2, 8, 64)))
    kind = random.randrange(5)
    if kind == 0:
        return data[:start] + random.choice(_TOKENS) + data[end:]
    if kind == 1:
        return data[:start] + random.randbytes(random.randint(1, 8)) + data[end:]
    if kind == 2:
        return data[:end] + data[start:end] * random.choice((1, 2, 100)) + data[end:]
    if kind == 3:
        other = random.choice(seeds)
        return data[:start] + other[random.randint(0, len(other)) :]
    return data[:start] + data[end:]


def _change_json(data: bytes, random: Random) -> bytes:
    """Return JSON with one value replaced; other data as it is."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data
    holders = [each for each in _list_holders(value) if each]
    if not holders:
        return json.dumps(random.choice(_VALUES)).encode()
    holder = random.choice(holders)
    key = random.choice([*holder] if isinstance(holder, dict) else range(len(holder)))
    holder[key] = random.choice(_VALUES)
    return json.dumps(value).encode()


def _list_holders(value: Any) -> list[Any]:
    holders, waiting = [], [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict | list):
            holders.append(each)
            waiting += each.values() if isinstance(each, dict) else each
    return holders
