"""HTTP for providers: one client per API, and its responses.

Modules that import it when they need it name this package: two threads that import a package and
a module of it at the same time would wait for each other.
"""

from veo.http.client import ApiClient, Upload, download_bytes
from veo.http.response import Response, StreamingResponse, open_bytes, to_byte_stream

__all__ = [
    "ApiClient",
    "Response",
    "StreamingResponse",
    "Upload",
    "download_bytes",
    "open_bytes",
    "to_byte_stream",
]
