"""The facts about Google's own routes: read without a key, complete, and checked as data."""

import subprocess
import sys
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from veo.image import Image
from veo.model import Model
from veo.money import quote
from veo.planning.check import check_request, find_errors
from veo.request import Request
from veo.update import RemoteVideo
from veo_gemini import Gemini, Vertex

PICTURE = Image("a.png")
OLD = RemoteVideo("https://generativelanguage.googleapis.com/v1beta/files/abc")
FAST, STANDARD, LITE = Gemini.facts.models.values()
VERTEX_FAST, VERTEX_STANDARD, VERTEX_LITE = Vertex.facts.models.values()

FORBIDDEN = {
    "ratio": (FAST, {"aspect_ratio": "1:1"}, {"aspect_ratio"}),
    "resolution": (FAST, {"resolution": "480p"}, {"resolution"}),
    "duration": (FAST, {"duration": 5}, {"duration"}),
    "1080p short": (FAST, {"resolution": "1080p", "duration": 4}, {"duration"}),
    "4k short": (STANDARD, {"resolution": "4k", "duration": 6}, {"duration"}),
    "references short": (FAST, {"reference": (PICTURE,), "duration": 6}, {"duration"}),
    "references, frame": (FAST, {"reference": (PICTURE,), "start_frame": PICTURE}, {"start_frame"}),
    "references, frames": (
        STANDARD,
        {"reference": (PICTURE,), "start_frame": PICTURE, "end_frame": PICTURE},
        {"start_frame", "end_frame"},
    ),
    "references, extension": (FAST, {"reference": (PICTURE,), "extend": OLD}, {"extend"}),
    "four references": (FAST, {"reference": (PICTURE,) * 4}, {"reference"}),
    "end without start": (FAST, {"end_frame": PICTURE}, {"end_frame"}),
    "extension 1080p": (FAST, {"extend": OLD, "resolution": "1080p"}, {"resolution"}),
    "extension short": (STANDARD, {"extend": OLD, "duration": 4}, {"duration"}),
    "extension, frame": (FAST, {"extend": OLD, "start_frame": PICTURE}, {"start_frame"}),
    "lite 4k": (LITE, {"resolution": "4k"}, {"resolution"}),
    "lite references": (LITE, {"reference": (PICTURE,)}, {"reference"}),
    "lite extension": (LITE, {"extend": OLD}, {"extend"}),
    "lite negative": (LITE, {"negative_prompt": "fog"}, {"negative_prompt"}),
    "lite 1080p short": (LITE, {"resolution": "1080p", "duration": 4}, {"duration"}),
    "no prompt": (FAST, {"prompt": " "}, {"prompt"}),
    "no prompt, references": (FAST, {"prompt": "", "reference": (PICTURE,)}, {"prompt"}),
    "nonsense person": (FAST, {"person_generation": "all"}, {"person_generation"}),
    "vertex references short": (
        VERTEX_FAST,
        {"reference": (PICTURE,), "duration": 4},
        {"duration"},
    ),
    "vertex lite 4k": (VERTEX_LITE, {"resolution": "4k"}, {"resolution"}),
}

DOUBTFUL = {
    "reference portrait": (
        FAST,
        {"reference": (PICTURE,), "aspect_ratio": "9:16"},
        {"aspect_ratio"},
    ),
    "end frame short": (
        FAST,
        {"start_frame": PICTURE, "end_frame": PICTURE, "duration": 4},
        {"duration"},
    ),
    "negative prompt": (STANDARD, {"negative_prompt": "fog"}, {"negative_prompt"}),
    "text, adults": (FAST, {"person_generation": "allow_adult"}, {"person_generation"}),
    "extension, adults": (
        FAST,
        {"person_generation": "allow_adult", "extend": OLD},
        {"person_generation"},
    ),
    "frame, all": (
        FAST,
        {"person_generation": "allow_all", "start_frame": PICTURE},
        {"person_generation"},
    ),
    "references, all": (
        FAST,
        {"person_generation": "allow_all", "reference": (PICTURE,)},
        {"person_generation"},
    ),
    "nobody": (LITE, {"person_generation": "dont_allow"}, {"person_generation"}),
    "long prompt": (FAST, {"prompt": "word " * 1000}, {"prompt"}),
    "vertex 1080p short": (VERTEX_STANDARD, {"resolution": "1080p", "duration": 4}, {"duration"}),
    "vertex fast 4k": (VERTEX_FAST, {"resolution": "4k"}, {"resolution"}),
    "vertex all": (VERTEX_FAST, {"person_generation": "allow_all"}, {"person_generation"}),
    "vertex nobody": (VERTEX_FAST, {"person_generation": "dont_allow"}, {"person_generation"}),
}

