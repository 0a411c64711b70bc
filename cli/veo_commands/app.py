"""The commands, in the order of ``veo --help``."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from veo_commands.environment import VARIABLES
from veo_commands.exit_codes import MEANINGS, USAGE
from veo_commands.framework import LightParameters, load_command

# To add a command, add a line here and commands/NAME.py with a function NAME and EXAMPLES, which a
# test runs in one folder, in this order, so that one may use the results of those before it. The
# line repeats the first line of its docstring, so that `veo --help` imports no command; a test
# compares them. Lines of more than 65 characters do not fit the help page.
COMMANDS = {
    "generate": "Make one video, and print its path.",
    "batch": "Make a video of every item of a file; run it again to continue.",
    "extend": "Continue a video where it ends, and print the path.",
    "edit": "Change a video with words, and print the path of the new one.",
    "jobs": "List jobs, newest first.",
    "show": "Show a job with its history and charges.",
    "resume": "Continue unfinished jobs of earlier commands.",
    "cancel": "Cancel jobs that were never sent, and release their money.",
    "cost": "Show what was spent, or reconcile it with a list of charges.",
    "compare": "Send one request to several providers, and compare the results.",
    "models": "List models with their limits and prices.",
    "providers": "List providers, how they bill, and whether a key is set.",
    "doctor": "Check configuration, ledger, disk, clock, sandbox and keys.",
    "setup": "Choose a provider, check its key, and write a veo.toml.",
    "config": "Show the settings in effect, and where each one comes from.",
    "worker": "Work on the jobs of a ledger on Postgres, beside other workers.",
    "workers": "Show the workers of a ledger on Postgres, and the backlog.",
    "schema": "Print the JSON Schema of a file, for editors and programs.",
    "sandbox": "Run a local server that imitates the providers, until Ctrl-C.",
}

_MAX_HELP_WIDTH = 140  # as wide as the terminal, up to what the eye still follows
# Other names that people try first. ``status`` of a job is ``show``.
_ALIASES = {"ls": "jobs", "list": "jobs", "status": "jobs", "history": "jobs", "create": "generate"}

_CODES = "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items())
_VARIABLES = "\n".join(f"  {name:<19}{meaning}" for name, meaning in VARIABLES.items())
_EPILOG = f"""\b
`veo COMMAND --help` lists the options of a command, with examples.

\b
Try it without a key and at no cost:
  veo generate "A lion in the savannah" --sandbox -o lion.mp4

\b
Environment variables (options override them, and they override veo.toml):
{_VARIABLES}

\b
Exit codes (for several jobs, the highest one):
{_CODES}
"""


class Commands(LightParameters, TyperGroup):
    """A group that imports a command when it is called."""

    def __init__(self, **settings: Any) -> None:
        # The help page, completion and suggestions need no more than names and one-line help.
        placeholders = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}
        super().__init__(**settings | {"commands": placeholders})

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Replace the placeholder by the real command, for a call as for its completion."""
        if args == ["help"]:
            typer.echo(ctx.get_help())
            raise typer.Exit
        name, command, rest = super().resolve_command(ctx, _replace_alias(args))
        return name, load_command(name) if name and command else None, rest

    def format_commands(self, _: Any, formatter: Any) -> None:
        """Write the whole summary of each command; Typer would cut it in a narrow window."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _replace_alias(args: list[str]) -> list[str]:
    first, *rest = args
    if first == "help":  # `veo help jobs` is `veo jobs --help`
        return [rest[0], "--help"] if rest else args
    if first == "status" and any(not each.startswith("-") for each in rest):
        return ["show", *rest]
    return [_ALIASES.get(first, first), *rest]


app = typer.Typer(
    name="veo",
    cls=Commands,
    epilog=_EPILOG,
    rich_markup_mode=None,  # rich would be imported for every help page
    pretty_exceptions_enable=False,  # entry_point.py turns exceptions into messages
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _MAX_HELP_WIDTH},
)


def _show_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        typer.echo(f"veo {version('veo-video')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def veo(
    context: typer.Context,
    _: bool = typer.Option(
        False,
        "--version",
        "-V",
        callback=_show_version,
        is_eager=True,
        help="Print the version and exit.",
    ),
) -> None:
    """Make videos with Veo 3.1 and Gemini Omni, over interchangeable providers."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(USAGE)
