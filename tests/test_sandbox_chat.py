"""The chat wire of the sandbox, seen through plain HTTP and through OpenAI's own client."""
# ruff: noqa: RUF001 - the wire speaks Chinese

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import requests
from batch_inputs import wait_until
from sandbox_api import StartSandbox, make_image

if TYPE_CHECKING:
    import openai  # takes a second: imported by the tests of it alone

    from veo_sandbox import Sandbox

LINK = re.compile(r"\[点击这里\]\((http://[^)]+\.mp4)\)")
SECRET = "帧转视频模式的至少上传一帧"


def uri(data: bytes, kind: str = "image/png") -> str:
    """Return a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def asking(prompt: str = "lion", *urls: str, **more: Any) -> dict[str, Any]:
    """Return a chat body that requests a stream."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": prompt}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    messages = [{"role": "user", "content": parts}]
    return {"model": "veo-3.1-fast", "messages": messages, "stream": True} | more


def chat(box: Sandbox, body: Any = None, **options: Any) -> requests.Response:
    """POST a chat."""
    url, headers = f"{box.url}/v1/chat/completions", {"Authorization": f"Bearer {box.key}"}
    options_of_post = {"json": body or asking(), "headers": headers, "timeout": 20} | options
    return requests.post(url, **options_of_post)


def events(response: requests.Response) -> list[Any]:
    """Return the data of every event, JSON parsed."""
    assert response.status_code == 200, response.text
    found = re.findall(r"^data: (.*)$", response.content.decode(), re.MULTILINE)
    return [each if each == "[DONE]" else json.loads(each) for each in found]


def content(response: requests.Response, name: str = "content") -> str:
    """Return the text of all chunks."""
    choices = [e["choices"][0] for e in events(response) if e != "[DONE]" and e["choices"]]
    return "".join(choice["delta"].get(name) or "" for choice in choices)


def raw(box: Sandbox, fault: str, **rule: Any) -> bytes:
    """Return the bytes of a stream under a fault."""
    box.fault(fault, **rule)
    return chat(box).content


