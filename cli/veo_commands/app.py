"""The commands, in the order of ``veo --help``."""

from typing import Annotated

import typer

from veo_commands.exit_codes import MEANINGS, USAGE
from veo_commands.framework import LazyGroup

# To add a command, add a line here and commands/NAME.py with a function NAME. The line repeats
# the first line of its docstring, so that `veo --help` imports no command; a test compares them.
COMMANDS = {
    "generate": "Make one video, and print its path.",
    "batch": "Make a video of every item of a file; run it again to continue.",
    "extend": "Continue a video where it ends, and print the path of the whole.",
    "jobs": "List jobs, the newest first.",
    "show": "Show a job, its history, and its money line by line.",
    "resume": "Carry on with jobs that an earlier command left behind.",
    "cancel": "Give up jobs that were never sent, and free the money held for them.",
    "cost": "Tell what was spent; compare it with a provider's own list.",
    "compare": "Send the same request to several providers, and compare results and costs.",
    "models": "List models: what they take, what they cost, when they end.",
    "providers": "List providers: how they bill, and whether their key is set.",
    "doctor": "Check the installation: configuration, ledger, sandbox, keys.",
    "config": "Show the settings in force, and where each comes from.",
    "sandbox": "Serve a stand-in for the services on this machine, until Ctrl-C.",
}

_CODES = "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items())
_EPILOG = f"""\b
Exit codes (of several jobs the highest counts):
{_CODES}

\b
Try it, without a key and without cost:
  veo generate "A lion in the savannah" --sandbox -o lion.mp4
"""


class Commands(LazyGroup):
    table = COMMANDS


app = typer.Typer(
    name="veo",
    cls=Commands,
    help="Veo 3.1 video over interchangeable backends: never paid twice, never lost.",
    epilog=_EPILOG,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        typer.echo(f"veo {version('veo-video')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def veo(
    context: typer.Context,
    _: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Veo 3.1 video over interchangeable backends: never paid twice, never lost."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(USAGE)
