"""From a remote video to a file: whole or not there at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veo.errors import DownloadError, OutputError
from veo.files.mp4 import find_defect
from veo.paths import alternative_path, part_path
from veo.problems import Remedy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from veo.provider import ByteStream

WRITE_BYTES = 1 << 16  # larger writes took up to eight times the CPU a byte (Linux 6.18, ext4)


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file that is on disk, whole. ``path`` is not the one asked for if that was taken."""

    path: Path
    bytes: int
    sha256: str


def size_on_disk(part: Path) -> int:
    """How many bytes an earlier try left behind."""
    try:
        return part.stat().st_size
    except OSError:
        return 0


def write_stream(stream: ByteStream, part: Path, told: Callable[[int, int | None], None]) -> None:
    """Write a stream to the part file, at the stream's offset; what was beyond it is dropped.

    Args:
        stream: The bytes; closed in the end.
        part: The file; what an earlier try wrote before the offset stays.
        told: Called with the bytes there are and the bytes there will be, as they come.

    Raises:
        AnswerLostError: The connection broke; the bytes so far are kept.
        DownloadError: Fewer or more bytes came than the server announced, they do not follow on
            what is there, or the disk is full.
    """
    with contextlib.closing(stream), _disk_errors(part):
        if stream.offset > (kept := size_on_disk(part)):
            raise DownloadError(f"the bytes that came begin at {stream.offset}, not at {kept}")
        mode = "r+b" if stream.offset else "wb"
        with part.open(mode) as file:
            count = file.seek(stream.offset)
            file.truncate()
            for chunk in stream.chunks:
                for piece in _split_chunk(chunk):
                    file.write(piece)
                count += len(chunk)
                told(count, stream.total)
    if stream.total is not None and count != stream.total:
        if count > stream.total:
            part.unlink()
        raise DownloadError(f"{count} of {stream.total} bytes arrived")


def _split_chunk(chunk: bytes) -> Iterator[memoryview]:
    view = memoryview(chunk)
    return (view[start : start + WRITE_BYTES] for start in range(0, len(view), WRITE_BYTES))


def verify_part(part: Path) -> SavedFile:
    """Follow a part file to its last byte, hash it, and make it durable.

    Raises:
        DownloadError: It is no whole MP4 (it is removed then), or the disk is full.
    """
    with _disk_errors(part):
        with part.open("r+b") as file:
            fault = find_defect(file)
            os.fsync(file.fileno())
        if fault:
            part.unlink()
            raise DownloadError(f"the file that came is no whole MP4: {fault}")
        return SavedFile(part, part.stat().st_size, hash_file(part))


def publish_part(part: Path, output: Path, job: str, *, force: bool) -> Path:
    """Give a checked part file its name, in one step.

    A file that appeared under the name meanwhile is not replaced without ``force``: the video
    then gets the job's id into its name. It has been paid for, so it is saved in any case.

    Raises:
        DownloadError: The folder cannot be written.
    """
    with _disk_errors(part):
        path = _move_part(part, output, job, force=force)
        _sync_folder(path.parent)
    return path


def hash_file(path: Path) -> str:
    """The sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prepare_output(output: Path, *, force: bool) -> None:
    """Make sure, before anything is paid, that a file can be written there.

    Raises:
        OutputError: It is there already, is a folder, or the folder cannot be written.
    """
    with _output_errors(output.parent):
        if output.is_dir():
            raise OutputError(f"{output} is a folder", hint="Name a file in it.")
        if output.exists() and not force:
            raise OutputError(f"{output} is there already", remedies=[Remedy("overwrite")])
    prepare_folder(output.parent)


def prepare_folder(folder: Path) -> None:
    """Make sure that a folder is there and can be written.

    Raises:
        OutputError: It cannot.
    """
    probe = part_path(folder / "veo", str(os.getpid()))
    with _output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)


@contextlib.contextmanager
def _output_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error


def _move_part(part: Path, output: Path, job: str, *, force: bool) -> Path:
    if force:
        part.replace(output)
        return output
    try:
        os.link(part, output)
    except OSError:  # the name is taken, or the file system has no hard links
        free = alternative_path(output, job) if os.path.lexists(output) else output
        part.replace(free)
        return free
    part.unlink()
    return output


def _sync_folder(folder: Path) -> None:
    """Make a new name durable, where the system can: the file itself is."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise DownloadError(
            f"cannot write {path.parent}: {error.strerror or error}",
            hint="Free some space there, then resume the job." if full else None,
            retryable=False,
        ) from error
