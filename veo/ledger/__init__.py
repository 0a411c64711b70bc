"""Every job, on disk, before anything is sent."""

from veo.ledger.ledger import Cap, Ledger, NewJob
from veo.ledger.record import ENDED, IN_FLIGHT, Event, Record, State

__all__ = ["ENDED", "IN_FLIGHT", "Cap", "Event", "Ledger", "NewJob", "Record", "State"]
