"""Misbehaviour on purpose: the table of faults, and the rules that say which requests they strike.

Importing this package fills the table.
"""

from veo_sandbox.faults import bodies, chat, outcomes, transport
from veo_sandbox.faults import table_responses as canned
from veo_sandbox.faults.registry import FAULTS, STEPS, Fault

__all__ = ["FAULTS", "STEPS", "Fault", "bodies", "canned", "chat", "outcomes", "transport"]
