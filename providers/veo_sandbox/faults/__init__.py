"""Faults: misbehaviour on request, and the rules that say which requests a fault affects.

Importing this package fills the table `FAULTS`. A new fault is one function with `@fault(...)` in
`transport`, `bodies`, `outcomes` or `chat`, or one row of a table `*.toml`. Its function name or
row name is its name, its docstring or `doc` its description, its keyword arguments are what a rule
may set. Nothing else has to be edited:

    @fault("poll")
    async def teapot(exchange: Exchange, proceed: Proceed, *, status: int = 418) -> Response:
        '''The poll is answered by a teapot.'''
        await proceed()
        return Response(status_code=status)
"""

from veo_sandbox.faults import bodies, chat, outcomes, table_responses, transport
from veo_sandbox.faults.registry import FAULTS

__all__ = ["FAULTS", "bodies", "chat", "outcomes", "table_responses", "transport"]
