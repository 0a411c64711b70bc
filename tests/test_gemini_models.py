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

IMAGE = Image("a.png")
OLD = RemoteVideo("https://generativelanguage.googleapis.com/v1beta/files/abc")
FAST, STANDARD, LITE = (row for row in Gemini.facts.models.values() if not row.wire)
VERTEX_FAST, VERTEX_STANDARD, VERTEX_LITE = (
    row for row in Vertex.facts.models.values() if not row.wire
)

FORBIDDEN = {
    "ratio": (FAST, {"aspect_ratio": "1:1"}, {"aspect_ratio"}),
    "resolution": (FAST, {"resolution": "480p"}, {"resolution"}),
    "duration": (FAST, {"duration": 5}, {"duration"}),
    "1080p short": (FAST, {"resolution": "1080p", "duration": 4}, {"duration"}),
    "4k short": (STANDARD, {"resolution": "4k", "duration": 6}, {"duration"}),
    "references short": (FAST, {"reference": (IMAGE,), "duration": 6}, {"duration"}),
    "references, frame": (FAST, {"reference": (IMAGE,), "start_frame": IMAGE}, {"start_frame"}),
    "references, frames": (
        STANDARD,
        {"reference": (IMAGE,), "start_frame": IMAGE, "end_frame": IMAGE},
        {"start_frame", "end_frame"},
    ),
    "references, extension": (FAST, {"reference": (IMAGE,), "extend": OLD}, {"extend"}),
    "four references": (FAST, {"reference": (IMAGE,) * 4}, {"reference"}),
    "end without start": (FAST, {"end_frame": IMAGE}, {"end_frame"}),
    "extension 1080p": (FAST, {"extend": OLD, "resolution": "1080p"}, {"resolution"}),
    "extension short": (STANDARD, {"extend": OLD, "duration": 4}, {"duration"}),
    "extension, frame": (FAST, {"extend": OLD, "start_frame": IMAGE}, {"start_frame"}),
    "lite 4k": (LITE, {"resolution": "4k"}, {"resolution"}),
    "lite references": (LITE, {"reference": (IMAGE,)}, {"reference"}),
    "lite extension": (LITE, {"extend": OLD}, {"extend"}),
    "lite negative": (LITE, {"negative_prompt": "fog"}, {"negative_prompt"}),
    "lite 1080p short": (LITE, {"resolution": "1080p", "duration": 4}, {"duration"}),
    "no prompt": (FAST, {"prompt": " "}, {"prompt"}),
    "no prompt, references": (FAST, {"prompt": "", "reference": (IMAGE,)}, {"prompt"}),
    "unknown person rule": (FAST, {"person_generation": "all"}, {"person_generation"}),
    "vertex references short": (
        VERTEX_FAST,
        {"reference": (IMAGE,), "duration": 4},
        {"duration"},
    ),
    "vertex lite 4k": (VERTEX_LITE, {"resolution": "4k"}, {"resolution"}),
}

DOUBTFUL = {
    "reference portrait": (
        FAST,
        {"reference": (IMAGE,), "aspect_ratio": "9:16"},
        {"aspect_ratio"},
    ),
    "end frame short": (
        FAST,
        {"start_frame": IMAGE, "end_frame": IMAGE, "duration": 4},
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
        {"person_generation": "allow_all", "start_frame": IMAGE},
        {"person_generation"},
    ),
    "references, all": (
        FAST,
        {"person_generation": "allow_all", "reference": (IMAGE,)},
        {"person_generation"},
    ),
    "no people": (LITE, {"person_generation": "dont_allow"}, {"person_generation"}),
    "long prompt": (FAST, {"prompt": "word " * 1000}, {"prompt"}),
    "vertex 1080p short": (VERTEX_STANDARD, {"resolution": "1080p", "duration": 4}, {"duration"}),
    "vertex fast 4k": (VERTEX_FAST, {"resolution": "4k"}, {"resolution"}),
    "vertex all": (VERTEX_FAST, {"person_generation": "allow_all"}, {"person_generation"}),
    "vertex no people": (VERTEX_FAST, {"person_generation": "dont_allow"}, {"person_generation"}),
}

