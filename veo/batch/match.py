"""Which action an item needs, given the job that the ledger has for it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from veo.files.output import hash_file
from veo.ledger import LIVE, Record, State

if TYPE_CHECKING:
    from veo.batch.options import BatchOptions


class Action(StrEnum):
    """What a batch does about an item. The values are the ``plan`` of ``--dry-run --json``."""

    MAKE = "make"  # no job has made the video, or may still make it
    SKIP = "keep"  # the video is in place
    KEEP_CHANGED = "changed"  # the video was made, but its file has other content now
    DOWNLOAD = "fetch"  # the file is gone, but the provider may still have the video
    HANDLE_GONE = "gone"  # neither this machine nor the provider has the video any more
    JOIN = "join"  # a job is in progress
    HANDLE_UNKNOWN = "ask"  # the paid request was sent, and its outcome is unknown


def choose_action(record: Record | None) -> Action:
    if record is None or not record.covers_request:
        return Action.MAKE
    if record.state is State.UNKNOWN:
        return Action.HANDLE_UNKNOWN
    if record.state in LIVE:
        return Action.JOIN
    if Path(record.output).is_file():
        return Action.SKIP if is_own_file(record) else Action.KEEP_CHANGED
    return Action.DOWNLOAD if record.state is State.DONE else Action.HANDLE_GONE


def paying_actions(options: BatchOptions) -> set[Action]:
    actions = {Action.MAKE}
    if options.remake:
        actions.add(Action.HANDLE_GONE)
    if options.resubmit_unknown:
        actions.add(Action.HANDLE_UNKNOWN)
    return actions


def is_own_file(record: Record) -> bool:
    """Return whether the output file of a job still holds what the job downloaded."""
    path = Path(record.output)
    try:
        stat = path.stat()
        if stat.st_size != record.bytes:
            return False
        # Hashing a folder of thousands of videos takes minutes, so the modification time decides
        # first: a file that nobody wrote to since the job ended still has its content.
        untouched = record.ended_at is not None and stat.st_mtime <= record.ended_at
        return untouched or hash_file(path) == record.sha256
    except OSError:
        return False
