"""What many jobs cost together. Amounts are millionths of a USD until they are printed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from veo_commands.format import format_usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.config import Config
    from veo.ledger import Cap, Ledger, Record


@dataclass(frozen=True)
class Totals:
    """Sums over jobs.

    Attributes:
        states: How many jobs are in which state.
        charged: Taken, as far as anybody knows.
        uncertain: The part of ``charged`` that is not beyond doubt.
        reserved: Held for jobs on their way.
        doubtful: Perhaps taken: jobs of unknown outcome, and sends whose answers were lost.
    """

    states: dict[str, int]
    charged: int
    uncertain: int
    reserved: int
    doubtful: int

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints them, USD."""
        return {
            "jobs": self.states,
            "charged": dollars(self.charged),
            "uncertain": dollars(self.uncertain),
            "reserved": dollars(self.reserved),
            "doubtful": dollars(self.doubtful),
            "currency": "USD",
        }

    def facts(self) -> list[tuple[str, str]]:
        """As a person reads them."""
        counts = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        uncertain = f", of that {format_usd(self.uncertain)} probably" if self.uncertain else ""
        return [
            ("jobs", counts or "none"),
            ("charged", f"{format_usd(self.charged)}{uncertain}"),
            ("reserved", f"{format_usd(self.reserved)} for jobs on their way"),
            ("doubtful", f"{format_usd(self.doubtful)} perhaps charged, outcome unknown"),
        ]


def total(records: Sequence[Record]) -> Totals:
    """The sums over some jobs."""
    from veo.ledger import State

    open_questions = sum(record.reserved for record in records if record.state is State.UNKNOWN)
    return Totals(
        states=dict(Counter(str(record.state) for record in records)),
        charged=sum(record.charged for record in records),
        uncertain=sum(record.charged for record in records if not record.certain),
        reserved=sum(record.reserved for record in records) - open_questions,
        doubtful=sum(record.doubtful for record in records) + open_questions,
    )


def budgets(config: Config, ledger: Ledger) -> list[tuple[Cap, int]]:
    """The budgets that hold now, over the day or the month, and what is left of each."""
    from veo.ledger.budget import current_caps

    caps = [cap for cap in current_caps(config, run="") if cap.run is None]
    return [(cap, max(0, cap.limit - ledger.count_spent(cap))) for cap in caps]


def dollars(micros: int) -> float:
    """Millionths of a USD as a number for JSON, USD."""
    from veo.money import to_usd

    return float(to_usd(micros))
