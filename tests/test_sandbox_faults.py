"""Every way in which the sandbox misbehaves on purpose, seen through a plain socket client."""

import io
import json
import threading
import time
from typing import Any

import av
import pytest
import requests
from sandbox_api import Api, Start, finished

from veo_sandbox import Sandbox
from veo_sandbox.faults import FAULTS

BIG = 400_000


def statuses(api: Api, task: str, polls: int) -> list[Any]:
    """The status words of some polls; the HTTP status where there is none."""
    answers = [api.get(f"/v1/videos/{task}") for _ in range(polls)]
    return [answer.json().get("status") or answer.status_code for answer in answers]


def address(box: Sandbox) -> str:
    """The address of a finished video."""
    return str(finished(Api(box), Api(box).text())["url"])


class TestTable:
    """The registry and the rules."""

    def test_names_are_listed_with_what_they_take(self, sandbox: Start) -> None:
        """Each row has a doc, steps and parameters."""
        rows = requests.get(f"{sandbox().url}/sandbox/faults/names", timeout=10).json()

        assert sorted(FAULTS) == [row["fault"] for row in rows]
        assert all(row["doc"] and row["on"] for row in rows)
        assert next(row["params"] for row in rows if row["fault"] == "http_429") == {
            "retry_after": None,
            "accept": False,
        }

    def test_rules_over_http(self, sandbox: Start) -> None:
        """Posted, listed with how often they struck, dropped."""
        box = sandbox()
        url = f"{box.url}/sandbox/faults"
        rule = {"fault": "http_500", "on": "create", "first": 1}
        requests.post(url, json={"rules": [rule]}, timeout=10)
        first = Api(box).post({"model": "veo-3.1", "prompt": "x"})
        listed = requests.get(url, timeout=10).json()["rules"]
        Api(box).text()
        requests.delete(url, timeout=10)

        assert first.status_code == 500
        assert listed == [{**rule, "id": 1, "struck": 1}]
        assert requests.get(url, timeout=10).json() == {"rules": []}

    @pytest.mark.parametrize(
        ("rule", "told"),
        [
            ({"fault": "gremlins"}, "unknown fault 'gremlins'; known: broken_chunk"),
            ({"fault": "http_500", "on": "sunday"}, "on 'sunday': must be any, or of create"),
            ({"fault": "http_500", "rate": 2}, "rate 2: must be from 0 to 1"),
            ({"fault": "http_500", "first": "x"}, "first 'x': must be a whole number"),
            ({"fault": "http_500", "seconds": 2}, "takes no 'seconds'; it takes: accept"),
        ],
    )
    def test_a_wrong_rule_is_refused(self, sandbox: Start, rule: dict[str, Any], told: str) -> None:
        """400 that says what is allowed; no rule of that request is kept."""
        url = f"{sandbox().url}/sandbox/faults"
        rules = {"rules": [{"fault": "http_500"}, rule]}
        answer = requests.post(url, json=rules, timeout=10)

        assert answer.status_code == 400
        assert told in answer.json()["error"]
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
        self, sandbox: Start, when: dict[str, Any], expected: list[Any]
    ) -> None:
        """Counts, shares, states and prompts aim a rule."""
        box = sandbox(latency=10_000)
        box.fault("http_500_task", on="poll", **when)
        task = Api(box).text(prompt="a lion")

        assert statuses(Api(box), task, 5) == expected

    def test_counts_are_per_task_and_outlive_the_server(
        self, sandbox: Start, tmp_path: Any
    ) -> None:
        """`first` counts each task's polls, `times` all; both are kept in the home."""
        box = sandbox(home=tmp_path / "home", latency=10_000)
        box.fault("task_not_exist", first=1)
        one, two = Api(box).text(), Api(box).text()
        before = [*statuses(Api(box), one, 2), *statuses(Api(box), two, 1)]
        box.close()
        again = sandbox(home=tmp_path / "home", latency=10_000)

        assert before == [400, "queued", 400]
        assert statuses(Api(again), two, 1) == ["queued"]

    def test_a_seeded_rate_strikes_the_same_again(self, sandbox: Start) -> None:
        """Two homes with one seed and one history misbehave alike."""

        def history(seed: int) -> list[int]:
            box = sandbox(seed=seed)
            box.fault("http_500", on="create", rate=0.5)
            body = {"model": "veo-3.1", "prompt": "x"}
            return [Api(box).post(body).status_code for _ in range(24)]

        assert history(1) == history(1)
        assert history(1) != history(2)


