"""Faults that decide how a new task ends; fixed when it is accepted."""

from starlette.responses import Response

from veo_sandbox.exchange import Exchange
from veo_sandbox.faults.registry import Proceed, fault, register
from veo_sandbox.state.tasks import Outcome
from veo_sandbox.tables import load_table


async def failed(
    exchange: Exchange, proceed: Proceed, *, shape: str = "", code: str = "", message: str = ""
) -> Response:
    """The task will fail; its route fills in what is not given."""
    exchange.forced_outcome = Outcome("failed", shape, str(code), message)
    return await proceed()


@fault("create")
async def never_finishes(exchange: Exchange, proceed: Proceed) -> Response:
    """The task runs until its 24 hours are over, then is gone and refunded."""
    exchange.forced_outcome = Outcome("never")
    return await proceed()


@fault("create")
async def slow_task(exchange: Exchange, proceed: Proceed, *, seconds: float = 600.0) -> Response:
    """The task takes `seconds` of the sandbox's clock, whatever the latency is."""
    exchange.forced_service_s = float(seconds)
    return await proceed()


for _name, _row in load_table("faults/failures.toml").items():
    _fixed = {name: value for name, value in _row.items() if name != "doc"}
    register(_name, _row["doc"], ("create",), failed, **_fixed)
