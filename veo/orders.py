"""From what a caller asks for to jobs that the ledger can plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo.batch.problem import ItemProblem, Spot, problems_of
from veo.errors import InvalidBatchError, UsageError
from veo.files import output as download
from veo.image import Image
from veo.ledger import NewJob
from veo.ledger.reserve import new_id
from veo.paths import absolute
from veo.planning.plan import slug
from veo.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from veo.client import Client
    from veo.planning.plan import Plan


def asked(request: Request | str, options: dict[str, Any]) -> Request:
    """The request that a caller gave whole, or as a prompt with the other fields beside it."""
    if isinstance(request, Request):
        return replace(request, **options) if options else request
    images = {key: options[key] for key in ("start_frame", "end_frame") if options.get(key)}
    options |= {key: Image.of(image) for key, image in images.items()}
    references = options.get("reference") or ()
    options["reference"] = tuple(Image.of(image) for image in references)
    return Request(prompt=request, **options)


def job(  # noqa: PLR0913 - what `Client.new_job` takes
    client: Client,
    plan: Plan,
    provider: str,
    *,
    run: str,
    name: str = "",
    output: Path | str | None = None,
    force: bool = False,
) -> NewJob:
    """See ``Client.new_job``."""
    client.route(provider)
    name = name or new_id()
    kept = plan.request.map_images(client.pictures.keep)
    file = Path(output) if output else Path(f"{slug(kept.prompt)}-{name}.mp4")
    folder = client.config.output_dir if output is None else Path()
    place = absolute(folder / file)
    download.claim_place(place, force=force)
    return NewJob(
        id=name,
        run=run,
        provider=provider,
        model=plan.model.name,
        request=kept,
        output=str(place),
        quote=plan.quote,
        force=force,
    )


def jobs(
    client: Client,
    wanted: Iterable[tuple[Request | str, Path | str | None]],
    provider: str,
    *,
    run: str,
    force: bool,
) -> list[NewJob]:
    """A job for each request and its file.

    Raises:
        InvalidBatchError: With every problem of every one.
    """
    new: list[NewJob] = []
    problems: list[ItemProblem] = []
    taken: dict[str, Spot] = {}
    for index, (request, output) in enumerate(wanted):
        spot = Spot(index)
        try:
            plan = client.plan(request, provider)
            made = job(client, plan, provider, run=run, output=output, force=force)
        except UsageError as error:
            problems += problems_of(spot, error)
            continue
        new.append(made)
        if (first := taken.setdefault(made.output, spot)) is not spot:
            problems.append(ItemProblem(spot, f"output: {made.output} is that of {first} already"))
    if problems:
        raise InvalidBatchError(problems)
    return new
