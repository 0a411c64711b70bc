"""Why a video can or cannot be extended, and the request that extends it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ledger_rows import make_done_job, make_submitted_job

from veo.ledger import Ledger, Record, State, lineage
from veo.planning.check import check_request
from veo.planning.extension import ExtensionTask
from veo.planning.source import VideoSource, shape_of
from veo.request import Request
from veo.update import RemoteVideo
from veo_gemini import Gemini, Vertex
from veo_laozhang import LaoZhangAsync

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from veo.model import Model
    from veo.problems import Problem

FAST, STANDARD, LITE = (
    Gemini.facts.models[f"veo-3.1-{name}generate-preview"] for name in ("fast-", "", "lite-")
)
PLATFORM = Vertex.facts.models["veo-3.1-fast-generate-001"]
PORTRAIT = LaoZhangAsync.facts.models["veo-3.1-fast"]
CATALOGUE = [PORTRAIT, PLATFORM, FAST, STANDARD, LITE]
NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger in the test's own folder."""
    ledger = Ledger(tmp_path / "home")
    yield ledger
    ledger.close()


@pytest.fixture
def lion(ledger: Ledger, tmp_path: Path) -> Record:
    """A finished video of 8 seconds."""
    return make_done_job(ledger, FAST, tmp_path / "lion.mp4")


def make_source(record: Record, **changes: Any) -> VideoSource:
    """Return a recent video of 8 seconds, with changes."""
    usual = {"model": FAST, "seconds": 8.0, "times": 0, "expires_at": NOW + DAY}
    facts = usual | changes
    return VideoSource(record, **facts, shape=shape_of(record.parse_request(), facts["model"]))


def make_task(source: VideoSource, request: Request | None = None, times: int = 1) -> ExtensionTask:
    """Return the task to extend a video at `NOW`."""
    return ExtensionTask(source, request or Request(prompt="on"), NOW, times)


def find_problems(
    source: VideoSource, model: Model, times: int, catalogue: Sequence[Model] = ()
) -> tuple[Problem, ...]:
    """Return why a video cannot be extended so many times."""
    return tuple(make_task(source, times=times).find_problems(model, catalogue))


def extended_video(record: Record) -> RemoteVideo | None:
    """Return a video of 8 seconds as a request that extends it names it."""
    video = record.remote_video()
    return video and replace(video, seconds=8.0)


def test_a_recent_video_can_be_extended(lion: Record) -> None:
    """As often as the model's facts allow."""
    assert find_problems(make_source(lion), FAST, 1, CATALOGUE) == ()
    assert find_problems(make_source(lion), STANDARD, 20, CATALOGUE) == ()


@pytest.mark.parametrize(
    ("changes", "model", "times", "message"),
    [
        ({"expires_at": NOW - 1}, FAST, 1, "gemini has deleted the video"),
        ({"seconds": 148.0}, FAST, 1, "148.0 s long"),
        ({"seconds": 141.6}, FAST, 1, "at most 141 s"),
        ({"seconds": None, "times": 20}, FAST, 1, "this one was extended 20 times"),
        ({}, FAST, 21, "at most 20"),
        ({"seconds": 134.0}, FAST, 3, "times: 3 steps are too many"),
        ({"seconds": 134.0}, FAST, 3, "at most 2"),
        ({"seconds": 120.0, "times": 19}, FAST, 2, "at most 1"),
        ({}, FAST, 0, "at least 1"),
        ({"model": LITE}, LITE, 1, f"{LITE.name} cannot extend a video"),
        ({"model": LITE}, LITE, 1, f"Possible with: gemini/{FAST.name}, gemini/{STANDARD.name}."),
    ],
)
def test_each_reason_is_one_problem(
    lion: Record, changes: dict[str, Any], model: Model, times: int, message: str
) -> None:
    """The problem says what is allowed."""
    (problem,) = find_problems(make_source(lion, **changes), model, times, CATALOGUE)

    assert message in str(problem)


def test_the_length_has_a_tolerance(lion: Record) -> None:
    """A last frame beyond 141 seconds is accepted, as the provider does."""
    assert find_problems(make_source(lion, seconds=141.04), FAST, 1) == ()


def test_unknown_limits_are_not_checked(lion: Record) -> None:
    """Neither an undocumented limit nor an unknown length refuses a video."""
    free = FAST.replace(extend_max_input_s=None, extend_max_times=None)

    assert find_problems(make_source(lion, seconds=500.0), free, 50) == ()
    assert find_problems(make_source(lion, seconds=None, expires_at=None), FAST, 20) == ()


def test_a_provider_without_extension_names_others(ledger: Ledger, tmp_path: Path) -> None:
    """The message adds that those extend only their own videos."""
    record = make_done_job(ledger, PORTRAIT, tmp_path / "a.mp4")
    (problem,) = find_problems(make_source(record, model=PORTRAIT), PORTRAIT, 1, CATALOGUE)

    assert "laozhang-async cannot extend videos" in problem.message
    assert problem.offered_by == (
        f"vertex/{PLATFORM.name}",
        f"gemini/{FAST.name}",
        f"gemini/{STANDARD.name}",
    )


def test_all_reasons_are_returned(lion: Record) -> None:
    """Age, number of steps and model are reported together."""
    worst = make_source(lion, seconds=148.0, times=20, expires_at=NOW)

    assert len(find_problems(worst, FAST, 2, CATALOGUE)) == 2
    assert len(find_problems(worst, LITE, 2, CATALOGUE)) == 2


