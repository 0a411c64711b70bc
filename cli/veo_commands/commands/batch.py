"""``veo batch``: many videos, each made once however often the command is run."""

import sys
import time
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from veo.errors import InvalidBatchError
from veo.paths import to_absolute
from veo.request import OPTIONS
from veo_commands.commands.generate import check_detachable
from veo_commands.confirm import confirm_cost
from veo_commands.finish import FinishOptions, write_takes_sheet
from veo_commands.options import (
    ConfigOptions,
    RequestOptions,
    SubmitOptions,
    argument,
    flag,
    option,
    parse_usd,
)
from veo_commands.output import option_group, out
from veo_commands.progress.follow import announce_workers, stop_sending
from veo_commands.session import open_client

if TYPE_CHECKING:
    from veo.batch.batch import Batch
    from veo.client import Client

EXAMPLES = (
    "veo batch clips.json --dry-run",
    "veo batch clips.json --output-dir clips --max-cost 5",
)

# How soon Ctrl-C and the end of an item show: the batch waits in steps of this length.
_WAIT_S = 0.2


@option_group
class BatchCommandOptions:
    """Options of a batch; the names are those of ``veo.batch.options.BatchOptions``."""

    panel: ClassVar[str] = "Options"

    output_dir: Path | None = option(
        "Folder of all videos; the current folder unless configured.",
        "FOLDER",
        "--output-dir",
        "-o",
    )
    skip_invalid: bool = flag("Leave out invalid items and send the others.")
    fail_fast: bool = flag("After the first failure send no new items; finish those in flight.")
    resubmit_unknown: bool = flag("Send items of unknown outcome again; this may pay twice.")
    takes: int = option("Videos to make of each item.", "NUMBER", default=1, min=1, max=100)
    remake: bool = flag(
        "Make videos again that neither the disk nor the provider has; this pays again."
    )


@option_group
class BatchSubmitOptions(SubmitOptions):
    """How a batch sends paid requests."""

    max_cost: Decimal | None = option(
        "Maximum cost of all runs of this batch: only the items that fit are sent.",
        "USD",
        parser=parse_usd,
    )


@option_group
class BatchFinishOptions(FinishOptions):
    """The same without ``--open``: a batch may make hundreds of videos."""

    open: bool = flag("", hidden=True)


def batch(
    file: str = argument(
        "JSON, JSON Lines, CSV, YAML, or a .txt with a prompt a line; - reads JSON from stdin.",
        "FILE",
    ),
    *,
    batch_options: BatchCommandOptions,
    request: RequestOptions,
    submit: BatchSubmitOptions,
    finish: BatchFinishOptions,
    config: ConfigOptions,
) -> int:
    """Make a video of every item of a file; run it again to continue.

    An item has a prompt and, if wanted, an output (a file name or a path relative to
    --output-dir) and options of a request under their long names, such as negative_prompt. Any
    other key is a column: {{name}} stands for its value, and it is kept with the job. Request
    options of the command line are the defaults of all items. Videos that exist already cost
    nothing.
    """
    from veo.batch.result import list_quotes
    from veo_commands.progress import batch_output

    finish.check()
    options = vars(batch_options) | {"provider": request.provider, "force": submit.force}
    options["defaults"] = _item_defaults(request)
    with open_client(config, request, submit) as client:
        source = sys.stdin.buffer.read() if file == "-" else Path(file)
        try:
            with out.show_spinner("checking items and images"):
                loaded = client.batch(source, **options)
        except InvalidBatchError as error:
            return batch_output.print_problems(error)
        if submit.dry_run:
            return batch_output.print_plan(loaded)
        if submit.detach:
            check_detachable(client, {entry.new_job.provider for entry in loaded.entries})
        batch_output.announce_batch(loaded)
        confirm_cost(list_quotes(loaded), client.config, submit)
        return _run_batch(client, loaded, finish, detach=submit.detach)


def _run_batch(client: "Client", batch: "Batch", finish: FinishOptions, *, detach: bool) -> int:
    from veo_commands.progress import batch_output
    from veo_commands.progress.batch_view import open_view

    began = time.monotonic()
    announce_workers(client)
    try:
        batch.start()
        with open_view(batch) as view:
            while not (batch.is_over or (detach and batch.is_accepted)):
                ended = batch.advance(_WAIT_S)
                view.print_ended(ended)
                for record in [entry.job.record for entry in ended if entry.job]:
                    finish.handle_video(record)
                view.refresh()
    except KeyboardInterrupt:
        batch.stop("the batch was interrupted")
        stop_sending(client, [entry.job for entry in batch.in_flight if entry.job])
        return batch_output.print_summary(batch, time.monotonic() - began, interrupted=True)
    if batch.options.takes > 1:
        _write_sheets(batch)
    code = batch_output.print_summary(batch, time.monotonic() - began)
    finish.handle_end(f"the batch has ended with exit code {code}")
    return code


def _write_sheets(batch: "Batch") -> None:
    """Write a contact sheet of the takes of each item of which some were made in this run."""
    for _, takes in groupby(batch.entries, key=attrgetter("location")):
        entries = list(takes)
        if not all(entry.is_skipped for entry in entries):
            write_takes_sheet(entry.record for entry in entries if entry.record)


def _item_defaults(request: RequestOptions) -> dict[str, Any]:
    """Return the options of a request as keys of an item, image paths made absolute."""

    def resolve_image(source: str) -> str:
        # The batch looks up relative paths beside its file; these are relative to this folder.
        by_value = source.lower().startswith(("http://", "https://", "data:"))
        return source if by_value else str(to_absolute(source))

    values = request.request_values()
    for name in values:
        if OPTIONS[name].kind == "image":
            values[name] = resolve_image(values[name])
        elif OPTIONS[name].kind == "images":
            values[name] = list(map(resolve_image, values[name]))
    return values
