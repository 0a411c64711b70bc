"""Read JSON and TOML that people and programs on this machine wrote; every problem is a ValueError.

The parsers of the standard library fail in other ways, too: text that is nested deeply exhausts
the stack, and long numbers have a limit of their own.
"""

from __future__ import annotations

import codecs
import errno
import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

# The code that reads the values later recurses once a level; real files have five.
MAX_DEPTH = 50
# Python's stand-ins for bytes that are not UTF-8, or half of a pair in JSON.
_SURROGATE = re.compile("[\ud800-\udfff]")
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_limited(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a file, which may be a pipe.

    Raises:
        OSError: It cannot be read, or is longer; a device may have no end.
    """
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"it is longer than {max_bytes // 1_000_000} MB")
    return data


def decode_text(data: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark, which PowerShell writes.

    Byte order marks are removed, also those within the text where files were joined.

    Raises:
        UnicodeDecodeError: It is neither.
    """
    text = data.decode("utf-16" if data.startswith(_UTF16_MARKS) else "utf-8")
    return text.removeprefix("\ufeff").replace("\n\ufeff", "\n")


def parse_json(text: str | bytes, **hooks: Any) -> Any:
    """Return the value of a JSON text; see ``json.loads`` for the hooks.

    Raises:
        ValueError: It is not JSON, or is nested too deeply.
    """
    with _plain_errors():
        value = json.loads(text, **hooks)
    _check_depth(value)
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises:
        ValueError: It is not TOML, or is nested too deeply.
    """
    with _plain_errors():
        tables = tomllib.loads(text)
    _check_depth(tables)
    return tables


def find_separator(text: str) -> str:
    """Return what separates the cells of a table in CSV, by its first line.

    Spreadsheets of many countries separate by semicolons, because their numbers have commas.
    """
    return max(",;\t|", key=text.partition("\n")[0].count)


def is_text(text: str) -> bool:
    """Return whether a text can be stored: names of files may hold bytes that are not UTF-8."""
    return not _SURROGATE.search(text)


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise
    except ValueError as error:
        if "digits" not in str(error):  # Python's own limit, which names a function of Python
            raise
        raise ValueError("a number has too many digits") from None


def _check_depth(value: Any) -> None:
    level: list[Any] = [[value]]  # the containers of one depth
    for _ in range(MAX_DEPTH + 1):
        members = (each.values() if isinstance(each, dict) else each for each in level)
        level = [
            each for each in chain.from_iterable(members) if isinstance(each, dict | list | tuple)
        ]
        if not level:
            return
    raise ValueError("it is nested too deeply")
