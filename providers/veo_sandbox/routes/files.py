"""The files port: finished videos at unsigned addresses, where no client may send a key."""

from starlette.responses import JSONResponse, PlainTextResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange
from veo_sandbox.responses import VideoResponse
from veo_sandbox.routes import RouteSpec


async def get_video(core: Core, exchange: Exchange) -> Response:
    """GET /flow/{file}.mp4: the bytes (path captured 2025-11-27)."""
    if leak := _report_leak(core, exchange):
        return leak
    if exchange.task is None or not core.has_file(exchange.task):
        return await not_found(core, exchange)
    return VideoResponse(core.clips.clip_path(exchange.task))


async def not_found(core: Core, exchange: Exchange) -> Response:
    return _report_leak(core, exchange) or PlainTextResponse(
        "NoSuchKey", 404, media_type="application/xml"
    )


def _report_leak(core: Core, exchange: Exchange) -> Response | None:
    if not (exchange.bearer_key or exchange.google_key):
        return None
    core.add_leak(exchange.to_log_entry())
    return JSONResponse({"error": "a key was sent to the files host"}, 400)


ROUTES = (
    RouteSpec("GET", "/flow/{file}.mp4", "file", get_video),
    RouteSpec("GET", "/cdn/{file}.mp4", "other", get_video),
)
