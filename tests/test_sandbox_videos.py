"""`/v1/videos` of the sandbox: as captured, and as documented."""

import json

import pytest
import requests
from sandbox_api import DAY, Api, Start, finished, picture


class TestCapture:
    """The default dress: what was captured on 2025-11-27."""

    def test_the_completed_body_has_the_captured_keys_and_oddities(self, sandbox: Start) -> None:
        """Wrong model, wrong seconds, three equal addresses on the files port, sorted keys."""
        box = sandbox()
        task = Api(box).text("veo-3.1-fast")
        answer = Api(box).get(f"/v1/videos/{task}")
        body = finished(Api(box), task)

        assert list(body) == [
            "completed_at", "created_at", "id", "model", "object", "progress", "result_url",
            "seconds", "size", "status", "url", "video_url",
        ]  # fmt: skip
        assert (
            body["model"], body["seconds"], body["size"], body["progress"],
        ) == ("sora2_video_generation", "4", "720x1280", 100)  # fmt: skip
        assert body["url"] == body["video_url"] == body["result_url"]
        assert body["url"].startswith(f"{box.files_url}/flow/")
        assert body["url"].endswith(".mp4")
        assert answer.headers["content-type"] == "application/json"

    def test_create_is_documented_and_running_shows_progress(self, sandbox: Start) -> None:
        """Queued, then in progress with a percentage and no address."""
        box = sandbox(latency=100)
        created = Api(box).post({"model": "veo-3.1", "prompt": "lion"}).json()
        queued = Api(box).get(f"/v1/videos/{created['id']}").json()
        box.advance(50)
        running = Api(box).get(f"/v1/videos/{created['id']}").json()

        assert (
            created["object"], created["status"], created["model"],
        ) == ("video", "queued", "veo-3.1")  # fmt: skip
        assert created["id"].startswith("video_")
        assert queued["status"] == "queued"
        assert (running["status"], running["progress"]) == ("in_progress", 50)
        assert "url" not in running

    def test_the_file_needs_no_key_and_refuses_one(self, sandbox: Start) -> None:
        """A key that comes to the files port is a leak: recorded, and answered 400."""
        box = sandbox()
        url = finished(Api(box), Api(box).text())["url"]
        plain = requests.get(url, timeout=10)
        leaking = requests.get(url, headers={"Authorization": "Bearer sandbox-key"}, timeout=10)
        requests.get(url, headers={"x-goog-api-key": "sandbox-key"}, timeout=10)

        assert plain.status_code == 200
        assert plain.headers["content-type"] == "video/mp4"
        assert leaking.status_code == 400
        assert len(box.leaks()) == 2
        assert "sandbox-key" not in json.dumps([box.leaks(), box.requests()])

    def test_the_file_comes_in_ranges(self, sandbox: Start) -> None:
        """Parts put together are the whole; ETag and length are the same for all."""
        box = sandbox()
        url = finished(Api(box), Api(box).text())["url"]
        whole = requests.get(url, timeout=10)
        head = requests.get(url, headers={"Range": "bytes=0-99"}, timeout=10)
        tail = requests.get(url, headers={"Range": "bytes=100-"}, timeout=10)
        beyond = requests.get(url, headers={"Range": "bytes=99999999-"}, timeout=10)

        assert whole.content == head.content + tail.content
        assert (head.status_code, tail.status_code, beyond.status_code) == (206, 206, 416)
        assert f"bytes 0-99/{len(whole.content)}" == head.headers["content-range"]
        assert whole.headers["etag"] == head.headers["etag"]

    def test_content_is_the_same_bytes(self, sandbox: Start) -> None:
        """`/content` sends the MP4 itself."""
        box = sandbox()
        task = Api(box).text()
        url = finished(Api(box), task)["url"]
        content = Api(box).get(f"/v1/videos/{task}/content")

        assert requests.get(url, timeout=10).content == content.content
        assert content.content[4:8] == b"ftyp"

    def test_content_of_a_running_task_is_refused(self, sandbox: Start) -> None:
        """400 with the status in capitals, as new-api says it."""
        box = sandbox(latency=100)
        task = Api(box).text()
        box.advance(50)
        answer = Api(box).get(f"/v1/videos/{task}/content")

        assert answer.status_code == 400
        assert "current status: IN_PROGRESS" in answer.json()["error"]["message"]

    @pytest.mark.parametrize(
        ("model", "size"),
        [
            ("veo-3.1", "720x1280"),
            ("veo-3.1-landscape", "1280x720"),
            ("veo-3.1-landscape-fast", "1280x720"),
        ],
    )
    def test_the_name_gives_the_size(self, sandbox: Start, model: str, size: str) -> None:
        """Portrait unless the name says landscape."""
        api = Api(sandbox())

        assert size == finished(api, api.text(model))["size"]

    def test_frames_are_taken_in_order(self, sandbox: Start) -> None:
        """The record tells the pictures by digest, start first."""
        box = sandbox()
        start, end = picture(colour="red"), picture("JPEG", colour="blue")
        answer = Api(box).form(start, end, model="veo-3.1-fast-fl", prompt="morph")
        [task] = box.tasks()
        [sent] = box.requests()

        assert answer.status_code == 200
        assert [len(start), len(end)] == [i["bytes"] for i in task["request"]["images"]]
        assert [i["sha256"] for i in task["request"]["images"]] == [
            i["sha256"] for i in sent["files"]
        ]
        assert sent["body"] == {"model": "veo-3.1-fast-fl", "prompt": "morph"}

    def test_a_frame_model_without_frame_is_accepted_and_fails_later(self, sandbox: Start) -> None:
        """The text users saw, as a 500 of the poll; the money comes back."""
        box = sandbox()
        api = Api(box)
        bare = api.text("veo-3.1-fl")
        linked = api.text("veo-3.1-fl", image_urls=["https://example.com/a.jpg"])

        for task in (bare, linked):
            answer = api.get(f"/v1/videos/{task}")
            assert answer.status_code == 500
            assert answer.json() == {
                "code": "get_task_failed",
                "message": "帧转视频模式的至少上传一帧",
                "data": None,
            }
        assert [bill["state"] for bill in box.bills()] == ["refunded", "refunded"]

    @pytest.mark.parametrize("model", ["veo-3.1-fl-fast", "veo-3.1-ultra", "sora-2"])
    def test_a_wrong_model_is_forbidden(self, sandbox: Start, model: str) -> None:
        """403 in the words that users saw."""
        answer = Api(sandbox()).post({"model": model, "prompt": "lion"})

        assert answer.status_code == 403
        assert f"该令牌无权使用模型：{model}" in answer.json()["error"]["message"]  # noqa: RUF001

    def test_bad_pictures_are_refused(self, sandbox: Start) -> None:
        """GIF, BMP, no picture at all, three of them, one where none is taken."""
        box = sandbox()
        frame = {"model": "veo-3.1-fl", "prompt": "x"}

        for bad in (picture("GIF"), picture("BMP"), b"not a picture"):
            answer = Api(box).form(bad, **frame)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_image_format")
        three = Api(box).form(*[picture()] * 3, **frame)
        assert (three.status_code, three.json()["code"]) == (400, "invalid_parameter")
        none = Api(box).form(picture(), model="veo-3.1", prompt="x")
        assert (none.status_code, none.json()["code"]) == (400, "model_not_support_image")
        assert box.tasks() == []

    def test_a_picture_over_10_mb_meets_the_proxy(self, sandbox: Start) -> None:
        """413, and a page instead of JSON."""
        answer = Api(sandbox()).form(bytes(10 * 1024 * 1024 + 1), model="veo-3.1-fl", prompt="x")

        assert answer.status_code == 413
        assert "text/html" in answer.headers["content-type"]

    def test_an_unknown_task(self, sandbox: Start) -> None:
        """400 task_not_exist; its content is a 404."""
        api = Api(sandbox())
        answer = api.get("/v1/videos/video_nobody")

        assert (answer.status_code, answer.json()["code"]) == (400, "task_not_exist")
        assert api.get("/v1/videos/video_nobody/content").status_code == 404

    def test_requests_without_sense(self, sandbox: Start) -> None:
        """No prompt, no model, broken JSON, a list: 400 with new-api's code."""
        api = Api(sandbox())
        codes = [
            api.post({"model": "veo-3.1", "prompt": " "}).json()["code"],
            api.post({"prompt": "lion"}).json()["code"],
            api.post(data=b"{").json()["code"],
            api.post(["lion"]).json()["code"],
        ]

        assert codes == ["invalid_request", "missing_model", "invalid_json", "invalid_json"]


