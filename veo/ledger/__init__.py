"""Every job, on disk, before anything is sent."""

from veo.ledger.ledger import Ledger
from veo.ledger.money import Cap, Sums
from veo.ledger.planning import NewJob, Planned
from veo.ledger.record import ENDED, IN_FLIGHT, LIVE, Event, Record, State

__all__ = [
    "ENDED",
    "IN_FLIGHT",
    "LIVE",
    "Cap",
    "Event",
    "Ledger",
    "NewJob",
    "Planned",
    "Record",
    "State",
    "Sums",
]
