"""The chat wire: the request, the stream, and the dialects of its text."""