class TestKeys:
    """Who may ask."""

    @pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "{}"])
    def test_a_key_is_taken_in_three_forms(self, sandbox: Start, form: str) -> None:
        """With the word in either case, or raw."""
        box = sandbox()
        headers = {"Authorization": form.format(box.key)}

        assert requests.get(f"{box.url}/v1/models", headers=headers, timeout=10).status_code == 200

    @pytest.mark.parametrize("profile", ["capture-2025-11", "docs", "official", "openai"])
    def test_a_wrong_key_is_refused_everywhere(self, sandbox: Start, profile: str) -> None:
        """401 on every route, an error object, and never the key."""
        api = Api(sandbox(profile=profile), key="wrong-key")
        answers = [
            api.post({"model": "veo-3.1", "prompt": "x"}),
            *(api.get(f"/v1/{path}") for path in ("videos/x", "videos/x/content", "models")),
        ]

        assert {401} == {answer.status_code for answer in answers}
        assert all(answer.json()["error"]["message"] for answer in answers)
        assert not any("wrong-key" in answer.text for answer in answers)

    def test_a_google_header_is_no_key_here(self, sandbox: Start) -> None:
        """This wire reads `Authorization` alone."""
        box = sandbox()
        headers = {"x-goog-api-key": box.key}
        url = f"{box.url}/v1/videos/x"

        assert requests.get(url, headers=headers, timeout=10).status_code == 401


