"""Polls and downloads of interactions at the Developer API."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from google_routes import HOME, fetch, gemini, submit
from interactions import DONE, FILE_URI, ID, INLINE_VIDEO, MP4, OMNI, make_completed, make_output
from polling import poll
from recording_server import RecordedRequest, RecordingServer, Reply

from veo import errors
from veo.http import Response
from veo.update import RemoteVideo, Stage, Update
from veo_gemini.error_table import ERROR_RULES, google_error
from veo_gemini.interactions.errors import CHAIN_RULES, POLL_RULES, SUBMIT_RULES, UPLOADED_RULES
from veo_gemini.interactions.wire import pace_polls

VIDEO = RemoteVideo(FILE_URI, id=ID)
PATH = f"/v1beta/interactions/{ID}"


def refuse(status: int, code: str, message: str = "No.") -> Reply:
    return Reply({"error": {"message": message, "code": code}}, status)


def test_poll_is_one_get() -> None:
    """The id is enough, as after a restart; the key is in its header."""
    with RecordingServer(Reply(DONE)) as google:
        update = poll(gemini(google.url), ID)

    request = google.only_request
    assert (request.method, request.path, request.body) == ("GET", PATH, b"")
    assert request.headers["x-goog-api-key"] == "sandbox-key"
    assert (update.stage, update.video) == (Stage.READY, VIDEO)


@pytest.mark.parametrize(
    ("task_id", "path"),
    [
        ("a/b?c", "/v1beta/interactions/a%2Fb%3Fc"),
        ("../files/x", "/v1beta/interactions/..%2Ffiles%2Fx"),
        ("a b#c", "/v1beta/interactions/a%20b%23c"),
        ("é", "/v1beta/interactions/%C3%A9"),
        (f"interactions/{ID}", PATH),
    ],
)
def test_ids_are_quoted(task_id: str, path: str) -> None:
    """An id of a user or of a server cannot lead to another path."""
    with RecordingServer(Reply(DONE)) as google:
        poll(gemini(google.url), task_id)

    assert google.only_request.path == path


@pytest.mark.parametrize(
    ("evidence", "stage"),
    [
        ({}, Stage.RUNNING),
        ({"errors": []}, Stage.RUNNING),
        ({"usage": {"total_output_tokens": 15}}, Stage.FAILED),
        ({"errors": [{"code": 13, "message": "internal"}]}, Stage.FAILED),
        ({"status": "failed"}, Stage.FAILED),
    ],
)
def test_an_end_without_evidence(evidence: dict[str, Any], stage: Stage) -> None:
    """The status alone does not end a paid task; with a usage, or an error, it does."""
    with RecordingServer(Reply(make_completed(**evidence))) as google:
        assert poll(gemini(google.url), ID).stage is stage


@pytest.mark.parametrize("task_id", ["", ".", "..", "interactions/"])
def test_ids_that_cannot_be_quoted(task_id: str) -> None:
    """They are refused before anything is sent."""
    with RecordingServer(Reply(DONE)) as google, pytest.raises(errors.TaskNotFoundError):
        poll(gemini(google.url), task_id)

    assert google.requests == []


@pytest.mark.parametrize(
    ("reply", "kind", "retryable"),
    [
        (refuse(403, "permission_denied", "There was a problem."), errors.ProtocolError, True),
        (refuse(400, "invalid_request", "an invalid argument"), errors.ProtocolError, True),
        (
            refuse(400, "invalid_request", "Multiple authentication credentials received."),
            errors.ProtocolError,
            True,
        ),
        (
            refuse(400, "invalid_request", f"Invalid interaction name: interactions/{ID}"),
            errors.TaskNotFoundError,
            False,
        ),
        (
            refuse(404, "not_found", "Requested entity was not found."),
            errors.TaskNotFoundError,
            False,
        ),
        (refuse(400, "invalid_request", "API key not valid."), errors.AuthError, False),
        (refuse(401, "unauthenticated"), errors.AuthError, False),
        (refuse(403, "", "Requests to this API are blocked."), errors.AuthError, False),
        (refuse(429, "too_many_requests"), errors.BusyError, True),
        (refuse(500, "api_error"), errors.ResponseLostError, True),
        (refuse(503, "unavailable"), errors.BusyError, True),
        (Reply(b"<html></html>"), errors.ProtocolError, True),
        (Reply(silent=True), errors.ResponseLostError, True),
    ],
)
def test_refused_poll(reply: Reply, kind: type[errors.VeoError], retryable: bool) -> None:
    """A 400 or a 403 is no proof of a failure; nothing is said about money."""
    with RecordingServer(reply) as google, pytest.raises(errors.VeoError) as caught:
        poll(gemini(google.url), ID)

    assert (type(caught.value), caught.value.retryable) == (kind, retryable)
    assert caught.value.charged is None


def test_echoed_key_is_redacted() -> None:
    """A key that an interaction repeats does not get into the texts of a job."""
    text = {"type": "text", "text": "I cannot say sandbox-key."}
    with RecordingServer(Reply(make_completed(make_output(text)))) as google:
        update = poll(gemini(google.url), ID)

    assert update.error is not None
    assert update.error.message == "the model refuses: I cannot say [key]."


def test_large_response() -> None:
    """Images of the request come back: they are parsed in a thread, and other polls go on."""
    large = {**DONE, "steps": [{"type": "user_input", "content": [{"data": "A" * 9_000_000}]}]}
    large["steps"] = [*large["steps"], *DONE["steps"]]

    async def poll_twice(provider: Any) -> list[Any]:
        return await asyncio.gather(provider.poll(ID), provider.poll(ID))

    with RecordingServer(Reply(large)) as google:
        updates = asyncio.run(poll_twice(gemini(google.url)))
    assert [update.stage for update in updates] == [Stage.READY] * 2


@pytest.mark.parametrize(("megabytes", "seconds"), [(1, None), (6, 3), (60, 10)])
def test_large_polls_are_made_less_often(megabytes: int, seconds: float | None) -> None:
    """A poll is as large as the request, and brings nothing new."""
    running = Update(stage=Stage.RUNNING, task_id=ID)

    assert pace_polls(running, megabytes << 20).poll_after == seconds
    assert pace_polls(Update(stage=Stage.READY, task_id=ID), 60 << 20).poll_after is None


def serve(state: str | None, status: int = 200) -> Callable[[RecordedRequest], Reply]:
    """Return a server of one file in a state; its bytes are sent only if it is ACTIVE."""

    def respond(request: RecordedRequest) -> Reply:
        if "alt=media" not in request.path:
            return Reply({"name": "files/abc123def456", "state": state}, status)
        return Reply(MP4) if state == "ACTIVE" else refuse(404, "not_found")

    return respond


def test_download() -> None:
    """One GET of the file that the interaction names, from the base URL, with the key."""
    with RecordingServer(serve("ACTIVE")) as google:
        data = fetch(gemini(google.url).open(VIDEO))

    assert data == MP4
    assert google.only_request.path == FILE_URI.removeprefix(HOME)
    assert google.only_request.headers["x-goog-api-key"] == "sandbox-key"


def test_file_that_is_still_processed() -> None:
    """A completed interaction does not imply that its file can be read: try again later."""
    with RecordingServer(serve("PROCESSING")) as google, pytest.raises(errors.NotReadyError) as e:
        gemini(google.url).open(VIDEO)

    assert [request.path.partition(":")[0] for request in google.requests] == [
        "/v1beta/files/abc123def456"
    ] * 2
    assert e.value.retryable


@pytest.mark.parametrize(("state", "status"), [("FAILED", 200), (None, 404), (None, 500)])
def test_file_that_is_gone(state: str | None, status: int) -> None:
    """Then the refusal of the download counts."""
    with RecordingServer(serve(state, status)) as google, pytest.raises(errors.GoneError):
        gemini(google.url).open(VIDEO)


def test_inline_video() -> None:
    """The bytes are read from a second response, from an offset, with a validator."""
    body = make_completed(make_output(INLINE_VIDEO))
    with RecordingServer(Reply(body)) as google:
        provider = gemini(google.url)
        update = poll(provider, ID)
        assert update.video is not None
        whole, rest = provider.open(update.video), provider.open(update.video, 100)
        assert (fetch(whole), fetch(rest)) == (MP4, MP4[100:])

    assert (whole.etag, whole.total) == (rest.etag, len(MP4))
    assert {request.path for request in google.requests} == {PATH}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(make_completed()), errors.GoneError),
        (refuse(404, "not_found"), errors.GoneError),
        (
            Reply(make_completed(make_output({"type": "video", "data": "not base64!"}))),
            errors.ProtocolError,
        ),
    ],
)
def test_inline_video_that_is_not_there(reply: Reply, kind: type[errors.VeoError]) -> None:
    """Deleted, or unreadable."""
    with RecordingServer(reply) as google, pytest.raises(kind):
        gemini(google.url).open(RemoteVideo(f"interactions/{ID}", id=ID))


def test_every_rule_can_match() -> None:
    """No rule of this wire is hidden by the rules above it."""
    for rules in (SUBMIT_RULES, UPLOADED_RULES, CHAIN_RULES, POLL_RULES):
        texts = ["", *(text for rule in rules for text in rule.text.split("|"))]
        reached = {
            next((rule for rule in rules if rule.matches(text, status)), None)
            for status in (400, 403, 404)
            for text in texts
        }
        assert set(rules) <= reached


def test_rules_come_before_those_of_the_table() -> None:
    """A 403 that the table takes for a wrong key is only a poll that says nothing."""
    response = Response(403, {}, b'{"error": {"code": "permission_denied", "message": "No."}}')

    assert isinstance(google_error(response, "poll"), errors.AuthError)
    assert isinstance(google_error(response, "poll", first=POLL_RULES), errors.ProtocolError)
    assert not set(POLL_RULES) & set(ERROR_RULES)


def test_both_wires_at_the_same_time() -> None:
    """The row says which wire a request takes, and the task id which one a poll takes."""

    def respond(request: RecordedRequest) -> Reply:
        name = "models/veo-3.1-fast-generate-preview/operations/abc"
        return Reply(DONE if "interactions" in request.path else {"name": name})

    with RecordingServer(respond) as google:
        provider = gemini(google.url)
        tasks = [submit(provider).task_id, submit(provider, model=OMNI).task_id]
        stages = [poll(provider, str(task)).stage for task in tasks]
    assert tasks[1] == ID
    assert stages == [Stage.RUNNING, Stage.READY]