class TestStream:
    """What a stream contains, and when it comes."""

    def test_the_text_is_the_captured_one(self, sandbox: StartSandbox) -> None:
        """Prompt, waiting, decimal progress, then the line with the link, exactly as captured."""
        text = content(chat(sandbox(), asking('a "lion" at https://example.com/x.mp4')))
        link = LINK.findall(text)

        assert text == (
            '```json\n{\n    "prompt": "a \\"lion\\" at https://example.com/x.mp4",\n'
            '    "mode": "竖屏模式"\n}\n```\n\n'
            "> ⌛️ 视频正在生成中，请耐心等待...\n\n"
            "> 🏃 进度：8.2%\n\n> 🏃 进度：15.7%\n\n> 🏃 进度：23.3%\n\n> 🏃 进度：31.5%\n\n"
            f"> ✅ 视频生成成功，[点击这里]({link[0]}) 查看视频~~~\n\n"
        )

    def test_the_other_capture(self, sandbox: StartSandbox) -> None:
        """The second stream has the second published percentages; the mode is the model's."""
        box = sandbox()
        chat(box)
        text = content(chat(box, asking(model="veo-3.1-landscape")))

        assert re.findall(r"进度：([\d.]+)%", text) == ["9.0", "18.0", "27.9", "36.9", "45.9"]
        assert '"mode": "横屏模式"' in text

    def test_the_envelopes(self, sandbox: StartSandbox) -> None:
        """Role first, one line per chunk, `stop` with usage, [DONE]; one id, also in the bill."""
        box = sandbox()
        response = chat(box)
        *chunks, done = events(response)
        first, *_, last = chunks

        assert response.headers["content-type"] == "text/event-stream"
        assert done == "[DONE]"
        assert first["choices"] == [
            {"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}
        ]
        assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
        assert last["usage"]["total_tokens"] > 0
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert {chunk["id"] for chunk in chunks} == {box.bills()[0]["task"]}
        assert chunks[0]["id"].startswith("foaicmpl-")

    def test_lines_come_as_time_passes(self, sandbox: StartSandbox) -> None:
        """The opening comes at once, the rest when it is due by the clock."""
        box = sandbox(latency=1000)
        with chat(box, stream=True) as response:
            lines = (line for line in response.iter_lines(chunk_size=1) if line)
            opening = [next(lines) for _ in range(3)]
            state = box.tasks()[0]["state"]
            box.advance(1000)
            rest = list(lines)

        assert "耐心等待" in opening[-1].decode()
        assert state in {"queued", "running"}
        assert rest[-1] == b"data: [DONE]"
        assert len(rest) == 7

    def test_without_stream(self, sandbox: StartSandbox) -> None:
        """One JSON with prompt and link, without progress."""
        response = chat(sandbox(), asking(stream=False))
        body = response.json()
        text = body["choices"][0]["message"]["content"]

        assert body["object"] == "chat.completion"
        assert text.startswith('```json\n{\n    "prompt": "lion"')
        assert "进度" not in text
        assert requests.get(LINK.findall(text)[0], timeout=10).content[4:8] == b"ftyp"

    def test_the_link_needs_no_key(self, sandbox: StartSandbox) -> None:
        """The link leads to the files port, as captured; a key sent there is a leak."""
        box = sandbox()
        link = LINK.findall(content(chat(box)))[0]
        good = requests.get(link, timeout=10)
        bad = requests.get(link, headers={"Authorization": f"Bearer {box.key}"}, timeout=10)

        assert (good.status_code, good.headers["content-type"]) == (200, "video/mp4")
        assert bad.status_code == 400
        assert len(box.leaks()) == 1

    def test_a_disconnected_client_is_charged(self, sandbox: StartSandbox) -> None:
        """The task goes on after the client disconnects, and the charge stays."""
        box = sandbox(latency=1000)
        chat(box, stream=True).close()
        box.advance(1000)

        wait_until(lambda: box.tasks()[0]["state"] == "completed")  # once its clip is drawn
        assert len(box.tasks()) == 1
        assert [bill["state"] for bill in box.bills()] == ["charged"]

    def test_its_task_is_unknown_to_the_video_wire(self, sandbox: StartSandbox) -> None:
        """`/v1/videos` does not know a chat's task."""
        box = sandbox()
        name = events(chat(box))[0]["id"]
        headers = {"Authorization": f"Bearer {box.key}"}
        response = requests.get(f"{box.url}/v1/videos/{name}", headers=headers, timeout=10)

        assert (response.status_code, response.json()["code"]) == (400, "task_not_exist")


class TestMoney:
    """Charged with the 200, whatever happens later."""

    def test_charged_when_it_begins(self, sandbox: StartSandbox) -> None:
        """The bill exists when the first event arrives."""
        box = sandbox(latency=1000)
        with chat(box, stream=True) as response:
            next(response.iter_lines(chunk_size=1))
            bills = box.bills()

        assert [(bill["route"], bill["amount"], bill["state"]) for bill in bills] == [
            ("chat", 0.15, "charged")
        ]

    @pytest.mark.parametrize("fault", ["failed", "moderated"])
    def test_a_failure_is_charged(self, sandbox: StartSandbox, fault: str) -> None:
        """The stream ends normally, without a link; nothing is refunded."""
        box = sandbox()
        box.fault(fault)
        response = chat(box)
        text = content(response)

        assert "❌" in text
        assert not LINK.search(text)
        assert events(response)[-1] == "[DONE]"
        assert [bill["state"] for bill in box.bills()] == ["charged"]

    def test_n_videos_are_billed_n_times(self, sandbox: StartSandbox) -> None:
        """Three links, three files, three bills; the first has the id of the chat."""
        box = sandbox()
        response = chat(box, asking(n=3))
        links = LINK.findall(content(response))
        bills = box.bills()

        assert [requests.get(link, timeout=10).status_code for link in links] == [200] * 3
        assert len(set(links)) == 3
        assert [bill["amount"] for bill in bills] == [0.15] * 3
        assert bills[0]["task"] == events(response)[0]["id"]

    def test_all_or_none_of_n(self, sandbox: StartSandbox) -> None:
        """A balance that covers one video does not start two."""
        box = sandbox(balance=0.2)
        response = chat(box, asking(n=2))

        assert response.status_code == 403
        assert response.json()["error"]["code"] == "insufficient_user_quota"
        assert box.tasks() == []
        assert box.balance() == 0.2

    def test_a_lost_response_is_charged(self, sandbox: StartSandbox) -> None:
        """The faults of a create also affect a chat."""
        box = sandbox()
        box.fault("drop_answer")
        with pytest.raises(requests.ConnectionError):
            chat(box)

        assert [bill["state"] for bill in box.bills()] == ["charged"]


class TestRefusals:
    """A refused request costs nothing."""

    @pytest.mark.parametrize(
        ("change", "status", "expected_text"),
        [
            ({"messages": [{"role": "user", "content": 7}]}, 400, '"code":"invalid"'),
            ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, 400, '"invalid"'),
            ({"messages": []}, 400, "messages must have one of a user"),
            ({"messages": [{"role": "system", "content": []}]}, 400, "one of a user"),
            (asking("  "), 400, "prompt is required"),
            ({"model": None}, 400, "model field is required"),
            ({"model": "veo-3.1-fl-fast"}, 403, "该令牌无权使用模型：veo-3.1-fl-fast"),
            ({"model": "veo-3.1-fast-generate-preview"}, 403, "该令牌无权使用模型"),
            ({"n": 0}, 400, "n must be from 1 to 4"),
            ({"n": 5}, 400, "n must be from 1 to 4"),
            ({"n": True}, 400, "n must be from 1 to 4"),
            (asking("x", uri(make_image())), 400, "model_not_support_image"),
        ],
    )
    def test_a_wrong_request(
        self, sandbox: StartSandbox, change: dict[str, Any], status: int, expected_text: str
    ) -> None:
        """An `error` object says what is wrong."""
        box = sandbox()
        response = chat(box, asking() | change)

        assert (response.status_code, set(response.json())) == (status, {"error"})
        assert expected_text in response.text
        assert box.bills() == []

    @pytest.mark.parametrize(
        ("urls", "expected_text"),
        [
            ([uri(make_image())] * 3, "at most 2 images"),
            ([uri(make_image("GIF"))], "invalid_image_format"),
            ([uri(b"no picture")], "invalid_image_format"),
            (["data:image/png;base64,???"], "bad base64"),
            (["data:image/png;base64,é"], "bad base64"),
            (["lion.png"], "must be a data URI"),
            ([uri(bytes(10 * 1024 * 1024 + 1))], "image_too_large"),
        ],
    )
    def test_a_wrong_image(
        self, sandbox: StartSandbox, urls: list[str], expected_text: str
    ) -> None:
        """The bytes decide."""
        response = chat(sandbox(), asking("x", *urls, model="veo-3.1-fl"))

        assert (response.status_code, expected_text in response.text) == (400, True)

    def test_a_wrong_key_and_no_json(self, sandbox: StartSandbox) -> None:
        """The gateway's own texts."""
        box = sandbox()
        stranger = chat(box, headers={"Authorization": "Bearer other"})
        garbage = chat(box, None, json=None, data=b"{")

        assert (stranger.status_code, stranger.json()["error"]["type"]) == (401, "new_api_error")
        assert garbage.status_code == 400

    def test_bare_text(self, sandbox: StartSandbox) -> None:
        """It is taken, as an app found; the profile of the documentation calls it invalid."""
        bare = asking() | {"messages": [{"role": "user", "content": "lion"}]}

        assert chat(sandbox(), bare).status_code == 200
        assert chat(sandbox(profile="docs"), bare).status_code == 400

    def test_addresses_of_images(self, sandbox: StartSandbox) -> None:
        """Accepted as in November 2025, refused as the later documents say."""
        body = asking("x", "https://example.com/a.jpg", model="veo-3.1-fl")
        captured, documented = chat(sandbox(), body), chat(sandbox(profile="docs"), body)

        assert LINK.search(content(captured))
        assert documented.status_code == 400

    def test_a_frame_is_missing(self, sandbox: StartSandbox) -> None:
        """An -fl model without an image is accepted and charged, and then fails."""
        box = sandbox()
        text = content(chat(box, asking(model="veo-3.1-fast-fl")))

        assert SECRET in text
        assert not LINK.search(text)
        assert [bill["state"] for bill in box.bills()] == ["charged"]


