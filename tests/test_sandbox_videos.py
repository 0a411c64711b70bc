"""`/v1/videos` of the sandbox: as captured, and as documented."""

import json

import pytest
import requests
from sandbox_api import DAY, Api, StartSandbox, make_image, wait_finished


class TestCapture:
    """The default profile: what was captured on 2025-11-27."""

    def test_the_completed_body_has_the_captured_keys_and_oddities(
        self, sandbox: StartSandbox
    ) -> None:
        """Wrong model, wrong seconds, three equal addresses on the files port, sorted keys."""
        box = sandbox()
        task = Api(box).create_from_text("veo-3.1-fast")
        response = Api(box).get(f"/v1/videos/{task}")
        body = wait_finished(Api(box), task)

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
        assert response.headers["content-type"] == "application/json"

    def test_create_is_documented_and_running_shows_progress(self, sandbox: StartSandbox) -> None:
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

    def test_the_file_needs_no_key_and_refuses_one(self, sandbox: StartSandbox) -> None:
        """A key that is sent to the files port is a leak: logged, and answered with 400."""
        box = sandbox()
        url = wait_finished(Api(box), Api(box).create_from_text())["url"]
        plain = requests.get(url, timeout=10)
        leaking = requests.get(url, headers={"Authorization": "Bearer sandbox-key"}, timeout=10)
        requests.get(url, headers={"x-goog-api-key": "sandbox-key"}, timeout=10)

        assert plain.status_code == 200
        assert plain.headers["content-type"] == "video/mp4"
        assert leaking.status_code == 400
        assert len(box.leaks()) == 2
        assert "sandbox-key" not in json.dumps([box.leaks(), box.requests()])

    def test_the_file_comes_in_ranges(self, sandbox: StartSandbox) -> None:
        """The parts together are the whole file; ETag and length are the same for all."""
        box = sandbox()
        url = wait_finished(Api(box), Api(box).create_from_text())["url"]
        whole = requests.get(url, timeout=10)
        head = requests.get(url, headers={"Range": "bytes=0-99"}, timeout=10)
        tail = requests.get(url, headers={"Range": "bytes=100-"}, timeout=10)
        beyond = requests.get(url, headers={"Range": "bytes=99999999-"}, timeout=10)

        assert whole.content == head.content + tail.content
        assert (head.status_code, tail.status_code, beyond.status_code) == (206, 206, 416)
        assert f"bytes 0-99/{len(whole.content)}" == head.headers["content-range"]
        assert whole.headers["etag"] == head.headers["etag"]

    def test_content_is_the_same_bytes(self, sandbox: StartSandbox) -> None:
        """`/content` sends the MP4 itself."""
        box = sandbox()
        task = Api(box).create_from_text()
        url = wait_finished(Api(box), task)["url"]
        content = Api(box).get(f"/v1/videos/{task}/content")

        assert requests.get(url, timeout=10).content == content.content
        assert content.content[4:8] == b"ftyp"

    def test_content_of_a_running_task_is_refused(self, sandbox: StartSandbox) -> None:
        """400 with the status in capitals, as new-api words it."""
        box = sandbox(latency=100)
        task = Api(box).create_from_text()
        box.advance(50)
        response = Api(box).get(f"/v1/videos/{task}/content")

        assert response.status_code == 400
        assert "current status: IN_PROGRESS" in response.json()["error"]["message"]

    @pytest.mark.parametrize(
        ("model", "size"),
        [
            ("veo-3.1", "720x1280"),
            ("veo-3.1-landscape", "1280x720"),
            ("veo-3.1-landscape-fast", "1280x720"),
        ],
    )
    def test_the_name_gives_the_size(self, sandbox: StartSandbox, model: str, size: str) -> None:
        """Portrait, unless the name says landscape."""
        api = Api(sandbox())

        assert size == wait_finished(api, api.create_from_text(model))["size"]

    def test_frames_are_taken_in_order(self, sandbox: StartSandbox) -> None:
        """The log has the images as digests, start first."""
        box = sandbox()
        start, end = make_image(colour="red"), make_image("JPEG", colour="blue")
        response = Api(box).post_form(start, end, model="veo-3.1-fast-fl", prompt="morph")
        [task] = box.tasks()
        [sent] = box.requests()

        assert response.status_code == 200
        assert [len(start), len(end)] == [i["bytes"] for i in task["request"]["images"]]
        assert [i["sha256"] for i in task["request"]["images"]] == [
            i["sha256"] for i in sent["files"]
        ]
        assert sent["body"] == {"model": "veo-3.1-fast-fl", "prompt": "morph"}

    def test_a_frame_model_without_frame_is_accepted_and_fails_later(
        self, sandbox: StartSandbox
    ) -> None:
        """The text that users saw, as a 500 of the poll; the price is refunded."""
        box = sandbox()
        api = Api(box)
        bare = api.create_from_text("veo-3.1-fl")
        linked = api.create_from_text("veo-3.1-fl", image_urls=["https://example.com/a.jpg"])

        for task in (bare, linked):
            response = api.get(f"/v1/videos/{task}")
            assert response.status_code == 500
            assert response.json() == {
                "code": "get_task_failed",
                "message": "帧转视频模式的至少上传一帧",
                "data": None,
            }
        assert [bill["state"] for bill in box.bills()] == ["refunded", "refunded"]

    @pytest.mark.parametrize("model", ["veo-3.1-fl-fast", "veo-3.1-ultra", "sora-2"])
    def test_a_wrong_model_is_forbidden(self, sandbox: StartSandbox, model: str) -> None:
        """403 in the text that users saw."""
        response = Api(sandbox()).post({"model": model, "prompt": "lion"})

        assert response.status_code == 403
        assert f"该令牌无权使用模型：{model}" in response.json()["error"]["message"]  # noqa: RUF001

    def test_bad_images_are_refused(self, sandbox: StartSandbox) -> None:
        """GIF, BMP, no image at all, three of them, one where none is supported."""
        box = sandbox()
        frame = {"model": "veo-3.1-fl", "prompt": "x"}

        for bad in (make_image("GIF"), make_image("BMP"), b"not a picture"):
            response = Api(box).post_form(bad, **frame)
            assert (response.status_code, response.json()["code"]) == (400, "invalid_image_format")
        three = Api(box).post_form(*[make_image()] * 3, **frame)
        assert (three.status_code, three.json()["code"]) == (400, "invalid_parameter")
        none = Api(box).post_form(make_image(), model="veo-3.1", prompt="x")
        assert (none.status_code, none.json()["code"]) == (400, "model_not_support_image")
        assert box.tasks() == []

    def test_an_image_over_10_mb_is_refused_by_the_proxy(self, sandbox: StartSandbox) -> None:
        """413, and a page instead of JSON."""
        response = Api(sandbox()).post_form(
            bytes(10 * 1024 * 1024 + 1), model="veo-3.1-fl", prompt="x"
        )

        assert response.status_code == 413
        assert "text/html" in response.headers["content-type"]

    def test_an_unknown_task(self, sandbox: StartSandbox) -> None:
        """400 task_not_exist; its content is a 404."""
        api = Api(sandbox())
        response = api.get("/v1/videos/video_nobody")

        assert (response.status_code, response.json()["code"]) == (400, "task_not_exist")
        assert api.get("/v1/videos/video_nobody/content").status_code == 404

    def test_malformed_requests(self, sandbox: StartSandbox) -> None:
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
    """Which keys are accepted."""

    @pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "{}"])
    def test_a_key_is_accepted_in_three_forms(self, sandbox: StartSandbox, form: str) -> None:
        """With the word in either case, or alone."""
        box = sandbox()
        headers = {"Authorization": form.format(box.key)}

        assert requests.get(f"{box.url}/v1/models", headers=headers, timeout=10).status_code == 200

    @pytest.mark.parametrize("profile", ["capture-2025-11", "docs", "official", "openai"])
    def test_a_wrong_key_is_refused_everywhere(self, sandbox: StartSandbox, profile: str) -> None:
        """401 on every route, an error object, and never the key."""
        api = Api(sandbox(profile=profile), key="wrong-key")
        responses = [
            api.post({"model": "veo-3.1", "prompt": "x"}),
            *(api.get(f"/v1/{path}") for path in ("videos/x", "videos/x/content", "models")),
        ]

        assert {401} == {response.status_code for response in responses}
        assert all(response.json()["error"]["message"] for response in responses)
        assert not any("wrong-key" in response.text for response in responses)

    def test_a_google_header_is_no_key_here(self, sandbox: StartSandbox) -> None:
        """This wire only reads `Authorization`."""
        box = sandbox()
        headers = {"x-goog-api-key": box.key}
        url = f"{box.url}/v1/videos/x"

        assert requests.get(url, headers=headers, timeout=10).status_code == 401


