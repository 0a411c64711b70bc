"""The command's first and last line: every error becomes a message and an exit code here."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn

from veo_commands import exit_codes
from veo_commands.output import OutputOptions, out

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENDINGS = ("SIGTERM", "SIGHUP")  # what ends a process from outside ends it like Ctrl-C


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line.

    Args:
        args: What follows the command's name; ``sys.argv`` by default.

    Raises:
        SystemExit: Always, with the exit code that ``veo --help`` documents.
    """
    _end_gently()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what an old encoding cannot print is no error
            stream.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:] if args is None else list(args))
    try:
        sys.stdout.flush()
    except OSError:  # said already; the interpreter would say it again
        out.broken_pipe()
    sys.exit(code)


def run(args: list[str]) -> int:
    """Run one command, and return its exit code."""
    # Until the options are read, which may fail, only a look at them tells how to say so.
    out.options = OutputOptions(json="--json" in args, debug="--debug" in args)
    try:
        from veo_commands.app import app

        code = app(args, prog_name="veo", standalone_mode=False) or 0
        sys.stdout.flush()
    except BrokenPipeError:
        return out.broken_pipe()
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, a person gets a line and a code
        return report_failure(error)
    return int(code)


def report_failure(error: Exception) -> int:
    """Say what went wrong where no job can; returns the exit code."""
    from veo.errors import VeoError

    known = error if isinstance(error, VeoError) else _named(error)
    if out.options.debug:
        import traceback

        out.notice("".join(traceback.format_exception(error)))
    out.print_error(known)
    with suppress(OSError):
        out.print_result({"job": None, "error": known.to_public_json()}, None)
    return known.exit_code


def _named(error: Exception) -> Any:
    """An error from outside the library as one of its own."""
    from veo.errors import OutputError, UsageError, VeoError

    if hasattr(error, "format_message"):  # of Typer: the command line cannot be read
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "veo"
        return UsageError(error.format_message(), hint=f"`{path} --help` shows how.")
    if isinstance(error, OSError):
        return OutputError(f"{error.filename or 'the output'}: {error.strerror or error}")
    return VeoError(
        f"a bug in veo: {type(error).__name__}: {error}",
        hint=f"Jobs are safe: {out.command('jobs')} lists them. --debug shows where it happened.",
        charged=None,
    )


def _end_gently() -> None:
    for name in _ENDINGS:
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has it ignored
            signal.signal(number, signal.default_int_handler)
