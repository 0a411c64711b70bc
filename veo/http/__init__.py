"""HTTP for providers: one client per API, and its responses."""

from veo.http.client import ApiClient, Upload
from veo.http.response import CHUNK_BYTES, Response, StreamingResponse, to_byte_stream

__all__ = [
    "CHUNK_BYTES",
    "ApiClient",
    "Response",
    "StreamingResponse",
    "Upload",
    "to_byte_stream",
]
