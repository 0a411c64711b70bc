"""Tasks that the ledger could not store, in a file beside it.

A task id is the only way to a video that is paid for. When the disk is full, the ledger cannot be
written, and neither can a new file: so the space is taken beforehand, and written in place. The
next process that opens the ledger takes the tasks in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from veo.paths import sync_to_disk

_NAME = "accepted.jsonl"
_BYTES = 1 << 16  # some three hundred tasks
_PRIVATE_FILE_MODE = 0o600
# Zeros could become a hole in the file, which takes no space.
_BLANK = b"\n"


def prepare(folder: Path) -> None:
    """Take the space. An error is ignored: the tasks are shown in any case."""
    with suppress(OSError):
        handle = os.open(folder / _NAME, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE_FILE_MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(_BLANK * _BYTES)


def save(folder: Path, entry: dict[str, Any]) -> Path:
    """Keep a task, on disk when this returns.

    Raises:
        OSError: The file cannot be written.
    """
    prepare(folder)
    with _open_locked(folder) as file:
        file.seek(len(file.read().rstrip(_BLANK)))
        line = json.dumps(entry).encode()
        file.write(_BLANK + line + _BLANK)
        file.flush()
        sync_to_disk(file.fileno())
    return folder / _NAME


def has_entries(folder: Path) -> bool:
    """Return whether a task is kept."""
    with suppress(OSError):
        return bool(_read_entries((folder / _NAME).read_bytes()))
    return False


def take_in(folder: Path, store: Callable[[dict[str, Any]], object]) -> None:
    """Call ``store`` for each task that is kept, and forget them; an error keeps all of them."""
    # Without the lock first: nearly always there is nothing, and every command opens the ledger.
    if not has_entries(folder):
        return
    with suppress(OSError), _open_locked(folder) as file:
        data = file.read()
        for entry in _read_entries(data):
            store(entry)
        file.seek(0)
        file.write(_BLANK * max(len(data), _BYTES))


def _read_entries(data: bytes) -> list[dict[str, Any]]:
    entries = []
    for line in data.strip(_BLANK).split(_BLANK):
        # The process died while it wrote the line, or somebody has edited it.
        with suppress(ValueError, RecursionError):
            if line and isinstance(entry := json.loads(line), dict):
                entries.append(entry)
    return entries


@contextmanager
def _open_locked(folder: Path) -> Iterator[BinaryIO]:
    with (folder / _NAME).open("r+b") as file:
        with suppress(ImportError):  # Windows: two processes with a full disk at a time are rare
            import fcntl  # noqa: PLC0415 - Unix only

            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
