"""Checks the items of a batch: requests, images, outputs and what the ledger has of them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from veo.batch.entry import Entry
from veo.batch.match import is_own_file
from veo.batch.paths import OutputPaths
from veo.bucket import find_bucket_path, map_files, parse_path
from veo.errors import ImageError, OutputError, SetupError, VeoError
from veo.files.output import is_taken
from veo.ledger import NewJob, Record, State
from veo.paths import to_absolute
from veo.problems import ItemProblem, Remedy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from veo.batch.item import Item
    from veo.batch.options import BatchContext
    from veo.image import Image
    from veo.money import Quote
    from veo.planning.plan import Plan


@dataclass(slots=True)
class ValidationResult:
    output_dir: Path  # absolute, with symbolic links resolved
    entries: list[Entry]  # without a problem, in order
    problems: list[ItemProblem]  # of all other items
    warnings: list[str]  # lines for the user, each once


class Validator:
    """Check all items, and find the jobs that the ledger has for them. Nothing is sent.

    Each distinct image is decoded completely, once; images behind URLs are downloaded for that.
    """

    def __init__(self, context: BatchContext, items: Sequence[Item]) -> None:
        self._context = context
        self._session = context.session
        self._options = context.options
        self._items = items
        self._paths = OutputPaths(context.output_dir)
        self._problems: list[ItemProblem] = []
        self._warnings: dict[str, None] = {}  # a dict keeps the order, and each text once
        self._quotes: dict[Quote, Quote] = {}
        images = (image for item in items for image in item.request.images)
        self._images = check_images(images, context.image_dirs, self._session.images.store)

    def run(self) -> ValidationResult:
        plans = [self._plan_item(item) for item in self._items]
        outputs = self._choose_outputs(plans)
        new_jobs = [
            (item.location, self._build_job(item, plan, output))
            for item, plan, output in zip(self._items, plans, outputs, strict=True)
            if plan and output
        ]
        existing = self._session.ledger.find_existing(job for _, job in new_jobs)
        entries = [Entry(location, job, existing.get(job.id)) for location, job in new_jobs]
        entries = list(self._reject_foreign_files(entries))
        return ValidationResult(self._paths.folder, entries, self._problems, list(self._warnings))

    def _plan_item(self, item: Item) -> Plan | None:
        """Return the plan of an item with stored images; None if the item has problems."""
        count_before, request = len(self._problems), item.request
        for key, image in request.named_images():
            checked = self._images[image]
            if isinstance(checked, ImageError):
                self._problems += checked.to_item_problems(item.location, key)
        if len(self._problems) == count_before:
            # With the paths of the stored copies: the plan reads the sizes of the frames.
            request = request.map_images(self._stored_image)
        try:
            plan = self._session.plan(request, item.provider or self._options.provider)
        except SetupError:  # concerns every item, so that it is not a problem of this one
            raise
        except VeoError as error:
            self._problems += error.to_item_problems(item.location)
        if len(self._problems) > count_before:
            return None
        self._warnings.update(dict.fromkeys(map(str, plan.warnings)))
        # Equal quotes become one object: thousands of items have a few different prices.
        quote = self._quotes.setdefault(plan.quote, plan.quote)
        return replace(plan, quote=quote)

    def _stored_image(self, image: Image) -> Image:
        stored = self._images[image]
        assert not isinstance(stored, ImageError)  # noqa: S101 - `_plan_item` has reported those
        return stored

    def _choose_outputs(self, plans: Sequence[Plan | None]) -> list[Path | None]:
        # Requested names first: generated ones avoid them, and so stay the same in every run.
        outputs = [self._claim_output(item) if item.output else None for item in self._items]
        for number, (item, plan) in enumerate(zip(self._items, plans, strict=True)):
            if plan and not item.output:
                outputs[number] = self._paths.generate_path(plan.request, item.location)
        return outputs

    def _claim_output(self, item: Item) -> Path | None:
        try:
            return self._paths.claim_path(item.output or "", item.location)
        except OutputError as error:
            self._problems += error.to_item_problems(item.location, "output")
            return None

    def _build_job(self, item: Item, plan: Plan, output: Path) -> NewJob:
        return NewJob(
            run=self._context.run,
            provider=plan.model.provider,
            model=plan.model.name,
            request=plan.request,
            output=str(output),
            quote=plan.quote,
            force=self._options.force,
            skip_if_exists=True,
            tags=(*self._session.tags, *item.tags),
            columns=self._session.columns | dict(item.columns),
        )

    def _reject_foreign_files(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Yield the items whose output is free or their own; add a problem for each other."""
        new = [entry for entry in entries if not entry.existing]
        paths = [parse_path(entry.new_job.output) for entry in new]
        is_remote = any(map(find_bucket_path, paths))
        used = zip(new, map_files(is_taken, paths, is_remote=is_remote), strict=True)
        taken = [entry for entry, is_used in used if is_used]
        same_requests = self._session.ledger.find_same_request(entry.new_job for entry in taken)
        for entry in entries:
            job = entry.new_job
            moved = _find_moved(job.output, same_requests.get(job.id, ()))
            if job.id in same_requests and not moved and not self._options.force:
                text = f"output: {job.output} already exists, and is not this item's video"
                remedies = (Remedy("overwrite"),)
                self._problems.append(ItemProblem(entry.location, text, remedies))
            else:
                entry.existing = moved or entry.existing
                yield entry


def _find_moved(output: str, records: Iterable[Record]) -> Record | None:
    """Return the job that made the file under another path, before its folder was moved."""
    moved = (replace(record, output=output) for record in records if record.state is State.DONE)
    return next((record for record in moved if is_own_file(record)), None)


def check_images(
    images: Iterable[Image], folders: Sequence[Path], store: Callable[[Image], Image]
) -> dict[Image, Image | ImageError]:
    """Return for each distinct image its stored copy, or why it cannot be used."""

    def check_image(image: Image) -> Image | ImageError:
        try:
            return store(find_image(image, folders))
        except ImageError as error:
            return error

    # Pillow decodes without the interpreter lock, so that threads use all cores.
    distinct = list(dict.fromkeys(images))
    with ThreadPoolExecutor(os.cpu_count(), "veo-image") as threads:
        return dict(zip(distinct, threads.map(check_image, distinct), strict=True))


def find_image(image: Image, folders: Sequence[Path]) -> Image:
    """Return an image with the path under which a folder has it; URLs and data stay as they are."""
    if image.data is not None or image.is_url or find_bucket_path(image.source):
        return image
    for folder in folders:
        path = to_absolute(folder / os.path.expanduser(image.source))  # noqa: PTH111 - see `absolute`
        if _is_file(path):
            return replace(image, source=str(path))
    searched = " nor in ".join(dict.fromkeys(map(str, folders)))
    raise ImageError(f"{image.source}: no such file in {searched}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # the name is too long, or holds a NUL
        return False
