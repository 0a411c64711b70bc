"""``veo compare``: send the same request to several providers, and compare results and costs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from veo.errors import UsageError
from veo.money import format_quotes
from veo.request import Request
from veo_commands import exit_codes
from veo_commands.commands.plan_output import plan_to_json
from veo_commands.commands.simulate import SimulationOptions, find_first_video, simulate
from veo_commands.confirm import confirm_cost
from veo_commands.format import describe_outcome, describe_plan, shorten_path
from veo_commands.options import (
    ConfigOptions,
    RequestOptions,
    SpendOptions,
    argument,
    option,
    output_option,
)
from veo_commands.output import option_group, out
from veo_commands.progress.follow import exit_code_of, handle_interrupt, watch_jobs
from veo_commands.session import load_config, open_client

if TYPE_CHECKING:
    from veo.client import Client
    from veo.compare.result import ComparisonResult
    from veo.compare.run import Candidate
    from veo.job import Job
    from veo.money import Quote

EXAMPLES = (
    'veo compare "A lion wakes up" --on laozhang-async,vertex/veo-3.1-lite-generate-001 --yes',
    "veo compare --simulate --on laozhang-async,laozhang-sync --count 20",
)

_NOTHING = {"$0.00", "0", "-"}  # a row of nothing else says nothing
_DEFAULT_PROMPT = "A lion walks through tall grass"


@option_group
class ComparedRequestOptions(RequestOptions):
    """The options of a request; ``--provider`` is hidden, because ``--on`` replaces it."""

    provider: str | None = option("", "NAME", "--provider", "-p", hidden=True)


@option_group
class CompareOptions(SpendOptions):
    report: Path | None = option("Write an HTML page with plots and videos.", "FILE.html")


def compare(
    prompt: str | None = argument(
        "What the videos show; - reads it from stdin; optional with --simulate.",
        "PROMPT",
        default=None,
    ),
    on: str | None = option(
        "Providers, separated by commas: laozhang-async,gemini or PROVIDER/MODEL.",
        "PROVIDERS",
        "--on",
        rich_help_panel="Request",
    ),
    count: int | None = option(
        "Requests per provider (default 1; with --simulate 500).",
        "NUMBER",
        "--count",
        "-n",
        min=1,
        max=10_000,
        rich_help_panel="Request",
    ),
    folder: Path | None = output_option("Folder for the videos.", "FOLDER"),
    *,
    request_options: ComparedRequestOptions,
    options: CompareOptions,
    simulation: SimulationOptions,
    config: ConfigOptions,
) -> int:
    """Send one request to several providers, and compare the results."""
    if request_options.provider:
        raise UsageError("--provider cannot be used: --on names the providers to compare")
    if options.report:
        from veo.report.html import check_report_file

        check_report_file(options.report)
    names = on.split(",") if on else []
    if simulation.is_requested:
        request = request_options.build_request(prompt or _DEFAULT_PROMPT)
        settings = load_config(config).config
        with simulate(simulation, settings, request, names, count or 500) as (result, clips):
            _show_result(result, clips, options.report)
        return exit_codes.DONE if result.matches_bills else exit_codes.FAILED
    if not names:
        raise UsageError("--on is missing", hint="Name providers: --on laozhang-async,gemini")
    if prompt is None:
        raise UsageError("PROMPT is missing", hint="It is optional only with --simulate.")
    request = request_options.build_request(prompt)
    return _compare_live(request, names, count or 1, folder, options, config)


def _compare_live(
    request: "Request",
    names: "Sequence[str]",
    count: int,
    folder: Path | None,
    options: CompareOptions,
    config: ConfigOptions,
) -> int:
    from veo.compare.result import ComparisonResult
    from veo.compare.run import collect_metrics, plan_candidates, start_jobs
    from veo.planning.plan import make_slug

    with open_client(config, options) as client:
        candidates = plan_candidates(client, request, names)
        quotes = [each.plan.quote for each in candidates] * count
        _announce(candidates, count, quotes)
        if options.dry_run:
            for each in candidates:
                out.print_result(plan_to_json(each.plan), None)
            out.info("nothing was sent", dim=True)
            return exit_codes.DONE
        confirm_cost(quotes, client.config, options)
        folder = folder or client.config.output_dir / f"compare-{make_slug(request.prompt)}"
        jobs = start_jobs(client, candidates, count, folder)
        code = _wait_for_jobs(client, [job for group in jobs.values() for job in group])
        metrics = {
            name: collect_metrics(client, [job.id for job in group]) for name, group in jobs.items()
        }
        prompt = candidates[0].plan.request.prompt
        result = ComparisonResult(prompt, metrics, is_play_money=out.sandbox)
        clips = {name: find_first_video(group) for name, group in jobs.items()}
        _show_result(result, clips, options.report)
        return code


def _announce(candidates: "Sequence[Candidate]", count: int, quotes: "Sequence[Quote]") -> None:
    """Print what would be sent, and the price of all requests."""
    for candidate in candidates:
        times = f"{count} x " if count > 1 else ""
        out.info(f"{candidate.name}: {times}{describe_plan(candidate.plan)}", dim=True)
        out.warn_of(candidate.plan.warnings)
    requests = f"{len(quotes)} request{'s' if len(quotes) > 1 else ''}"
    out.info(f"{requests}, {format_quotes(quotes, '{} at most')}{out.play_money_note}")


def _wait_for_jobs(client: "Client", jobs: "Sequence[Job]") -> int:
    """Wait for all jobs; return the highest exit code, failed jobs aside.

    A job that fails is a result of the comparison, not a failure of the command.
    """
    codes = [exit_codes.DONE]
    try:
        for job in watch_jobs(client, jobs, lambda job: job.done()):
            out.info(describe_outcome(job.record), dim=True)
            code = exit_code_of(job.record, job.error)
            codes.append(exit_codes.DONE if code == exit_codes.FAILED else code)
    except KeyboardInterrupt:
        return handle_interrupt(client, [job for job in jobs if not job.done()])
    return max(codes)


def _show_result(
    result: "ComparisonResult", clips: "Mapping[str, Path | None]", report: Path | None
) -> None:
    (_print_json if out.options.json else _print_text)(result)
    if report:
        from veo.compare.report_page import render_page
        from veo.report.html import write_page

        write_page(report, render_page(result, clips, report))
        out.info(f"report: {shorten_path(str(report.absolute()))}", dim=True)


def _print_json(result: "ComparisonResult") -> None:
    for name in result.metrics:
        out.print_result(result.metrics_to_json(name), None)
    out.print_result(result.break_evens_to_json(), None)


def _print_text(result: "ComparisonResult") -> None:
    from veo.compare import text

    # The last row is prose, which no column holds.
    *numbers, (_, after_timeout) = text.metric_rows(result)
    rows = [[name, *cells] for name, cells in numbers if set(cells) - _NOTHING]
    out.print_comparison(["", *result.metrics], rows)
    for sentence in text.describe_result(result):
        out.info(sentence)
    for sentence in dict.fromkeys(after_timeout):
        pairs = zip(result.metrics, after_timeout, strict=True)
        names = ", ".join(name for name, each in pairs if each == sentence)
        out.info(f"{names}, after a timeout: {sentence}", dim=True)
    for sentence in text.describe_break_evens(result):
        out.info(sentence, dim=True)
    for name, cost in result.simulation.measured.items() if result.simulation else ():
        out.info(text.describe_agreement(name, cost), fg=None if cost.agrees else "red")
