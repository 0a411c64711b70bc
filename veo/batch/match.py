"""What is to be done about an item that a job of the ledger stands for."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from veo.files.output import sha256_of
from veo.ledger import LIVE, State

if TYPE_CHECKING:
    from veo.ledger import Record


class Verdict(Enum):
    """What is to be done about an item."""

    MAKE = "nothing stands for it: it is made"
    KEEP = "it is made, and its file is there"
    CHANGED = "it is made, and its file is there, but with other content"
    FETCH = "it is made, and its file is gone: it may still be at the provider's"
    GONE = "it was made, and its file is gone, here and at the provider's"
    JOIN = "it is being made"
    ASK = "it was sent, and nobody knows whether it was accepted"


def verdict(record: Record | None) -> Verdict:
    """What is to be done about an item.

    Args:
        record: The job that stands for it, as ``Ledger.standing`` found it.
    """
    if record is None or not record.stands:
        return Verdict.MAKE
    if record.state is State.UNKNOWN:
        return Verdict.ASK
    if record.state in LIVE:
        return Verdict.JOIN
    if Path(record.output).is_file():
        return Verdict.KEEP if is_its_own(record) else Verdict.CHANGED
    return Verdict.FETCH if record.state is State.DONE else Verdict.GONE


def is_its_own(record: Record) -> bool:
    """Whether the file under a job's name is the one that the job made.

    A file of the right size that was not written to since is not read again: a folder of
    thousands of videos would take minutes.
    """
    path = Path(record.output)
    try:
        stat = path.stat()
        if stat.st_size != record.bytes:
            return False
        untouched = record.ended_at is not None and stat.st_mtime <= record.ended_at
        return untouched or sha256_of(path) == record.sha256
    except OSError:
        return False
