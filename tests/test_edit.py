"""Videos are edited and extended in chains: by their handles, or as uploads of a file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sample_videos import make_video
from sqlalchemy import update
from studio import OLDER, SHORT, TALK, Service, install_studio

from veo import provider
from veo.client import Client
from veo.config import Config
from veo.continuation import edit, extend
from veo.continuation.sources import find_source
from veo.errors import BudgetError, InvalidRequestError, RefusedError, UsageError
from veo.files.mp4 import read_duration_s
from veo.ledger import State, lineage
from veo.ledger.schema import jobs
from veo.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.job import Video

DAY = 86_400.0


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A provider that extends and edits."""
    yield install_studio(monkeypatch)
    provider.installed_facts.cache_clear()


@pytest.fixture
def client(studio: Service, tmp_path: Path) -> Iterator[Client]:
    """A client whose provider it is."""
    with Client(Config(provider="studio"), home=tmp_path / "home") as client:
        yield client


def make_lion(client: Client, output: str = "lion.mp4", **options: Any) -> Video:
    """Make a video of a lion."""
    return client.submit("a lion", output=output, **options).result(30)


def make_clip(seconds: float, path: str = "clip.mp4") -> str:
    """Write a video that no job made, and return its path."""
    Path(path).write_bytes(make_video(frames=round(24 * seconds)))
    return path


def make_older(client: Client, job: str, days: float) -> None:
    """Move the times of a job into the past."""
    times = {name: jobs.c[name] - days * DAY for name in ("created_at", "submitted_at", "ready_at")}
    with client.ledger.database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job).values(times))


def list_problems(client: Client, name: str, **options: Any) -> dict[str, str]:
    """Return why an edit is refused, by field."""
    route = options.pop("provider", None)
    with pytest.raises(InvalidRequestError) as caught:
        client.edit(name, "in the rain", provider=route, **options)
    return {problem.field: problem.explanation for problem in caught.value.problems}


def test_a_chain_of_four(client: Client, studio: Service) -> None:
    """Two edits and an extension of seven seconds: each has a parent, a file, and its charge."""
    first = make_lion(client)
    edited = client.edit("lion.mp4", "in the rain", output="rain.mp4")
    second = edited.result(30)
    third = client.edit(edited, "at night", output="night.mp4").result(30)
    (step,) = client.extend("night.mp4", "it roars", duration=7, output="roar.mp4")
    fourth = step.result(30)
    made = [first, second, third, fourth]

    assert [read_duration_s(video.path) for video in made] == [8.0, 8.0, 8.0, 15.0]
    assert [video.charged for video in made] == [
        Decimal("0.8104"), Decimal("0.8104"), Decimal("0.8104"), Decimal("1.5195"),
    ]  # fmt: skip
    assert [video.record.parse_quote().amount for video in made] == [
        Decimal("0.80"), Decimal("0.80"), Decimal("0.80"), Decimal("0.70"),
    ]  # fmt: skip
    ids = [video.record.id for video in made]
    assert [video.record.parent for video in made] == [None, *ids[:3]]
    assert [each.id for each in lineage.find_ancestors(client.ledger, fourth.record)] == ids[2::-1]
    assert [request.source and request.source.id for request in studio.requests] == [
        None, "v1_talk-1", "v1_talk-2", "v1_talk-3",
    ]  # fmt: skip
    assert studio.uploads == []


def test_columns_of_a_client_are_those_of_all_its_jobs(studio: Service, tmp_path: Path) -> None:
    """Single requests, items of a batch, edits and extensions get them; all are checked once."""
    with Client(Config(provider="studio"), home=tmp_path / "home", columns={"film": "A"}) as client:
        make_lion(client)
        list(client.batch([{"prompt": "a dog", "scene": 2}, {"prompt": "a cat", "film": "B"}]))
        client.submit_all(["a fox"])[0].result(30)
        client.edit("lion.mp4", "in the rain").result(30)
        list(client.extend("lion.mp4", "it roars"))
        records = client.ledger.list_jobs()
    columns = {record.parse_request().prompt: record.columns_json() for record in records}
    client_only = ("a lion", "a fox", "in the rain", "it roars")
    batch = {"a dog": {"film": "A", "scene": 2}, "a cat": {"film": "B"}}
    assert columns == {name: {"film": "A"} for name in client_only} | batch
    with pytest.raises(UsageError, match="column seed: is not a valid name"):
        Client(columns={"seed": 7})


