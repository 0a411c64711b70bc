"""The rows of Gemini Omni: what is refused before paying, what is doubtful, and what it costs."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from veo.image import Image
from veo.model import Model
from veo.money import quote
from veo.planning.check import check_request, find_errors
from veo.request import Request
from veo.update import RemoteVideo
from veo_gemini import Gemini, Vertex

IMAGE = Image("a.png")
OWN = RemoteVideo("https://storage.example/x", id="v1_x", seconds=8)


def make_upload(seconds: float) -> RemoteVideo:
    return RemoteVideo.of_file(Path("/clip.mp4"), "0" * 64, seconds)


NEW, OLD, ENDED = (row for row in Gemini.facts.models.values() if row.wire)
PLATFORM_NEW, PLATFORM_OLD, PLATFORM_ENDING = (
    row for row in Vertex.facts.models.values() if row.wire
)
BOTH_FRAMES = {"start_frame": IMAGE, "end_frame": IMAGE}

FORBIDDEN: dict[str, tuple[Model, dict[str, Any], set[str]]] = {
    "ratio": (NEW, {"aspect_ratio": "1:1"}, {"aspect_ratio"}),
    "too short": (NEW, {"duration": 2}, {"duration"}),
    "too long": (NEW, {"duration": 16}, {"duration"}),
    "too long for 1.1": (OLD, {"duration": 12}, {"duration"}),
    "thirteen references": (NEW, {"reference": (IMAGE,) * 13}, {"reference"}),
    "end without start": (NEW, {"end_frame": IMAGE}, {"end_frame"}),
    "negative prompt": (NEW, {"negative_prompt": "fog"}, {"negative_prompt"}),
    "people": (NEW, {"person_generation": "allow_all"}, {"person_generation"}),
    "seed of 1.1": (OLD, {"seed": 7}, {"seed"}),
    "edit, duration": (NEW, {"edit": OWN, "duration": 5}, {"duration"}),
    "edit, ratio": (NEW, {"edit": OWN, "aspect_ratio": "9:16"}, {"aspect_ratio"}),
    "edit, frame": (NEW, {"edit": OWN, "start_frame": IMAGE}, {"start_frame"}),
    "edit, references": (NEW, {"edit": OWN, "reference": (IMAGE,)}, {"reference"}),
    "edit of 2 s": (NEW, {"edit": replace(OWN, seconds=2)}, {"edit"}),
    "edit of an upload of 2 s": (OLD, {"edit": make_upload(2)}, {"edit"}),
    "edit of an upload of 11 s with 1.1": (OLD, {"edit": make_upload(11)}, {"edit"}),
    "edit of an upload of 16 s": (NEW, {"edit": make_upload(16)}, {"edit"}),
    "extension, too long": (NEW, {"extend": OWN, "duration": 12}, {"duration"}),
    "extension, frame": (NEW, {"extend": OWN, "start_frame": IMAGE}, {"start_frame"}),
    "extension of the preview": (PLATFORM_ENDING, {"extend": OWN}, {"extend"}),
    "resolution of the preview": (ENDED, {"resolution": "1080p"}, {"resolution"}),
}
DOUBTFUL: dict[str, tuple[Model, dict[str, Any], set[str]]] = {
    "both frames, 12 s": (NEW, BOTH_FRAMES | {"duration": 12}, {"duration"}),
    "seed": (NEW, {"seed": 7}, {"seed"}),
    "edit of 22 s": (NEW, {"edit": replace(OWN, seconds=22)}, {"edit"}),
    "seven references": (NEW, {"reference": (IMAGE,) * 7}, {"reference"}),
    "eleven references of 1.1": (OLD, {"reference": (IMAGE,) * 11}, {"reference"}),
}
ALLOWED: dict[str, tuple[Model, dict[str, Any]]] = {
    "text": (NEW, {}),
    "15 s in 4k": (NEW, {"duration": 15, "resolution": "4k", "aspect_ratio": "9:16"}),
    "3 s in 360p": (OLD, {"duration": 3, "resolution": "360p"}),
    "both frames": (OLD, BOTH_FRAMES),
    "frames and references": (NEW, BOTH_FRAMES | {"reference": (IMAGE,) * 3}),
    "ten references of 1.1": (OLD, {"reference": (IMAGE,) * 10}),
    "seed of the platform": (PLATFORM_NEW, {"seed": 7}),
    "edit in another resolution": (NEW, {"edit": OWN, "resolution": "1080p"}),
    "edit of an upload of 15 s": (NEW, {"edit": make_upload(15.04)}),
    "edit of an upload of 3 s": (OLD, {"edit": make_upload(2.96)}),
    "edit of 22 s with 1.1": (OLD, {"edit": replace(OWN, seconds=22)}),
    "extension by 10 s": (PLATFORM_OLD, {"extend": OWN, "duration": 10}),
}


def make_request(options: dict[str, Any]) -> Request:
    return Request(**{"prompt": "a lion"} | options)


@pytest.mark.parametrize("case", FORBIDDEN)
def test_forbidden(case: str) -> None:
    """Refused before anything is paid, about the fields to change."""
    model, options, fields = FORBIDDEN[case]
    problems = find_errors(check_request(make_request(options), model))

    assert {problem.field for problem in problems} == fields


def test_both_limits_are_named() -> None:
    """Twelve seconds between two frames break the limit of 1.1, and that of end frames."""
    shape = {"resolution": "1080p", "aspect_ratio": "9:16", "duration": 12}
    request = make_request(BOTH_FRAMES | {"reference": (IMAGE,) * 3} | shape)
    texts = [problem.message for problem in check_request(request, OLD)]

    assert texts == [
        "gemini-omni-1.1-flash has no 12",
        "with an end frame a video is at most 10 seconds long",
    ]
    assert find_errors(check_request(request, NEW)) == ()


@pytest.mark.parametrize("case", DOUBTFUL)
def test_doubtful(case: str) -> None:
    """Sources contradict each other, or are second-hand: a warning."""
    model, options, fields = DOUBTFUL[case]
    problems = check_request(make_request(options), model)

    assert find_errors(problems) == ()
    assert {problem.field for problem in problems} == fields


@pytest.mark.parametrize("case", ALLOWED)
def test_allowed(case: str) -> None:
    """Neither an error nor a warning."""
    model, options = ALLOWED[case]

    assert check_request(make_request(options), model) == ()


@pytest.mark.parametrize(
    ("model", "options", "usd"),
    [
        (NEW, {}, "0.56"),
        (NEW, {"resolution": "360p", "duration": 10}, "0.23"),
        (NEW, {"resolution": "4k"}, "1.68"),
        (NEW, {"edit": OWN}, "0.56"),
        (NEW, {"extend": OWN, "duration": 7}, "0.49"),
        (OLD, {"resolution": "1080p"}, "1.216"),
        (PLATFORM_NEW, {}, "0.56"),
        (PLATFORM_OLD, {}, "0.808"),
    ],
)
def test_quotes(model: Model, options: dict[str, Any], usd: str) -> None:
    """Per second of the video, or of what an extension adds, by resolution."""
    assert quote(make_request(options), model).amount == Decimal(usd)


@pytest.mark.parametrize("model", [NEW, OLD, PLATFORM_NEW, PLATFORM_OLD], ids=lambda row: row.title)
def test_price_of_a_second_is_that_of_its_tokens(model: Model) -> None:
    """Quotes and charges come from different columns of the row, which agree."""
    for resolution, tokens in model.video_tokens.items():
        by_tokens = tokens * model.usage_prices["video"] / 1_000_000
        by_second = model.price.unit_price(resolution, 8)
        assert by_second is not None
        assert abs(by_tokens / by_second - 1) < Decimal("0.02")


def test_facts_of_the_rows() -> None:
    """Which is preferred, how long what is kept, and what has ended."""
    assert next(iter(Gemini.facts.models.values())) is NEW
    assert next(iter(Vertex.facts.models.values())).wire == ""
    assert (NEW.retention_s, NEW.handle_retention_s) == (172_800, 55 * 86_400)
    assert (NEW.extend_max_input_s, NEW.extend_max_total_s, NEW.extend_warn_total_s) == (30, 40, 30)
    assert (NEW.edit_max_upload_s, OLD.edit_max_upload_s) == (15, 10)
    assert (NEW.uploads, PLATFORM_NEW.uploads) == (True, False)
    assert (str(ENDED.shutdown.on), str(PLATFORM_ENDING.shutdown.on)) == (
        "2026-09-30",
        "2027-06-30",
    )
    assert PLATFORM_ENDING.shutdown.earliest
    assert (ENDED.auto, PLATFORM_ENDING.auto) == (False, False)
    assert (NEW.name, PLATFORM_OLD.name) == (
        "gemini-omni-1.2-flash",
        "gemini-omni-1.1-flash-preview",
    )
