"""Which models Google's services offer: listed free of charge, in pages."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google_routes import express, gemini, with_token
from interactions import OMNI
from recording_server import RecordedRequest, RecordingServer, Reply

from veo.errors import AuthError, ProtocolError
from veo.provider import ModelLister
from veo_gemini import listing

LISTS = {
    gemini: ("/v1beta/models", "models", "models/"),
    with_token: (
        "/v1beta1/publishers/google/models",
        "publisherModels",
        "publishers/google/models/",
    ),
    express: ("/v1beta1/publishers/google/models", "publisherModels", "publishers/google/models/"),
}
EVERY_LIST = pytest.mark.parametrize("make", LISTS, ids=["gemini", "vertex", "express"])
NAMES = [OMNI, "veo-3.1-fast-generate-001", "gemini-3-pro", "veo-4"]


def serve_pages(key: str, prefix: str) -> Any:
    """Serve the names in pages of two."""

    def respond(request: RecordedRequest) -> Reply:
        query = parse_qs(urlsplit(request.path).query)
        start = int(query.get("pageToken", ["0/"])[0].rstrip("/"))
        rows = [{"name": f"{prefix}{name}"} for name in NAMES[start : start + 2]]
        more = {"nextPageToken": f"{start + 2}/"} if start + 2 < len(NAMES) else {}
        return Reply({key: rows, **more})

    return respond


@EVERY_LIST
def test_all_pages(make: Any) -> None:
    """GETs with the credentials; a page token is quoted; names are without their collection."""
    path, key, prefix = LISTS[make]
    with RecordingServer(serve_pages(key, prefix)) as google:
        provider = make(google.url)
        names = provider.list_models()

    assert isinstance(provider, ModelLister)
    assert names == NAMES
    assert [request.path for request in google.requests] == [
        f"{path}?pageSize=1000",
        f"{path}?pageSize=1000&pageToken=2%2F",
    ]
    assert {request.method for request in google.requests} == {"GET"}
    assert all("sandbox-key" in str(request.headers) for request in google.requests)


def test_ping_names_what_is_offered() -> None:
    """Rows that the list has, and the others."""
    with RecordingServer(serve_pages("models", "models/")) as google:
        line = gemini(google.url).ping()

    assert line.startswith(f"the key is valid; offered: {OMNI}; not offered: gemini-omni-1.1-flash")


@EVERY_LIST
@pytest.mark.parametrize("body", [{}, [], {"models": 7, "publisherModels": 7}, b"<html></html>"])
def test_response_that_is_no_list(make: Any, body: Any) -> None:
    """An empty list would mean that no model lives."""
    with RecordingServer(Reply(body)) as google, pytest.raises(ProtocolError):
        make(google.url).list_models()


@EVERY_LIST
def test_odd_rows(make: Any) -> None:
    """Rows without a name are left out; the same token for ever ends after some pages."""
    _, key, prefix = LISTS[make]
    body = {key: [7, {}, {"name": 7}, {"name": f"{prefix}a"}], "nextPageToken": "again"}
    with RecordingServer(Reply(body)) as google:
        assert make(google.url).list_models() == ["a"]

    assert len(google.requests) == listing.MAX_PAGES


@EVERY_LIST
def test_refused_key(make: Any) -> None:
    """It is an authentication error."""
    reply = Reply({"error": {"code": 401, "message": "No."}}, 401)
    with RecordingServer(reply) as google, pytest.raises(AuthError):
        make(google.url).list_models()
