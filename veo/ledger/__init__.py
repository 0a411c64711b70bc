"""The ledger: every job is on disk before anything is sent."""

from veo.ledger.budget import Cap
from veo.ledger.ledger import Ledger
from veo.ledger.record import ENDED, IN_FLIGHT, LIVE, Event, Record, State
from veo.ledger.reserve import NewJob, PlanResult

__all__ = [
    "ENDED",
    "IN_FLIGHT",
    "LIVE",
    "Cap",
    "Event",
    "Ledger",
    "NewJob",
    "PlanResult",
    "Record",
    "State",
]
