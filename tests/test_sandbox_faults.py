"""Every fault of the sandbox, seen through a plain HTTP client."""

import io
import json
import threading
import time
from typing import Any

import av
import pytest
import requests
from sandbox_api import Api, StartSandbox, wait_finished

from veo_sandbox import Sandbox
from veo_sandbox.faults import FAULTS
from veo_sandbox.faults.registry import register

BIG = 400_000


def statuses(api: Api, task: str, polls: int) -> list[Any]:
    """Return the status words of some polls; the HTTP status where there is none."""
    responses = [api.get(f"/v1/videos/{task}") for _ in range(polls)]
    return [response.json().get("status") or response.status_code for response in responses]


def address(box: Sandbox) -> str:
    """Return the address of a finished video."""
    return str(wait_finished(Api(box), Api(box).create_from_text())["url"])


class TestTable:
    """The registry and the rules."""

    def test_names_are_listed_with_what_they_take(self, sandbox: StartSandbox) -> None:
        """Each row has a description, steps and parameters."""
        rows = requests.get(f"{sandbox().url}/sandbox/faults/names", timeout=10).json()

        assert sorted(FAULTS) == [row["fault"] for row in rows]
        assert all(row["doc"] and row["on"] for row in rows)
        assert next(row["params"] for row in rows if row["fault"] == "http_429") == {
            "retry_after": None,
            "accept": False,
        }

    def test_names_are_unique(self) -> None:
        """A second fault of a name is refused: it would take the place of the first."""
        with pytest.raises(ValueError, match="two faults are named http"):
            register("http", "x", (), FAULTS["http"].act)

    def test_rules_over_http(self, sandbox: StartSandbox) -> None:
        """Added, listed with how often they struck, removed."""
        box = sandbox()
        url = f"{box.url}/sandbox/faults"
        rule = {"fault": "http_500", "on": "create", "first": 1}
        requests.post(url, json={"rules": [rule]}, timeout=10)
        first = Api(box).post({"model": "veo-3.1", "prompt": "x"})
        listed = requests.get(url, timeout=10).json()["rules"]
        Api(box).create_from_text()
        requests.delete(url, timeout=10)

        assert first.status_code == 500
        assert listed == [{**rule, "id": 1, "struck": 1}]
        assert requests.get(url, timeout=10).json() == {"rules": []}

    @pytest.mark.parametrize(
        ("rule", "expected_text"),
        [
            ({"fault": "gremlins"}, "unknown fault 'gremlins'; known: broken_chunk"),
            ({"fault": "http_500", "on": "sunday"}, "on 'sunday': must be any, or of create"),
            ({"fault": "http_500", "rate": 2}, "rate 2: must be from 0 to 1"),
            ({"fault": "http_500", "first": "x"}, "first 'x': must be a whole number"),
            ({"fault": "http_500", "seconds": 2}, "takes no 'seconds'; it takes: accept"),
        ],
    )
    def test_a_wrong_rule_is_refused(
        self, sandbox: StartSandbox, rule: dict[str, Any], expected_text: str
    ) -> None:
        """400 that says what is allowed; no rule of that request is added."""
        url = f"{sandbox().url}/sandbox/faults"
        rules = {"rules": [{"fault": "http_500"}, rule]}
        response = requests.post(url, json=rules, timeout=10)

        assert response.status_code == 400
        assert expected_text in response.json()["error"]
        assert requests.get(url, timeout=10).json() == {"rules": []}

    @pytest.mark.parametrize(
        ("when", "expected"),
        [
            ({"first": 2}, [500, 500, "queued", "queued", "queued"]),
            ({"after": 1, "first": 1}, ["queued", 500, "queued", "queued", "queued"]),
            ({"every": 2}, ["queued", 500, "queued", 500, "queued"]),
            ({"times": 1}, [500, "queued", "queued", "queued", "queued"]),
            ({"rate": 1.0}, [500] * 5),
            ({"rate": 0.0}, ["queued"] * 5),
            ({"when": "completed"}, ["queued"] * 5),
            ({"match": "tiger"}, ["queued"] * 5),
            ({"match": "lion", "first": 1}, [500, "queued", "queued", "queued", "queued"]),
        ],
    )
    def test_which_polls_are_struck(
        self, sandbox: StartSandbox, when: dict[str, Any], expected: list[Any]
    ) -> None:
        """Counts, shares, states and prompts select the requests."""
        box = sandbox(latency=10_000)
        box.fault("http_500_task", on="poll", **when)
        task = Api(box).create_from_text(prompt="a lion")

        assert statuses(Api(box), task, 5) == expected

    def test_counts_are_per_task_and_outlive_the_server(
        self, sandbox: StartSandbox, tmp_path: Any
    ) -> None:
        """`first` counts each task's polls, `times` all; the home keeps both."""
        box = sandbox(home=tmp_path / "home", latency=10_000)
        box.fault("task_not_exist", first=1)
        one, two = Api(box).create_from_text(), Api(box).create_from_text()
        before = [*statuses(Api(box), one, 2), *statuses(Api(box), two, 1)]
        box.close()
        again = sandbox(home=tmp_path / "home", latency=10_000)

        assert before == [400, "queued", 400]
        assert statuses(Api(again), two, 1) == ["queued"]

    def test_a_seeded_rate_strikes_the_same_again(self, sandbox: StartSandbox) -> None:
        """Two homes with one seed and one history have the same faults."""

        def history(seed: int) -> list[int]:
            box = sandbox(seed=seed)
            box.fault("http_500", on="create", rate=0.5)
            body = {"model": "veo-3.1", "prompt": "x"}
            return [Api(box).post(body).status_code for _ in range(24)]

        assert history(1) == history(1)
        assert history(1) != history(2)


