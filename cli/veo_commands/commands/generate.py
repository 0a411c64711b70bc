"""``veo generate``: make one video."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from veo.errors import UsageError
from veo.money import format_quotes
from veo_commands.commands.plan_output import announce_plan, print_plan
from veo_commands.confirm import confirm_cost
from veo_commands.finish import FinishOptions, write_takes_sheet
from veo_commands.format import describe_outcome
from veo_commands.options import (
    FILE_OR_FOLDER,
    ConfigOptions,
    RequestOptions,
    SubmitOptions,
    argument,
    option,
)
from veo_commands.output import out
from veo_commands.progress.follow import follow_jobs
from veo_commands.session import open_client

if TYPE_CHECKING:
    from veo.client import Client

EXAMPLES = (
    'veo generate "A lion wakes up" -o lion.mp4',
    'veo generate "Smooth time-lapse" --start-frame frame-1.jpg --aspect-ratio landscape',
    'veo generate "A lion wakes up" --duration 8s --resolution 1080 --dry-run',
)


def generate(
    prompt: str = argument("Description of the video; - reads it from stdin.", "PROMPT"),
    output: str | None = FILE_OR_FOLDER,
    takes: int = option(
        "Videos to make, in numbered files, with a contact sheet to choose from.",
        "NUMBER",
        default=1,
        min=1,
        max=100,
        rich_help_panel="Request",
    ),
    *,
    request_options: RequestOptions,
    submit: SubmitOptions,
    finish: FinishOptions,
    config: ConfigOptions,
) -> int:
    """Make one video, and print its path."""
    from veo.batch.item import take_request

    finish.check()
    with open_client(config, request_options, submit) as client:
        request = request_options.build_request(prompt)
        provider = request_options.provider  # one that is named is never replaced by another
        plan = client.plan(request, provider)  # needs neither a key nor a network
        if submit.dry_run:
            return print_plan(plan)
        if submit.detach:
            check_detachable(client, [plan.model.provider])
        announce_plan(plan)
        quotes = takes * [plan.quote]
        if takes > 1:
            out.info(f"{takes} takes, {format_quotes(quotes)} in total", dim=True)
        confirm_cost(quotes, client.config, submit)
        if takes == 1:
            jobs = [client.submit_plan(plan, output=output, force=submit.force)]
        else:
            jobs = client.submit_all(
                [take_request(request, number) for number in range(1, takes + 1)],
                provider=provider,
                outputs=_number_outputs(output, takes) if output else None,
                force=submit.force,
            )
        code = follow_jobs(client, jobs, detach=submit.detach)
    if takes > 1:
        write_takes_sheet([job.record for job in jobs])
    for job in jobs:
        finish.handle_video(job.record)
    finish.handle_end("; ".join(describe_outcome(job.record) for job in jobs))
    return code


def _number_outputs(output: str, takes: int) -> list[str]:
    from veo.batch.item import take_output
    from veo.files.output import is_folder

    if is_folder(output):  # in which each video is named after its job
        return [output] * takes
    return [take_output(output, number) for number in range(1, takes + 1)]


def check_detachable(client: Client, providers: Iterable[str]) -> None:
    """Check that jobs of these providers continue without this process."""
    if client.has_workers:
        return
    from veo.provider import installed_facts

    detachable = [name for name, each in installed_facts().items() if each.tasks]
    for name in sorted(set(providers) - set(detachable)):
        raise UsageError(
            f"--detach: {name} makes the video during the request, so the command must wait",
            hint=f"Providers that allow --detach: {', '.join(detachable)}.",
        )
