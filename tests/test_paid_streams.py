"""A paid stream that is not understood: its end is kept, and its video can still be fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_inputs import list_jobs
from laozhang import (
    FILE,
    KEY,
    connect_sync,
    ignore_update,
    make_chunk,
    make_event,
    make_request,
    make_response,
    make_stream,
)
from raw_server import serve_responses
from recording_server import RecordedRequest, RecordingServer, Reply
from sample_videos import make_video

from veo.errors import BalanceError, ConfigError, ProtocolError, UnknownOutcomeError, VeoError
from veo.ledger import State
from veo.update import RemoteVideo, Stage, Update
from veo_laozhang.chat_text import find_all_urls, find_video_url
from veo_laozhang.evidence import MAX_BYTES
from veo_laozhang.responses import read_submit_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli_runner import Veo

pytest_plugins = ("veo_fixtures",)
STREAM_HEADERS = {"Content-Type": "text/event-stream"}
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def api() -> Iterator[RecordingServer]:
    """Serve the API."""
    with RecordingServer() as server:
        yield server


def submit(api: RecordingServer, body: bytes, **headers: str) -> Update:
    """Send a chat whose response has a body."""
    api.reply = Reply(body, headers=STREAM_HEADERS | headers)
    return connect_sync(api.url).submit(make_request(), ignore_update)


def submit_badly(api: RecordingServer, body: bytes, **headers: str) -> VeoError:
    """Return the error of a chat."""
    with pytest.raises(VeoError) as caught:
        submit(api, body, **headers)
    return caught.value


URL = "https://cdn.example.com/v/8"  # nothing about it says that it is a video
VIDEOS: dict[str, Any] = {
    "videos in the delta": make_chunk({"videos": [{"video_url": {"url": URL}}]}),
    "videos with a url": make_chunk({"videos": [{"url": URL}]}),
    "a list of urls": make_chunk({"videos": [URL]}),
    "a video": make_chunk({"video": {"url": URL}}),
    "a part": make_chunk({"content": [{"type": "video_url", "video_url": {"url": URL}}]}),
    "a part with a text": make_chunk({"content": [{"type": "video_url", "video_url": URL}]}),
    "a part of another type": make_chunk({"content": [{"type": "video", "url": URL}]}),
    "a message": make_event({"choices": [{"message": {"videos": [{"video_url": URL}]}}]}),
    "the event": make_event({"video_url": URL}),
    "after a text": make_chunk({"content": "done"}) + make_chunk({"videos": [{"url": URL}]}),
}


@pytest.mark.parametrize("body", VIDEOS.values(), ids=VIDEOS)
def test_a_video_outside_the_text(api: RecordingServer, body: bytes) -> None:
    """A field that is named like a video holds its address."""
    assert submit(api, body + DONE).video == RemoteVideo(URL)


BLANK = "https://a.example.com/a b.mp4"
NESTED = "https://a.example.com/(x)/(1).mp4"
DIGITS = "9" * 5000
LINKS = {
    "brackets": ("✅ [点击](https://a.example.com/a(1).mp4)", "https://a.example.com/a(1).mp4"),
    "brackets and more": (f"[a]({NESTED}) b", NESTED),
    "a blank": (f"✅ [点击]({BLANK})", BLANK),
    "a blank and a title": (f'[x]({BLANK} "t")', BLANK),
    "words after the link": (f"[x]({FILE} 点此)", FILE),
    "angles": (f"[x](<{BLANK}>)", BLANK),
    "angles only": (f"see <{BLANK}>", BLANK),
    "bare brackets": ("https://a.example.com/a(1).mp4 ok", "https://a.example.com/a(1).mp4"),
    "bare square brackets": ("https://a.example.com/a[1].mp4", "https://a.example.com/a[1].mp4"),
    "bare in brackets": (f"({FILE})", FILE),
    "a failure in the sentence": (f"如果下载失败\uff0c请点击 [这里]({FILE})", FILE),
    "a bare one": (f"If the download failed, use {FILE}", FILE),
    "failure, help": ("❌ 失败 [help](https://example.com/help)", None),
    "failure, another wins": (f"失败 https://x.example.com/old.mp4\n[a]({FILE})", FILE),
    "upper case": ("[a](HTTPS://a.example.com/a.MP4)", "HTTPS://a.example.com/a.MP4"),
    "an entity of many digits": (f"[a](https://a/&#{DIGITS};)", f"https://a/&#{DIGITS};"),
}


@pytest.mark.parametrize(("text", "url"), LINKS.values(), ids=LINKS)
def test_links(text: str, url: str | None) -> None:
    """Brackets and blanks belong to an address; a word about failures does not hide it."""
    assert find_video_url(text) == url


WHOLE = json.dumps({"choices": [{"delta": {"content": f"[a]({FILE})"}}]}, indent=1).splitlines()
PLAIN = make_stream([f"[a]({FILE})"])
EVENTS = {
    "cr": PLAIN.replace(b"\n", b"\r"),
    "cr lf": PLAIN.replace(b"\n", b"\r\n"),
    "mixed": PLAIN.replace(b"\n\n", b"\r\n\r"),
    "several data lines": "".join(f"data: {line}\n" for line in WHOLE).encode() + b"\n",
    "several data lines, no end": "\r".join(f"data:{line}" for line in WHOLE).encode(),
    "comments in between": "".join(f"data: {line}\n: PING\nid: 1\n" for line in WHOLE).encode(),
    "no blank lines": PLAIN.replace(b"\n\n", b"\n"),
    "no blank lines, not json": b"data: x\n" + PLAIN.replace(b"\n\n", b"\n"),
    "byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "empty data lines": b"data\ndata:\n\n" + PLAIN,
}


@pytest.mark.parametrize("step", [1, 5, 100_000])
@pytest.mark.parametrize("body", EVENTS.values(), ids=EVENTS)
def test_event_streams(body: bytes, step: int) -> None:
    """Events are read by the standard, however they are cut into chunks."""
    chunks = [body[at : at + step] for at in range(0, len(body), step)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with serve_responses(head + framed) as server:
        update = connect_sync(server.url).submit(make_request(), ignore_update)
    assert update.video == RemoteVideo(FILE)


FAILURES = {
    "code and msg": ({"code": 500, "msg": "the reason"}, "the reason"),
    "detail": ({"detail": "the reason"}, "the reason"),
    "errors": ({"errors": [{"message": "the reason"}]}, "the reason"),
    "a list of texts": ({"errors": ["the reason"]}, "the reason"),
    "message": ({"message": "the reason"}, "the reason"),
}


@pytest.mark.parametrize(("body", "text"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("as_event", [True, False])
def test_failures(api: RecordingServer, body: Any, text: str, *, as_event: bool) -> None:
    """The reason is told, whatever object it is in; the money is gone."""
    raw = make_event(body) + DONE if as_event else json.dumps(body).encode()
    error = submit_badly(api, raw)
    assert text in error.message
    assert (error.charged, error.retryable) == (True, False)
    assert text in str(error.response_end)


REFUSALS = {
    "a page": (b"<!DOCTYPE html><title>Console</title>", "text/html", ConfigError),
    "a page as a stream": (b"<html><title>Console</title>", "text/event-stream", ConfigError),
    "a balance": (b'{"code":402,"msg":"no"}', "application/json", BalanceError),
    "a balance as a stream": (b'{"code":402,"msg":"no"}', "text/event-stream", BalanceError),
}


@pytest.mark.parametrize(("body", "mime", "kind"), REFUSALS.values(), ids=REFUSALS)
def test_what_clearly_says_no(
    api: RecordingServer, body: bytes, mime: str, kind: type[VeoError]
) -> None:
    """It is never a charge; a page says that base_url ends in /v1."""
    reported: list[Update] = []
    api.reply = Reply(body, headers={"Content-Type": mime})
    with pytest.raises(kind) as caught:
        connect_sync(api.url).submit(make_request(), reported.append)
    assert caught.value.charged is False
    assert (reported == []) == (mime != "text/event-stream")
    assert kind is not ConfigError or "/v1" in str(caught.value.hint)


# ---- what is kept


def test_the_end_of_the_body_is_kept(api: RecordingServer) -> None:
    """As it was sent, bounded, and without the key."""
    body = make_stream(["x" * 50_000, f" {KEY.reveal()} the end\n"])
    error = submit_badly(api, body)
    assert len(str(error.response_end)) <= MAX_BYTES
    assert "the end" in str(error.response_end)
    assert "[key]" in str(error.response_end)
    assert KEY.reveal() not in str(error.response_end)


def test_every_address_is_shown(api: RecordingServer) -> None:
    """Those of the text without the echo of the prompt, or those of a raw body."""
    text = '```json\n{"prompt": "https://prompt.example/"}\n```\n see https://a.example/1 or https://b.example/2'
    error = submit_badly(api, make_stream([text]))
    assert error.urls == ("https://a.example/1", "https://b.example/2")
    raw = rb'{"odd":{"file":"https:\/\/a.example\/v?a=1\u0026b=2"}}'
    assert submit_badly(api, raw).urls == ("https://a.example/v?a=1&b=2",)
    assert find_all_urls("none") == []


def test_a_create_that_is_not_understood() -> None:
    """The response of the async route is kept as well."""
    with pytest.raises(ProtocolError) as caught:
        read_submit_response(make_response({"odd": [{"job": "https://a.example/t/1"}]}))
    assert caught.value.urls == ("https://a.example/t/1",)
    assert "odd" in str(caught.value.response_end)


# ---- the command line


class Service:
    """A sync route whose streams hold an address that nobody understands, and the file there."""

    def __init__(self, server: RecordingServer, file: bytes) -> None:
        self.server, self.file = server, file
        self.body = make_chunk({"content": f"the result is at {server.url}/results/8 now"}) + DONE
        server.reply = self.respond

    def respond(self, request: RecordedRequest) -> Reply:
        """Return the stream, or the file."""
        if request.method == "POST":
            return Reply(self.body, headers=STREAM_HEADERS)
        return Reply(self.file) if request.path == "/results/8" else Reply({}, 404)

    @property
    def posts(self) -> int:
        """The number of paid requests."""
        return sum(request.method == "POST" for request in self.server.requests)


@pytest.fixture
def service(api: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Serve it as the live service."""
    Path("veo.toml").write_text(
        'provider = "laozhang-sync"\nretired = "ignore"\nconfirm_above = 1000\n'
        f'[providers.laozhang-sync]\nbase_url = "{api.url}/v1"\nmodel = "veo-3.1-fast"\n'
    )
    monkeypatch.setenv("VEO_API_KEY", "sandbox-key")
    return Service(api, make_video(frames=192))


