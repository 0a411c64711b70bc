"""``veo generate``: one video."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veo_commands.commands import plan_output as plans
from veo_commands.options import ConfigOptions, RequestOptions, SubmitOptions
from veo_commands.progress.follow import follow_jobs
from veo_commands.session import open_client

if TYPE_CHECKING:
    from collections.abc import Iterable


def generate(
    prompt: Annotated[
        str,
        typer.Argument(help="What the video shows; - reads it from stdin.", metavar="PROMPT"),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to make; named after prompt and job when not given.",
            metavar="FILE",
            rich_help_panel="Request",
        ),
    ] = None,
    *,
    asked: RequestOptions,
    run: SubmitOptions,
    place: ConfigOptions,
) -> int:
    """Make one video, and print its path."""
    with open_client(place, asked, run) as client:
        request = asked.build_request(sys.stdin.read().strip() if prompt == "-" else prompt)
        plan = client.plan(request)
        if run.dry_run:
            return plans.print_plan(plan)
        if run.detach:
            check_detachable([client.config.provider])
        plans.announce_plan(plan)
        job = client.submit(request, output=output, force=run.force)
        return follow_jobs(client, [job], detach=run.detach)


def check_detachable(providers: "Iterable[str]") -> None:
    """Make sure that jobs of some providers can go on without this process.

    Raises:
        UsageError: One makes the video within the paid call.
    """
    from veo.errors import UsageError
    from veo.provider import installed_providers

    others = [name for name, cls in installed_providers().items() if cls.facts.tasks]
    for name in sorted(set(providers) - set(others)):
        raise UsageError(
            f"--detach: {name} makes the video within the call: nobody may leave",
            hint=f"Possible with: {', '.join(others)}.",
        )