class TestDocs:
    """As the documentation says."""

    def test_a_task_from_queued_to_content(self, sandbox: Start) -> None:
        """No address in the status; `/content` is JSON that has it."""
        box = sandbox(profile="docs", latency=100)
        api = Api(box)
        created = api.post({"model": "veo-3.1-landscape", "prompt": "lion"}).json()
        box.advance(50)
        running = api.get(f"/v1/videos/{created['id']}").json()
        early = api.get(f"/v1/videos/{created['id']}/content")
        box.advance(50)
        done = finished(api, created["id"])
        content = api.get(f"/v1/videos/{created['id']}/content").json()

        assert {"id", "object", "created", "status", "model"} == created.keys()
        assert running["status"] == "processing"
        assert early.status_code == 404
        assert done == created | {"status": "completed", "prompt": "lion"}
        assert (content["duration"], content["resolution"]) == (8, "1280x720")
        assert requests.get(content["url"], timeout=10).status_code == 200

    def test_an_unknown_task_is_404(self, sandbox: Start) -> None:
        """As documented, for missing and expired."""
        answer = Api(sandbox(profile="docs")).get("/v1/videos/video_nobody")

        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "task_not_found")

    def test_an_unknown_model_is_404(self, sandbox: Start) -> None:
        """model_not_found."""
        answer = Api(sandbox(profile="docs")).post({"model": "veo-9", "prompt": "x"})

        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


class TestExpiry:
    """Everything is gone after 24 hours of the sandbox's clock."""

    @pytest.mark.parametrize(("profile", "status"), [("capture-2025-11", 400), ("docs", 404)])
    def test_the_task_and_its_file(self, sandbox: Start, profile: str, status: int) -> None:
        """The task as if it had never been, the file 404."""
        box = sandbox(profile=profile)
        api = Api(box)
        task = api.text()
        body = finished(api, task)
        url = body.get("url") or api.get(f"/v1/videos/{task}/content").json()["url"]
        box.advance(DAY + 60)

        assert status == api.get(f"/v1/videos/{task}").status_code
        assert api.get(f"/v1/videos/{task}/content").status_code == 404
        assert requests.get(url, timeout=10).status_code == 404
