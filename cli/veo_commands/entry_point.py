"""Run the command line, and turn every error into a message and an exit code."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn

from typer import Abort

from veo.errors import OutputError, UsageError, VeoError
from veo_commands import exit_codes
from veo_commands.output import OutputOptions, discard_rest, out


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, and exit with one of the codes that ``veo --help`` lists."""
    _replace_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A prompt may contain characters that the terminal's encoding does not have.
            stream.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:] if args is None else list(args))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # ``run`` has reported it already, or nobody reads stderr
            discard_rest(stream)
    # The interpreter collects garbage several times at its end: a third of a second after a batch
    # of a thousand jobs. What is left is only memory.
    gc.freeze()
    sys.exit(code)


def _replace_closed_streams() -> None:
    """Give the streams that are closed at the start, as with ``>&-``, a file that takes all."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for good


def run(args: list[str]) -> int:
    # The mode is needed to report an error in the options themselves, before Typer has read them.
    out.options = OutputOptions(json="--json" in args, quiet=False, debug="--debug" in args)
    # Of the image library; what they say is in our own errors, or of no use to users.
    warnings.filterwarnings("ignore", module=r"PIL\b")
    try:
        from veo_commands.app import app

        code = app(args, prog_name="veo", standalone_mode=False) or 0
        sys.stdout.flush()
    except BrokenPipeError:
        return out.broken_pipe()
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except Abort:  # Ctrl-C or Ctrl-D at a question
        out.notice("\ninterrupted", fg="yellow")
        return exit_codes.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a user sees a message, never a traceback
        return report_failure(error)
    return int(code)


def report_failure(error: Exception) -> int:
    """Print an error that is not the error of a job, and return its exit code."""
    known = error if isinstance(error, VeoError) else _convert_error(error)
    if out.options.debug:
        import traceback

        out.notice("".join(traceback.format_exception(error)))
    out.print_error(known)
    with suppress(OSError):  # the error may be that stdout cannot be written
        out.print_result({"job": None, "error": known.to_public_json()}, None)
    return known.exit_code


def _convert_error(error: Exception) -> VeoError:
    if hasattr(error, "format_message"):  # Typer cannot parse the arguments
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "veo"
        text = error.format_message().replace("Input should be", "must be")  # pydantic's words
        return UsageError(text, hint=f"See `{path} --help`.")
    if isinstance(error, OSError):
        return OutputError(
            f"cannot write {error.filename or 'the output'}: {error.strerror or error}"
        )
    return VeoError(
        f"this is a bug in veo: {type(error).__name__}: {error}",
        hint=f"No job is lost: {out.command('jobs')} lists them. --debug prints a traceback.",
        charged=None,
    )