def test_the_handle_outlives_the_file(client: Client, studio: Service) -> None:
    """After two days the provider has deleted the file, and still knows the video."""
    job = make_lion(client).record.id
    make_older(client, job, 20)
    planned = edit.plan_edit(client, find_source(client, job), Request(prompt="in the rain"))
    assert ["has deleted its file" in warning.message for warning in planned.warnings] == [True]
    assert client.edit(job, "in the rain").result(30)
    assert studio.uploads == []

    make_older(client, job, 40)
    assert client.edit(job, "in the rain").result(30)
    assert studio.uploads == [Path("lion.mp4").absolute()]

    Path("lion.mp4").unlink()
    assert "studio has deleted the video" in list_problems(client, job)["edit"]


def test_a_file_that_no_job_made(client: Client, studio: Service) -> None:
    """It is uploaded once for the first step; the second one continues the first."""
    clip = make_clip(3)
    steps = list(client.extend(clip, "it roars", 2, duration=4, output="roar.mp4"))

    assert [read_duration_s(job.result(30).path) for job in steps] == [7.0, 11.0]
    assert studio.list_lengths() == [7.0, 11.0]
    assert studio.uploads == [Path(clip).absolute()]
    assert [job.record.parent for job in steps] == [None, steps[0].id]
    assert find_source(client, "roar.mp4").seconds == 11.0
    assert client.edit(clip, "in the rain").result(30).record.parse_quote().quantity == 3


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(3, "at most 2 s of a video that it did not make"), (0.5, "videos of at least 1 s")],
)
def test_an_unsuitable_upload_is_refused(
    client: Client, studio: Service, seconds: float, reason: str
) -> None:
    """Its length is checked before anything is sent, and a model that takes it is named."""
    problems = list_problems(client, make_clip(seconds), model=SHORT)

    assert f"the file is {seconds:.1f} s long, and {SHORT} edits {reason}" in problems["edit"]
    assert f"Possible with: studio/{TALK}" in problems["edit"]
    assert (studio.uploads, client.ledger.list_jobs()) == ([], [])


def test_a_video_of_another_model_goes_as_a_file(client: Client, studio: Service) -> None:
    """A handle of another wire means nothing to the model; the job stays the parent."""
    lion = make_lion(client, model=OLDER)
    assert f"Possible with: studio/{TALK}" in list_problems(client, lion.record.id)["edit"]

    edited = client.edit(lion.record.id, "in the rain", model=TALK).result(30)
    assert studio.uploads == [lion.path]
    assert edited.record.parent == lion.record.id

    lion.path.unlink()
    problems = list_problems(client, lion.record.id, model=TALK)
    assert f"the file of job {lion.record.id} is not on disk" in problems["edit"]


def test_a_file_at_a_provider_without_uploads(client: Client) -> None:
    """The reason is that of the model that could edit it, if the provider had made it."""
    problems = list_problems(client, make_clip(3), provider="vertex")

    assert "and gemini-omni-1.2-flash can edit only videos of vertex" in problems["edit"]
    assert f"studio/{TALK}" in problems["edit"]


@pytest.mark.parametrize(
    "options",
    [{"provider": "studio"}, {"model": TALK}, {"model": f"studio/{TALK}"}],
    ids=["provider", "model", "both"],
)
def test_a_video_of_another_provider_goes_as_a_file(
    client: Client, studio: Service, options: dict[str, Any]
) -> None:
    """With its provider named, the best model that takes uploads is chosen."""
    lion = make_lion(client)
    with client.ledger.database.write() as connection:
        connection.execute(update(jobs).values(provider="gemini", model="veo-3.1-generate-preview"))
    edited = client.edit(lion.record.id, "in the rain", **options).result(30)

    assert (edited.record.model, edited.record.parent) == (TALK, lion.record.id)
    assert studio.uploads == [lion.path]


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({"duration": 4}, "duration", "an edit has the duration of its video"),
        ({"aspect_ratio": "9:16"}, "aspect_ratio", "an edit has the aspect ratio of its video"),
        ({"model": OLDER}, "edit", f"{OLDER} cannot edit a video"),
        ({"provider": "laozhang-sync"}, "edit", "laozhang-sync cannot edit videos"),
        ({"resolution": "8k"}, "resolution", "Allowed: 720p, 1080p"),
    ],
)
def test_what_an_edit_does_not_take(
    client: Client, studio: Service, options: dict[str, Any], field: str, message: str
) -> None:
    """The reason is given before anything is sent or reserved."""
    lion = make_lion(client).record.id

    assert message in list_problems(client, lion, **options)[field]
    assert (len(studio.requests), len(client.ledger.list_jobs())) == (1, 1)


