"""What is to be done about an item that a job of the ledger stands for."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from veo.files.output import sha256_of
from veo.ledger import LIVE, State

if TYPE_CHECKING:
    from veo.ledger import Record


class Action(Enum):
    """What is to be done about an item."""

    MAKE = "nothing stands for it: it is made"
    KEEP = "it is made, and its file is there"
    CHANGED = "it is made, and its file is there, but with other content"
    FETCH = "it is made, and its file is gone: it may still be at the provider's"
    GONE = "it was made, and its file is gone, here and at the provider's"
    JOIN = "it is being made"
    ASK = "it was sent, and nobody knows whether it was accepted"


def choose_action(record: Record | None) -> Action:
    """What is to be done about an item.

    Args:
        record: The job that stands for it, as ``Ledger.standing`` found it.
    """
    if record is None or not record.covers_request:
        return Action.MAKE
    if record.state is State.UNKNOWN:
        return Action.ASK
    if record.state in LIVE:
        return Action.JOIN
    if Path(record.output).is_file():
        return Action.KEEP if is_own_file(record) else Action.CHANGED
    return Action.FETCH if record.state is State.DONE else Action.GONE


def is_own_file(record: Record) -> bool:
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
