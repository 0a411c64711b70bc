"""Choose the action that an item needs, from the job that the ledger has for it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from veo.files.output import hash_file
from veo.ledger import LIVE, Record, State

if TYPE_CHECKING:
    from veo.batch.options import BatchOptions


class Action(StrEnum):
    """What a batch does about an item. The values are the ``plan`` of ``--dry-run --json``."""

    MAKE = "make"  # no job has made the video, or may still make it
    KEEP = "keep"  # the video is in place
    CHANGED = "changed"  # the video was made, but its file has other content now
    FETCH = "fetch"  # the file is gone, but the provider may still have the video
    GONE = "gone"  # the provider did not have the video when it was last asked
    PAID = "paid"  # the job failed after it was, or may have been, charged
    JOIN = "join"  # a job is in progress
    ASK = "ask"  # the paid request was sent, and its outcome is unknown


def choose_action(record: Record | None) -> Action:
    if record is None or not record.covers_request:
        return Action.MAKE
    if record.state is State.UNKNOWN:
        return Action.ASK
    if record.state in LIVE:
        return Action.GONE if record.is_missing else Action.JOIN
    if record.state is State.FAILED:
        return Action.PAID
    if record.path.is_file():
        return Action.KEEP if is_own_file(record) else Action.CHANGED
    return Action.FETCH if record.state is State.DONE else Action.GONE


def paying_actions(options: BatchOptions) -> set[Action]:
    actions = {Action.MAKE}
    if options.remake:
        actions |= {Action.GONE, Action.PAID}
    if options.resubmit_unknown:
        actions.add(Action.ASK)
    return actions


def is_own_file(record: Record) -> bool:
    """Return whether the output file of a job still holds what the job downloaded."""
    path = record.path
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
