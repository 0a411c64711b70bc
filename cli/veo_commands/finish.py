"""What happens with a finished video: open it, tell the user, run a command."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, ClassVar

from veo.bucket import find_bucket_path
from veo.errors import UsageError
from veo_commands.format import shorten_path
from veo_commands.options import flag, option
from veo_commands.output import option_group, out

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from veo.ledger import Record

_STDERR_FD = 2
_FIELDS = ("path", "sidecar", "job", "provider", "model")


@option_group
class FinishOptions:
    panel: ClassVar[str] = "Run"

    open: bool = flag("Open the video when it is done.")
    notify: bool = flag("Show a desktop notification at the end, or ring the terminal's bell.")
    exec: str | None = option(
        "Run a command for each finished video: 'CMD {path}'; also {sidecar}, {job}, {provider} "
        "and {model}.",
        "'CMD {path}'",
    )

    def check(self) -> None:
        """Raise a UsageError for a command that could not be run later."""
        if self.exec is not None:
            _split_command(self.exec, dict.fromkeys(_FIELDS, ""))

    def handle_video(self, record: Record) -> None:
        """Open a finished video and run the command, if that is wanted."""
        if record.state != "done":
            return
        if self.exec is not None:
            _run_command(self.exec, record)
        if self.open:
            _open_file(record.output)

    def handle_end(self, text: str) -> None:
        """Notify the user that the command has ended, if that is wanted."""
        if self.notify:
            _notify(text)


def write_takes_sheet(records: Iterable[Record]) -> None:
    """Write a contact sheet with a numbered image of each take, beside the videos."""
    from veo.files.contact_sheet import write_sheet

    videos = [record.path for record in records if record.state == "done"]
    if len(videos) > 1 and (sheet := write_sheet(videos)):
        out.info(f"all takes: {shorten_path(str(sheet))}", dim=True)


def _run_command(template: str, record: Record) -> None:
    from veo.files.sidecar import sidecar_path

    values = {
        "path": record.output,
        "sidecar": str(sidecar_path(record.path)),
        "job": record.id,
        "provider": record.provider,
        "model": record.model,
    }
    command = _split_command(template, values)
    try:
        # Its output is a message: stdout belongs to the results.
        done = subprocess.run(command, stdout=_STDERR_FD, check=False)  # noqa: S603 - the user's own
    except OSError as error:
        out.warn(f"--exec: cannot run {command[0]}: {error.strerror or error}")
        return
    if done.returncode:
        out.warn(f"--exec: {command[0]} ended with exit code {done.returncode}")


def _split_command(template: str, values: dict[str, str]) -> list[str]:
    """Return the words of a command; no shell sees the values, which may hold any character."""
    try:
        words = [word.format(**values) for word in shlex.split(template)]
    except (KeyError, IndexError, ValueError) as error:
        known = ", ".join(f"{{{name}}}" for name in _FIELDS)
        raise UsageError(
            f"--exec: the command cannot be read ({error})", hint=f"Names in braces: {known}."
        ) from None
    if not words:
        raise UsageError("--exec: the command is empty")
    return words


def _open_file(path: str) -> None:
    if find_bucket_path(path):
        out.warn(f"--open: {path} is in a bucket, not on this machine")
        return
    if sys.platform == "win32":
        os.startfile(path)  # noqa: S606 - the program that the user has chosen for videos
        return
    if not _start_first([["open", path], ["xdg-open", path]]):
        out.warn(f"--open: no program found to open {path}")


def _notify(text: str) -> None:
    script = f'display notification "{text}" with title "veo"'.replace("\\", "")
    commands = [["notify-send", "veo", text], ["osascript", "-e", script]]
    if not _start_first(commands) and sys.stderr.isatty():
        sys.stderr.write("\a")
        sys.stderr.flush()


def _start_first(commands: Sequence[Sequence[str]]) -> bool:
    """Start the first command that is installed, without waiting; return whether there is one."""
    for command in commands:
        if shutil.which(command[0]):
            subprocess.Popen(  # noqa: S603 - fixed programs; the path is an argument
                command,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C here must not end it
            )
            return True
    return False