class TestRequestLog:
    """What the log keeps of a request."""

    def test_images_are_logged_as_digests(self, sandbox: StartSandbox) -> None:
        """The body is exact except for the bytes of images; the task has them in order."""
        box = sandbox()
        start, end = make_image(colour="red"), make_image(colour="blue")
        body = asking("x", uri(start), uri(end), model="veo-3.1-fl")
        chat(box, body)
        entry, task = box.requests()[0], box.tasks()[0]
        parts = entry["body"]["messages"][0]["content"]
        digests = [part["image_url"]["url"] for part in parts[1:]]

        assert entry["status"] == 200
        assert (parts[0], entry["body"]["model"]) == ({"type": "text", "text": "x"}, "veo-3.1-fl")
        assert [(each["type"], each["bytes"]) for each in digests] == [
            ("image/png", len(start)),
            ("image/png", len(end)),
        ]
        assert [each["sha256"] for each in task["request"]["images"]] == [
            each["sha256"] for each in digests
        ]


class TestVariants:
    """Other gateways and faulty lines."""

    def test_english(self, sandbox: StartSandbox) -> None:
        """The lines translated, the queue first."""
        box = sandbox()
        box.fault("english")
        text = content(chat(box))

        assert "> 🏃 Progress: 8.2%\n\n" in text
        assert re.search(r"\[Click here\]\(http://\S+\.mp4\)", text)
        assert text.index("in queue") < text.index("being generated")

    def test_flow2api(self, sandbox: StartSandbox) -> None:
        """Progress as reasoning, a tag without .mp4, changing ids, a last chunk without choices."""
        box = sandbox()
        box.fault("flow2api")
        response = chat(box)
        *chunks, _ = events(response)
        tag = re.fullmatch(r"<video src='(\S+)' controls [^>]*></video>", content(response))

        assert tag is not None
        assert ".mp4" not in tag[1]
        assert requests.get(tag[1], timeout=10).content[4:8] == b"ftyp"
        assert len({chunk["id"] for chunk in chunks}) == len(chunks)
        assert chunks[-1]["choices"] == []
        assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
        assert "生成进度: 8%" in content(response, "reasoning_content")
        assert b'"choices": [' in response.content

    def test_flow2api_fails_within_the_reasoning(self, sandbox: StartSandbox) -> None:
        """No content, no finish reason, then usage and [DONE]."""
        box = sandbox()
        box.fault("flow2api")
        box.fault("failed", message="no")
        response = chat(box)
        reasons = [e["choices"][0]["finish_reason"] for e in events(response)[:-2]]

        assert (content(response), set(reasons)) == ("", {None})
        assert "❌ 生成失败: no" in content(response, "reasoning_content")

    def test_flow2api_without_stream(self, sandbox: StartSandbox) -> None:
        """The tag, or the reason, as the message."""
        box = sandbox()
        box.fault("flow2api")
        box.fault("failed", match="tiger")
        texts = [
            chat(box, asking(prompt, stream=False)).json()["choices"][0]["message"]["content"]
            for prompt in ("lion", "tiger")
        ]

        assert texts[0].startswith("<video src='")
        assert texts[1].startswith("❌")

    def test_reseller(self, sandbox: StartSandbox) -> None:
        """No id, no time, and a chunk with one bracket too many."""
        text = raw(sandbox(), "reseller").decode()

        assert text.count('"id":"","object"') > 5
        assert text.count("]]}\n") == 1

    @pytest.mark.parametrize(
        ("fault", "expected_bytes"),
        [
            ("pings", b": PING\n\ndata: {"),
            ("event_lines", b"event: message\nid: 1\ndata: {"),
            ("no_space", b"\n\ndata:[DONE]"),
            ("crlf", b"}\r\n\r\ndata: [DONE]\r\n\r\n"),
            ("no_choices", b'data: {"choices": []}\n\n'),
            ("null_content", b'"content": null'),
            ("broken_chunk", b"data: {]]}\n\n"),
            ("message_content", b'"message": {"role": "assistant"}'),
            ("content_parts", b'"content": [{"type": "text", "text": "> '),
        ],
    )
    def test_a_variant(self, sandbox: StartSandbox, fault: str, expected_bytes: bytes) -> None:
        """The bytes change as the fault says; the link still comes."""
        stream_bytes = raw(sandbox(), fault)

        assert expected_bytes in stream_bytes
        assert LINK.search(stream_bytes.decode())

    def test_no_done(self, sandbox: StartSandbox) -> None:
        """Everything except the last event."""
        stream_bytes = raw(sandbox(), "no_done")

        assert b"DONE" not in stream_bytes
        assert LINK.search(stream_bytes.decode())

    def test_ignored_stream(self, sandbox: StartSandbox) -> None:
        """Plain JSON although a stream was requested."""
        assert json.loads(raw(sandbox(), "ignore_stream"))["object"] == "chat.completion"

    def test_an_error_in_the_middle(self, sandbox: StartSandbox) -> None:
        """After the error comes nothing, not even the end."""
        box = sandbox()
        box.fault("stream_error", events=4, message="heavy load", code="busy")
        *stream_bytes, error = events(chat(box))

        assert len(stream_bytes) == 4
        assert error["error"]["message"] == "heavy load"

    def test_faults_add_up(self, sandbox: StartSandbox) -> None:
        """Several faults change one stream."""
        box = sandbox()
        for fault in ("crlf", "pings", "message_content", "broken_chunk", "no_done"):
            box.fault(fault)
        stream_bytes = chat(box).content

        assert b": PING\r\n\r\ndata: {]]}\r\n\r\n" in stream_bytes
        assert b'"message": {"content": "> ' in stream_bytes
        assert b"DONE" not in stream_bytes

    def test_split_anywhere(self, sandbox: StartSandbox) -> None:
        """Every byte is a chunk of its own, and none is missing."""
        box = sandbox()
        box.fault("split_stream", size=1)
        with chat(box, stream=True) as response:
            pieces = list(response.raw.stream(decode_content=False))

        assert {len(piece) for piece in pieces} == {1}
        assert LINK.search(b"".join(pieces).decode())

    @pytest.mark.parametrize("reset", [False, True])
    @pytest.mark.parametrize("at", [0, 1, 333])
    def test_cut(self, sandbox: StartSandbox, at: int, reset: bool) -> None:
        """After so many bytes the connection is closed; the charge stays."""
        box = sandbox()
        box.fault("cut_stream", at=at, reset=reset)
        got = b""
        with pytest.raises(requests.RequestException), chat(box, stream=True) as response:  # noqa: PT012 - what came before counts
            for piece in response.iter_content(None):
                got += piece

        assert len(got) == at if not reset else len(got) <= at
        assert [bill["state"] for bill in box.bills()] == ["charged"]

    def test_silence(self, sandbox: StartSandbox) -> None:
        """After some events nothing comes until the client disconnects."""
        box = sandbox()
        box.fault("silent_stream", events=2)
        with (
            chat(box, stream=True, timeout=0.3) as response,
            pytest.raises(requests.RequestException),
        ):
            list(response.iter_content(None))

        box.clear_faults()
        box.fault("silent_stream", events=2, seconds=0)
        assert LINK.search(content(chat(box)))

    def test_slow(self, sandbox: StartSandbox) -> None:
        """Everything comes, later."""
        box = sandbox()
        box.fault("slow_stream", seconds=0.01)

        assert LINK.search(content(chat(box)))

    def test_the_step_stream(self, sandbox: StartSandbox) -> None:
        """A rule on `stream` affects a chat and no other create."""
        box = sandbox()
        box.fault("http_429", on="stream", retry_after=7)
        url, headers = f"{box.url}/v1/videos", {"Authorization": f"Bearer {box.key}"}
        body = {"model": "veo-3.1-fast", "prompt": "lion"}
        other = requests.post(url, json=body, headers=headers, timeout=10)
        response = chat(box)

        assert (response.status_code, response.headers["retry-after"]) == (429, "7")
        assert other.status_code == 200

    def test_a_stop_ends_a_stream(self, sandbox: StartSandbox) -> None:
        """The sandbox can be closed while a client reads a stream."""
        box = sandbox(latency=1000)
        with chat(box, stream=True) as response:
            box.close()
            stream_bytes = response.content

        assert b"DONE" not in stream_bytes


