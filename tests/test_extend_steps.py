"""Videos are extended by the real client and providers against the sandbox."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sample_videos import make_video
from sqlalchemy import update

from veo.client import Client, Endpoint
from veo.config import Config
from veo.continuation import extend
from veo.continuation.sources import find_source
from veo.errors import (
    BudgetError,
    GenerationError,
    InvalidRequestError,
    OutputError,
    UnknownJobError,
    UsageError,
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
    """A sandbox whose finished videos can be extended at once."""
    return sandbox(processing_lag=0)


@pytest.fixture
def client(server: veo_sandbox.Sandbox, tmp_path: Path) -> Iterator[Client]:
    """A client of the sandbox, without its low limits on requests per minute."""
    limits = {name: {"submits_per_minute": 1000} for name in ("gemini", "vertex")}
    config = Config(retired="ignore", providers=limits)
    endpoint = Endpoint(server.url, Key(server.key), 0.1)
    with Client(config, home=tmp_path / "home", endpoint=endpoint) as client:
        yield client


def make_lion(
    client: Client, provider: str = "gemini", output: str = "lion.mp4", **options: Any
) -> Video:
    """Make a video of a lion with a Veo model, whose extensions add seven seconds."""
    model = {"gemini": "veo-3.1-fast-generate-preview", "vertex": "veo-3.1-fast-generate-001"}
    options = {"model": model[provider]} | options
    job = client.submit("a lion wakes up", provider=provider, output=output, **options)
    return job.result(60)


def extend_video(client: Client, name: str, times: int = 1, **options: Any) -> list[Video]:
    """Run all steps of an extension and return their videos."""
    planned = extend.plan_extension(client, find_source(client, name), NEXT, times)
    return [job.result(60) for job in extend.run_steps(client, planned, **options)]


def make_older(client: Client, job: str, days: float) -> None:
    """Move the times of a job into the past."""
    times = {name: jobs.c[name] - days * DAY for name in ("created_at", "submitted_at", "ready_at")}
    with client.ledger.database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job).values(times))


def test_each_step_is_a_job(client: Client, server: veo_sandbox.Sandbox, tmp_path: Path) -> None:
    """Each step has a charge and a file, and the last file contains all steps."""
    first = make_lion(client)
    videos = extend_video(client, "lion.mp4", times=2, output="roar.mp4")

    assert [video.path.name for video in videos] == ["roar.step1.mp4", "roar.mp4"]
    assert [read_duration_s(video.path) for video in videos] == [15.0, 22.0]
    assert [video.charged for video in videos] == [Decimal("0.7")] * 2
    assert videos[0].record.run == videos[1].record.run != first.record.run
    assert [bill["amount"] for bill in server.bills()] == [0.8, 0.7, 0.7]


def test_client_extend(client: Client, server: veo_sandbox.Sandbox) -> None:
    """`Client.extend` finds the video, checks it and returns the jobs."""
    make_lion(client)
    steps = client.extend(Path("lion.mp4"), "then it roars", 2, output="roar.mp4", seed=7)

    assert [job.result(60).path.name for job in steps] == ["roar.step1.mp4", "roar.mp4"]
    assert [task["request"]["parameters"].get("seed") for task in server.tasks()] == [None, 7, 7]


def test_find_source(client: Client, tmp_path: Path) -> None:
    """By id, by a beginning of the id, by file, and by a copy of the file without its sidecar."""
    job = make_lion(client).record.id
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(Path("lion.mp4").read_bytes())

    for name in (job, job[:6], "lion.mp4", str(copy)):
        source = find_source(client, name)
        assert (source.record.id, source.seconds, source.times) == (job, 8.0, 0)


def test_the_sidecar_decides_between_equal_files(client: Client) -> None:
    """Tiny clips have equal bytes, so only the sidecar names the job."""
    first, _ = make_lion(client), make_lion(client, output="other.mp4")

    assert find_source(client, "lion.mp4").record.id == first.record.id


def test_the_length_without_the_file(client: Client) -> None:
    """If the file is missing, the length is the sum over the chain of jobs."""
    make_lion(client, duration=4)
    (video,) = extend_video(client, "lion.mp4", output="roar.mp4")
    video.path.unlink()

    source = find_source(client, video.record.id)

    assert (source.seconds, source.times) == (11, 1)


def test_a_changed_file_is_refused(client: Client) -> None:
    """The provider has the original video; the remedy is to extend the job."""
    job = make_lion(client).record.id
    with Path("lion.mp4").open("ab") as file:
        file.write(b"mine")

    with pytest.raises(UnknownJobError, match="has changed since job") as caught:
        find_source(client, "lion.mp4")
    assert caught.value.remedies == (Remedy("extend", job),)


def test_unknown_files_are_distinguished(client: Client) -> None:
    """A file without a job, one of another ledger, and names of nothing."""
    for name in ("mine.mp4", "other.mp4"):
        Path(name).write_bytes(make_video())
    Path("other.mp4.json").write_text('{"job": "abcdefghjk"}')

    for name, message in (("none.mp4", "no such file"), ("none", "there is no job")):
        with pytest.raises(UnknownJobError, match=message):
            find_source(client, name)
    for name, message in (
        ("mine.mp4", "no job of this ledger made"),
        ("other.mp4", "it was made by job abcdefghjk, which this ledger does not know"),
    ):
        source = find_source(client, name)
        assert (source.record, source.file and source.file.local_path) == (
            None,
            Path(name).absolute(),
        )
        with pytest.raises(InvalidRequestError, match=message):
            extend.plan_extension(client, source, NEXT, provider="vertex")


@pytest.mark.parametrize("data", [b"mine", b"\0\0\0\x08ftyp"])
def test_a_file_that_is_no_video_is_refused(client: Client, data: bytes) -> None:
    """Only a complete MP4 file can be given to a provider."""
    Path("mine.mp4").write_bytes(data)

    with pytest.raises(UsageError, match="is not a complete MP4 file"):
        find_source(client, "mine.mp4")


def test_all_problems_are_reported_together(client: Client, server: veo_sandbox.Sandbox) -> None:
    """Resolution, ratio, number of steps; or another provider. Nothing is sent or reserved."""
    job = make_lion(client, resolution="1080p").record.id
    request = Request(prompt="on", aspect_ratio="9:16")

    for provider, names in (
        (None, ["aspect_ratio", "extend", "times"]),
        ("laozhang-async", ["aspect_ratio", "extend"]),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            extend.plan_extension(client, find_source(client, job), request, 30, provider=provider)
        assert sorted(problem.field for problem in caught.value.problems) == names
    assert (len(server.tasks()), len(client.ledger.list_jobs())) == (1, 1)


def test_each_extension_renews_the_retention(client: Client) -> None:
    """A video expires after two days, counted from its last extension."""
    job = make_lion(client).record.id
    make_older(client, job, 2.1)
    with pytest.raises(InvalidRequestError, match="gemini has deleted the video"):
        extend_video(client, job)

    make_older(client, job, -2.1)
    extend_video(client, job, output="roar.mp4")
    make_older(client, job, 2.1)

    assert extend_video(client, job, output="again.mp4")


def test_vertex_extends_its_own_videos(client: Client, server: veo_sandbox.Sandbox) -> None:
    """Vertex returns its videos in the response; portrait stays portrait."""
    make_lion(client, "vertex", aspect_ratio="9:16")
    (video,) = extend_video(client, "lion.mp4", output="roar.mp4")

    assert read_duration_s(video.path) == 15.0
    assert video.record.parse_request().aspect_ratio == "9:16"
    assert server.tasks()[-1]["request"]["size"] == "720x1280"


def test_another_model_of_the_same_provider(client: Client, server: veo_sandbox.Sandbox) -> None:
    """The video's own model is only the default."""
    make_lion(client)
    expensive = Request(prompt="on", model="veo-3.1-generate-preview")
    planned = extend.plan_extension(client, find_source(client, "lion.mp4"), expensive)
    (video,) = [job.result(60) for job in extend.run_steps(client, planned)]

    assert (video.record.model, video.charged) == (expensive.model, Decimal("2.8"))


