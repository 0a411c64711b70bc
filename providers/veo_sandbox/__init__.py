"""The other side of every wire: a local server with real MP4s and a billing record.

`Sandbox` serves from a thread of this process, `serve` blocks. Nothing here is imported by, or
imports, the client that it judges. The routes:

    POST /v1/videos                     create, JSON or multipart
    GET  /v1/videos/{id}                poll
    GET  /v1/videos/{id}/content        the video, or where it is
    GET  /v1/models                     what the profile sells
    GET  /api/user/self                 balance, for the system token
    GET  /flow/{file}.mp4               on the files port: unsigned, and no key may come here
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veo_sandbox.sandbox import Sandbox, serve

__all__ = ["Sandbox", "serve"]


def __getattr__(name: str) -> Any:
    """Import the server only when it is used."""
    if name not in __all__:
        raise AttributeError(f"module 'veo_sandbox' has no attribute {name!r}")
    from veo_sandbox import sandbox  # noqa: PLC0415 - keeps `import veo_sandbox` cheap

    return getattr(sandbox, name)
