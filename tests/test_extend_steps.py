"""Videos continued through the real client and the real wires, against the sandbox."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from veo import extend
from veo.client import Client, Endpoint
from veo.config import Config
from veo.errors import (
    BudgetError,
    GenerationError,
    InvalidRequestError,
    OutputError,
    UnknownJobError,
)
from veo.files.mp4 import read_duration_s
from veo.key import Key
from veo.ledger import State
from veo.ledger.schema import jobs
from veo.problems import Remedy
from veo.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import veo_sandbox
    from veo.job import Job, Video

NEXT = Request(prompt="then it roars")
DAY = 86_400.0


@pytest.fixture
def server(sandbox: Callable[..., veo_sandbox.Sandbox]) -> veo_sandbox.Sandbox:
    """A sandbox whose finished videos can be continued at once."""
    return sandbox(processing_lag=0)


@pytest.fixture
def client(server: veo_sandbox.Sandbox, tmp_path: Path) -> Iterator[Client]:
    """A client of it, with room for many requests a minute."""
    limits = {name: {"submits_per_minute": 1000} for name in ("gemini", "vertex")}
    config = Config.model_validate({"retired": "ignore", "providers": limits})
    endpoint = Endpoint(server.url, Key(server.key), 0.1)
    with Client(config, home=tmp_path / "home", endpoint=endpoint) as client:
        yield client


def lion(client: Client, provider: str = "gemini", output: str = "lion.mp4", **said: Any) -> Video:
    """A video of a lion, on disk."""
    job = client.submit("a lion wakes up", provider=provider, output=output, **said)
    return job.result(60)


def grown(client: Client, name: str, times: int = 1, **how: Any) -> list[Video]:
    """The videos of all steps."""
    planned = extend.plan_extension(client, extend.find_source(client, name), NEXT, times)
    return [job.result(60) for job in extend.run_steps(client, planned, **how)]


def aged(client: Client, job: str, days: float) -> None:
    """Let a job lie further back."""
    times = {name: jobs.c[name] - days * DAY for name in ("created_at", "submitted_at", "ready_at")}
    with client.ledger.database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job).values(times))


def test_two_steps_are_two_jobs_and_one_file(
    client: Client, server: veo_sandbox.Sandbox, tmp_path: Path
) -> None:
    """Each step has a job, a charge and a file of its own; the last file holds everything."""
    first = lion(client)
    videos = grown(client, "lion.mp4", times=2, output="roar.mp4")

    assert [video.path.name for video in videos] == ["roar.step1.mp4", "roar.mp4"]
    assert [read_duration_s(video.path) for video in videos] == [15.0, 22.0]
    assert [video.charged for video in videos] == [Decimal("0.7")] * 2
    assert videos[0].record.run == videos[1].record.run != first.record.run
    assert [bill["amount"] for bill in server.bills()] == [0.8, 0.7, 0.7]


def test_the_client_does_it_in_one_call(client: Client, server: veo_sandbox.Sandbox) -> None:
    """``client.extend`` finds the video, checks, and gives the jobs; options are a request's."""
    lion(client)
    steps = client.extend(Path("lion.mp4"), "then it roars", 2, output="roar.mp4", seed=7)

    assert [job.result(60).path.name for job in steps] == ["roar.step1.mp4", "roar.mp4"]
    assert [task["request"]["parameters"].get("seed") for task in server.tasks()] == [None, 7, 7]


def test_found_by_job_by_file_and_by_content(client: Client, tmp_path: Path) -> None:
    """The id, the beginning of it, the file, and a copy of the file without its sidecar."""
    made = lion(client).record.id
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(Path("lion.mp4").read_bytes())

    for name in (made, made[:6], "lion.mp4", str(copy)):
        known = extend.find_source(client, name)
        assert (known.record.id, known.seconds, known.times) == (made, 8.0, 0)


def test_of_equal_files_the_sidecar_tells_which(client: Client) -> None:
    """Tiny clips are alike to the byte; the job is the one that the sidecar names."""
    first, _ = lion(client), lion(client, output="other.mp4")

    assert extend.find_source(client, "lion.mp4").record.id == first.record.id


def test_the_length_is_known_without_the_file(client: Client) -> None:
    """Where the file is gone the chain of jobs tells how long the video is."""
    lion(client, duration=4)
    (video,) = grown(client, "lion.mp4", output="roar.mp4")
    video.path.unlink()

    known = extend.find_source(client, video.record.id)

    assert (known.seconds, known.times) == (11, 1)


def test_a_file_that_has_changed_is_not_continued(client: Client) -> None:
    """The provider has only its own video: an edited file is refused, with the way on."""
    job = lion(client).record.id
    with Path("lion.mp4").open("ab") as file:
        file.write(b"mine")

    with pytest.raises(UnknownJobError, match="has changed since job") as caught:
        extend.find_source(client, "lion.mp4")
    assert caught.value.remedies == (Remedy("extend", job),)