class TestCreate:
    """What can go wrong with the POST that costs money."""

    @pytest.mark.parametrize("name", [name for name in FAULTS if name.startswith("http_")])
    def test_refusals_accept_nothing(self, sandbox: Start, name: str) -> None:
        """A status of the table, and no task."""
        box = sandbox()
        box.fault(name, on="create")
        answer = Api(box).post({"model": "veo-3.1", "prompt": "x"})

        assert answer.status_code == int(name.split("_")[1])
        assert answer.headers["content-type"].startswith(
            "text/html" if name.endswith("html") else "application/json"
        )
        assert box.tasks() == []

    def test_a_refusal_may_lie(self, sandbox: Start) -> None:
        """With `accept` the task was taken and will be charged, whatever the status says."""
        box = sandbox()
        box.fault("http_502_html", on="create", accept=True)
        answer = Api(box).post({"model": "veo-3.1", "prompt": "x"})

        assert answer.status_code == 502
        assert [bill["state"] for bill in box.bills()] == ["charged"]

    def test_429_with_and_without_retry_after(self, sandbox: Start) -> None:
        """The header is there when it is asked for."""
        box = sandbox()
        box.fault("http_429", on="create", first=1, retry_after=7)
        box.fault("http_429", on="create", after=1)
        body = {"model": "veo-3.1", "prompt": "x"}
        answers = [Api(box).post(body).headers.get("retry-after") for _ in range(2)]

        assert answers == ["7", None]

    def test_any_other_answer(self, sandbox: Start) -> None:
        """`http` takes status, body and headers."""
        box = sandbox()
        box.fault("http", on="create", status=418, body={"a": None}, headers={"X-A": "b"})
        answer = Api(box).post({"model": "veo-3.1", "prompt": "x"})

        assert (answer.status_code, answer.json(), answer.headers["x-a"]) == (418, {"a": None}, "b")

    def test_a_dropped_answer_leaves_a_paid_task(self, sandbox: Start) -> None:
        """The client sees a closed connection; the sandbox knows that nobody was told."""
        box = sandbox()
        box.fault("drop_answer", first=1)
        with pytest.raises(requests.ConnectionError):
            Api(box).text()
        Api(box).text()

        assert [task["answered"] for task in box.tasks()] == [False, True]
        assert [bill["state"] for bill in box.bills()] == ["charged", "charged"]

    def test_a_reset_accepts_nothing_unless_told(self, sandbox: Start) -> None:
        """The connection breaks before the request is carried out, or after."""
        box = sandbox()
        box.fault("reset", on="create", first=1)
        box.fault("reset", on="create", after=1, accept=True)
        for _ in range(2):
            with pytest.raises(requests.ConnectionError):
                Api(box).text()

        assert [task["answered"] for task in box.tasks()] == [False]

    def test_a_slow_answer_is_accepted_at_once(self, sandbox: Start) -> None:
        """Who does not wait has paid and was not answered; who waits is answered."""
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
        Api(box).text()

        assert [task["answered"] for task in box.tasks()] == [False, True]

    def test_stuck_until_the_client_leaves(self, sandbox: Start) -> None:
        """No answer ever comes, nothing is accepted, and stopping does not wait for it."""
        box = sandbox()
        box.fault("stuck", on="create")
        failures: list[Exception] = []

        def create() -> None:
            try:
                Api(box).text()
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
    """Tasks that come to nothing."""

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
        self, sandbox: Start, profile: str, fault: str, members: dict[str, Any]
    ) -> None:
        """An object, a text, a word at the top, or nothing; refunded in any case."""
        box = sandbox(profile=profile)
        box.fault(fault)
        body = finished(Api(box), Api(box).text())

        assert body["status"] == "failed"
        told = {"error", "message", "fail_reason"} & body.keys()
        assert {name: body[name] for name in told} == members
        assert [bill["state"] for bill in box.bills()] == ["refunded"]

    def test_a_failure_may_be_a_500(self, sandbox: Start) -> None:
        """get_task_failed is no outage: it stays."""
        box = sandbox()
        box.fault("get_task_failed", message="AUDIO_FILTERED")
        task = Api(box).text()
        answer = Api(box).get(f"/v1/videos/{task}")

        assert statuses(Api(box), task, 3) == [500] * 3
        assert answer.json() == {
            "code": "get_task_failed",
            "message": "AUDIO_FILTERED",
            "data": None,
        }

    def test_moderation_names_the_policy(self, sandbox: Start) -> None:
        """A code of its own; aimed at a prompt."""
        box = sandbox()
        box.fault("moderated", match="violence")
        refused = finished(Api(box), Api(box).text(prompt="violence"))
        made = finished(Api(box), Api(box).text(prompt="flowers"))

        assert refused["error"]["code"] == "content_policy_violation"
        assert made["status"] == "completed"

    def test_one_task_never_finishes_another_takes_long(self, sandbox: Start) -> None:
        """Hours pass and the first still runs; it is given up with its retention."""
        box = sandbox()
        box.fault("never_finishes", first=1)
        box.fault("slow_task", after=1, seconds=500)
        hung, slow = Api(box).text(), Api(box).text()
        at_once = [*statuses(Api(box), hung, 1), *statuses(Api(box), slow, 1)]
        box.advance(3600)
        later = [*statuses(Api(box), hung, 1), finished(Api(box), slow)["status"]]

        assert at_once == ["in_progress", "queued"]
        assert later == ["in_progress", "completed"]

    def test_rates_of_the_settings(self, sandbox: Start) -> None:
        """All fail, or all hang."""
        failing, hanging = sandbox(fail_rate=1.0), sandbox(timeout_rate=1.0)

        assert finished(Api(failing), Api(failing).text())["status"] == "failed"
        assert statuses(Api(hanging), Api(hanging).text(), 1) == ["in_progress"]