class TestCreate:
    """Faults of the POST that costs money."""

    @pytest.mark.parametrize("name", [name for name in FAULTS if name.startswith("http_")])
    def test_refusals_accept_nothing(self, sandbox: StartSandbox, name: str) -> None:
        """A status of the table, and no task."""
        box = sandbox()
        box.fault(name, on="create")
        response = Api(box).post({"model": "veo-3.1", "prompt": "x"})

        assert response.status_code == int(name.split("_")[1])
        assert response.headers["content-type"].startswith(
            "text/html" if name.endswith("html") else "application/json"
        )
        assert box.tasks() == []

    def test_a_refusal_may_lie(self, sandbox: StartSandbox) -> None:
        """With `accept` the task is accepted and will be charged, whatever the status says."""
        box = sandbox()
        box.fault("http_502_html", on="create", accept=True)
        response = Api(box).post({"model": "veo-3.1", "prompt": "x"})

        assert response.status_code == 502
        assert [bill["state"] for bill in box.bills()] == ["charged"]

    def test_429_with_and_without_retry_after(self, sandbox: StartSandbox) -> None:
        """The header is present when the rule sets it."""
        box = sandbox()
        box.fault("http_429", on="create", first=1, retry_after=7)
        box.fault("http_429", on="create", after=1)
        body = {"model": "veo-3.1", "prompt": "x"}
        responses = [Api(box).post(body).headers.get("retry-after") for _ in range(2)]

        assert responses == ["7", None]

    def test_any_other_response(self, sandbox: StartSandbox) -> None:
        """`http` takes status, body and headers."""
        box = sandbox()
        box.fault("http", on="create", status=418, body={"a": None}, headers={"X-A": "b"})
        response = Api(box).post({"model": "veo-3.1", "prompt": "x"})

        assert (response.status_code, response.json(), response.headers["x-a"]) == (
            418,
            {"a": None},
            "b",
        )

    def test_a_dropped_response_leaves_a_paid_task(self, sandbox: StartSandbox) -> None:
        """The client sees a closed connection; the sandbox knows that no response was sent."""
        box = sandbox()
        box.fault("drop_answer", first=1)
        with pytest.raises(requests.ConnectionError):
            Api(box).create_from_text()
        Api(box).create_from_text()

        assert [task["answered"] for task in box.tasks()] == [False, True]
        assert [bill["state"] for bill in box.bills()] == ["charged", "charged"]

    def test_a_reset_accepts_nothing_unless_accept_is_set(self, sandbox: StartSandbox) -> None:
        """The connection is reset before the request is carried out, or after."""
        box = sandbox()
        box.fault("reset", on="create", first=1)
        box.fault("reset", on="create", after=1, accept=True)
        for _ in range(2):
            with pytest.raises(requests.ConnectionError):
                Api(box).create_from_text()

        assert [task["answered"] for task in box.tasks()] == [False]

    def test_a_slow_response_is_accepted_at_once(self, sandbox: StartSandbox) -> None:
        """A client that gives up has paid without a response; one that waits gets it."""
        box = sandbox()
        box.fault("slow_answer", first=1, seconds=30)
        box.fault("slow_answer", after=1, seconds=0.05)
        with pytest.raises(requests.ReadTimeout):
            requests.post(
                f"{box.url}/v1/videos",
                json={"model": "veo-3.1", "prompt": "x"},
                headers=Api(box).headers,
                timeout=0.2,
            )
        Api(box).create_from_text()

        assert [task["answered"] for task in box.tasks()] == [False, True]

    def test_stuck_until_the_client_leaves(self, sandbox: StartSandbox) -> None:
        """No response is sent, nothing is accepted, and closing the sandbox does not wait."""
        box = sandbox()
        box.fault("stuck", on="create")
        failures: list[Exception] = []

        def create() -> None:
            try:
                Api(box).create_from_text()
            except requests.RequestException as error:
                failures.append(error)

        thread = threading.Thread(target=create)
        thread.start()
        while not box.requests():
            time.sleep(0.01)
        tasks = box.tasks()
        box.close()
        thread.join(timeout=10)

        assert tasks == []
        assert len(failures) == 1


