"""``veo edit``: change a video with words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from veo_commands.commands.generate import check_detachable
from veo_commands.commands.plan_output import announce_plan, print_plan_result, upload_rows
from veo_commands.completion import complete_jobs
from veo_commands.confirm import confirm_cost
from veo_commands.options import FILE_OR_FOLDER, ConfigOptions, EditOptions, SubmitOptions, argument
from veo_commands.progress.follow import follow_jobs
from veo_commands.session import open_client

if TYPE_CHECKING:
    from veo.planning.plan import Plan
    from veo.planning.source import VideoSource

EXAMPLES = (
    'veo edit lion.mp4 "make it rain" -p gemini -o rain.mp4',
    'veo edit rain.mp4 "make it night" --resolution 1080p -o night.mp4',
)


def edit(
    video: str = argument(
        "Video to change: a job, or an MP4 file.", "JOB|FILE", autocompletion=complete_jobs
    ),
    prompt: str = argument("Description of the change; - reads it from stdin.", "PROMPT"),
    output: str | None = FILE_OR_FOLDER,
    *,
    request_options: EditOptions,
    submit: SubmitOptions,
    config: ConfigOptions,
) -> int:
    """Change a video with words, and print the path of the new one.

    Provider, model, length and aspect ratio are those of the video. Some models also take a file
    that no job made. The changed video is a job of its own, which can be edited again.
    """
    from veo.continuation.edit import plan_edit
    from veo.continuation.sources import find_source

    with open_client(config, submit) as client:
        source, request = find_source(client, video), request_options.build_request(prompt)
        plan = plan_edit(client, source, request, provider=request_options.provider)
        if submit.dry_run:
            return _print_edit(source, plan)
        if submit.detach:
            check_detachable(client, [plan.model.provider])
        announce_plan(plan)
        confirm_cost([plan.quote], client.config, submit)
        job = client.submit_plan(plan, output=output, force=submit.force)
        return follow_jobs(client, [job], detach=submit.detach)


def _print_edit(source: VideoSource, plan: Plan) -> int:
    length = f", {source.seconds:.1f} s long" if source.seconds else ""
    body = {"job": source.record.id if source.record else None, "seconds": source.seconds}
    rows = [*upload_rows(plan), ("changes", f"{source.name}{length}")]
    return print_plan_result(plan, rows, {"edit": body})
