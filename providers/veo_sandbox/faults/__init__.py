"""Faults: misbehaviour on request, and the rules that say which requests a fault affects.

Importing this package fills the table `FAULTS`. A new fault is one function with `@fault(...)` in
`transport`, `bodies`, `outcomes`, `interactions` or `chat`, or one row of a table `*.toml`. The
name of the function or row is the name of the fault, the docstring or `doc` is its description,
and a rule may set its keyword arguments. Nothing else has to be edited:

    @fault("poll")
    async def teapot(exchange: Exchange, proceed: Proceed, *, status: int = 418) -> Response:
        '''Respond to a poll like a teapot.'''
        await proceed()
        return Response(status_code=status)
"""

from veo_sandbox.faults import bodies, chat, interactions, outcomes, table_responses, transport
from veo_sandbox.faults.registry import FAULTS

__all__ = ["FAULTS", "bodies", "chat", "interactions", "outcomes", "table_responses", "transport"]