ALLOWED = {
    "text": (FAST, {}),
    "all options": (
        STANDARD,
        {"aspect_ratio": "9:16", "resolution": "4k", "duration": 8, "seed": 7},
    ),
    "short 720p": (LITE, {"duration": 4, "resolution": "720p"}),
    "frames": (FAST, {"start_frame": IMAGE, "end_frame": IMAGE}),
    "lite frames": (LITE, {"start_frame": IMAGE, "end_frame": IMAGE}),
    "vertex lite extension": (VERTEX_LITE, {"extend": OLD}),
    "three references": (FAST, {"reference": (IMAGE,) * 3}),
    "extension": (FAST, {"extend": OLD, "resolution": "720p", "duration": 8}),
    "portrait extension": (STANDARD, {"extend": OLD, "aspect_ratio": "9:16"}),
    "text, all": (FAST, {"person_generation": "allow_all"}),
    "frame, adults": (FAST, {"person_generation": "allow_adult", "start_frame": IMAGE}),
    "references, adults": (FAST, {"person_generation": "allow_adult", "reference": (IMAGE,)}),
    "vertex extension 1080p": (VERTEX_FAST, {"extend": OLD, "resolution": "1080p"}),
    "vertex portrait references": (
        VERTEX_FAST,
        {"reference": (IMAGE,), "aspect_ratio": "9:16"},
    ),
}


def make_request(options: dict[str, Any]) -> Request:
    """Return a request for a lion with some options."""
    return Request(**{"prompt": "a lion"} | options)


@pytest.mark.parametrize("case", FORBIDDEN)
def test_forbidden_combinations_are_errors(case: str) -> None:
    """Each combination that the documents forbid is an error about the fields to change."""
    model, options, fields = FORBIDDEN[case]

    problems = find_errors(check_request(make_request(options), model))

    assert fields == {problem.field for problem in problems}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_disputed_combinations_are_warnings(case: str) -> None:
    """A combination about which sources contradict each other is a warning."""
    model, options, fields = DOUBTFUL[case]

    problems = check_request(make_request(options), model)

    assert find_errors(problems) == ()
    assert fields == {problem.field for problem in problems}


@pytest.mark.parametrize("case", ALLOWED)
def test_documented_combinations_pass(case: str) -> None:
    """Documented combinations give neither an error nor a warning."""
    model, options = ALLOWED[case]

    assert check_request(make_request(options), model) == ()


def test_every_rule_is_tested() -> None:
    """Each rule of Veo's rows is broken by a case above, and names its source."""
    requests = [
        (model, make_request(options))
        for model, options, _ in (*FORBIDDEN.values(), *DOUBTFUL.values())
    ]
    messages = {
        problem.message for model, request in requests for problem in check_request(request, model)
    }
    models = [FAST, STANDARD, LITE, VERTEX_FAST, VERTEX_STANDARD, VERTEX_LITE]
    rules = [rule for model in models for rule in model.rules]

    assert set() == {rule.says for rule in rules} - messages
    assert all(rule.source for rule in rules)


def test_all_problems_are_found_at_once() -> None:
    """A request that breaks four rules gives four problems."""
    request = make_request(
        {"duration": 4, "resolution": "4k", "reference": (IMAGE,), "aspect_ratio": "4:3"}
    )

    problems = find_errors(check_request(request, LITE, [FAST, STANDARD, LITE]))

    assert {"duration", "resolution", "reference", "aspect_ratio"} == {p.field for p in problems}
    reference = next(problem for problem in problems if problem.field == "reference")
    assert (reference.offered_by) == (
        "gemini/veo-3.1-fast-generate-preview",
        "gemini/veo-3.1-generate-preview",
    )


@pytest.mark.parametrize(
    ("model", "options", "usd"),
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
def test_quote_is_price_times_seconds(model: Model, options: dict[str, Any], usd: str) -> None:
    """Prices are per second of video, by resolution, and charged on success."""
    price = quote(make_request(options), model)

    assert Decimal(usd) == price.amount
    assert (price.per, price.charged) == ("second", "on_success")


def test_facts_of_the_models() -> None:
    """The preferred model is first; rows have limits, shutdown, replacements and sources."""
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
    assert (VERTEX_LITE.shutdown.on, VERTEX_LITE.shutdown.earliest) == (date(2027, 5, 4), True)


def test_three_images_of_the_maximum_size_fit_one_request() -> None:
    """Three images in base64 stay below the 20 MB of a JSON body."""
    assert 3 * FAST.image.max_bytes * 4 / 3 < 20_000_000


def test_facts_import_no_http_library() -> None:
    """Importing the package imports neither google-genai nor an HTTP library."""
    code = (
        "import sys, veo_gemini; veo_gemini.Gemini.facts, veo_gemini.Vertex.facts;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert {"google", "httpx", "requests"} & set(loaded.stdout.split()) == set()
