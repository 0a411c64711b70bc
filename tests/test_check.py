"""``check_request`` finds every problem of a request."""

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import make_model

from veo.image import Image
from veo.model import Model
from veo.planning.check import check_request, effective_values, find_errors
from veo.problems import Problem
from veo.provider import installed_facts
from veo.request import FEATURES, Request
from veo.update import RemoteVideo

REAL = [row for facts in installed_facts().values() for row in facts.models.values()]
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
    """Return the fields that the model refuses."""
    return [problem.field for problem in find_errors(check_request(request, row))]


def single_problem(problems: tuple[Problem, ...]) -> Problem:
    """Return the only problem."""
    (problem,) = problems
    return problem


class TestOneProblem:
    """Each check alone: its message and the values that it allows."""

    @pytest.mark.parametrize("prompt", ["", "  \n"])
    def test_no_prompt(self, prompt: str) -> None:
        """A prompt of blanks is no prompt."""
        assert single_problem(check_request(Request(prompt=prompt), make_model())).field == "prompt"

    def test_a_prompt_that_is_too_long(self) -> None:
        """The limit counts characters, not bytes."""
        row = make_model(max_prompt_chars=3)
        assert check_request(Request(prompt="狮子王"), row) == ()
        problem = single_problem(check_request(Request(prompt="four"), row))
        assert (problem.message, problem.allowed) == (
            "4 characters are too many",
            ("at most 3",),
        )

    def test_a_prompt_that_is_probably_too_long(self) -> None:
        """Tokens can only be estimated, so too many are a warning."""
        problem = single_problem(
            check_request(Request(prompt="x" * 41), make_model(max_prompt_tokens=10))
        )
        assert problem.severity == "warning"

    @pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
    def test_text_that_is_not_unicode(self, field: str) -> None:
        """Bytes of another encoding reach Python as lone surrogates, and are refused."""
        row = make_model(features={"negative_prompt"})
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
    def test_a_value_that_the_model_does_not_list(
        self, field: str, value: Any, allowed: tuple[str, ...]
    ) -> None:
        """The problem lists the allowed values."""
        problem = single_problem(check_request(Request(prompt="p", **{field: value}), make_model()))
        assert (problem.field, problem.allowed) == (field, allowed)

    @pytest.mark.parametrize("field", list(ALL))
    def test_a_feature_that_the_model_lacks(self, field: str) -> None:
        """The field is refused, not silently dropped."""
        row = make_model(features=set(), max_references=0)
        request = Request(prompt="p", **{field: ALL[field]})
        assert field in fields_with_errors(request, row)

    @pytest.mark.parametrize("field", list(ALL))
    def test_a_feature_that_the_model_has(self, field: str) -> None:
        """The field is accepted, together with the field that it requires."""
        row = make_model(features=set(ALL), max_references=1)
        companions = {"start_frame": ALL["start_frame"]} if field == "end_frame" else {}
        assert check_request(Request(prompt="p", **companions, **{field: ALL[field]}), row) == ()

    def test_what_a_model_needs(self) -> None:
        """A model that starts from a frame needs one."""
        row = make_model(needs={"start_frame"})
        assert "needs one" in single_problem(check_request(Request(prompt="p"), row)).message

    def test_an_extension_needs_no_start_frame(self) -> None:
        """An extension starts where its video ends, so that no start frame is needed."""
        row = make_model(needs={"start_frame"}, features={"start_frame", "extend"})
        assert check_request(Request(prompt="p", extend=RemoteVideo("f")), row) == ()

    def test_an_end_frame_alone(self) -> None:
        """An end frame needs a start frame, whether or not the model accepts end frames."""
        request = Request(prompt="p", end_frame=Image("b.png"))
        for features in ({"start_frame", "end_frame"}, set()):
            problems = check_request(request, make_model(features=features))
            assert "an end frame needs a start frame" in [p.message for p in problems]

    def test_too_many_references(self) -> None:
        """The problem says how many are allowed."""
        row = make_model(features={"reference"}, max_references=2)
        request = Request(prompt="p", reference=(Image("c.png"),) * 3)
        assert single_problem(check_request(request, row)).allowed == ("at most 2",)

    def test_an_invalid_person_generation(self) -> None:
        """The valid values are listed; Google would respond with a 400."""
        row = make_model(features={"person_generation"})
        problem = single_problem(check_request(Request(prompt="p", person_generation="some"), row))
        assert problem.allowed == ("allow_all", "allow_adult", "dont_allow")


