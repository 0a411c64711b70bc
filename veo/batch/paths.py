"""Where the videos of a batch go: under one folder, each with a name of its own."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from veo.errors import OutputError
from veo.files import sidecar
from veo.paths import absolute
from veo.planning.plan import slug

if TYPE_CHECKING:
    from veo.problems import ItemLocation
    from veo.request import Request

RESULT_FILE = "batch-result.json"
_FINGERPRINT_CHARS = 8


class OutputPaths:
    """Gives out the files of one batch.

    Args:
        folder: All of them are in it or below it.
    """

    def __init__(self, folder: Path) -> None:
        # Symbolic links are followed: the same file has the same name in every run.
        self.folder = Path(os.path.realpath(absolute(folder)))
        self._taken: dict[str, ItemLocation | None] = {_path_key(self.folder / RESULT_FILE): None}
        self._folders: set[str] = {_path_key(self.folder)}
        self._names: Counter[str] = Counter()

    def claim_path(self, name: str, spot: ItemLocation) -> Path:
        """The file that an item asks for.

        Raises:
            OutputError: It is outside the folder, or is another item's.
        """
        real = self._resolve_links(self._join_folder(name))
        files = [_path_key(real), _path_key(sidecar.path_of(real))]
        above = [_path_key(each) for each in real.parents if each.is_relative_to(self.folder)]
        for key in [*files, *above]:
            if key in self._taken:
                raise OutputError(f"{name} collides with {_owner_text(self._taken[key])}")
        if files[0] in self._folders:
            raise OutputError(f"{name} is a folder of other outputs")
        self._taken.update(dict.fromkeys(files, spot))
        self._folders.update(above)
        return real

    def generate_path(self, request: Request, spot: ItemLocation) -> Path:
        """A file for an item that asks for none, the same in every run of the batch.

        It is named after the prompt and all that is asked for; items that ask for the very same
        are numbered in their order. Ask for these names last.
        """
        base = f"{slug(request.prompt)}-{request.fingerprint()[:_FINGERPRINT_CHARS]}"
        while True:
            self._names[base] += 1
            number = self._names[base]
            name = f"{base}-{number}.mp4" if number > 1 else f"{base}.mp4"
            if _path_key(self.folder / name) not in self._taken:
                return self.claim_path(name, spot)

    def _join_folder(self, name: str) -> Path:
        path = Path(name)
        if path.is_absolute() or path.drive or ".." in path.parts:
            raise OutputError(f"{name} is outside the output folder {self.folder}")
        if not path.parts or name.endswith(("/", os.sep)):
            raise OutputError(f"{name} names a folder, not a file")
        return self.folder / path

    def _resolve_links(self, path: Path) -> Path:
        """Where it really is, symbolic links on the way followed."""
        try:
            real = Path(os.path.realpath(path.parent)) / path.name
            folder = path.is_dir()
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror or error}") from error
        if not real.is_relative_to(self.folder):
            raise OutputError(f"{path} leads out of the output folder, to {real}")
        if folder:
            raise OutputError(f"{path} is a folder")
        return real


def _path_key(path: Path) -> str:
    return os.path.normcase(path)


def _owner_text(spot: ItemLocation | None) -> str:
    return f"the output of {spot}" if spot else RESULT_FILE
