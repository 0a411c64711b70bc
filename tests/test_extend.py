"""What is known of a video that is to be continued, and all that speaks against it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ledger_rows import begun, made

from veo.ledger import Ledger, Record, State, lineage
from veo.planning.check import check_request
from veo.planning.extension import (
    ExtensionSource,
    adapt_problems,
    check_extension,
    extension_request,
)
from veo.request import Request
from veo.update import RemoteVideo
from veo_gemini import Gemini, Vertex
from veo_laozhang import LaoZhangAsync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from veo.model import Model

FAST, STANDARD, LITE = Gemini.facts.models.values()
PLATFORM = next(iter(Vertex.facts.models.values()))
PORTRAIT = LaoZhangAsync.facts.models["veo-3.1-fast"]
CATALOGUE = [PORTRAIT, PLATFORM, FAST, STANDARD, LITE]
NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger of the test's own."""
    ledger = Ledger(tmp_path / "home")
    yield ledger
    ledger.close()


@pytest.fixture
def lion(ledger: Ledger, tmp_path: Path) -> Record:
    """A finished video of 8 seconds."""
    return made(ledger, FAST, tmp_path / "lion.mp4")


def source(record: Record, **known: Any) -> ExtensionSource:
    """A fresh video of 8 seconds, unless something else is known of it."""
    usual = {"model": FAST, "seconds": 8.0, "times": 0, "expires_at": NOW + DAY}
    return ExtensionSource(record, **usual | known)


def test_nothing_speaks_against_a_fresh_video(lion: Record) -> None:
    """A video of today, 8 seconds long, can be continued as often as the row says."""
    assert check_extension(source(lion), FAST, 1, NOW, CATALOGUE) == ()
    assert check_extension(source(lion), STANDARD, 20, NOW, CATALOGUE) == ()