class TestRules:
    """Combinations that a model forbids or warns about."""

    RULE: ClassVar[dict[str, Any]] = {
        "when": {"resolution": ["1080p", "4k"]},
        "require": {"duration": [8]},
        "says": "1080p and 4k require a duration of 8 seconds",
    }

    def rule_model(self, **changes: Any) -> Model:
        """Return a model with the rule."""
        return make_model(
            resolutions=("720p", "1080p", "4k"),
            durations=(8, 4),
            features=set(ALL),
            rules=[self.RULE | changes],
        )

    @pytest.mark.parametrize(
        ("options", "broken"),
        [
            ({}, False),
            ({"duration": 4}, False),
            ({"resolution": "4k"}, False),
            ({"resolution": "4k", "duration": 8}, False),
            ({"resolution": "4k", "duration": 4}, True),
        ],
    )
    def test_a_rule_uses_the_defaults_of_fields_left_out(
        self, options: dict[str, Any], *, broken: bool
    ) -> None:
        """A field left out does not break a rule that its default fulfils."""
        assert bool(check_request(Request(prompt="p", **options), self.rule_model())) is broken

    def test_a_broken_rule_lists_the_allowed_values(self) -> None:
        """The problem names the field that has to change."""
        problem = single_problem(
            check_request(Request(prompt="p", resolution="4k", duration=4), self.rule_model())
        )
        assert (problem.field, problem.message, problem.allowed, problem.severity) == (
            "duration",
            "1080p and 4k require a duration of 8 seconds",
            ("8",),
            "error",
        )

    def test_rules_on_given_fields(self) -> None:
        """True and False require that a field is given or not; an empty tuple is not given."""
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

    def test_a_rule_can_be_a_warning(self) -> None:
        """A warning does not stop the request."""
        row = self.rule_model(severity="warning")
        problems = check_request(Request(prompt="p", resolution="4k", duration=4), row)
        assert (len(problems), find_errors(problems)) == (1, ())


class TestOffers:
    """Problems name models that accept the field."""

    def test_the_same_provider_comes_first(self) -> None:
        """At most four models are named, never the model itself."""
        rows = [
            make_model(name="far-1", provider="far", resolutions=("4k",)),
            *(make_model(name=f"near-{i}", resolutions=("4k",)) for i in range(4)),
            make_model(name="m-2"),
        ]
        problem = single_problem(
            check_request(Request(prompt="p", resolution="4k"), make_model(), [*rows, make_model()])
        )
        assert problem.offered_by == tuple(f"scripted/near-{i}" for i in range(4))

    def test_a_model_with_the_same_rule_is_not_offered(self) -> None:
        """A model whose own rules forbid the field is not named."""
        rule = TestRules.RULE | {"when": {}, "require": {"resolution": ["720p"]}}
        rows = [make_model(name="m-2", resolutions=("720p", "4k"), rules=[rule])]
        problem = single_problem(
            check_request(Request(prompt="p", resolution="4k"), make_model(), rows)
        )
        assert problem.offered_by == ()

    def test_nobody_offers_an_empty_prompt(self) -> None:
        """No model accepts an empty prompt, so none is named."""
        assert (
            single_problem(check_request(Request(prompt=""), make_model(), REAL)).offered_by == ()
        )

    @pytest.mark.parametrize(
        ("options", "providers"),
        [
            ({"reference": ("c.png",)}, {"laozhang-async", "gemini"}),
            ({"extend": RemoteVideo("f")}, {"gemini"}),
            ({"resolution": "4k"}, {"laozhang-async", "gemini"}),
        ],
    )
    def test_across_the_real_providers(self, options: dict[str, Any], providers: set[str]) -> None:
        """A field that the simplest model lacks names the providers that offer it."""
        row = ROWS["laozhang-async/veo-3.1-fast"]
        problem = single_problem(check_request(Request(prompt="p", **options), row, REAL))
        assert {offer.partition("/")[0] for offer in problem.offered_by} >= providers


def test_a_problem_reads_as_one_line() -> None:
    """The text holds the field, the message, the allowed values and the offers."""
    problem = Problem("end_frame", "m takes none", ("a", "b"), ("p/m-2",))
    assert str(problem) == "end_frame: m takes none. Allowed: a, b. Possible with: p/m-2."
    assert str(Problem("prompt", "a video needs a prompt")) == "prompt: a video needs a prompt."


def test_all_problems_at_once() -> None:
    """All problems of a request are found in one call."""
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


def test_the_first_allowed_value_is_the_default() -> None:
    """Fields left out get the first value that the model lists."""
    row = make_model(durations=(8, 4))
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
def test_every_problem_names_a_field(request: Request, row: Model) -> None:
    """Any problem has a message, and names a field that the offered models do not refuse."""
    for problem in check_request(request, row, REAL):
        assert problem.field in Request.__dataclass_fields__
        assert problem.message
        assert f"{row.provider}/{row.name}" not in problem.offered_by
        for offer in problem.offered_by:
            assert problem.field not in fields_with_errors(request, ROWS[offer])


@given(st.sampled_from(REAL), st.data())
def test_listed_values_are_accepted(row: Model, data: st.DataObject) -> None:
    """Any listed ratio and size with the default length is accepted."""
    options = {
        "aspect_ratio": data.draw(st.sampled_from(row.aspect_ratios)),
        "resolution": data.draw(st.sampled_from(row.resolutions)),
        "duration": row.durations[0],
    }
    assert (
        fields_with_errors(
            Request(prompt="p", **options, **{name: ALL[name] for name in row.needs}), row
        )
        == []
    )