class TestPoll:
    """Answers that a client must understand or survive."""

    def test_a_new_task_may_be_unknown_in_two_ways(self, sandbox: Start) -> None:
        """400 task_not_exist, then status `unknown`, then the truth."""
        box = sandbox(latency=10_000)
        box.fault("task_not_exist", first=2)
        box.fault("unknown_status", first=3)
        task = Api(box).text()

        assert statuses(Api(box), task, 4) == [400, 400, "unknown", "queued"]

    def test_any_word_and_any_shape(self, sandbox: Start) -> None:
        """Words for states, members put in, dropped and filled, whole bodies replaced."""
        box = sandbox()
        finished(Api(box), Api(box).text())  # the clip is there: the next task ends at once
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
        task = Api(box).text()
        word, shape, other = (Api(box).get(f"/v1/videos/{task}").json() for _ in range(3))

        assert word["status"] == "Succeeded"
        assert "url" not in shape
        assert shape["progress"] == "45%"
        assert requests.get(shape["output"]["url"], timeout=10).status_code == 200
        assert other == {"code": 0, "data": {"id": task}}

    def test_create_answers_can_be_reshaped(self, sandbox: Start) -> None:
        """The id under another name."""
        box = sandbox()
        box.fault("merge", on="create", drop=["id"], body={"task_id": "{id}"})
        body = Api(box).post({"model": "veo-3.1", "prompt": "x"}).json()

        assert body["task_id"] == box.tasks()[0]["task"]
        assert "id" not in body

    @pytest.mark.parametrize("fault", ["garbage_json", "garbage_bytes"])
    def test_garbage_claims_to_be_json(self, sandbox: Start, fault: str) -> None:
        """200, application/json, and nothing that parses."""
        box = sandbox()
        box.fault(fault, on="poll")
        answer = Api(box).get(f"/v1/videos/{Api(box).text()}")

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        with pytest.raises(ValueError, match=r"."):
            json.loads(answer.content)

    def test_html_under_200_and_json_under_text(self, sandbox: Start) -> None:
        """A maintenance page, then a true body under a false name."""
        box = sandbox()
        box.fault("html_200", on="poll", first=1)
        box.fault("mislabelled", on="poll", after=1)
        task = Api(box).text()
        page, labelled = (Api(box).get(f"/v1/videos/{task}") for _ in range(2))

        assert page.status_code == 200
        assert "<h1>" in page.text
        assert labelled.headers["content-type"] == "text/plain"
        assert labelled.json()["status"] == "completed"

    def test_resets_and_outages(self, sandbox: Start) -> None:
        """A poll may break in the middle of the road."""
        box = sandbox()
        task = Api(box).text()
        box.fault("reset", on="poll", first=1)
        with pytest.raises(requests.ConnectionError):
            statuses(Api(box), task, 1)

        assert statuses(Api(box), task, 1) == ["completed"]