def test_the_resolution_is_stated_again(client: Client, studio: Service) -> None:
    """That of the video, unless the user wants another."""
    make_lion(client, resolution="1080p", aspect_ratio="9:16")
    client.edit("lion.mp4", "in the rain", output="rain.mp4").result(30)
    for resolution in (None, "720p"):
        (step,) = client.extend("rain.mp4", "it roars", resolution=resolution)
        step.result(30)

    shapes = [(request.resolution, request.aspect_ratio) for request in studio.requests[1:]]
    # The edit does not state the ratio; the extension of it has that of the first video. 720p is
    # the default, which is left out.
    assert shapes == [("1080p", None), ("1080p", "9:16"), (None, "9:16")]


@pytest.mark.parametrize(
    ("seconds", "times", "duration", "field", "message"),
    [
        (10, 4, 10, "times", "at most 3"),
        (29, 2, 7, "times", "at most 1"),
        (31, 1, 3, "extend", "extends videos of at most 30 s"),
        (8, 1, 2, "duration", "cannot add 2 s. Allowed: 3, 4, 5, 6, 7, 10"),
    ],
)
def test_limits_of_an_extension(
    client: Client, seconds: int, times: int, duration: int, field: str, message: str
) -> None:
    """The length of the input and of the result are limited."""
    source = find_source(client, make_clip(seconds))
    request = Request(prompt="on", duration=duration)
    with pytest.raises(InvalidRequestError) as caught:
        extend.plan_extension(client, source, request, times)

    problems = {problem.field: problem.explanation for problem in caught.value.problems}
    assert message in problems[field]


def test_a_long_result_is_doubtful(client: Client) -> None:
    """Above 30 s the documents disagree: a warning, no error."""
    source = find_source(client, make_clip(24))

    for duration, count in ((6, 0), (7, 1)):
        planned = extend.plan_extension(client, source, Request(prompt="on", duration=duration))
        assert [warning.field for warning in planned.plan.warnings] == ["extend"] * count


def test_the_limit_of_a_step_names_shorter_ones(client: Client) -> None:
    """36 s and 10 more are too many, and 4 more are not."""
    row = client.models("studio")[TALK].replace(extend_max_input_s=None)
    client.models("studio")[TALK] = row
    with pytest.raises(InvalidRequestError) as caught:
        extend.plan_extension(client, find_source(client, make_clip(36)), Request(prompt="on"))

    (problem,) = caught.value.problems
    assert (problem.field, problem.allowed) == ("duration", ("3", "4"))


def test_an_edit_is_quoted_for_the_length_of_its_video(client: Client, studio: Service) -> None:
    """A cap below it stops the edit before anything is sent."""
    lion = make_lion(client, duration=10).record.id
    planned = edit.plan_edit(client, find_source(client, lion), Request(prompt="in the rain"))
    assert (planned.quote.quantity, planned.quote.amount) == (10, Decimal("1.00"))

    with pytest.raises(BudgetError):
        client.edit(lion, "in the rain", max_cost=Decimal("0.99"))
    assert len(studio.requests) == 1


def test_the_length_of_an_edit_without_its_file(client: Client) -> None:
    """It follows from the chain of requests."""
    make_lion(client, duration=4)
    (longer,) = client.extend("lion.mp4", "on", duration=6, output="longer.mp4")
    video = client.edit(longer.result(30).record.id, "in the rain", output="rain.mp4").result(30)
    video.path.unlink()
    with client.ledger.database.write() as connection:
        connection.execute(update(jobs).values(video='{"uri": "videos/talk-1"}', video_s=None))

    assert find_source(client, video.record.id).seconds == 10.0


def test_a_request_that_names_a_video_itself(client: Client) -> None:
    """``submit`` with ``edit`` finds the parent by the address of the video."""
    lion = make_lion(client).record
    job = client.submit("in the rain", edit=lion.remote_video(), model=TALK)

    assert job.result(30).record.parent == lion.id
    with pytest.raises(InvalidRequestError, match="not both"):
        client.submit("p", edit=lion.remote_video(), extend=lion.remote_video(), model=TALK)


def test_a_refused_edit_costs_nothing(client: Client, studio: Service) -> None:
    """The next edit of the same video works."""
    lion = make_lion(client).record.id
    studio.error = RefusedError("no lions in the rain")
    with pytest.raises(RefusedError):
        client.edit(lion, "in the rain").result(30)
    assert client.edit(lion, "in the sun").result(30)

    failed = client.ledger.list_jobs(states=[State.FAILED])
    assert [(job.parent, job.charged, job.reserved) for job in failed] == [(lion, 0, 0)]