ALLOWED = {
    "text": (FAST, {}),
    "everything said": (
        STANDARD,
        {"aspect_ratio": "9:16", "resolution": "4k", "duration": 8, "seed": 7},
    ),
    "short 720p": (LITE, {"duration": 4, "resolution": "720p"}),
    "frames": (FAST, {"start_frame": PICTURE, "end_frame": PICTURE}),
    "lite frames": (LITE, {"start_frame": PICTURE, "end_frame": PICTURE}),
    "three references": (FAST, {"reference": (PICTURE,) * 3}),
    "extension": (FAST, {"extend": OLD, "resolution": "720p", "duration": 8}),
    "portrait extension": (STANDARD, {"extend": OLD, "aspect_ratio": "9:16"}),
    "text, all": (FAST, {"person_generation": "allow_all"}),
    "frame, adults": (FAST, {"person_generation": "allow_adult", "start_frame": PICTURE}),
    "references, adults": (FAST, {"person_generation": "allow_adult", "reference": (PICTURE,)}),
    "vertex extension 1080p": (VERTEX_FAST, {"extend": OLD, "resolution": "1080p"}),
    "vertex portrait references": (
        VERTEX_FAST,
        {"reference": (PICTURE,), "aspect_ratio": "9:16"},
    ),
}


def asking(said: dict[str, Any]) -> Request:
    """A request for a lion, with more said."""
    return Request(**{"prompt": "a lion"} | said)


@pytest.mark.parametrize("case", FORBIDDEN)
def test_what_the_documents_forbid_is_refused(case: str) -> None:
    """Each forbidden combination is an error about the fields that have to change."""
    model, said, fields = FORBIDDEN[case]

    problems = find_errors(check_request(asking(said), model))

    assert fields == {problem.field for problem in problems}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_sources_disagree_about_is_only_a_warning(case: str) -> None:
    """Where sources contradict each other the request is sent, with a warning."""
    model, said, fields = DOUBTFUL[case]

    problems = check_request(asking(said), model)

    assert find_errors(problems) == ()
    assert fields == {problem.field for problem in problems}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_the_documents_allow_passes(case: str) -> None:
    """Documented combinations raise neither an error nor a warning."""
    model, said = ALLOWED[case]

    assert check_request(asking(said), model) == ()


def test_every_rule_has_a_case_that_breaks_it() -> None:
    """No rule of the data stands there untested, and each names its source."""
    asked = [(model, asking(said)) for model, said, _ in (*FORBIDDEN.values(), *DOUBTFUL.values())]
    told = {
        problem.message for model, request in asked for problem in check_request(request, model)
    }
    models = [*Gemini.facts.models.values(), *Vertex.facts.models.values()]
    rules = [rule for model in models for rule in model.rules]

    assert set() == {rule.says for rule in rules} - told
    assert all(rule.source for rule in rules)


def test_all_problems_are_told_at_once() -> None:
    """A request that breaks four rules learns of four."""
    request = asking(
        {"duration": 4, "resolution": "4k", "reference": (PICTURE,), "aspect_ratio": "4:3"}
    )

    problems = find_errors(check_request(request, LITE, [FAST, STANDARD, LITE]))

    assert {"duration", "resolution", "reference", "aspect_ratio"} == {p.field for p in problems}
    reference = next(problem for problem in problems if problem.field == "reference")
    assert (reference.offered_by) == (
        "gemini/veo-3.1-fast-generate-preview",
        "gemini/veo-3.1-generate-preview",
    )


@pytest.mark.parametrize(
    ("model", "said", "usd"),
    [
        (FAST, {}, "0.80"),
        (FAST, {"resolution": "1080p"}, "0.96"),
        (FAST, {"resolution": "4k"}, "2.40"),
        (FAST, {"extend": OLD}, "0.70"),
        (STANDARD, {"duration": 4}, "1.60"),
        (STANDARD, {"resolution": "4k"}, "4.80"),
        (LITE, {"duration": 6}, "0.30"),
        (LITE, {"resolution": "1080p"}, "0.64"),
        (VERTEX_FAST, {}, "0.80"),
        (VERTEX_STANDARD, {"resolution": "1080p"}, "3.20"),
    ],
)
def test_a_quote_is_seconds_times_the_price_at_the_resolution(
    model: Model, said: dict[str, Any], usd: str
) -> None:
    """Prices are per second of video and depend on the resolution; charged on success."""
    price = quote(asking(said), model)

    assert Decimal(usd) == price.amount
    assert (price.per, price.charged) == ("second", "on_success")


def test_the_preferred_model_is_fast_and_rows_say_where_they_come_from() -> None:
    """The first row is the default; rows carry limits, shutdown date, replacements and sources."""
    assert next(iter(Gemini.facts.models)) == "veo-3.1-fast-generate-preview"
    assert next(iter(Vertex.facts.models)) == "veo-3.1-fast-generate-001"
    assert date(2026, 10, 22) == FAST.shutdown.on
    assert "vertex/veo-3.1-fast-generate-001" in FAST.shutdown.replacements
    assert (
        FAST.extend_s,
        FAST.extend_max_input_s,
        FAST.extend_max_times,
        FAST.retention_s,
    ) == (7, 141, 20, 172_800)
    assert "unconfirmed" in VERTEX_FAST.price.source
    assert None is VERTEX_LITE.shutdown


def test_three_pictures_of_the_largest_size_fit_one_request() -> None:
    """Inline pictures stay below the 20 MB that one JSON body may have, in base64."""
    assert 3 * FAST.image.max_bytes * 4 / 3 < 20_000_000


def test_the_facts_need_neither_the_sdk_nor_an_http_library() -> None:
    """Importing the package leaves google-genai and every HTTP client alone."""
    code = (
        "import sys, veo_gemini; veo_gemini.Gemini.facts, veo_gemini.Vertex.facts;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert {"google", "httpx", "requests"} & set(loaded.stdout.split()) == set()
