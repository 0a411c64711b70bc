"""Output paths of a batch: all in one folder, each for one item."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from veo.bucket import BucketPath
from veo.errors import OutputError, os_errors
from veo.files import sidecar
from veo.files.output import check_name
from veo.paths import to_absolute
from veo.planning.plan import make_slug

if TYPE_CHECKING:
    from veo.problems import ItemLocation
    from veo.request import Request

RESULT_FILE = "batch-result.json"
_FINGERPRINT_CHARS = 8


class OutputPaths:
    """Assigns the output paths of one batch, in a folder or in its subfolders."""

    def __init__(self, folder: Path) -> None:
        # Symbolic links are resolved, so that a file has the same path in every run.
        self.folder = _resolve(to_absolute(folder))
        check_name(self.folder, 0)
        self._taken: dict[str, ItemLocation | None] = {_path_key(self.folder / RESULT_FILE): None}
        self._folders: set[str] = {_path_key(self.folder)}
        self._names: Counter[str] = Counter()
        self._resolve = cache(_resolve)  # thousands of items share a few folders

    def claim_path(self, name: str, location: ItemLocation) -> Path:
        """Assign the path that an item asks for; raise an OutputError if it is outside or taken."""
        path = self._resolve_links(self._join_folder(name))
        depth = len(path.relative_to(self.folder).parts)
        check_name(path, depth)
        files = [_path_key(path), _path_key(sidecar.sidecar_path(path))]
        parents = [_path_key(parent) for parent in path.parents[:depth]]  # up to the folder itself
        for key in [*files, *parents]:
            if key in self._taken:
                owner = self._taken[key]
                text = f"the output of {owner}" if owner else RESULT_FILE
                raise OutputError(f"{name} collides with {text}")
        if files[0] in self._folders:
            raise OutputError(f"{name} is a folder of other outputs")
        self._taken.update(dict.fromkeys(files, location))
        self._folders.update(parents)
        return path

    def generate_path(self, request: Request, location: ItemLocation) -> Path:
        """Assign a path to an item that asks for none; it is the same in every run.

        The name is made of the prompt and a hash of the request. Items with equal requests are
        numbered in their order. Call this after all ``claim_path`` calls.
        """
        base = f"{make_slug(request.prompt)}-{request.fingerprint()[:_FINGERPRINT_CHARS]}"
        while True:
            self._names[base] += 1
            number = self._names[base]
            name = f"{base}-{number}.mp4" if number > 1 else f"{base}.mp4"
            if _path_key(self.folder / name) not in self._taken:
                return self.claim_path(name, location)

    def _join_folder(self, name: str) -> Path:
        path = Path(name)
        if path.is_absolute() or path.drive or ".." in path.parts:
            raise OutputError(f"{name} is outside the output folder {self.folder}")
        if not path.parts or name.endswith(("/", os.sep)):
            raise OutputError(f"{name} names a folder, not a file")
        return self.folder / path

    def _resolve_links(self, path: Path) -> Path:
        with os_errors(OutputError, path):
            # The last part stays: a link in the place of the output is replaced, not followed.
            resolved = self._resolve(path.parent) / path.name
            is_folder = path.is_dir()
        if not resolved.is_relative_to(self.folder):
            raise OutputError(f"{path} leads out of the output folder, to {resolved}")
        if is_folder:
            raise OutputError(f"{path} is a folder")
        return resolved


def _resolve(folder: Path) -> Path:
    return folder if isinstance(folder, BucketPath) else Path(os.path.realpath(folder))


def _path_key(path: Path) -> str:
    # macOS and Windows ignore case, macOS also how an accent is written: a batch that is valid on
    # one system must not lose a video on another.
    return unicodedata.normalize("NFC", os.path.normcase(path).casefold())
