"""The sandbox's official-forward route, as new-api responds."""

import json
from typing import Any

import pytest
from sandbox_api import Api, StartSandbox, wait_finished

OFFICIAL = "veo-3.1-fast-generate-preview"


class TestOfficial:
    """The official-forward route."""

    def test_a_task_from_queued_to_bytes(self, sandbox: StartSandbox) -> None:
        """`task_` id twice, progress 0, 50, 100, never an address."""
        box = sandbox(profile="official", latency=100, content_lag=4)
        api = Api(box)
        created = api.post({"model": OFFICIAL, "prompt": "lion"}).json()
        task = created["id"]
        box.advance(50)
        running = api.get(f"/v1/videos/{task}").json()
        box.advance(50)
        done = wait_finished(api, task)
        soon = api.get(f"/v1/videos/{task}/content")
        box.advance(4)
        then = api.get(f"/v1/videos/{task}/content")

        assert task.startswith("task_")
        assert len(task) == 37
        assert task == created["task_id"]
        assert [body["progress"] for body in (created, running, done)] == [0, 50, 100]
        assert "url" not in json.dumps(done)
        assert (soon.status_code, then.status_code) == (400, 200)
        assert "current status: NOT_START" in soon.text
        assert then.content[4:8] == b"ftyp"

    def test_the_compatibility_poll_has_an_envelope(self, sandbox: StartSandbox) -> None:
        """new-api's TaskDto: capitals, a percentage as text, the address of `/content`."""
        box = sandbox(profile="official")
        task = Api(box).create_from_text(OFFICIAL)
        wait_finished(Api(box), task)
        body = Api(box).get(f"/v1/video/generations/{task}").json()

        assert body["code"] == "success"
        assert ("SUCCESS", "100%", task) == tuple(
            body["data"][name] for name in ("status", "progress", "task_id")
        )
        assert body["data"]["result_url"].endswith(f"/v1/videos/{task}/content")

    def test_a_remix_is_a_new_video_of_the_model(self, sandbox: StartSandbox) -> None:
        """Google's channel has no remix: the prompt alone counts. Each is paid."""
        box = sandbox(profile="official")
        api = Api(box)
        task = api.create_from_text(OFFICIAL)
        remix = api.remix(task, prompt="at night").json()
        missing = api.remix("task_x", prompt="at night")

        assert (remix["model"], remix["status"]) == (OFFICIAL, "queued")
        assert len(box.bills()) == 2
        expected = {"code": "task_not_exist", "message": "task_origin_not_exist", "data": None}
        assert (missing.status_code, missing.json()) == (400, expected)
        assert api.remix(task).json()["code"] == "invalid_request"
        legacy = Api(sandbox())
        legacy_id = legacy.create_from_text()
        assert legacy.remix(legacy_id, prompt="x").status_code == 404

    def test_a_number_of_seconds_is_refused_with_the_go_text(self, sandbox: StartSandbox) -> None:
        """The gateway's struct takes a string."""
        response = Api(sandbox(profile="official")).post(
            {"model": OFFICIAL, "prompt": "x", "seconds": 8}
        )

        assert (response.status_code, response.json()["code"]) == (400, "parse_request_failed")
        assert "cannot unmarshal number into Go struct field" in response.json()["message"]

    @pytest.mark.parametrize(
        ("body", "seconds", "size"),
        [
            ({}, 4, "1280x720"),
            ({"duration": 8}, 4, "1280x720"),
            ({"seconds": "6"}, 6, "1280x720"),
            ({"seconds": "6", "metadata": {"durationSeconds": 8}}, 8, "1280x720"),
            ({"size": "720x1280"}, 4, "720x1280"),
            ({"resolution": "1080p"}, 4, "1280x720"),
            ({"seconds": "8", "metadata": {"resolution": "1080p"}}, 8, "1920x1080"),
            ({"size": "720x1280", "metadata": {"aspectRatio": "16:9"}}, 4, "1280x720"),
            ({"seconds": "8", "size": "2160x3840"}, 8, "2160x3840"),
        ],
    )
    def test_precedence(
        self, sandbox: StartSandbox, body: dict[str, Any], seconds: int, size: str
    ) -> None:
        """metadata, then seconds and size, then 4 s at 720p, 16:9; the rest is ignored."""
        box = sandbox(profile="official", latency=100)
        Api(box).create_from_text(OFFICIAL, **body)
        [task] = box.tasks()

        assert (seconds, size) == (task["request"]["seconds"], task["request"]["size"])

    def test_a_form_folds_unknown_fields_into_metadata(self, sandbox: StartSandbox) -> None:
        """A form may have at the top what JSON ignores there; `metadata` as text is parsed too."""
        box = sandbox(profile="official", latency=100)
        api = Api(box)
        api.post_form(model=OFFICIAL, prompt="x", durationSeconds="8", resolution="1080p")
        api.post_form(
            model=OFFICIAL, prompt="x", metadata='{"durationSeconds": 6, "aspectRatio": "9:16"}'
        )

        assert [(task["request"]["seconds"], task["request"]["size"]) for task in box.tasks()] == [
            (8, "1920x1080"),
            (6, "720x1280"),
        ]

    @pytest.mark.parametrize(
        "body",
        [
            {"metadata": {"resolution": "1080p"}},
            {"size": "3840x2160", "seconds": "6"},
            {"metadata": {"durationSeconds": 5}},
            {"metadata": {"durationSeconds": "8"}},
            {"metadata": {"generateAudio": True}},
            {"metadata": {"aspectRatio": "1:1"}},
            {"size": "640x360"},
            {"seconds": "5"},
            {"images": ["https://example.com/a.jpg"]},
        ],
    )
    def test_unsupported_combinations_are_refused(
        self, sandbox: StartSandbox, body: dict[str, Any]
    ) -> None:
        """400 with a code, before anything is held."""
        box = sandbox(profile="official")
        response = Api(box).post({"model": OFFICIAL, "prompt": "x", **body})

        assert response.status_code == 400
        assert {"code", "message", "data"} == response.json().keys()
        assert box.tasks() == []

    def test_a_legacy_model_has_no_channel(self, sandbox: StartSandbox) -> None:
        """503 model_not_found: looks like an outage, but is not."""
        response = Api(sandbox(profile="official")).post({"model": "veo-3.1", "prompt": "x"})

        assert (response.status_code, response.json()["error"]["code"]) == (503, "model_not_found")

    def test_its_models_are_served_in_the_default_profile(self, sandbox: StartSandbox) -> None:
        """In the default profile too, the official route serves a preview model."""
        box = sandbox()
        task = Api(box).create_from_text(OFFICIAL)

        assert task.startswith("task_")
        assert box.tasks()[0]["profile"] == "official"