class TestOutcome:
    """Tasks that fail or never end."""

    @pytest.mark.parametrize(
        ("fault", "members"),
        [
            ("failed", {"error": {"code": "task_failed", "message": "服务内部异常"}}),
            ("failed_object", {"error": {"code": "task_failed", "message": "服务内部异常"}}),
            ("failed_string", {"error": "服务内部异常"}),
            ("failed_message", {"message": "服务内部异常"}),
            ("failed_reason", {"fail_reason": "服务内部异常"}),
            ("failed_silent", {}),
        ],
    )
    @pytest.mark.parametrize("profile", ["capture-2025-11", "docs"])
    def test_failures_in_every_shape(
        self, sandbox: StartSandbox, profile: str, fault: str, members: dict[str, Any]
    ) -> None:
        """An object, a text, a member at the top, or nothing; refunded in every case."""
        box = sandbox(profile=profile)
        box.fault(fault)
        body = wait_finished(Api(box), Api(box).create_from_text())

        assert body["status"] == "failed"
        expected_text = {"error", "message", "fail_reason"} & body.keys()
        assert {name: body[name] for name in expected_text} == members
        assert [bill["state"] for bill in box.bills()] == ["refunded"]

    def test_a_failure_may_be_a_500(self, sandbox: StartSandbox) -> None:
        """get_task_failed is not an outage: every poll repeats it."""
        box = sandbox()
        box.fault("get_task_failed", message="AUDIO_FILTERED")
        task = Api(box).create_from_text()
        response = Api(box).get(f"/v1/videos/{task}")

        assert statuses(Api(box), task, 3) == [500] * 3
        assert response.json() == {
            "code": "get_task_failed",
            "message": "AUDIO_FILTERED",
            "data": None,
        }

    def test_moderation_names_the_policy(self, sandbox: StartSandbox) -> None:
        """It has its own code; the rule selects a prompt."""
        box = sandbox()
        box.fault("moderated", match="violence")
        refused = wait_finished(Api(box), Api(box).create_from_text(prompt="violence"))
        ended = wait_finished(Api(box), Api(box).create_from_text(prompt="flowers"))

        assert refused["error"]["code"] == "content_policy_violation"
        assert ended["status"] == "completed"

    def test_one_task_never_finishes_another_takes_long(self, sandbox: StartSandbox) -> None:
        """Hours pass and the first still runs; it is given up when its retention is over."""
        box = sandbox()
        box.fault("never_finishes", first=1)
        box.fault("slow_task", after=1, seconds=500)
        hung, slow = Api(box).create_from_text(), Api(box).create_from_text()
        at_once = [*statuses(Api(box), hung, 1), *statuses(Api(box), slow, 1)]
        box.advance(3600)
        later = [*statuses(Api(box), hung, 1), wait_finished(Api(box), slow)["status"]]

        assert at_once == ["in_progress", "queued"]
        assert later == ["in_progress", "completed"]

    def test_rates_of_the_settings(self, sandbox: StartSandbox) -> None:
        """All fail, or all hang."""
        failing, hanging = sandbox(fail_rate=1.0), sandbox(timeout_rate=1.0)

        assert wait_finished(Api(failing), Api(failing).create_from_text())["status"] == "failed"
        assert statuses(Api(hanging), Api(hanging).create_from_text(), 1) == ["in_progress"]


