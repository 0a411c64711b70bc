"""Items made ready for the ledger, or every problem that keeps them from it; nothing is sent."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from veo.batch.entry import Entry
from veo.batch.frames import check_images
from veo.batch.match import is_own_file
from veo.batch.paths import OutputPaths
from veo.errors import ImageError, OutputError, SetupError, VeoError
from veo.ledger import NewJob, State
from veo.problems import ItemProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from veo.batch.item import Item
    from veo.batch.options import BatchOptions
    from veo.image import Image
    from veo.ledger import Record
    from veo.money import Quote
    from veo.planning.plan import Plan
    from veo.request import Request
    from veo.session import Session


@dataclass(slots=True)
class ValidationResult:
    """What a check of items found.

    Attributes:
        ready: Items without a problem, in order.
        problems: Every problem of the others, in order.
        warnings: Lines for a person before anything is sent, each once.
        folder: The output folder, absolute.
    """

    folder: Path
    ready: list[Entry] = field(default_factory=list)
    problems: list[ItemProblem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What holds for all items of a batch.

    Attributes:
        run: The name under which their money is counted together.
        folder: Where their videos go.
        frames: Folders in which relative paths of pictures are looked up, in this order.
        rules: What the user says.
    """

    run: str
    folder: Path
    frames: tuple[Path, ...]
    rules: BatchOptions


def validate_items(
    client: Session, items: Sequence[Item], setting: BatchContext
) -> ValidationResult:
    """Check every item: its request, its pictures, its output, and what the ledger has of it.

    Pictures are decoded to their ends, each once; those behind URLs are downloaded for that.

    Raises:
        SetupError: The configuration or the ledger cannot be used.
    """
    return _Validator(client, items, setting).run()


class _Validator:
    """One check of many items."""

    def __init__(self, client: Session, items: Sequence[Item], setting: BatchContext) -> None:
        self._client, self._items, self._setting = client, items, setting
        self._outputs = OutputPaths(setting.folder)
        self._problems: list[ItemProblem] = []
        self._warnings: dict[str, None] = {}
        self._quotes: dict[Quote, Quote] = {}
        images = (image for item in items for image in item.request.images)
        self._looked = check_images(images, setting.frames, client.pictures.keep)

    def run(self) -> ValidationResult:
        plans = [self._plan(item) for item in self._items]
        places = self._places(plans)
        new = [
            (item.spot, self._job(item, plan, place))
            for item, plan, place in zip(self._items, plans, places, strict=True)
            if plan and place
        ]
        standing = self._client.ledger.find_existing(job for _, job in new)
        ready = list(self._own([Entry(spot, job, standing.get(job.id)) for spot, job in new]))
        problems = sorted(self._problems, key=lambda problem: problem.location.sort_key)
        return ValidationResult(self._outputs.folder, ready, problems, list(self._warnings))

    def _plan(self, item: Item) -> Plan | None:
        """The plan of an item with its pictures kept; None when there are problems with them."""
        before = len(self._problems)
        for key, image in _pictures(item.request):
            if isinstance(found := self._looked[image], ImageError):
                self._problems += found.to_item_problems(item.spot, key)
        try:
            plan = self._client.plan(item.request, self._provider(item))
        except SetupError:
            raise
        except VeoError as error:
            self._problems += error.to_item_problems(item.spot)
        if len(self._problems) > before:
            return None
        self._warnings.update(dict.fromkeys(plan.warnings))
        quote = self._quotes.setdefault(plan.quote, plan.quote)  # thousands share a few
        return replace(plan, request=plan.request.map_images(self._kept), quote=quote)

    def _kept(self, image: Image) -> Image:
        kept = self._looked[image]
        assert not isinstance(kept, ImageError)  # noqa: S101 - `_plan` has looked
        return kept

    def _places(self, plans: Sequence[Plan | None]) -> list[Path | None]:
        """The file of each item; those that ask for none get what the others leave."""
        places = [self._claimed(item) if item.output else None for item in self._items]
        for number, (item, plan) in enumerate(zip(self._items, plans, strict=True)):
            if plan and not item.output:
                places[number] = self._outputs.generate_path(plan.request, item.spot)
        return places

    def _claimed(self, item: Item) -> Path | None:
        try:
            return self._outputs.claim_path(item.output or "", item.spot)
        except OutputError as error:
            self._problems += error.to_item_problems(item.spot, "output")
            return None

    def _job(self, item: Item, plan: Plan, place: Path) -> NewJob:
        return NewJob(
            run=self._setting.run,
            provider=self._provider(item),
            model=plan.model.name,
            request=plan.request,
            output=str(place),
            quote=plan.quote,
            force=self._setting.rules.force,
            once=True,
        )

    def _provider(self, item: Item) -> str:
        return item.provider or self._setting.rules.provider or self._client.config.provider

    def _own(self, ready: Sequence[Entry]) -> Iterator[Entry]:
        """Those whose file is their own or nobody's; a problem for each of the others."""
        taken = [
            each for each in ready if not each.existing and os.path.lexists(each.new_job.output)
        ]
        alike = self._client.ledger.find_same_request(each.new_job for each in taken)
        for each in ready:
            moved = _moved(each.new_job.output, alike.get(each.new_job.id, ()))
            if each.new_job.id in alike and not moved and not self._setting.rules.force:
                text = f"output: {each.new_job.output} is there already, and is not this item's"
                self._problems.append(ItemProblem(each.location, f"{text}; --force replaces it"))
            else:
                each.existing = moved or each.existing
                yield each


def _moved(output: str, made: Iterable[Record]) -> Record | None:
    """The job that made the file, if it made it elsewhere and the whole folder was moved."""
    records = (replace(record, output=output) for record in made if record.state is State.DONE)
    return next((record for record in records if is_own_file(record)), None)


def _pictures(request: Request) -> Iterator[tuple[str, Image]]:
    """Every picture of a request with the key that names it."""
    for key in ("start_frame", "end_frame"):
        if image := getattr(request, key):
            yield key, image
    for number, image in enumerate(request.reference):
        yield f"reference[{number}]", image
