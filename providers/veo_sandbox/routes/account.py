"""What an account can query: its models and its balance."""

import gzip
import json

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange
from veo_sandbox.profiles import PROFILES
from veo_sandbox.routes import RouteSpec
from veo_sandbox.state.price_list import load_models

_QUOTA_PER_USD = 500_000


async def list_models(core: Core, exchange: Exchange) -> Response:
    profile = PROFILES[core.profile](core)
    profile.check_key(exchange)
    sold = [model.id for model in load_models().values() if profile.sells_model(model)]
    names = core.settings.offered_names or sold
    rows = [
        {"id": name, "object": "model", "created": 1_762_473_600, "owned_by": "sandbox"}
        for name in names
    ]
    return JSONResponse({"object": "list", "data": rows})


async def get_user(core: Core, exchange: Exchange) -> Response:
    """GET /api/user/self: the balance, only for the system token; always gzip (documented)."""
    if exchange.headers.get("authorization") != core.system_token:
        message = "无权进行此操作，access token 无效"  # noqa: RUF001 - the service's own text
        body = {"success": False, "message": message}
        return JSONResponse(body, 401)
    now = core.clock.now()
    balance = core.account.get_balance(now)
    spent = sum(
        bill["amount"] for bill in core.account.list_bills(now) if bill["state"] == "charged"
    )
    data = {
        "username": "sandbox",
        "display_name": "Sandbox",
        "quota": round(balance * _QUOTA_PER_USD),
        "used_quota": round(spent * _QUOTA_PER_USD),
        "request_count": core.tasks.count_tasks(),
        "group": "default",
    }
    text = json.dumps({"success": True, "message": None, "data": data}).encode()
    # The service compresses this response whatever the client accepts.
    headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(gzip.compress(text), media_type="application/json", headers=headers)


ROUTES = (
    RouteSpec("GET", "/v1/models", "other", list_models),
    RouteSpec("GET", "/api/user/self", "other", get_user),
)
