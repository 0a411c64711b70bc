"""Responses that are more than a status and a body: files, and dropped connections."""

from pathlib import Path

from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from veo_sandbox.exchange import Connection


class VideoResponse(FileResponse):
    """An MP4, or another file, with Range, ETag and Content-Length."""

    # Bytes. Starlette's 64 KiB would limit the downloads that benchmarks measure.
    chunk_size = 1024 * 1024

    def __init__(
        self, path: Path, headers: dict[str, str] | None = None, media_type: str = "video/mp4"
    ) -> None:
        super().__init__(path, media_type=media_type, stat_result=path.stat(), headers=headers)


class DropConnection(Response):
    """No response, which the log shows as status 0: the connection is closed, or reset."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__(status_code=0)
        self._reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Connection.of_request(scope, send).drop(receive, reset=self._reset)


def proxy_page(status: int, title: str) -> HTMLResponse:
    """Return the HTML page that a proxy in front of an API sends itself."""
    return HTMLResponse(
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {title}</h1></center>\r\n<hr><center>nginx</center>\r\n"
        "</body>\r\n</html>\r\n",
        status,
    )
