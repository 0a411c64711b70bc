"""The files of a ledger on SQLite: whether they are still there, and who holds the write lock."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from veo.errors import LedgerError

_SUFFIXES = ("", "-wal", "-shm")  # of SQLite: the database, its log, and the index of the log
# The byte of the index that SQLite locks for writing (wal.c: WAL_WRITE_LOCK, os_unix.c: the locks
# begin at byte 120).
_WRITE_LOCK_BYTE = 120
_LOCKS = Path("/proc/locks")  # Linux only


def marker_path(path: Path) -> Path:
    """Return the file that says that a ledger was made beside it."""
    return path.with_name(f"{path.name}.made")


def check_present(path: Path) -> None:
    """Raise a LedgerError if a ledger was deleted or emptied: a new one would hide its jobs."""
    marker = marker_path(path)
    if marker.exists() and read_identity(path) is None:
        raise LedgerError(
            f"the ledger {path} is {'empty' if path.exists() else 'gone'}, though it was there "
            "before: its jobs may have cost money",
            hint=f"Restore it from a backup. To begin a new one, delete {marker}.",
        )


def mark_present(path: Path) -> None:
    """Leave the marker; it is made once, and says when."""
    with suppress(OSError):  # a folder that cannot be written is reported when it matters
        marker = marker_path(path)
        if not marker.exists():
            marker.write_text(f"{time.time():.0f}\n")
            marker.chmod(0o600)


def read_identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name; None if it is gone or empty."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_dev, stat.st_ino) if stat.st_size else None


def read_only_query(path: Path) -> dict[str, str]:
    """Return the query of the URI of a ledger that this process cannot write; empty if it can.

    SQLite looks for changes in the log with an index, a file that it makes if there is none.
    Without changes it needs no index, if it is told that no process writes the ledger.

    Raises:
        LedgerError: There are changes in the log, and no index of them.
    """
    if not path.exists() or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return {}
    log, index = (path.with_name(f"{path.name}{suffix}") for suffix in _SUFFIXES[1:])
    if log.exists() and index.exists():  # perhaps of a process that writes it now
        return {"uri": "true", "mode": "ro"}
    if log.exists() and log.stat().st_size:
        raise LedgerError(
            f"cannot read the ledger {path}: changes in {log.name} are not part of it yet, and "
            "its folder cannot be written",
            hint="Copy the folder to one that can be written, and set VEO_HOME to the copy.",
        )
    return {"uri": "true", "immutable": "1"}


def set_aside(path: Path) -> Path:
    """Rename a damaged ledger, so that a new one can begin; return its new name.

    Nothing is deleted: money and tasks can be read from it with SQLite's own tools.
    """
    name = f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    for suffix in _SUFFIXES:
        file = path.with_name(f"{path.name}{suffix}")
        if file.exists():
            file.rename(path.with_name(f"{name}{suffix}"))
    marker_path(path).unlink(missing_ok=True)
    return path.with_name(name)


def describe_holder(path: Path) -> str | None:
    """Return which process holds the write lock, as ``process 12 (veo, stopped)``, if it is known.

    The locks are read from the system: to open the file and ask would release our own locks.
    """
    try:
        inode = path.with_name(f"{path.name}-shm").stat().st_ino
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        # "1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 120 120"; waiting locks have "->" before.
        words = line.split()
        if "->" in words or words[3] != "WRITE" or words[5].rpartition(":")[2] != str(inode):
            continue
        if int(words[6]) <= _WRITE_LOCK_BYTE and words[7] in {"EOF", str(_WRITE_LOCK_BYTE)}:
            return _describe_process(int(words[4]))
    return None


def _describe_process(pid: int) -> str:
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return f"process {pid}"
    state = ", stopped" if rest.split()[0] in {"T", "t"} else ""
    own = ", this one" if pid == os.getpid() else ""
    return f"process {pid} ({name}{state}{own})"