def test_the_limit_counts_all_steps(client: Client, server: veo_sandbox.Sandbox) -> None:
    """The sum of all steps is checked before the first is sent."""
    make_lion(client)
    with pytest.raises(BudgetError, match=r"\$1\.40 does not fit"):
        extend_video(client, "lion.mp4", times=2, max_cost=Decimal("1.39"))
    assert len(client.ledger.list_jobs()) == 1

    assert len(extend_video(client, "lion.mp4", times=2, max_cost=Decimal("1.40"))) == 2


def test_all_outputs_are_checked_first(client: Client) -> None:
    """An existing file of any step stops the extension before anything is paid."""
    make_lion(client)
    Path("roar.step2.mp4").write_text("mine")

    with pytest.raises(OutputError, match=r"roar\.step2\.mp4 already exists") as caught:
        extend_video(client, "lion.mp4", times=3, output="roar.mp4")
    assert caught.value.hint == "To pay only for the steps after it, extend that file."
    assert len(client.ledger.list_jobs()) == 1


def test_a_failure_keeps_earlier_steps(client: Client, server: veo_sandbox.Sandbox) -> None:
    """The first file stays, the second step is not charged, and the third is never sent."""
    make_lion(client)
    server.fault("failed", after=1)
    planned = extend.plan_extension(client, find_source(client, "lion.mp4"), NEXT, 3)
    started: list[Job] = []

    with pytest.raises(GenerationError):
        started.extend(extend.run_steps(client, planned, output="roar.mp4"))

    assert [job.state for job in started] == [State.DONE, State.FAILED]
    assert read_duration_s(Path("roar.step1.mp4")) == 15.0
    assert [bill["state"] for bill in server.bills()] == ["charged", "charged", "refunded"]


@pytest.mark.slow
def test_a_recent_video_is_sent_again(client: Client, server: veo_sandbox.Sandbox) -> None:
    """The provider refuses its own video for a while; the request is repeated and paid once."""
    make_lion(client)
    server.fault("google_400_unprocessed", first=1)
    (video,) = extend_video(client, "lion.mp4")

    assert video.record.submits == 2
    assert len(server.bills()) == 2
