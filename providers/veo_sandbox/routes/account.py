"""What an account can ask: its models and its balance."""

import gzip
import json

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Call, Refusal
from veo_sandbox.profiles import PROFILES
from veo_sandbox.routes import At
from veo_sandbox.state.price_list import models

_QUOTA_A_DOLLAR = 500_000


async def list_models(core: Core, call: Call) -> Response:
    """GET /v1/models: an OpenAI list of what this profile sells."""
    profile = PROFILES[core.profile](core)
    if call.bearer != core.key:
        raise Refusal(profile.unauthorized())
    rows = [
        {"id": model.id, "object": "model", "created": 1_762_473_600, "owned_by": "sandbox"}
        for model in models().values()
        if profile.sells(model)
    ]
    return JSONResponse({"object": "list", "data": rows})


async def me(core: Core, call: Call) -> Response:
    """GET /api/user/self: the balance, for the system token alone; always gzip (documented)."""
    if call.headers.get("authorization") != core.system_token:
        told = "无权进行此操作，access token 无效"  # noqa: RUF001 - the wire's own text
        body = {"success": False, "message": told}
        return JSONResponse(body, 401)
    now = core.clock.now()
    balance = core.account.balance(now)
    spent = sum(bill["amount"] for bill in core.account.bills(now) if bill["state"] == "charged")
    data = {
        "username": "sandbox",
        "display_name": "Sandbox",
        "quota": round(balance * _QUOTA_A_DOLLAR),
        "used_quota": round(spent * _QUOTA_A_DOLLAR),
        "request_count": core.tasks.count(),
        "group": "default",
    }
    text = json.dumps({"success": True, "message": None, "data": data}).encode()
    headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(gzip.compress(text), media_type="application/json", headers=headers)


ROUTES = (
    At("GET", "/v1/models", "other", list_models),
    At("GET", "/api/user/self", "other", me),
)
