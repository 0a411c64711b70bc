"""HTTP for providers: one client per API, and its responses."""

from veo.http.client import ApiClient, Upload
from veo.http.response import Response, StreamingResponse, open_bytes, to_byte_stream

__all__ = [
    "ApiClient",
    "Response",
    "StreamingResponse",
    "Upload",
    "open_bytes",
    "to_byte_stream",
]
