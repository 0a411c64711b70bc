"""How a batch is read, checked and run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from veo.session import check_timeout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from veo.errors import BudgetError
    from veo.ledger import Cap
    from veo.money import Usd
    from veo.session import Session


# Repeats the fields, because type checkers cannot derive a TypedDict; a test compares the two.
class BatchKwargs(TypedDict, total=False):
    """The fields of ``BatchOptions`` as keyword arguments of ``Client.batch``."""

    output_dir: Path | str | None
    provider: str | None
    defaults: Mapping[str, Any]
    skip_invalid: bool
    max_cost: Usd | None
    timeout: float | None
    force: bool
    remake: bool
    resubmit_unknown: bool
    fail_fast: bool
    takes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How a batch is read, checked and run.

    Attributes:
        output_dir: Folder of all videos; the configured folder when None.
        provider: Provider of the items that name none; the configured one when None.
        defaults: Values of the keys that an item does not set.
        skip_invalid: Leave out items that are not valid and run the others.
        max_cost: Limit in USD on all runs of this batch together; the configured one when None.
        timeout: Seconds to wait for a job from its submit on; the configured time when None.
        force: Replace existing files.
        remake: Make a video again, and pay again, if neither this machine nor the provider has it
            any more.
        resubmit_unknown: Send items of unknown outcome again, which may pay twice.
        fail_fast: Send no new items after the first failure.
        takes: How many videos to make of each item, to choose from.
    """

    output_dir: Path | str | None = None
    provider: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    skip_invalid: bool = False
    max_cost: Usd | None = None
    timeout: float | None = None
    force: bool = False
    remake: bool = False
    resubmit_unknown: bool = False
    fail_fast: bool = False
    takes: int = 1

    def __post_init__(self) -> None:
        check_timeout(self.timeout)


@dataclass(frozen=True, slots=True)
class BatchContext:
    session: Session
    run: str  # the ledger sums up the money of all runs of a batch under this name
    output_dir: Path
    image_dirs: tuple[Path, ...]  # where relative image paths are looked up, in this order
    options: BatchOptions

    def current_caps(self) -> list[Cap]:
        return self.session.list_caps(self.run, self.options.max_cost)

    def budget_error(self, amount: int) -> BudgetError | None:
        """Return why an amount (millionths of a USD) exceeds a cap, or None if it fits."""
        return self.session.budget_error(self.run, amount, self.options.max_cost)