def test_a_file_of_nobody(client: Client) -> None:
    """A file that no job made, one of another ledger, and none at all are told apart."""
    Path("mine.mp4").write_bytes(b"mine")
    Path("other.mp4").write_bytes(b"other")
    Path("other.mp4.json").write_text('{"job": "abcdefghjk"}')

    for name, says in (
        ("mine.mp4", "no job of this ledger made"),
        ("other.mp4", "which this ledger does not know"),
        ("none.mp4", "no such file"),
        ("none", "there is no job"),
    ):
        with pytest.raises(UnknownJobError, match=says):
            extend.find_source(client, name)


def test_what_cannot_be_continued_is_refused_with_every_reason(
    client: Client, server: veo_sandbox.Sandbox
) -> None:
    """1080p, another ratio, too often, another provider: all at once, nothing sent or held."""
    job = lion(client, resolution="1080p").record.id
    asked = Request(prompt="on", aspect_ratio="9:16")

    with pytest.raises(InvalidRequestError) as caught:
        extend.plan_extension(client, extend.find_source(client, job), asked, 30, provider="vertex")

    fields = [problem.field for problem in caught.value.problems]
    assert sorted(fields) == ["aspect_ratio", "extend", "provider", "times"]
    assert (len(server.tasks()), len(client.ledger.list_jobs())) == (1, 1)


def test_too_old_unless_continued_since(client: Client) -> None:
    """Two days after it was made a video is gone, but its days begin anew with each step."""
    job = lion(client).record.id
    aged(client, job, 2.1)
    with pytest.raises(InvalidRequestError, match="gemini has deleted the video"):
        grown(client, job)

    aged(client, job, -2.1)
    grown(client, job, output="roar.mp4")
    aged(client, job, 2.1)

    assert grown(client, job, output="again.mp4")


def test_the_platform_continues_its_own(client: Client, server: veo_sandbox.Sandbox) -> None:
    """The same on the other API, whose videos come within the answer; portrait stays portrait."""
    lion(client, "vertex", aspect_ratio="9:16")
    (video,) = grown(client, "lion.mp4", output="roar.mp4")

    assert read_duration_s(video.path) == 15.0
    assert video.record.parse_request().aspect_ratio == "9:16"
    assert server.tasks()[-1]["request"]["size"] == "720x1280"


def test_another_model_of_the_same_provider(client: Client, server: veo_sandbox.Sandbox) -> None:
    """The model is the video's unless another one is asked for."""
    lion(client)
    dearer = Request(prompt="on", model="veo-3.1-generate-preview")
    planned = extend.plan_extension(client, extend.find_source(client, "lion.mp4"), dearer)
    (video,) = [job.result(60) for job in extend.run_steps(client, planned)]

    assert (video.record.model, video.charged) == (dearer.model, Decimal("2.8"))


def test_all_steps_have_to_fit_under_a_cap(client: Client, server: veo_sandbox.Sandbox) -> None:
    """What the steps cost together is held against a cap before the first is sent."""
    lion(client)
    with pytest.raises(BudgetError, match=r"\$1\.40 does not fit"):
        grown(client, "lion.mp4", times=2, max_cost=Decimal("1.39"))
    assert len(client.ledger.list_jobs()) == 1

    assert len(grown(client, "lion.mp4", times=2, max_cost=Decimal("1.40"))) == 2


def test_a_file_in_the_way_stops_it_before_the_first_step(client: Client) -> None:
    """Every place is looked at before anything is paid, those of the steps between too."""
    lion(client)
    Path("roar.step2.mp4").write_text("mine")

    with pytest.raises(OutputError, match=r"roar\.step2\.mp4 already exists"):
        grown(client, "lion.mp4", times=3, output="roar.mp4")
    assert len(client.ledger.list_jobs()) == 1


def test_a_failure_leaves_the_steps_before_it(client: Client, server: veo_sandbox.Sandbox) -> None:
    """The first step's file stays, the second costs nothing, and a third is never sent."""
    lion(client)
    server.fault("failed", after=1)
    planned = extend.plan_extension(client, extend.find_source(client, "lion.mp4"), NEXT, 3)
    begun: list[Job] = []

    with pytest.raises(GenerationError):
        begun.extend(extend.run_steps(client, planned, output="roar.mp4"))

    assert [job.state for job in begun] == [State.DONE, State.FAILED]
    assert read_duration_s(Path("roar.step1.mp4")) == 15.0
    assert [bill["state"] for bill in server.bills()] == ["charged", "charged", "refunded"]


def test_a_video_too_fresh_is_waited_for(client: Client, server: veo_sandbox.Sandbox) -> None:
    """For a while after completion the provider refuses its own video: sent again, paid once."""
    lion(client)
    server.fault("google_400_unprocessed", first=1)
    (video,) = grown(client, "lion.mp4")

    assert video.record.submits == 2
    assert len(server.bills()) == 2
