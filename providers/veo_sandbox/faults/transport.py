"""Faults of the connection and of how bytes come over it."""

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from veo_sandbox.exchange import Call
from veo_sandbox.faults.byte_streams import Cut, Dripping, Shortened, Unframed
from veo_sandbox.faults.registry import Proceed, fault
from veo_sandbox.responses import HangUp

_BYTES = ("content", "file")


@fault()
async def reset(call: Call, proceed: Proceed, *, accept: bool = False) -> Response:
    """Reset the connection; with `accept` the request is carried out first."""
    del call
    if accept:
        await proceed()
    return HangUp(reset=True)


@fault("create")
async def drop_answer(call: Call, proceed: Proceed) -> Response:
    """Carry the request out (a create is accepted and billed), then close without an answer."""
    del call
    await proceed()
    return HangUp()


@fault("create")
async def slow_answer(call: Call, proceed: Proceed, *, seconds: float = 5.0) -> Response:
    """Carry the request out at once and answer `seconds` (real ones) later."""
    answer = await proceed()
    await call.pause(seconds)
    return answer


@fault()
async def stuck(call: Call, proceed: Proceed) -> Response:
    """Accept the connection and never answer, until the client leaves."""
    del proceed
    await call.pause(None)
    return HangUp()


@fault(*_BYTES)
async def file_404(call: Call, proceed: Proceed) -> Response:
    """The file is not there."""
    del call, proceed
    return PlainTextResponse("NoSuchKey", 404)


@fault(*_BYTES)
async def ignore_range(call: Call, proceed: Proceed) -> Response:
    """Answer the whole file to a Range request."""
    call.scope["headers"] = [pair for pair in call.scope["headers"] if pair[0] != b"range"]
    return await proceed()


@fault(*_BYTES)
async def redirect(call: Call, proceed: Proceed, *, status: int = 302) -> Response:
    """Send the client to another address on the files port, as a CDN does."""
    if call.task is None:
        return await proceed()
    folder = "cdn" if call.step == "file" else "flow"
    return RedirectResponse(f"{call.core.files_url}/{folder}/{call.task.file}.mp4", status)


@fault(*_BYTES)
async def cut(call: Call, proceed: Proceed, *, share: float = 0.5) -> Response:
    """Close the connection after a share of the bytes; Content-Length promised all."""
    del call
    return Cut(await proceed(), share)


@fault(*_BYTES)
async def cut_unframed(call: Call, proceed: Proceed, *, share: float = 0.5) -> Response:
    """The same without Content-Length: the end of the connection looks like the end of the file."""
    del call
    return Unframed(await proceed(), share)


@fault(*_BYTES)
async def short_file(call: Call, proceed: Proceed, *, share: float = 0.5) -> Response:
    """Bytes and Content-Length are both short: only a look into the container shows it."""
    del call
    return Shortened(await proceed(), share)


@fault(*_BYTES)
async def no_length(call: Call, proceed: Proceed) -> Response:
    """All bytes, but no Content-Length."""
    del call
    return Unframed(await proceed(), 1.0)


@fault(*_BYTES)
async def slow_drip(
    call: Call, proceed: Proceed, *, bytes_per_second: int = 65_536, share: float = 1.0
) -> Response:
    """The bytes come slowly; after a share of them the rest comes at once."""
    return Dripping(await proceed(), call, bytes_per_second, share)
