"""Faults that answer in a route's place: the table `answers.toml`, and `http` for any other."""

import json
import tomllib
from importlib import resources
from typing import Any

from starlette.responses import Response

from veo_sandbox.answers import page
from veo_sandbox.call import Call
from veo_sandbox.faults.registry import Proceed, fault, register


@fault()
async def http(  # noqa: PLR0913 - what a rule may set
    call: Call,
    proceed: Proceed,
    *,
    status: int = 500,
    body: Any = "",
    content_type: str = "",
    headers: dict[str, str] | None = None,
    accept: bool = False,
) -> Response:
    """Answer `status` and `body` (text or JSON); with `accept` the request is carried out first."""
    del call
    if accept:
        await proceed()
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    kind = content_type or ("text/plain" if isinstance(body, str) else "application/json")
    return Response(text, status, headers, kind)


async def canned(
    call: Call,
    proceed: Proceed,
    *,
    row: dict[str, Any],
    retry_after: int | None = None,
    accept: bool = False,
) -> Response:
    """Answer a row of the table; with `accept` the request is carried out first."""
    del call
    if accept:
        await proceed()
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if title := row.get("html"):
        answer = page(row["status"], title)
        answer.headers.update(headers)
        return answer
    return Response(row["body"], row["status"], headers, "application/json")


def _enter_table() -> None:
    text = (resources.files("veo_sandbox.faults") / "answers.toml").read_text("utf-8")
    for name, row in tomllib.loads(text).items():
        register(name, row["doc"], tuple(row.get("on", ())), canned, row=row)


_enter_table()