class TestPoll:
    """Responses that a client must understand or survive."""

    def test_a_new_task_may_be_unknown_in_two_ways(self, sandbox: StartSandbox) -> None:
        """400 task_not_exist, then status `unknown`, then the true status."""
        box = sandbox(latency=10_000)
        box.fault("task_not_exist", first=2)
        box.fault("unknown_status", first=3)
        task = Api(box).create_from_text()

        assert statuses(Api(box), task, 4) == [400, 400, "unknown", "queued"]

    def test_any_word_and_any_shape(self, sandbox: StartSandbox) -> None:
        """Status words, members added, dropped and filled, whole bodies replaced."""
        box = sandbox()
        wait_finished(
            Api(box), Api(box).create_from_text()
        )  # the clip is there: the next task ends at once
        box.fault("status_word", word="Succeeded", when="completed", first=1)
        box.fault(
            "merge",
            on="poll",
            drop=["url", "video_url", "result_url"],
            body={"output": {"url": "{file_url}"}, "progress": "45%"},
            after=1,
            first=1,
        )
        box.fault("replace", on="poll", body={"code": 0, "data": {"id": "{id}"}}, after=2)
        task = Api(box).create_from_text()
        word, shape, other = (Api(box).get(f"/v1/videos/{task}").json() for _ in range(3))

        assert word["status"] == "Succeeded"
        assert "url" not in shape
        assert shape["progress"] == "45%"
        assert requests.get(shape["output"]["url"], timeout=10).status_code == 200
        assert other == {"code": 0, "data": {"id": task}}

    def test_create_responses_can_be_reshaped(self, sandbox: StartSandbox) -> None:
        """The id under another name."""
        box = sandbox()
        box.fault("merge", on="create", drop=["id"], body={"task_id": "{id}"})
        body = Api(box).post({"model": "veo-3.1", "prompt": "x"}).json()

        assert body["task_id"] == box.tasks()[0]["task"]
        assert "id" not in body

    @pytest.mark.parametrize("fault", ["garbage_json", "garbage_bytes"])
    def test_garbage_claims_to_be_json(self, sandbox: StartSandbox, fault: str) -> None:
        """200, application/json, and nothing that can be parsed."""
        box = sandbox()
        box.fault(fault, on="poll")
        response = Api(box).get(f"/v1/videos/{Api(box).create_from_text()}")

        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        with pytest.raises(ValueError, match=r"."):
            json.loads(response.content)

    def test_html_under_200_and_json_under_text(self, sandbox: StartSandbox) -> None:
        """A maintenance page, then a right body with a wrong type."""
        box = sandbox()
        box.fault("html_200", on="poll", first=1)
        box.fault("mislabelled", on="poll", after=1)
        task = Api(box).create_from_text()
        page, labelled = (Api(box).get(f"/v1/videos/{task}") for _ in range(2))

        assert page.status_code == 200
        assert "<h1>" in page.text
        assert labelled.headers["content-type"] == "text/plain"
        assert labelled.json()["status"] == "completed"

    def test_resets_and_outages(self, sandbox: StartSandbox) -> None:
        """A poll may be reset or answered with an error."""
        box = sandbox()
        task = Api(box).create_from_text()
        box.fault("reset", on="poll", first=1)
        with pytest.raises(requests.ConnectionError):
            statuses(Api(box), task, 1)

        assert statuses(Api(box), task, 1) == ["completed"]