def find_job() -> Any:
    return list_jobs()[0]


def test_resume_with_the_address(veo: Veo, service: Service) -> None:
    """The address is shown, the end of the body is in the history, and nothing is paid twice."""
    made = veo("generate", "a lion", "-o", "lion.mp4")
    job = find_job()
    shown = veo("show", job.id, "--json")
    charged = job.charged
    resumed = veo("resume", job.id, "--url", f"{service.server.url}/results/8")

    assert made.code == 1
    assert f"{service.server.url}/results/8" in made.err
    assert f"veo resume {job.id} --url ADDRESS" in made.err
    assert "the result is at" in shown.out
    assert (job.state, job.charged > 0) == (State.FAILED, True)
    assert resumed.code == 0, resumed.err
    assert find_job().state is State.DONE
    assert find_job().charged == charged
    assert Path("lion.mp4").read_bytes() == service.file
    assert service.posts == 1


def test_resume_with_a_wrong_address(veo: Veo, service: Service) -> None:
    """Another address can be tried after it."""
    veo("generate", "a lion", "-o", "lion.mp4")
    job = find_job().id
    wrong = veo("resume", job, "--url", f"{service.server.url}/results/9", "--timeout", "1")
    right = veo("resume", job, "--url", f"{service.server.url}/results/8")

    assert wrong.code == 7, wrong.err
    assert right.code == 0, right.err
    assert service.posts == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--url", "ftp://host/x"],
        ["--url", "results/8"],
        ["--url", "https://"],
        ["--url", "https://a/b", "--task-id", "x"],
        ["--url", "https://a/b", "--resubmit"],
    ],
)
def test_addresses_that_cannot_be_used(veo: Veo, service: Service, options: list[str]) -> None:
    """Nothing is changed."""
    veo("generate", "a lion", "-o", "lion.mp4")
    before = find_job()
    assert veo("resume", before.id, *options).code == 2
    assert find_job() == before


