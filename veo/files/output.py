"""Videos on disk: they are downloaded to part files, checked, and only then given their names."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veo.bucket import BucketPath
from veo.bucket_store import BucketError
from veo.errors import DownloadError, OutputError, VeoError, os_errors
from veo.files.mp4 import inspect_video
from veo.paths import alternative_path, find_name_problem, part_path, sync_to_disk, to_absolute
from veo.problems import Remedy
from veo.text.parsing import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from veo.files.mp4 import Footage
    from veo.provider import ByteStream

# Names that promise another kind of file than the MP4 that is written.
_OTHER_SUFFIXES = {
    *(".mov", ".avi", ".webm", ".mkv", ".wmv", ".flv", ".gif", ".png", ".jpg", ".jpeg", ".webp"),
    *(".mp3", ".wav", ".json", ".txt", ".html"),
}
_VIDEO_SUFFIXES = {".mp4", ".m4v"}
# Larger writes took up to eight times as much CPU time per byte (measured on Linux 6.18, ext4).
WRITE_BYTES = 1 << 16
# Longer than any video: the longest that a model makes, 148 s, has 1 GB at 54 Mbit/s.
MAX_VIDEO_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A complete file. ``path`` differs from the requested one if that was taken."""

    path: Path
    bytes: int
    sha256: str
    footage: Footage  # what the file contains


