"""``veo batch``: many videos, each made once however often the command is run."""

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from veo_commands.commands import batch_output as report
from veo_commands.commands.generate import check_detachable
from veo_commands.options import ConfigOptions, RequestOptions, SubmitOptions
from veo_commands.output import out
from veo_commands.progress.follow import stop_sending
from veo_commands.session import open_client

if TYPE_CHECKING:
    from veo.batch.batch import Batch
    from veo.client import Client

_TICK_S = 0.2
_IMAGES = ("start_frame", "end_frame")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is to become of the items."""

    panel: ClassVar[str] = "Options"

    output_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where all videos go; the working folder unless configured.", metavar="FOLDER"
        ),
    ] = None
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave wrong items out, send the others.")
    ] = False
    fail_fast: Annotated[
        bool,
        typer.Option("--fail-fast", help="Send nothing new once one failed; finish what was sent."),
    ] = False
    resubmit_unknown: Annotated[
        bool,
        typer.Option(
            "--resubmit-unknown", help="Send items of unknown outcome again; this may pay twice."
        ),
    ] = False
    remake: Annotated[
        bool,
        typer.Option(
            "--remake", help="Make anew, and pay for again, what was made and is gone everywhere."
        ),
    ] = False


def batch(
    file: Annotated[
        str,
        typer.Argument(
            help="A JSON list of items, or one JSON object a line; - reads stdin.", metavar="FILE"
        ),
    ],
    *,
    choice: Choice,
    asked: RequestOptions,
    run: SubmitOptions,
    place: ConfigOptions,
) -> int:
    """Make a video of each item of a file; run it again to go on.

    An item is a JSON object: a prompt, and as far as it wants them the other options of a request
    under their long names, and an output below the output folder. Options of a request given here
    hold for items that do not say otherwise. What is made already costs nothing.
    """
    from veo.errors import InvalidBatchError

    rules = {item.name: getattr(choice, item.name) for item in fields(choice)}
    rules |= {"provider": asked.provider, "defaults": _defaults(asked), "force": run.force}
    with open_client(place, asked, run) as client:
        source = sys.stdin.buffer.read() if file == "-" else Path(file)
        try:
            with out.show_spinner("checking the items and their pictures"):
                loaded = client.batch(source, **rules)
        except InvalidBatchError as error:
            return report.refused(error)
        if run.dry_run:
            return report.rehearsed(loaded)
        if run.detach:
            check_detachable({entry.new_job.provider for entry in loaded.entries})
        return _carried_out(client, loaded, detach=run.detach)


def _carried_out(client: "Client", batch: "Batch", *, detach: bool) -> int:
    from veo_commands.progress.batch_view import view

    report.announced(batch)
    try:
        batch.start()
        with view(batch) as shown:
            while not (batch.is_over or (detach and batch.is_accepted)):
                shown.ended(batch.advance(_TICK_S))
                shown.look()
    except KeyboardInterrupt:
        batch.stop("the batch was interrupted")
        stop_sending(client, [entry.job for entry in batch.in_flight if entry.job])
        return report.interrupted(batch)
    return report.finished(batch)


def _defaults(asked: RequestOptions) -> dict[str, Any]:
    """The options of the command line as keys of an item; pictures as seen from here."""
    from veo.paths import to_absolute

    def seen(source: str) -> str:
        by_value = source.lower().startswith(("http://", "https://", "data:"))
        return source if by_value else str(to_absolute(source))

    given = {item.name: getattr(asked, item.name) for item in fields(asked)}
    given |= {key: seen(given[key]) for key in _IMAGES if given[key]}
    given["reference"] = [seen(source) for source in asked.reference or ()] or None
    return {key: value for key, value in given.items() if value is not None and key != "provider"}