@pytest.mark.parametrize(
    ("known", "model", "times", "says"),
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
def test_what_speaks_against_it(
    lion: Record, known: dict[str, Any], model: Model, times: int, says: str
) -> None:
    """Each reason is one problem that says what is allowed."""
    (problem,) = check_extension(source(lion, **known), model, times, NOW, CATALOGUE)

    assert says in str(problem)


def test_a_video_may_be_a_moment_longer_than_was_paid_for(lion: Record) -> None:
    """A last frame beyond the 141 seconds does not refuse what the provider takes."""
    assert check_extension(source(lion, seconds=141.04), FAST, 1, NOW) == ()


def test_a_row_without_limits_sets_none(lion: Record) -> None:
    """Where nobody has documented a limit, or the length is not known, nothing is refused."""
    free = FAST.model_copy(update={"extend_max_input_s": None, "extend_max_times": None})

    assert check_extension(source(lion, seconds=500.0), free, 50, NOW) == ()
    assert check_extension(source(lion, seconds=None, expires_at=None), FAST, 20, NOW) == ()


def test_a_route_that_continues_nothing_names_those_that_do(ledger: Ledger, tmp_path: Path) -> None:
    """The alternatives come from the rows, with the word that they want videos of their own."""
    record = made(ledger, PORTRAIT, tmp_path / "a.mp4")
    (problem,) = check_extension(source(record, model=PORTRAIT), PORTRAIT, 1, NOW, CATALOGUE)

    assert "laozhang-async cannot extend videos" in problem.message
    assert problem.offered_by == (
        f"vertex/{PLATFORM.name}",
        f"gemini/{FAST.name}",
        f"gemini/{STANDARD.name}",
    )


def test_every_reason_is_told_at_once(lion: Record) -> None:
    """Too old, too long, too often, and the wrong model: all in one answer."""
    worst = source(lion, seconds=148.0, times=20, expires_at=NOW)

    assert len(check_extension(worst, FAST, 2, NOW, CATALOGUE)) == 2
    assert len(check_extension(worst, LITE, 2, NOW, CATALOGUE)) == 2


@pytest.mark.parametrize(
    ("state", "says"),
    [(None, "still submitted"), (State.FAILED, "failed: it has no"), (State.UNKNOWN, "unknown")],
)
def test_a_job_without_a_video_cannot_be_continued(
    ledger: Ledger, tmp_path: Path, state: State | None, says: str
) -> None:
    """A job on its way, failed or unknown has nothing to continue, and is told apart."""
    record = begun(ledger, FAST, tmp_path / "a.mp4")
    if state:
        record = ledger.move_job(record, state)
    (problem,) = check_extension(source(record, expires_at=None), FAST, 1, NOW)

    assert says in problem.message


def test_an_expired_video_cannot_be_continued(lion: Record) -> None:
    """That its provider has lost a video is known from the job."""
    gone = replace(lion, state=State.EXPIRED)

    assert "expired" in check_extension(source(gone), FAST, 1, NOW)[0].message


def test_a_sequel_has_the_shape_of_its_video(ledger: Ledger, tmp_path: Path) -> None:
    """Model, aspect ratio and resolution are the video's, said where they are not usual."""
    wide = made(ledger, FAST, tmp_path / "a.mp4")
    tall = made(ledger, FAST, tmp_path / "b.mp4", aspect_ratio="9:16", resolution="720p")
    asked = Request(prompt="then it roars", seed=7)

    assert extension_request(source(wide), asked, FAST) == Request(
        prompt="then it roars", model=FAST.name, seed=7, extend=wide.remote_video()
    )
    assert extension_request(source(tall), asked, STANDARD) == Request(
        prompt="then it roars",
        model=STANDARD.name,
        seed=7,
        aspect_ratio="9:16",
        extend=tall.remote_video(),
    )


def told(record: Record, asked: Request) -> list[str]:
    """What is wrong with a request that continues a video."""
    known = source(record)
    problems = check_request(extension_request(known, asked, FAST), FAST, CATALOGUE)
    return [str(problem) for problem in adapt_problems(known, asked, problems)]


def test_a_video_in_1080p_is_refused_as_such(ledger: Ledger, tmp_path: Path) -> None:
    """The rule is told of the video, for nobody has said --resolution; nobody else is offered."""
    sharp = made(ledger, FAST, tmp_path / "a.mp4", resolution="1080p")

    for asked in (Request(prompt="on"), Request(prompt="on", resolution="720p")):
        (problem,) = told(sharp, asked)
        assert problem.startswith("extend: the video is 1080p: an extension is made in 720p")
        assert "vertex" not in problem


def test_another_shape_is_refused(lion: Record) -> None:
    """What continues a video cannot be taller or sharper than it."""
    both = told(lion, Request(prompt="on", aspect_ratio="9:16", resolution="1080p"))

    assert both == [
        "aspect_ratio: the video is 16:9, and so is its extension. Allowed: 16:9.",
        "resolution: the video is 720p, and so is its extension. Allowed: 720p.",
    ]


def test_the_platform_continues_1080p(ledger: Ledger, tmp_path: Path) -> None:
    """Whether a resolution can be continued is a fact of the row, not of the code."""
    sharp = made(ledger, PLATFORM, tmp_path / "a.mp4", resolution="1080p")
    known = source(sharp, model=PLATFORM)

    assert check_request(extension_request(known, Request(prompt="on"), PLATFORM), PLATFORM) == ()


def test_a_chain_is_followed_to_its_beginning(ledger: Ledger, tmp_path: Path) -> None:
    """A job, the one it continues, and so on; a link that is not known ends it."""
    first = made(ledger, FAST, tmp_path / "1.mp4")
    second = made(ledger, FAST, tmp_path / "2.mp4", extend=first.remote_video())
    third = made(ledger, FAST, tmp_path / "3.mp4", extend=second.remote_video())
    stranger = made(ledger, FAST, tmp_path / "4.mp4", extend=RemoteVideo("https://other.example"))

    assert [job.id for job in lineage.extension_chain(ledger, third)] == [
        third.id,
        second.id,
        first.id,
    ]
    assert [job.id for job in lineage.extension_chain(ledger, stranger)] == [stranger.id]
    assert [job.id for job in lineage.extensions_of(ledger, first.remote_video())] == [second.id]


def test_odd_addresses_are_found_as_they_are(ledger: Ledger, tmp_path: Path) -> None:
    """Signs that SQL or JSON give a meaning do not match what they are not."""
    odd = made(ledger, FAST, tmp_path / "1.mp4", extend=RemoteVideo('files/50%_"ü"'))
    made(ledger, FAST, tmp_path / "2.mp4", extend=RemoteVideo('files/50xx"ü"'))

    found = lineage.extensions_of(ledger, RemoteVideo('files/50%_"ü"'))

    assert [job.id for job in found] == [odd.id]