def size_on_disk(path: Path) -> int:
    """Return the size of a file in bytes, 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def write_stream(
    stream: ByteStream, part: Path, on_progress: Callable[[int, int | None], None]
) -> None:
    """Write a stream to the part file from the stream's offset on, and close the stream.

    Older bytes after the offset are dropped. ``on_progress`` gets the bytes so far and the total,
    if known.

    Raises:
        ResponseLostError: The connection broke. The bytes received so far are kept.
        DownloadError: The server sent fewer or more bytes than announced, or more than any video
            has; the stream starts after the end of the part file; or the disk is full.
    """
    limit = MAX_VIDEO_BYTES if stream.total is None else stream.total
    with contextlib.closing(stream), disk_errors(part):
        if limit > MAX_VIDEO_BYTES:
            raise _too_large_error(limit)
        if stream.offset > (size := size_on_disk(part)):
            raise DownloadError(f"the response starts at byte {stream.offset} instead of {size}")
        mode = "r+b" if stream.offset else "wb"
        with part.open(mode) as file:
            count = file.seek(stream.offset)
            file.truncate()
            for chunk in stream.chunks:
                for piece in _split_chunk(chunk):
                    file.write(piece)
                count += len(chunk)
                on_progress(count, stream.total)
                if count > limit:  # an endless stream must not fill the disk
                    break
        if count > limit:
            part.unlink()
    if stream.total is None and count > limit:
        raise _too_large_error(count)
    if stream.total is not None and count != stream.total:
        raise DownloadError(f"{count} of {stream.total} bytes were received")


def _too_large_error(count: int) -> DownloadError:
    text = f"the file has {count} bytes or more, and a video at most {MAX_VIDEO_BYTES}"
    return DownloadError(text, retryable=False)


def _split_chunk(chunk: bytes) -> Iterator[memoryview]:
    view = memoryview(chunk)
    return (view[start : start + WRITE_BYTES] for start in range(0, len(view), WRITE_BYTES))


def verify_part(part: Path) -> SavedFile:
    """Flush a part file and return its hash; raise a DownloadError unless it is a complete MP4."""
    with disk_errors(part):
        with part.open("r+b") as file:
            footage = inspect_video(file)
            sync_to_disk(file.fileno())
        if footage.defect:
            part.unlink()
            text = f"the downloaded file is not a complete MP4: {footage.defect}"
            raise DownloadError(text)
        return SavedFile(part, part.stat().st_size, hash_file(part), footage)


def publish_part(part: Path, output: Path, job: str, *, force: bool) -> Path:
    """Rename a checked part file to its output in one step, and return its path.

    A part file of an output in a bucket is uploaded, and stays. Without ``force`` a file that has
    appeared under that name is not replaced. The video is then saved under a name with the job's
    id, because it has been paid for.
    """
    with disk_errors(output):
        if isinstance(output, BucketPath):
            return _upload_part(part, output, job, force=force)
        path = _move_part(part, output, job, force=force)
        _sync_folder(path.parent)
    return path


def hash_file(path: Path) -> str:
    if isinstance(path, BucketPath) and (digest := path.read_sha256()):
        return digest
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_taken(path: Path) -> bool:
    """Return whether a name is in use, also by a link that leads nowhere."""
    return path.exists() if isinstance(path, BucketPath) else os.path.lexists(path)


def choose_output(output: Path | str | None, folder: Path, name: str) -> Path:
    """Return the absolute path of a video.

    Args:
        output: A file; a folder, if it exists or the text ends with a slash; None for ``folder``.
            A name without the suffix of a file type gets ``.mp4``.
        folder: The folder of videos without a path of their own.
        name: The name of a video that has none.

    Raises:
        OutputError: The output is ``-``, or a device or a pipe: a video appears whole, by renaming.
    """
    if output is None:
        return to_absolute(folder / name)
    path = to_absolute(output)
    if is_folder(output):
        return path / name
    is_other = not isinstance(path, BucketPath) and path.exists() and not path.is_file()
    if is_other or str(output) == "-":
        raise OutputError(f"{output} is not a file", hint="Name a file, such as lion.mp4.")
    is_named = path.suffix.lower() in _VIDEO_SUFFIXES | _OTHER_SUFFIXES
    return path if is_named else path.with_name(f"{path.name}.mp4")


def is_folder(output: Path | str) -> bool:
    """Return whether an output is a folder: it exists, or its text ends with a slash."""
    # Unlike `Path.is_dir`, this raises nothing for a name that is too long.
    return str(output).endswith(("/", os.sep)) or os.path.isdir(to_absolute(output))  # noqa: PTH112


def prepare_output(output: Path, *, force: bool) -> None:
    """Raise an OutputError, before anything is paid, if a file cannot be written."""
    check_name(output)
    is_remote = isinstance(output, BucketPath)
    if is_remote:  # first, because the error of a write tells more than that of a question
        prepare_folder(output.parent)
    with os_errors(OutputError, f"cannot write to {output.parent}"):
        if output.is_dir():
            raise OutputError(f"{output} is a folder", hint="Give the name of a file.")
        if output.suffix.lower() in _OTHER_SUFFIXES:
            raise OutputError(
                f"{output.name}: videos are MP4 files, whatever they are called",
                hint=f"Use the name {output.stem}.mp4.",
            )
        if not force and output.exists():
            raise OutputError(f"{output} already exists", remedies=[Remedy("overwrite")])
    if not is_remote:
        prepare_folder(output.parent)


def check_name(path: Path, parts: int = 1) -> None:
    """Raise an OutputError if a path cannot be stored, or its name means something else somewhere.

    Args:
        path: The path of an output.
        parts: How many of its last parts are new names: those of a batch may be a stranger's.
    """
    for part in path.parts[-parts:] if parts else ():
        if problem := find_name_problem(part):
            raise OutputError(
                f"{ascii(part)[1:-1]} is not a valid file name: {problem}",
                hint="Choose a name that works on every system.",
            )
    if not is_text(str(path)):
        raise OutputError(
            f"{ascii(str(path))[1:-1]} contains bytes that are not UTF-8",
            hint="Choose another file with -o, or rename the folder.",
        )


def prepare_folder(folder: Path) -> None:
    """Create a folder if necessary; raise an OutputError if files cannot be written to it."""
    if isinstance(folder, BucketPath):
        folder.check_writable()
        return
    # Only a real write shows it: permissions, quotas and read-only mounts all matter.
    probe = part_path(folder / "veo", str(os.getpid()))
    with os_errors(OutputError, f"cannot write to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)


def _move_part(part: Path, output: Path, job: str, *, force: bool) -> Path:
    if force:
        part.replace(output)
        return output
    try:
        # Unlike a rename, a link fails if the name is taken, so it can never overwrite a file.
        os.link(part, output)
    except OSError:  # the name is taken, or the file system does not support hard links
        free = alternative_path(output, job) if os.path.lexists(output) else output
        part.replace(free)
        return free
    with contextlib.suppress(OSError):  # on Windows, while a virus scanner reads it
        part.unlink()
    return output


def _upload_part(part: Path, output: BucketPath, job: str, *, force: bool) -> Path:
    sha256 = hash_file(part)
    try:
        output.upload(part, sha256, overwrite=force)
    except FileExistsError:
        free = output.with_name(alternative_path(output, job).name)
        free.upload(part, sha256, overwrite=False)
        return free
    return output


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system can flush a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the system about a video's file into a DownloadError."""
    try:
        yield
    except VeoError:  # which can be an error of the system, too
        raise
    except OSError as error:
        hint = error.hint if isinstance(error, BucketError) else None
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = "Free some space there, then resume the job."
        text = f"cannot write {path.parent}: {error.strerror or error}"
        raise DownloadError(text, hint=hint, retryable=False) from error
