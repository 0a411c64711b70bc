"""All that is wrong with a request, at once."""

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import model

from veo.image import Image
from veo.model import Model
from veo.planning.check import check_request, effective_values, find_errors
from veo.problems import Problem
from veo.provider import installed_providers
from veo.request import FEATURES, Request
from veo.update import RemoteVideo

REAL = [row for cls in installed_providers().values() for row in cls.facts.models.values()]
ROWS = {f"{row.provider}/{row.name}": row for row in REAL}
ALL = {
    "start_frame": Image("a.png"),
    "end_frame": Image("b.png"),
    "reference": (Image("c.png"),),
    "negative_prompt": "rain",
    "seed": 7,
    "person_generation": "allow_all",
    "extend": RemoteVideo("files/1"),
}


def fields_with_errors(request: Request, row: Model) -> list[str]:
    """The fields that a model has errors with."""
    return [problem.field for problem in find_errors(check_request(request, row, REAL))]


def single_problem(problems: tuple[Problem, ...]) -> Problem:
    """The one problem there is."""
    (problem,) = problems
    return problem


class TestOneProblem:
    """Each rule alone: what it says, and what it would take."""

    @pytest.mark.parametrize("prompt", ["", "  \n"])
    def test_no_prompt(self, prompt: str) -> None:
        """Blanks are none."""
        assert single_problem(check_request(Request(prompt=prompt), model())).field == "prompt"

    def test_a_prompt_that_is_too_long(self) -> None:
        """By characters where those are known; counted as a person counts."""
        row = model(max_prompt_chars=3)
        assert check_request(Request(prompt="狮子王"), row) == ()
        problem = single_problem(check_request(Request(prompt="four"), row))
        assert (problem.message, problem.allowed) == (
            "4 characters are too many",
            ("at most 3",),
        )

    def test_a_prompt_that_is_probably_too_long(self) -> None:
        """Tokens can only be guessed: a warning."""
        problem = single_problem(
            check_request(Request(prompt="x" * 41), model(max_prompt_tokens=10))
        )
        assert problem.severity == "warning"

    @pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
    def test_text_that_is_none(self, field: str) -> None:
        """Bytes of another encoding come out of a shell as halves of letters."""
        row = model(features={"negative_prompt"})
        assert fields_with_errors(Request(**{"prompt": "p", field: "lion\udcff"}), row) == [field]

    @pytest.mark.parametrize(
        ("field", "value", "allowed"),
        [
            ("aspect_ratio", "4:3", ("9:16", "16:9")),
            ("aspect_ratio", "", ("9:16", "16:9")),
            ("resolution", "1080p", ("720p",)),
            ("duration", 6, ("8",)),
            ("duration", 0, ("8",)),
        ],
    )
    def test_a_value_that_is_not_offered(
        self, field: str, value: Any, allowed: tuple[str, ...]
    ) -> None:
        """The error names those that are."""
        problem = single_problem(check_request(Request(prompt="p", **{field: value}), model()))
        assert (problem.field, problem.allowed) == (field, allowed)

    @pytest.mark.parametrize("field", list(ALL))
    def test_a_feature_that_is_not_there(self, field: str) -> None:
        """Refused, not dropped in silence."""
        row = model(features=set(), max_references=0)
        request = Request(prompt="p", **{field: ALL[field]})
        assert field in fields_with_errors(request, row)

    @pytest.mark.parametrize("field", list(ALL))
    def test_a_feature_that_is_there(self, field: str) -> None:
        """Taken, with what it needs."""
        row = model(features=set(ALL), max_references=1)
        companions = {"start_frame": ALL["start_frame"]} if field == "end_frame" else {}
        assert check_request(Request(prompt="p", **companions, **{field: ALL[field]}), row) == ()

    def test_what_a_model_needs(self) -> None:
        """A model that starts from a frame needs one."""
        row = model(needs={"start_frame"})
        assert "needs one" in single_problem(check_request(Request(prompt="p"), row)).message

    def test_an_extension_begins_where_its_video_ends(self) -> None:
        """It needs no start frame, whatever else its model takes."""
        row = model(needs={"start_frame"}, features={"start_frame", "extend"})
        assert check_request(Request(prompt="p", extend=RemoteVideo("f")), row) == ()

    def test_an_end_frame_alone(self) -> None:
        """It needs a start frame, with a model that takes end frames and with one that does not."""
        request = Request(prompt="p", end_frame=Image("b.png"))
        for features in ({"start_frame", "end_frame"}, set()):
            problems = check_request(request, model(features=features))
            assert "an end frame needs a start frame" in [p.message for p in problems]

    def test_too_many_references(self) -> None:
        """The error says how many may be given."""
        row = model(features={"reference"}, max_references=2)
        request = Request(prompt="p", reference=(Image("c.png"),) * 3)
        assert single_problem(check_request(request, row)).allowed == ("at most 2",)

    def test_a_person_generation_that_there_is_not(self) -> None:
        """Google would answer with a 400."""
        row = model(features={"person_generation"})
        problem = single_problem(check_request(Request(prompt="p", person_generation="some"), row))
        assert problem.allowed == ("allow_all", "allow_adult", "dont_allow")