@pytest.mark.parametrize(
    ("state", "message"),
    [(None, "still submitted"), (State.FAILED, "failed: it has no"), (State.UNKNOWN, "unknown")],
)
def test_a_job_without_video_is_refused(
    ledger: Ledger, tmp_path: Path, state: State | None, message: str
) -> None:
    """The message tells whether the job is running, failed or unknown."""
    record = make_submitted_job(ledger, FAST, tmp_path / "a.mp4")
    if state:
        record = ledger.move_job(record, state)
    (problem,) = find_problems(make_source(record, expires_at=None), FAST, 1)

    assert message in problem.message


def test_an_expired_job_is_refused(lion: Record) -> None:
    """The state of the job is enough."""
    gone = replace(lion, state=State.EXPIRED)

    assert "expired" in find_problems(make_source(gone), FAST, 1)[0].message


def test_the_request_has_the_shape_of_the_video(ledger: Ledger, tmp_path: Path) -> None:
    """Aspect ratio and resolution are set where they are not the model's default."""
    wide = make_done_job(ledger, FAST, tmp_path / "a.mp4")
    tall = make_done_job(ledger, FAST, tmp_path / "b.mp4", aspect_ratio="9:16", resolution="720p")
    request = Request(prompt="then it roars", seed=7)

    assert make_task(make_source(wide), request).build_request(FAST) == Request(
        prompt="then it roars", model=FAST.name, seed=7, extend=extended_video(wide)
    )
    assert make_task(make_source(tall), request).build_request(STANDARD) == Request(
        prompt="then it roars",
        model=STANDARD.name,
        seed=7,
        aspect_ratio="9:16",
        extend=extended_video(tall),
    )


def list_problems(record: Record, request: Request) -> list[str]:
    """Return the problems of a request that extends a video."""
    task = make_task(make_source(record), request)
    problems = check_request(task.build_request(FAST), FAST, CATALOGUE)
    adapted = task.adapt_problems(problems, FAST, task.list_takers(CATALOGUE))
    return [str(each) for each in adapted]


def test_a_video_in_1080p_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    """The problem is that of the video, because the user gave no resolution."""
    sharp = make_done_job(ledger, FAST, tmp_path / "a.mp4", resolution="1080p")

    for request in (Request(prompt="on"), Request(prompt="on", resolution="720p")):
        (problem,) = list_problems(sharp, request)
        assert problem.startswith("extend: the video is 1080p: an extension requires 720p")
        assert "vertex" not in problem


def test_another_shape_is_refused(lion: Record) -> None:
    """An extension has the aspect ratio and resolution of its video."""
    both = list_problems(lion, Request(prompt="on", aspect_ratio="9:16", resolution="1080p"))

    assert both == [
        "aspect_ratio: the video is 16:9, and so is its extension. Allowed: 16:9.",
        "resolution: the video is 720p, and so is its extension. Allowed: 720p.",
    ]


def test_vertex_extends_1080p(ledger: Ledger, tmp_path: Path) -> None:
    """Which resolutions can be extended is a fact of the model."""
    sharp = make_done_job(ledger, PLATFORM, tmp_path / "a.mp4", resolution="1080p")
    changes = make_source(sharp, model=PLATFORM)

    complete = make_task(changes, Request(prompt="on")).build_request(PLATFORM)
    assert check_request(complete, PLATFORM) == ()


def test_the_chain_of_jobs(ledger: Ledger, tmp_path: Path) -> None:
    """It goes back to the first job, or to the first one that is not in the ledger."""
    first = make_done_job(ledger, FAST, tmp_path / "1.mp4")
    second = make_done_job(ledger, FAST, tmp_path / "2.mp4", parent=first.id)
    third = make_done_job(ledger, FAST, tmp_path / "3.mp4", parent=second.id)
    other = make_done_job(ledger, FAST, tmp_path / "4.mp4", parent=first.id)
    stranger = make_done_job(ledger, FAST, tmp_path / "5.mp4", parent="none")

    assert lineage.find_ancestors(ledger, third) == [second, first]
    assert lineage.find_ancestors(ledger, stranger) == []
    assert lineage.find_children(ledger, [first.id]) == [second, other]
    assert lineage.find_descendants(ledger, first) == [second, other, third]


def test_a_loop_of_parents_ends(ledger: Ledger, tmp_path: Path) -> None:
    """Only an edited ledger can have one."""
    one = make_done_job(ledger, FAST, tmp_path / "1.mp4")
    two = make_done_job(ledger, FAST, tmp_path / "2.mp4", parent=one.id)
    one = ledger.move_job(one, kind="edited by hand", parent=two.id)

    assert lineage.find_ancestors(ledger, one) == [two, one]
    assert lineage.find_descendants(ledger, one) == [two]


def test_special_characters_in_addresses(ledger: Ledger, tmp_path: Path) -> None:
    """Characters with a meaning in SQL or JSON match only themselves."""
    odd = RemoteVideo('files/50%_"ü"')
    maker = make_done_job(ledger, FAST, tmp_path / "1.mp4", video=odd)
    make_done_job(ledger, FAST, tmp_path / "2.mp4", video=RemoteVideo('files/50xx"ü"'))

    assert lineage.find_maker(ledger, odd) == maker
    assert lineage.find_maker(ledger, RemoteVideo("files/other")) is None
