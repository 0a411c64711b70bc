"""The files port: finished videos at unsigned addresses, where no key has business."""

from starlette.responses import JSONResponse, PlainTextResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Call
from veo_sandbox.responses import Video
from veo_sandbox.routes import At


async def video(core: Core, call: Call) -> Response:
    """GET /flow/{file}.mp4: the bytes (path captured 2025-11-27)."""
    if leak := _leaked(core, call):
        return leak
    if call.task is None or not core.has_file(call.task):
        return await not_found(core, call)
    return Video(core.studio.path(call.task))


async def not_found(core: Core, call: Call) -> Response:
    """What the store answers for a file that is not, or no longer, there."""
    return _leaked(core, call) or PlainTextResponse("NoSuchKey", 404, media_type="application/xml")


def _leaked(core: Core, call: Call) -> Response | None:
    if not (call.bearer or call.goog_key):
        return None
    core.leaks.add(call.summary())
    return JSONResponse({"error": "a key was sent to the files host"}, 400)


ROUTES = (
    At("GET", "/flow/{file}.mp4", "file", video),
    At("GET", "/cdn/{file}.mp4", "other", video),
)