class TestRules:
    """Combinations that a row forbids, or warns about."""

    RULE: ClassVar[dict[str, Any]] = {
        "when": {"resolution": ["1080p", "4k"]},
        "require": {"duration": [8]},
        "says": "1080p and 4k are made in 8 seconds only",
    }

    def rule_model(self, **changes: Any) -> Model:
        """A model with that rule."""
        return model(
            resolutions=("720p", "1080p", "4k"),
            durations=(8, 4),
            features=set(ALL),
            rules=[self.RULE | changes],
        )

    @pytest.mark.parametrize(
        ("said", "broken"),
        [
            ({}, False),
            ({"duration": 4}, False),
            ({"resolution": "4k"}, False),
            ({"resolution": "4k", "duration": 8}, False),
            ({"resolution": "4k", "duration": 4}, True),
        ],
    )
    def test_a_rule_counts_what_was_left_open_as_the_default(
        self, said: dict[str, Any], *, broken: bool
    ) -> None:
        """Not as a breach."""
        assert bool(check_request(Request(prompt="p", **said), self.rule_model())) is broken

    def test_a_broken_rule_says_what_is_allowed(self) -> None:
        """At the field that has to change."""
        problem = single_problem(
            check_request(Request(prompt="p", resolution="4k", duration=4), self.rule_model())
        )
        assert (problem.field, problem.message, problem.allowed, problem.severity) == (
            "duration",
            "1080p and 4k are made in 8 seconds only",
            ("8",),
            "error",
        )

    def test_given_and_not_given(self) -> None:
        """True and False ask whether a field was said at all, an empty tuple was not."""
        row = self.rule_model(when={"extend": True}, require={"reference": False, "seed": True})
        request = Request(prompt="p", extend=RemoteVideo("f"), seed=0)
        assert check_request(request, row) == ()
        with_reference = Request(prompt="p", extend=RemoteVideo("f"), reference=(Image("c"),))
        assert [
            problem.field for problem in check_request(with_reference, row) if problem.field
        ] == [
            "reference",
            "reference",
            "seed",
        ]

    def test_a_doubtful_rule_is_a_warning(self) -> None:
        """Where documents contradict each other it is told, and sent all the same."""
        row = self.rule_model(severity="warning")
        problems = check_request(Request(prompt="p", resolution="4k", duration=4), row)
        assert (len(problems), find_errors(problems)) == (1, ())


class TestOffers:
    """Who could do what this model cannot."""

    def test_the_same_provider_comes_first(self) -> None:
        """At most four names, none of them the model itself."""
        rows = [
            model(name="far-1", provider="far", resolutions=("4k",)),
            *(model(name=f"near-{i}", resolutions=("4k",)) for i in range(4)),
            model(name="m-2"),
        ]
        problem = single_problem(
            check_request(Request(prompt="p", resolution="4k"), model(), [*rows, model()])
        )
        assert problem.offered_by == tuple(f"scripted/near-{i}" for i in range(4))

    def test_only_who_really_could(self) -> None:
        """A model whose own rules forbid the same is no offer."""
        rule = TestRules.RULE | {"when": {}, "require": {"resolution": ["720p"]}}
        rows = [model(name="m-2", resolutions=("720p", "4k"), rules=[rule])]
        problem = single_problem(check_request(Request(prompt="p", resolution="4k"), model(), rows))
        assert problem.offered_by == ()

    def test_nobody_offers_an_empty_prompt(self) -> None:
        """There is nothing to choose."""
        assert single_problem(check_request(Request(prompt=""), model(), REAL)).offered_by == ()

    @pytest.mark.parametrize(
        ("said", "providers"),
        [
            ({"reference": ("c.png",)}, {"gemini", "vertex"}),
            ({"extend": RemoteVideo("f")}, {"gemini", "vertex"}),
            ({"resolution": "4k"}, {"laozhang-async", "gemini"}),
        ],
    )
    def test_across_the_real_providers(self, said: dict[str, Any], providers: set[str]) -> None:
        """What the smallest model cannot is sent to those that can."""
        row = ROWS["laozhang-async/veo-3.1-fast"]
        problem = single_problem(check_request(Request(prompt="p", **said), row, REAL))
        assert {offer.partition("/")[0] for offer in problem.offered_by} == providers


