"""Faults that respond in a route's place: the tables `*.toml`, and `http` for the rest."""

import json
from typing import Any

from starlette.responses import Response

from veo_sandbox.exchange import Exchange
from veo_sandbox.faults.registry import Proceed, fault, register
from veo_sandbox.responses import proxy_page
from veo_sandbox.tables import load_table


@fault()
async def http(
    _exchange: Exchange,
    proceed: Proceed,
    *,
    status: int = 500,
    body: Any = "",
    content_type: str = "",
    headers: dict[str, str] | None = None,
    accept: bool = False,
) -> Response:
    """Send `status` and `body` (text or JSON); with `accept` the request is carried out first."""
    if accept:
        await proceed()
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    kind = content_type or ("text/plain" if isinstance(body, str) else "application/json")
    return Response(text, status, headers, kind)


async def table_response(
    _exchange: Exchange,
    proceed: Proceed,
    *,
    row: dict[str, Any],
    retry_after: int | None = None,
    accept: bool = False,
) -> Response:
    """Send a row of the table; with `accept` the request is carried out first.

    A row may have its own `retry_after`; `{retry_after}` in its body is replaced by the number.
    """
    if accept:
        await proceed()
    # The rule's value comes before the row's.
    wait = row.get("retry_after") if retry_after is None else retry_after
    headers = {} if wait is None else {"Retry-After": str(wait)}
    if title := row.get("html"):
        response = proxy_page(row["status"], title)
        response.headers.update(headers)
        return response
    body = row["body"].replace("{retry_after}", str(wait))
    return Response(body, row["status"], headers, "application/json")


for _table in ("faults/responses.toml", "faults/google.toml", "faults/interactions.toml"):
    for _name, _row in load_table(_table).items():
        register(_name, _row["doc"], tuple(_row.get("on", ())), table_response, row=_row)