class TestBytes:
    """Downloads that arrive damaged, late, from elsewhere or not at all."""

    def test_a_cut_is_shorter_than_it_promised(self, sandbox: StartSandbox) -> None:
        """Content-Length says so, and requests notices."""
        box = sandbox(clip_bytes=BIG)
        url = address(box)
        box.fault("cut", on="file", first=1, share=0.25)
        response = requests.get(url, stream=True, timeout=10)
        got: list[bytes] = []
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            got.extend(response.iter_content(1000))

        assert response.headers["content-length"] == str(BIG)
        assert BIG // 8 < len(b"".join(got)) <= BIG // 4
        whole = requests.get(url, timeout=10).content
        assert whole.startswith(b"".join(got))

    def test_an_unframed_cut_looks_like_an_end(self, sandbox: StartSandbox) -> None:
        """No length, no chunks: HTTP sees nothing wrong with half a file."""
        box = sandbox(clip_bytes=BIG)
        box.fault("cut_unframed", on="file")
        response = requests.get(address(box), timeout=10)

        assert "content-length" not in response.headers
        assert "transfer-encoding" not in response.headers
        assert len(response.content) == BIG // 2

    def test_a_short_file_lies_about_its_length(self, sandbox: StartSandbox) -> None:
        """Length and bytes agree; only the container is incomplete."""
        box = sandbox(clip="full")
        url = address(box)
        box.fault("short_file", on="file", share=0.6)
        response = requests.get(url, timeout=10)

        assert response.headers["content-length"] == str(len(response.content))
        assert response.content[4:8] == b"ftyp"
        with pytest.raises(av.error.InvalidDataError):
            av.open(io.BytesIO(response.content))

    def test_no_length_but_all_bytes(self, sandbox: StartSandbox) -> None:
        """The end of the connection is the end of the file."""
        box = sandbox(clip_bytes=BIG)
        box.fault("no_length", on="content")
        task = Api(box).create_from_text()
        wait_finished(Api(box), task)
        response = Api(box).get(f"/v1/videos/{task}/content")

        assert "content-length" not in response.headers
        assert len(response.content) == BIG

    def test_a_drip_takes_its_time(self, sandbox: StartSandbox) -> None:
        """The bytes come in many small pieces, and none is missing."""
        box = sandbox(clip_bytes=BIG)
        box.fault("slow_drip", on="file", bytes_per_second=100_000, share=0.05)
        response = requests.get(address(box), stream=True, timeout=10)
        first = response.raw.read1(BIG)

        assert len(first) < BIG // 10
        assert len(first) + len(response.content) == BIG

    @pytest.mark.parametrize(("inner", "status"), [("reset", 0), ("drop_answer", 0), ("cut", 200)])
    def test_a_drip_of_a_connection_that_breaks(
        self, sandbox: StartSandbox, inner: str, status: int
    ) -> None:
        """Two faults on one response: the client sees the inner one, and no error of the server."""
        box = sandbox(clip_bytes=BIG)
        box.fault("slow_drip", on="file", share=0.0)
        box.fault(inner, on="file")
        with pytest.raises(requests.RequestException):
            _ = requests.get(address(box), timeout=10).content
        logged = [entry["status"] for entry in box.requests()]

        assert logged[-1] == status

    def test_a_range_may_be_ignored(self, sandbox: StartSandbox) -> None:
        """200 and the whole file."""
        box = sandbox(clip_bytes=BIG)
        box.fault("ignore_range", on="file")
        response = requests.get(address(box), headers={"Range": "bytes=100-"}, timeout=10)

        assert (response.status_code, len(response.content)) == (200, BIG)

    @pytest.mark.parametrize("step", ["content", "file"])
    def test_a_redirect_leads_to_another_port(self, sandbox: StartSandbox, step: str) -> None:
        """The bytes arrive, and a careful client has not sent its key."""
        box = sandbox(clip_bytes=BIG)
        box.fault("redirect", on=step, status=307)
        task = Api(box).create_from_text()
        url = wait_finished(Api(box), task)["url"]
        if step == "content":
            response = Api(box).get(f"/v1/videos/{task}/content")
        else:
            response = requests.get(url, timeout=10)

        assert [hop.status_code for hop in response.history] == [307]
        assert response.url.startswith(box.files_url)
        assert len(response.content) == BIG
        assert box.leaks() == []

    @pytest.mark.parametrize("step", ["content", "file"])
    def test_a_file_may_be_gone(self, sandbox: StartSandbox, step: str) -> None:
        """404 although the task is completed; there again when the fault is removed."""
        box = sandbox()
        box.fault("file_404", on=step, first=1)
        task = Api(box).create_from_text()
        url = wait_finished(Api(box), task)["url"]

        def fetch() -> int:
            if step == "content":
                return Api(box).get(f"/v1/videos/{task}/content").status_code
            return requests.get(url, timeout=10).status_code

        assert [fetch(), fetch()] == [404, 200]

    def test_html_instead_of_a_video(self, sandbox: StartSandbox) -> None:
        """A page with status 200 must never be saved as an MP4."""
        box = sandbox()
        box.fault("html_200", on="file")
        response = requests.get(address(box), timeout=10)

        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")

    def test_a_video_may_be_mislabelled(self, sandbox: StartSandbox) -> None:
        """Object stores send octet-stream."""
        box = sandbox()
        box.fault("mislabelled", on="file", content_type="application/octet-stream")
        response = requests.get(address(box), timeout=10)

        assert response.headers["content-type"] == "application/octet-stream"
        assert response.content[4:8] == b"ftyp"