class TestBytes:
    """Downloads that arrive damaged, late, elsewhere or not at all."""

    def test_a_cut_is_shorter_than_it_promised(self, sandbox: Start) -> None:
        """Content-Length says so, and requests notices."""
        box = sandbox(clip_bytes=BIG)
        url = address(box)
        box.fault("cut", on="file", first=1, share=0.25)
        answer = requests.get(url, stream=True, timeout=10)
        got: list[bytes] = []
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            got.extend(answer.iter_content(1000))

        assert answer.headers["content-length"] == str(BIG)
        assert BIG // 8 < len(b"".join(got)) <= BIG // 4
        whole = requests.get(url, timeout=10).content
        assert whole.startswith(b"".join(got))

    def test_an_unframed_cut_looks_like_an_end(self, sandbox: Start) -> None:
        """No length, no chunks: HTTP sees nothing wrong with half a file."""
        box = sandbox(clip_bytes=BIG)
        box.fault("cut_unframed", on="file")
        answer = requests.get(address(box), timeout=10)

        assert "content-length" not in answer.headers
        assert "transfer-encoding" not in answer.headers
        assert len(answer.content) == BIG // 2

    def test_a_short_file_lies_about_its_length(self, sandbox: Start) -> None:
        """Length and bytes agree; only the container is incomplete."""
        box = sandbox(clip="full")
        url = address(box)
        box.fault("short_file", on="file", share=0.6)
        answer = requests.get(url, timeout=10)

        assert answer.headers["content-length"] == str(len(answer.content))
        assert answer.content[4:8] == b"ftyp"
        with pytest.raises(av.error.InvalidDataError):
            av.open(io.BytesIO(answer.content))

    def test_no_length_but_all_bytes(self, sandbox: Start) -> None:
        """The end of the connection is the end of the file."""
        box = sandbox(clip_bytes=BIG)
        box.fault("no_length", on="content")
        task = Api(box).text()
        finished(Api(box), task)
        answer = Api(box).get(f"/v1/videos/{task}/content")

        assert "content-length" not in answer.headers
        assert len(answer.content) == BIG

    def test_a_drip_takes_its_time(self, sandbox: Start) -> None:
        """The bytes come in many small pieces, and are all there in the end."""
        box = sandbox(clip_bytes=BIG)
        box.fault("slow_drip", on="file", bytes_per_second=100_000, share=0.05)
        answer = requests.get(address(box), stream=True, timeout=10)
        first = answer.raw.read1(BIG)

        assert len(first) < BIG // 10
        assert len(first) + len(answer.content) == BIG

    def test_a_range_may_be_ignored(self, sandbox: Start) -> None:
        """200 and everything."""
        box = sandbox(clip_bytes=BIG)
        box.fault("ignore_range", on="file")
        answer = requests.get(address(box), headers={"Range": "bytes=100-"}, timeout=10)

        assert (answer.status_code, len(answer.content)) == (200, BIG)

    @pytest.mark.parametrize("step", ["content", "file"])
    def test_a_redirect_leads_to_another_port(self, sandbox: Start, step: str) -> None:
        """The bytes are there, and a careful client has left its key behind."""
        box = sandbox(clip_bytes=BIG)
        box.fault("redirect", on=step, status=307)
        task = Api(box).text()
        url = finished(Api(box), task)["url"]
        if step == "content":
            answer = Api(box).get(f"/v1/videos/{task}/content")
        else:
            answer = requests.get(url, timeout=10)

        assert [hop.status_code for hop in answer.history] == [307]
        assert answer.url.startswith(box.files_url)
        assert len(answer.content) == BIG
        assert box.leaks() == []

    @pytest.mark.parametrize("step", ["content", "file"])
    def test_a_file_may_be_gone(self, sandbox: Start, step: str) -> None:
        """404 although the task is completed; back when the fault is."""
        box = sandbox()
        box.fault("file_404", on=step, first=1)
        task = Api(box).text()
        url = finished(Api(box), task)["url"]

        def fetch() -> int:
            if step == "content":
                return Api(box).get(f"/v1/videos/{task}/content").status_code
            return requests.get(url, timeout=10).status_code

        assert [fetch(), fetch()] == [404, 200]

    def test_html_instead_of_a_video(self, sandbox: Start) -> None:
        """A page under 200 must never be saved as an MP4."""
        box = sandbox()
        box.fault("html_200", on="file")
        answer = requests.get(address(box), timeout=10)

        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")

    def test_a_video_may_be_mislabelled(self, sandbox: Start) -> None:
        """Object stores say octet-stream."""
        box = sandbox()
        box.fault("mislabelled", on="file", content_type="application/octet-stream")
        answer = requests.get(address(box), timeout=10)

        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.content[4:8] == b"ftyp"