def test_a_job_that_needs_no_address(veo: Veo, service: Service) -> None:
    """A finished job keeps its file; --url needs the name of a job."""
    service.body = make_chunk({"content": f"[a]({service.server.url}/results/8)"}) + DONE
    assert veo("generate", "a lion", "-o", "lion.mp4").code == 0
    assert veo("resume", find_job().id, "--url", "https://a.example/b").code == 2
    assert veo("resume", "--url", "https://a.example/b").code == 2


def test_an_unknown_outcome_with_an_address(veo: Veo, service: Service) -> None:
    """The user found the video in the console: it was charged, and is downloaded."""
    service.server.reply = Reply(silent=True)
    made = veo("generate", "a lion", "-o", "lion.mp4")
    service.server.reply = service.respond
    resumed = veo("resume", find_job().id, "--url", f"{service.server.url}/results/8")

    assert made.code == UnknownOutcomeError.exit_code
    assert resumed.code == 0, resumed.err
    assert find_job().charged > 0
    assert find_job().reserved == 0


def test_a_charged_failure_stands_for_its_item(veo: Veo, service: Service) -> None:
    """A batch does not pay again for a job that failed after the charge, unless it is told to."""
    Path("batch.json").write_text('[{"prompt": "a lion", "output": "lion.mp4"}]')
    codes = [veo("batch", "batch.json").code for _ in range(2)]
    told = veo("batch", "batch.json", "--json")
    posts = service.posts
    service.body = make_chunk({"content": f"[a]({service.server.url}/results/8)"}) + DONE
    remade = veo("batch", "batch.json", "--remake")

    assert (codes, posts) == ([1, 1], 1)
    assert told.objects[0]["error"]["charged"] is True
    assert "--remake" in told.err
    assert remade.code == 0, remade.err
    assert service.posts == 2
    assert veo("batch", "batch.json").code == 0
    assert service.posts == 2


def test_a_failure_that_cost_nothing_is_made_again(veo: Veo, service: Service) -> None:
    """The next run of the batch sends it again by itself."""
    Path("batch.json").write_text('[{"prompt": "a lion", "output": "lion.mp4"}]')
    service.server.reply = Reply({"error": {"message": "no", "code": "invalid_request"}}, 400)
    assert veo("batch", "batch.json").code == 1
    service.body = make_chunk({"content": f"[a]({service.server.url}/results/8)"}) + DONE
    service.server.reply = service.respond
    assert veo("batch", "batch.json").code == 0


def test_stage_of_the_first_report(api: RecordingServer) -> None:
    """An event stream is reported as accepted before its body is read."""
    reported: list[Update] = []
    api.reply = Reply(make_stream([f"[a]({FILE})"]), headers=STREAM_HEADERS)
    connect_sync(api.url).submit(make_request(), reported.append)
    assert reported[0].stage is Stage.SUBMITTED
