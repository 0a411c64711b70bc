"""The ledger: every job is on disk before anything is sent.

Names are imported on first use: ``Ledger`` needs SQLAlchemy, whose import takes as long as the
rest of a command, and ``Record`` and ``State`` do not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veo.ledger.budget import Cap
    from veo.ledger.ledger import Ledger
    from veo.ledger.record import ENDED, IN_FLIGHT, LIVE, Event, Record, State
    from veo.ledger.reserve import NewJob, PlanResult

_MODULE_OF = {
    "Cap": "budget",
    "Ledger": "ledger",
    **dict.fromkeys(("ENDED", "IN_FLIGHT", "LIVE", "Event", "Record", "State"), "record"),
    **dict.fromkeys(("NewJob", "PlanResult"), "reserve"),
}

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


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'veo.ledger' has no attribute {name!r}")
    return getattr(import_module(f"veo.ledger.{_MODULE_OF[name]}"), name)