def test_a_problem_reads_as_one_line() -> None:
    """The option, what is wrong, what is allowed, who can."""
    problem = Problem("end_frame", "m takes none", ("a", "b"), ("p/m-2",))
    assert str(problem) == "end_frame: m takes none. Allowed: a, b. Possible with: p/m-2."
    assert str(Problem("prompt", "a video needs a prompt")) == "prompt: a video needs a prompt."


def test_all_problems_at_once() -> None:
    """So that they can be mended in one go."""
    request = Request(
        prompt=" ",
        aspect_ratio="1:1",
        resolution="8k",
        duration=60,
        seed=1,
        reference=("a", "b", "c", "d"),  # type: ignore[arg-type]
    )
    assert fields_with_errors(request, ROWS["laozhang-sync/veo-3.1-fl"]) == [
        "prompt",
        "aspect_ratio",
        "resolution",
        "duration",
        "reference",
        "seed",
        "start_frame",
    ]


def test_defaults_are_the_first_of_what_is_offered() -> None:
    """The request as its model will take it."""
    row = model(durations=(8, 4))
    chosen = effective_values(Request(prompt="p", aspect_ratio="16:9"), row)
    features = {name: chosen.pop(name) for name in FEATURES}
    assert chosen == {"aspect_ratio": "16:9", "resolution": "720p", "duration": 8}
    assert set(features.values()) == {None, ()}


ANYTHING = st.builds(
    Request,
    prompt=st.text(),
    aspect_ratio=st.sampled_from([None, "16:9", "9:16", "1:1"]),
    resolution=st.sampled_from([None, "720p", "1080p", "4k", "8k"]),
    duration=st.none() | st.integers(0, 9),
    negative_prompt=st.none() | st.text(),
    seed=st.none() | st.integers(),
    person_generation=st.none() | st.text(),
    start_frame=st.none() | st.just(Image("a.png")),
    end_frame=st.none() | st.just(Image("b.png")),
    reference=st.integers(0, 4).map(lambda count: (Image("c.png"),) * count),
    extend=st.none() | st.just(RemoteVideo("files/1")),
)


@given(ANYTHING, st.sampled_from(REAL))
def test_every_problem_names_a_field_that_was_said_or_is_missing(
    request: Request, row: Model
) -> None:
    """For any request and any real model, with a line a person can act upon."""
    for problem in check_request(request, row, REAL):
        assert problem.field in Request.__dataclass_fields__
        assert problem.message
        assert f"{row.provider}/{row.name}" not in problem.offered_by


@given(ANYTHING, st.sampled_from(REAL))
def test_an_offer_is_kept(request: Request, row: Model) -> None:
    """A model that is named as possible has no objection to that field."""
    for problem in check_request(request, row, REAL):
        for offer in problem.offered_by:
            assert problem.field not in fields_with_errors(request, ROWS[offer])


@given(st.sampled_from(REAL), st.data())
def test_what_is_offered_is_taken(row: Model, data: st.DataObject) -> None:
    """Any ratio, and any size and length that no rule forbids, with what the model needs."""
    said = {
        "aspect_ratio": data.draw(st.sampled_from(row.aspect_ratios)),
        "resolution": data.draw(st.sampled_from(row.resolutions)),
        "duration": row.durations[0],
    }
    assert (
        fields_with_errors(
            Request(prompt="p", **said, **{name: ALL[name] for name in row.needs}), row
        )
        == []
    )
