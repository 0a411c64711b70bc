"""How a batch is to be read, checked and run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How a batch is to be read, checked and run.

    Attributes:
        output_dir: Where the videos go, and nowhere else; the configured folder when None.
        provider: The route of items that name none; the configured one when None.
        defaults: Values for keys that an item does not say.
        skip_invalid: Go on with the others when some items are wrong.
        max_cost: USD that all runs of this batch may cost together; as configured when None.
        timeout: Seconds to wait for a job from its submit on; as configured when None.
        force: Replace files that are there already.
        remake: Make items anew whose video was made and is gone everywhere; that pays again.
        resubmit_unknown: Send items of unknown outcome again; that may pay twice.
        fail_fast: Send nothing new once an item has failed.
    """

    output_dir: Path | None = None
    provider: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    skip_invalid: bool = False
    max_cost: Decimal | None = None
    timeout: float | None = None
    force: bool = False
    remake: bool = False
    resubmit_unknown: bool = False
    fail_fast: bool = False
