"""Where files are on this machine, their names, and when they are on the disk."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import platformdirs

from veo.bucket import find_bucket_path

_BAD_CHARACTERS = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029<>:"|?*\\]')
_BIDI_CHARACTERS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_DEVICE = re.compile(
    r"con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9\xb9\xb2\xb3]", re.IGNORECASE
)
# Characters of a file name that are kept when something is added to it. At four bytes each they
# leave enough of the 255 bytes that most file systems allow.
_KEPT_CHARACTERS = 50
# Windows has no such module, and only macOS the command.
_fcntl: Any = import_module("fcntl") if os.name == "posix" else None


def ledger_folder(env: Mapping[str, str] = os.environ, *, sandbox: bool = False) -> Path:
    """Return the folder of the ledger: ``$VEO_HOME``, else the platform's user data folder.

    The sandbox has a ledger of its own, for play money, in a folder inside.
    """
    folder = env.get("VEO_HOME")
    home = to_absolute(folder) if folder else platformdirs.user_data_path("veo")
    return home / "sandbox" if sandbox else home


def config_folder(env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of ``config.toml``: ``$VEO_CONFIG_HOME``, else the platform's."""
    folder = env.get("VEO_CONFIG_HOME")
    return to_absolute(folder) if folder else platformdirs.user_config_path("veo")


def to_absolute(path: Path | str) -> Path:
    """Return an absolute path with ``~`` expanded; ``~name`` of an unknown user stays as it is.

    An address in a bucket, such as ``s3://bucket/lion.mp4``, becomes a ``BucketPath``.
    """
    if found := find_bucket_path(path):
        return found
    # `Path.expanduser` raises a RuntimeError for an unknown user.
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111


def find_name_problem(name: str) -> str | None:
    """Return why a file name is not one on every system, or None if it is.

    On Windows some characters are not possible, a name may be that of a device, and a dot or a
    space at the end disappears. Characters that change the direction of text make a name look like
    another one.
    """
    if match := _BAD_CHARACTERS.search(name):
        return f"it contains {match[0]!a}"
    if _BIDI_CHARACTERS.search(name):
        return "it contains a character that changes the direction of text"
    if _DEVICE.fullmatch(name.partition(".")[0].strip()):
        return "it is that of a device on Windows"
    return "it ends with a dot or a space" if name != name.rstrip(" .") else None


def part_path(output: Path, job: str) -> Path:
    """Return the hidden file beside ``output`` that holds a job's bytes until they are complete."""
    return output.with_name(f".{output.name[:_KEPT_CHARACTERS]}.{job}.part")


def alternative_path(output: Path, job: str) -> Path:
    """Return the name of a job's video if another file has the name ``output``."""
    return output.with_name(f"{output.stem[:_KEPT_CHARACTERS]}.{job}{output.suffix}")


def sync_to_disk(handle: int) -> None:
    """Return when the bytes of a file survive a power failure.

    On macOS ``fsync`` leaves them in the cache of the drive (``man 2 fsync``).
    """
    command = getattr(_fcntl, "F_FULLFSYNC", None)
    if command is not None:
        with suppress(OSError):  # network drives and others do not have it
            _fcntl.fcntl(handle, command)
            return
    os.fsync(handle)
