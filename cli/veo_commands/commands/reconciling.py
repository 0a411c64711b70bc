"""The options of a reconciliation."""

from dataclasses import dataclass, fields
from typing import Annotated, ClassVar

import typer

from veo_commands.options import parse_seconds


@dataclass(frozen=True, kw_only=True)
class Reconciling:
    """What the ledger is compared with, and what is done about it."""

    panel: ClassVar[str] = "Reconciliation"

    reconcile: Annotated[
        str | None,
        typer.Option(
            help="Compare with a provider's list of charges, CSV or JSON.", metavar="FILE|URL"
        ),
    ] = None
    settle: Annotated[
        bool, typer.Option("--settle", help="Settle jobs of unknown outcome by it.")
    ] = False
    task: Annotated[
        list[str] | None,
        typer.Option(help="This task is that job's; may be repeated.", metavar="JOB=TASK"),
    ] = None
    unpaid: Annotated[
        list[str] | None,
        typer.Option(help="This job was certainly not charged; may be repeated.", metavar="JOB"),
    ] = None
    settled_after: Annotated[
        float | None,
        typer.Option(
            parser=parse_seconds,
            help="So long after it was sent no charge for a job comes any more (24h).",
            metavar="TIME",
        ),
    ] = None

    @property
    def given(self) -> bool:
        """Whether to reconcile.

        Raises:
            UsageError: Not, but how was said.
        """
        from veo.errors import UsageError

        names = [item.name for item in fields(self) if item.name != "reconcile"]
        without = [name for name in names if getattr(self, name)]
        if without and not self.reconcile:
            raise UsageError(f"--{without[0].replace('_', '-')} belongs to --reconcile")
        return bool(self.reconcile)