class TestDocs:
    """As the documentation says."""

    def test_a_task_from_queued_to_content(self, sandbox: StartSandbox) -> None:
        """No address in the status; `/content` is JSON that has it."""
        box = sandbox(profile="docs", latency=100)
        api = Api(box)
        created = api.post({"model": "veo-3.1-landscape", "prompt": "lion"}).json()
        box.advance(50)
        running = api.get(f"/v1/videos/{created['id']}").json()
        early = api.get(f"/v1/videos/{created['id']}/content")
        box.advance(50)
        done = wait_finished(api, created["id"])
        content = api.get(f"/v1/videos/{created['id']}/content").json()

        assert {"id", "object", "created", "status", "model"} == created.keys()
        assert running["status"] == "processing"
        assert early.status_code == 404
        assert done == created | {"status": "completed", "prompt": "lion"}
        assert (content["duration"], content["resolution"]) == (8, "1280x720")
        assert requests.get(content["url"], timeout=10).status_code == 200

    def test_an_unknown_task_is_404(self, sandbox: StartSandbox) -> None:
        """As documented, for missing and expired tasks."""
        response = Api(sandbox(profile="docs")).get("/v1/videos/video_nobody")

        assert (response.status_code, response.json()["error"]["code"]) == (404, "task_not_found")

    def test_an_unknown_model_is_404(self, sandbox: StartSandbox) -> None:
        """model_not_found."""
        response = Api(sandbox(profile="docs")).post({"model": "veo-9", "prompt": "x"})

        assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


class TestExpiry:
    """Everything is deleted after 24 hours of the sandbox's clock."""

    @pytest.mark.parametrize(("profile", "status"), [("capture-2025-11", 400), ("docs", 404)])
    def test_the_task_and_its_file(self, sandbox: StartSandbox, profile: str, status: int) -> None:
        """The task is unknown, the file 404."""
        box = sandbox(profile=profile)
        api = Api(box)
        task = api.create_from_text()
        body = wait_finished(api, task)
        url = body.get("url") or api.get(f"/v1/videos/{task}/content").json()["url"]
        box.advance(DAY + 60)

        assert status == api.get(f"/v1/videos/{task}").status_code
        assert api.get(f"/v1/videos/{task}/content").status_code == 404
        assert requests.get(url, timeout=10).status_code == 404
