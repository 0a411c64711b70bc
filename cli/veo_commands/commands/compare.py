"""``veo compare``: the same request over several routes, and what each really costs."""

import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veo_commands import exit_codes
from veo_commands.commands import comparison
from veo_commands.commands.chances import Setup, Simulated, settled
from veo_commands.format import describe_outcome
from veo_commands.options import ConfigOptions, RequestOptions, WaitOptions, parse_usd
from veo_commands.output import out
from veo_commands.progress.follow import exit_code_of, handle_interrupt, watch_jobs
from veo_commands.session import load_config, open_client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from veo.client import Client
    from veo.compare.run import Entrant
    from veo.job import Job
    from veo.request import Request

_PROMPT = "A lion walks through tall grass"


@dataclass(frozen=True, kw_only=True)
class Trial(WaitOptions):
    """How paid work is to be done."""

    max_cost: Annotated[
        Decimal | None,
        typer.Option(parser=parse_usd, help="Send nothing that would cost more.", metavar="USD"),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and the quote; send nothing.")
    ] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before paying.")] = False
    report: Annotated[
        Path | None,
        typer.Option(help="Write a page with plots and clips, for a browser.", metavar="FILE.html"),
    ] = None


def compare(
    prompt: Annotated[
        str | None,
        typer.Argument(
            help="What the videos show; with --simulate it may be left out.", metavar="[PROMPT]"
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            help="Routes, with commas: laozhang-async,gemini or PROVIDER:MODEL.",
            metavar="ROUTES",
            rich_help_panel="Request",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            "-n",
            min=1,
            max=10_000,
            help="Requests a route (1; simulated 500).",
            metavar="NUMBER",
            rich_help_panel="Request",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the videos.",
            metavar="FOLDER",
            rich_help_panel="Request",
        ),
    ] = None,
    *,
    asked: RequestOptions,
    run: Trial,
    simulated: Simulated,
    place: ConfigOptions,
) -> int:
    """Send the same request over several routes, and compare what came and what it cost."""
    from veo.errors import UsageError

    if asked.provider:
        raise UsageError("--provider: --on says which routes are compared")
    if run.report:
        from veo.report.html import check_place

        check_place(run.report)
    if simulated.given:
        return _simulated(settled(simulated, count), prompt, on, asked, run, place)
    if not on:
        raise UsageError("--on is missing: which routes?", hint="--on laozhang-async,gemini")
    request = asked.build_request(said(prompt))
    return _real(request, on.split(","), count or 1, folder, run, place)


def _simulated(
    setup: Setup,
    prompt: str | None,
    on: str | None,
    asked: RequestOptions,
    run: Trial,
    place: ConfigOptions,
) -> int:
    from veo.provider import installed_providers
    from veo_commands.commands.simulate import simulated

    routes = on.split(",") if on else list(installed_providers())
    request = asked.build_request(prompt or _PROMPT)
    with simulated(setup, load_config(place).config, request, routes) as (outcome, clips):
        comparison.shown(outcome)
        if run.report:
            comparison.written(run.report, outcome, clips)
    return exit_codes.DONE if outcome.holds else exit_codes.FAILED


def _real(
    request: "Request",
    routes: "Sequence[str]",
    count: int,
    folder: Path | None,
    run: Trial,
    place: ConfigOptions,
) -> int:
    from veo.compare.run import entrants

    with open_client(place, run) as client:
        sides = entrants(client, request, routes)
        comparison.announce(sides, count)
        if run.dry_run:
            out.info("nothing was sent", dim=True)
            return exit_codes.DONE
        if not (run.yes or place.sandbox):
            confirm()
        where = folder or client.config.output_dir / folder_of(request)
        return _sent(client, sides, count, where, run.report)


def folder_of(request: "Request") -> str:
    """Where the videos of a comparison go unless something else is said."""
    from veo.planning.plan import make_slug

    return f"compare-{make_slug(request.prompt)}"


def said(prompt: str | None) -> str:
    """The prompt, read from stdin where it says so.

    Raises:
        UsageError: There is none.
    """
    from veo.errors import UsageError

    if prompt is None:
        raise UsageError("PROMPT is missing", hint="Only --simulate can do without.")
    return sys.stdin.read().strip() if prompt == "-" else prompt


def confirm() -> None:
    """Ask whether to pay.

    Raises:
        UsageError: Nobody can be asked, or the answer is no.
        KeyboardInterrupt: The answer is Ctrl-C.
    """
    from veo.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError("this costs money, and nobody can be asked", hint="--yes goes ahead.")
    try:
        agreed = typer.confirm("Go ahead?", err=True)
    except typer.Abort:
        raise KeyboardInterrupt from None
    if not agreed:
        raise UsageError("not confirmed: nothing was sent")


def _sent(
    client: "Client", sides: "Sequence[Entrant]", count: int, folder: Path, report: Path | None
) -> int:
    from veo.compare.result import Outcome
    from veo.compare.run import examine, start

    jobs = start(client, sides, count, folder)
    ended = _watched(client, [job for some in jobs.values() for job in some])
    found = {name: examine(client, [job.id for job in some]) for name, some in jobs.items()}
    outcome = Outcome(sides[0].plan.request.prompt, found, play=out.sandbox)
    comparison.shown(outcome)
    if report:
        comparison.written(report, outcome, _clips(jobs))
    return ended


def _watched(client: "Client", jobs: "Sequence[Job]") -> int:
    """Wait for all; the highest exit code but that of a video that was not made: it counts too."""
    ends = [exit_codes.DONE]
    try:
        for job in watch_jobs(jobs, lambda job: job.done()):
            out.info(describe_outcome(job.record), dim=True)
            ended = exit_code_of(job.record, job.error)
            ends.append(ended if ended != 1 else exit_codes.DONE)
    except KeyboardInterrupt:
        return handle_interrupt(client, [job for job in jobs if not job.done()])
    return max(ends)


def _clips(jobs: "Mapping[str, Sequence[Job]]") -> dict[str, Any]:
    """The first video of each side that was made."""
    done = {name: [job for job in some if job.state == "done"] for name, some in jobs.items()}
    return {name: Path(some[0].record.output) if some else None for name, some in done.items()}
