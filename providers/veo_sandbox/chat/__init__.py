"""The chat API: the request, the stream, and the dialects of its text."""
