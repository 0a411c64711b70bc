"""The paid POST of an interaction: sent once whatever happens, and the key to no other host."""

import time
from collections.abc import Callable

import pytest
from google_routes import gemini, submit, with_token
from interactions import ID, OMNI, make_created
from recording_server import RecordingServer, Reply

from veo import errors
from veo.provider import Provider
from veo.update import RemoteVideo, Stage, Update
from veo_gemini import Gemini, Vertex
from veo_gemini.interactions import wire

MakeProvider = Callable[[str], Gemini | Vertex]
PATHS = {
    gemini: "/v1beta/interactions",
    with_token: "/v1beta1/projects/p/locations/global/interactions",
}
SECRETS = {gemini: ("x-goog-api-key", "sandbox-key"), with_token: ("authorization", "Bearer ")}

pytestmark = pytest.mark.parametrize("make", [gemini, with_token], ids=["gemini", "vertex"])


def send(provider: Provider, **options: object) -> Update:
    """Submit a request for a lion to Omni."""
    return submit(provider, model=OMNI, **options)


def catch_error(make: MakeProvider, reply: Reply, **options: object) -> errors.VeoError:
    """Return the error of the one POST that a submit sends."""
    with RecordingServer(reply) as google, pytest.raises(errors.VeoError) as caught:
        send(make(google.url), **options)
    assert [request.method for request in google.requests] == ["POST"]
    assert "sandbox-key" not in f"{caught.value!r} {caught.value.hint}"
    return caught.value


def make_error(status: int, code: str, message: str) -> Reply:
    """Return an error as the wire has it: the code is a word."""
    return Reply({"error": {"message": message, "code": code}}, status)


def test_one_post(make: MakeProvider) -> None:
    """To the documented path, with the key in its header only; the id is the task id."""
    with RecordingServer(Reply(make_created())) as google:
        update = send(make(google.url))

    request = google.only_request
    header, value = SECRETS[make]
    assert (request.method, request.path) == ("POST", PATHS[make])
    assert request.headers[header].startswith(value)
    assert "sandbox-key" not in request.path + request.body.decode()
    assert "x-goog-api-key" not in request.headers or make is gemini
    assert (update.stage, update.task_id) == (Stage.SUBMITTED, ID)


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "retryable"),
    [
        (409, "aborted", "Conflict.", errors.RefusedError, False),
        (429, "too_many_requests", "You exceeded your current quota.", errors.BusyError, True),
        (503, "unavailable", "The model is overloaded.", errors.BusyError, True),
        (400, "invalid_request", "Invalid input at 'response_format'", errors.RefusedError, False),
        (400, "content_blocked", "It contains sensitive words", errors.ModeratedError, False),
        (400, "invalid_request", "API key not valid.", errors.AuthError, False),
        (401, "unauthenticated", "API keys are not supported.", errors.AuthError, False),
        (403, "permission_denied", "Requests are blocked.", errors.AuthError, False),
        (404, "not_found", "Model 'x' not found.", errors.ModelUnavailableError, False),
        (404, "", "This model is no longer available.", errors.ModelUnavailableError, False),
        (413, "", "Too large.", errors.TooLargeError, False),
    ],
)
def test_refusals_are_not_charged(
    make: MakeProvider,
    status: int,
    code: str,
    message: str,
    kind: type[errors.VeoError],
    retryable: bool,
) -> None:
    """Each is sent once, has its class and its text, and made nothing."""
    error = catch_error(make, make_error(status, code, message))

    assert (type(error), error.retryable, error.charged) == (kind, retryable, False)
    assert message in error.message


@pytest.mark.parametrize("status", [408, 500, 502, 504])
def test_server_errors_may_have_been_charged(make: MakeProvider, status: int) -> None:
    """A 500 can come after the acceptance: one POST, and the outcome is unknown."""
    error = catch_error(make, make_error(status, "api_error", "Internal error encountered."))

    assert (type(error), error.charged) == (errors.ResponseLostError, None)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(make: MakeProvider, status: int) -> None:
    """Neither prompt nor key reaches another host; nothing was accepted."""
    with RecordingServer(Reply(make_created())) as elsewhere:
        error = catch_error(make, Reply(b"", status, {"Location": f"{elsewhere.url}/x"}))

    assert elsewhere.requests == []
    assert (type(error), error.charged) == (errors.RefusedError, False)


@pytest.mark.parametrize(
    "reply",
    [Reply(silent=True), Reply(make_created(), missing=40), Reply(hold=True)],
    ids=["closed", "truncated", "silent"],
)
def test_lost_response_may_have_been_charged(
    make: MakeProvider, reply: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dropped, a cut and a late response: one POST, and the outcome is unknown."""
    monkeypatch.setattr(wire, "SUBMIT_S", 0.2)

    error = catch_error(make, reply)

    assert (type(error), error.charged) == (errors.ResponseLostError, None)


@pytest.mark.parametrize("body", [b"", b"{", b"<html></html>", b"[1]", b"null", b"\xff\xff", b"{}"])
def test_unreadable_acceptance_may_have_been_charged(make: MakeProvider, body: bytes) -> None:
    """HTTP 200 without an id."""
    error = catch_error(make, Reply(body))

    assert (type(error), error.charged) == (errors.ProtocolError, None)


def test_slow_acceptance(make: MakeProvider) -> None:
    """A response that takes a while is waited for, and nothing is sent again."""

    def wait(_: object) -> Reply:
        time.sleep(0.3)
        return Reply(make_created())

    with RecordingServer(wait) as google:
        assert send(make(google.url)).task_id == ID
    assert len(google.requests) == 1


@pytest.mark.parametrize("field", ["edit", "extend"])
def test_new_interaction_that_is_not_found_yet(make: MakeProvider, field: str) -> None:
    """The engine repeats the request for two minutes: a 404 made nothing."""
    video = RemoteVideo("https://storage.example/x", id=ID)
    reply = make_error(404, "not_found", "Requested entity was not found.")

    error = catch_error(make, reply, **{field: video})

    assert (type(error), error.retryable, error.charged) == (errors.NotReadyError, True, False)
    assert error.retry_after == 12
    assert "55 days" in str(error.hint)


def test_continued_interaction_of_an_ended_model(make: MakeProvider) -> None:
    """A 404 that names the model is not repeated."""
    video = RemoteVideo("https://storage.example/x", id=ID)
    error = catch_error(make, make_error(404, "", "Model 'x' not found."), edit=video)

    assert (type(error), error.retryable) == (errors.ModelUnavailableError, False)


def test_list_of_one_error(make: MakeProvider) -> None:
    """The front end sends Google's older form, in a list."""
    body = [{"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}]
    error = catch_error(make, Reply(body, 429))

    assert (type(error), error.message) == (errors.BusyError, "Slow down. (HTTP 429)")


def test_wait_that_only_the_message_names(make: MakeProvider) -> None:
    """Errors of this wire have no details."""
    text = "You exceeded your current quota, please check your plan. Please retry in 23.397s."

    assert catch_error(make, make_error(429, "too_many_requests", text)).retry_after == 23.397


def test_key_without_billing(make: MakeProvider) -> None:
    """Its quota is 0, so it is not sent again."""
    text = "Quota exceeded for metric: x_free_tier_requests, limit: 0. Please retry in 23.397s."
    error = catch_error(make, make_error(429, "too_many_requests", text))

    assert (type(error), error.retryable) == (errors.BalanceError, False)
    assert "no free tier" in str(error.hint)
