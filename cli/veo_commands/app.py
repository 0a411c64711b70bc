"""The verbs, in the order of ``veo --help``."""

from typing import Annotated

import typer

from veo_commands.commands.batch import batch
from veo_commands.commands.cancel import cancel
from veo_commands.commands.compare import compare
from veo_commands.commands.config import config
from veo_commands.commands.cost import cost
from veo_commands.commands.doctor import doctor
from veo_commands.commands.extend import extend
from veo_commands.commands.generate import generate
from veo_commands.commands.jobs import jobs
from veo_commands.commands.models import models
from veo_commands.commands.providers import providers
from veo_commands.commands.resume import resume
from veo_commands.commands.sandbox import sandbox
from veo_commands.commands.show import show
from veo_commands.exit_codes import MEANINGS
from veo_commands.framework import Command, build_callback

_CODES = "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items())
_EPILOG = f"""\b
Exit codes (of several jobs the highest counts):
{_CODES}

\b
Try it, without a key and without cost:
  veo generate "A lion in the savannah" --sandbox -o lion.mp4
"""

app = typer.Typer(
    name="veo",
    help="Veo 3.1 video over interchangeable backends: never paid twice, never lost.",
    epilog=_EPILOG,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"veo {version('veo-video')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def veo(
    context: typer.Context,
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Veo 3.1 video over interchangeable backends: never paid twice, never lost."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


for verb in (
    generate,
    batch,
    extend,
    jobs,
    show,
    resume,
    cancel,
    cost,
    compare,
    models,
    providers,
    doctor,
    config,
    sandbox,
):
    app.command(cls=Command)(build_callback(verb))
