"""Faults of the connection and of how bytes are sent."""

from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from veo_sandbox.exchange import Exchange
from veo_sandbox.faults.byte_streams import (
    CutResponse,
    DrippingResponse,
    ShortenedResponse,
    UnframedResponse,
)
from veo_sandbox.faults.registry import Proceed, fault
from veo_sandbox.responses import DropConnection

_BYTE_KINDS = ("content", "file")


@fault()
async def reset(_exchange: Exchange, proceed: Proceed, *, accept: bool = False) -> Response:
    """Reset the connection; with `accept` the request is carried out first."""
    if accept:
        await proceed()
    return DropConnection(reset=True)


@fault("create")
async def drop_answer(_exchange: Exchange, proceed: Proceed) -> Response:
    """Carry the request out (a create is accepted and billed), then close without a response."""
    await proceed()
    return DropConnection()


@fault("create")
async def slow_answer(exchange: Exchange, proceed: Proceed, *, seconds: float = 5.0) -> Response:
    """Carry the request out at once and respond `seconds` (real ones) later."""
    response = await proceed()
    await exchange.wait_seconds(seconds)
    return response


@fault()
async def stuck(exchange: Exchange, _proceed: Proceed) -> Response:
    """Accept the connection and never respond, until the client disconnects."""
    await exchange.wait_seconds(None)
    return DropConnection()


@fault(*_BYTE_KINDS)
async def file_404(_exchange: Exchange, _proceed: Proceed) -> Response:
    """The file does not exist."""
    return PlainTextResponse("NoSuchKey", 404)


@fault("poll", "content")
async def other_account(exchange: Exchange, proceed: Proceed) -> Response:
    """A key that is not the sandbox's belongs to another account, which does not have the task."""
    key = exchange.google_key or exchange.bearer_key
    if key == exchange.core.key:
        return await proceed()
    if exchange.google_key:
        body = {"error": {"code": 404, "message": "Not found.", "status": "NOT_FOUND"}}
        return JSONResponse(body, 404)
    return JSONResponse({"code": "task_not_exist", "message": "task_not_exist", "data": None}, 400)


@fault(*_BYTE_KINDS)
async def ignore_range(exchange: Exchange, proceed: Proceed) -> Response:
    """Send the whole file in response to a Range request."""
    # FileResponse reads the header from the scope, so it is removed there.
    exchange.scope["headers"] = [pair for pair in exchange.scope["headers"] if pair[0] != b"range"]
    return await proceed()


@fault(*_BYTE_KINDS)
async def redirect(exchange: Exchange, proceed: Proceed, *, status: int = 302) -> Response:
    """Redirect to another address on the files port, as a CDN does."""
    # Without a task there is no file to redirect to.
    if exchange.task is None:
        return await proceed()
    # /cdn/ is not affected by faults of the kind "file": no endless redirects.
    folder = "cdn" if exchange.kind == "file" else "flow"
    return RedirectResponse(f"{exchange.core.files_url}/{folder}/{exchange.task.file}.mp4", status)


@fault("create", "poll", "cancel", "upload")
async def redirect_away(
    exchange: Exchange, proceed: Proceed, *, status: int = 307, accept: bool = False
) -> Response:
    """Redirect a call of an API to the files port, where a key is logged as a leak.

    A client that follows 307 or 308 sends its key and its prompt there.
    """
    if accept:
        await proceed()
    query = f"?{exchange.query}" if exchange.query else ""
    return RedirectResponse(f"{exchange.core.files_url}{exchange.path}{query}", status)


@fault(*_BYTE_KINDS)
async def cut(_exchange: Exchange, proceed: Proceed, *, share: float = 0.5) -> Response:
    """Close the connection after a share of the bytes; Content-Length promised all."""
    return CutResponse(await proceed(), share)


@fault(*_BYTE_KINDS)
async def cut_unframed(_exchange: Exchange, proceed: Proceed, *, share: float = 0.5) -> Response:
    """Close early without a Content-Length, so that the end looks like the end of the file."""
    return UnframedResponse(await proceed(), share)


@fault(*_BYTE_KINDS)
async def short_file(_exchange: Exchange, proceed: Proceed, *, share: float = 0.5) -> Response:
    """Bytes and Content-Length are both short: only the container shows that bytes are missing."""
    return ShortenedResponse(await proceed(), share)


@fault(*_BYTE_KINDS)
async def no_length(_exchange: Exchange, proceed: Proceed) -> Response:
    """All bytes, but no Content-Length."""
    return UnframedResponse(await proceed(), 1.0)


@fault(*_BYTE_KINDS)
async def slow_drip(
    exchange: Exchange, proceed: Proceed, *, bytes_per_second: int = 65_536, share: float = 1.0
) -> Response:
    """Send the bytes slowly; after a share of them, send the rest at once."""
    return DrippingResponse(await proceed(), exchange, bytes_per_second, share)