class TestOpenAI:
    """OpenAI's own client on the chat wire."""

    @pytest.fixture
    def box(self, sandbox: StartSandbox) -> Sandbox:
        """A sandbox."""
        return sandbox()

    @pytest.fixture
    def client(self, box: Sandbox) -> openai.OpenAI:
        """Return the client, configured for the sandbox."""
        import openai

        return openai.OpenAI(api_key=box.key, base_url=f"{box.url}/v1", max_retries=0)

    def test_a_stream(self, client: openai.OpenAI) -> None:
        """The text ends with the link."""
        body: Any = asking()
        with client.chat.completions.create(**body) as stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)

        assert requests.get(LINK.findall(text)[0], timeout=10).content[4:8] == b"ftyp"

    def test_a_whole_answer(self, client: openai.OpenAI) -> None:
        """Without a stream."""
        body: Any = asking(stream=False)
        response = client.chat.completions.create(**body)

        assert LINK.search(response.choices[0].message.content)
        assert response.usage.total_tokens > 0

    def test_flow2api(self, box: Sandbox, client: openai.OpenAI) -> None:
        """The client reads a last chunk without choices."""
        box.fault("flow2api")
        body: Any = asking()
        with client.chat.completions.create(**body) as stream:
            chunks = list(stream)

        assert chunks[-1].choices == []
        assert chunks[0].choices[0].delta.reasoning_content == "生成进度: 0%\n"

    def test_an_error_in_the_stream(self, box: Sandbox, client: openai.OpenAI) -> None:
        """The client raises the error of the stream."""
        import openai

        box.fault("stream_error", message="heavy load")
        body: Any = asking()
        with (
            client.chat.completions.create(**body) as stream,
            pytest.raises(openai.APIError, match="heavy load"),
        ):
            list(stream)

    def test_a_refusal(self, client: openai.OpenAI) -> None:
        """The status decides the exception."""
        import openai

        body: Any = asking(model="veo-4")
        with pytest.raises(openai.PermissionDeniedError):
            client.chat.completions.create(**body)
