"""``veo generate``: make one video."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from veo.errors import UsageError
from veo_commands.commands.plan_output import announce_plan, print_plan
from veo_commands.confirm import confirm_cost
from veo_commands.finish import FinishOptions
from veo_commands.format import describe_outcome
from veo_commands.options import (
    ConfigOptions,
    RequestOptions,
    SubmitOptions,
    argument,
    output_option,
)
from veo_commands.progress.follow import follow_jobs
from veo_commands.session import open_client


def generate(
    prompt: str = argument("Description of the video; - reads it from stdin.", "PROMPT"),
    output: Path | None = output_option(
        "File to write; by default named after the prompt and the job."
    ),
    *,
    request_options: RequestOptions,
    submit: SubmitOptions,
    finish: FinishOptions,
    config: ConfigOptions,
) -> int:
    """Make one video, and print its path."""
    finish.check()
    with open_client(config, request_options, submit) as client:
        text = sys.stdin.read().strip() if prompt == "-" else prompt
        request = request_options.build_request(text)
        plan = client.plan(request)  # needs neither a key nor a network
        if submit.dry_run:
            return print_plan(plan)
        if submit.detach:
            check_detachable([plan.model.provider])
        announce_plan(plan)
        confirm_cost(plan.quote.amount, client.config, submit)
        job = client.submit(request, output=output, force=submit.force)
        code = follow_jobs(client, [job], detach=submit.detach)
    finish.handle_video(job.record)
    finish.handle_end(describe_outcome(job.record))
    return code


def check_detachable(providers: Iterable[str]) -> None:
    """Check that jobs of these providers continue without this process."""
    from veo.provider import installed_providers

    detachable = [name for name, each in installed_providers().items() if each.facts.tasks]
    for name in sorted(set(providers) - set(detachable)):
        raise UsageError(
            f"--detach: {name} makes the video during the request, so the command must wait",
            hint=f"Providers that allow --detach: {', '.join(detachable)}.",
        )
