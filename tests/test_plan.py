"""From a request to a plan: the right model, all problems, the price."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import model

from veo.errors import InvalidRequestError, ModelUnavailableError, UnknownModelError
from veo.planning.plan import Plan, make_plan, make_slug
from veo.provider import installed_providers
from veo.request import Request

PROVIDERS = {name: cls.facts for name, cls in installed_providers().items()}
CATALOGUE = [row for facts in PROVIDERS.values() for row in facts.models.values()]
LAOZHANG = PROVIDERS["laozhang-async"].models
FRAMES = {"start_frame": "a.png", "end_frame": "b.png"}
LATE = date(2027, 1, 1)


def planned(provider: str = "laozhang-async", preferred: str | None = None, **said: Any) -> Plan:
    """A plan of a real provider."""
    request = Request(**{"prompt": "a lion"} | said)
    models = PROVIDERS[provider].models
    return make_plan(request, models, preferred=preferred, catalogue=CATALOGUE, today=LATE)


def refused(provider: str = "laozhang-async", **said: Any) -> dict[str, tuple[str, ...]]:
    """The fields that were wrong, with the models offered for each."""
    with pytest.raises(InvalidRequestError) as caught:
        planned(provider, **said)
    return {problem.field: problem.offered_by for problem in caught.value.problems}


class TestTheRightOneOfTheEight:
    """Without ``-m`` the model follows from the request."""

    @pytest.mark.parametrize("provider", ["laozhang-async", "laozhang-sync"])
    @pytest.mark.parametrize(
        ("said", "name"),
        [
            ({}, "veo-3.1-fast"),
            ({"aspect_ratio": "9:16"}, "veo-3.1-fast"),
            ({"aspect_ratio": "16:9"}, "veo-3.1-landscape-fast"),
            ({"start_frame": "a.png"}, "veo-3.1-fast-fl"),
            (FRAMES, "veo-3.1-fast-fl"),
            (FRAMES | {"aspect_ratio": "16:9"}, "veo-3.1-landscape-fast-fl"),
        ],
    )
    def test_fast_by_default(self, provider: str, said: dict[str, Any], name: str) -> None:
        """Orientation by the aspect ratio, ``-fl`` by the frames."""
        assert planned(provider, **said).request.model == name

    @pytest.mark.parametrize(
        ("said", "name"),
        [
            ({}, "veo-3.1"),
            ({"aspect_ratio": "16:9"}, "veo-3.1-landscape"),
            ({"start_frame": "a.png"}, "veo-3.1-fl"),
            (FRAMES | {"aspect_ratio": "16:9"}, "veo-3.1-landscape-fl"),
        ],
    )
    def test_a_preferred_model_stands_for_its_family(self, said: dict[str, Any], name: str) -> None:
        """The configured quality is kept, whatever the request decides."""
        assert planned(preferred="veo-3.1", **said).request.model == name

    @pytest.mark.parametrize("preferred", [None, "veo-3.1-fast", "veo-3.1"])
    @pytest.mark.parametrize("said", [{"resolution": "1080p"}, {"duration": 4}, {"seed": 1}])
    def test_a_dearer_route_is_never_chosen_unasked(
        self, preferred: str | None, said: dict[str, Any]
    ) -> None:
        """The official forward costs twice and more: it is offered, not taken."""
        offered = refused(preferred=preferred, **said)
        assert any("generate-preview" in name for name in offered[next(iter(said))])

    def test_a_preferred_model_outside_the_choice_is_taken(self) -> None:
        """Who configures the official forward gets it."""
        made = planned(preferred="veo-3.1-generate-preview", resolution="4k")
        assert (made.request.model, made.quote.amount) == (
            "veo-3.1-generate-preview",
            Decimal("1.20"),
        )

    def test_a_named_model_is_the_one(self) -> None:
        """No other of its family, even where that would fit."""
        assert set(refused(model="veo-3.1-landscape", aspect_ratio="9:16")) == {"aspect_ratio"}

    @given(
        st.sampled_from(["laozhang-async", "laozhang-sync"]),
        st.sampled_from([None, "16:9", "9:16"]),
        st.sampled_from([{}, {"start_frame": "a.png"}, FRAMES]),
        st.sampled_from([None, *(name for name in LAOZHANG if "preview" not in name)]),
    )
    def test_whatever_is_asked_there_is_one(
        self, provider: str, ratio: str | None, frames: dict[str, Any], preferred: str | None
    ) -> None:
        """Every shape with every configured model: it fits, and has the configured quality."""
        made = planned(provider, preferred, aspect_ratio=ratio, **frames)
        family = LAOZHANG[preferred].family if preferred else "fast"
        assert made.model.family == family
        assert ratio in {None, *made.model.aspect_ratios}
        assert made.model.name.endswith("-fl") is bool(frames)


class TestMistakes:
    """What is wrong is told with what would be right."""

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("veo-3.1-fl-fast", "veo-3.1-fast-fl"),
            ("veo-3.1-fast-landscape", "veo-3.1-landscape-fast"),
            ("veo-3.1-fl-landscape-fast", "veo-3.1-landscape-fast-fl"),
            ("veo-3.1-FL", "veo-3.1-fl"),
            ("veo-3.1-fsat", "veo-3.1-fast"),
        ],
    )
    def test_a_suffix_in_the_wrong_place(self, typed: str, meant: str) -> None:
        """The gateway would answer that the token has no right to the model."""
        with pytest.raises(UnknownModelError, match=typed) as caught:
            planned(model=typed)
        assert f"Did you mean {meant}?" in str(caught.value.hint)

    @pytest.mark.parametrize("field", ["model", "preferred"])
    def test_a_model_of_another_provider(self, field: str) -> None:
        """Whose it is, in place of a name that looks alike."""
        with pytest.raises(UnknownModelError) as caught:
            planned("gemini", **{field: "veo-3.1-fast"})
        assert "laozhang-async and laozhang-sync" in str(caught.value.hint)

    @pytest.mark.parametrize("size", ["", "-landscape"])
    @pytest.mark.parametrize("speed", ["", "-fast"])
    def test_frames_with_a_model_that_takes_none(self, size: str, speed: str) -> None:
        """The first offer is the very same with ``-fl``."""
        offered = refused(model=f"veo-3.1{size}{speed}", start_frame="a.png")
        assert offered["start_frame"][0] == f"laozhang-async/veo-3.1{size}{speed}-fl"

    @pytest.mark.parametrize("size", ["", "-landscape"])
    @pytest.mark.parametrize("speed", ["", "-fast"])
    def test_a_model_from_frames_without_any(self, size: str, speed: str) -> None:
        """The first offer is the very same without ``-fl``: the server accepts it and fails."""
        offered = refused(model=f"veo-3.1{size}{speed}-fl")
        assert offered["start_frame"][0] == f"laozhang-async/veo-3.1{size}{speed}"

    @pytest.mark.parametrize(("size", "ratio"), [("", "16:9"), ("-landscape", "9:16")])
    @pytest.mark.parametrize("frames", [{}, FRAMES])
    def test_a_model_of_the_other_orientation(
        self, size: str, ratio: str, frames: dict[str, Any]
    ) -> None:
        """The first offer is its twin."""
        end = "-fl" if frames else ""
        twin = "" if size else "-landscape"
        offered = refused(model=f"veo-3.1{size}-fast{end}", aspect_ratio=ratio, **frames)
        assert offered["aspect_ratio"][0] == f"laozhang-async/veo-3.1{twin}-fast{end}"

    def test_an_end_frame_alone(self) -> None:
        """The error says what is missing, not only that the first model does not accept it."""
        with pytest.raises(InvalidRequestError, match="needs a start frame"):
            planned(end_frame="b.png")

    def test_a_request_that_no_model_takes(self) -> None:
        """It is told of the model with least against it: frames are no problem here."""
        assert set(refused(start_frame="a.png", resolution="8k")) == {"resolution"}

    def test_what_only_others_can(self) -> None:
        """References go to Google's routes."""
        offered = refused(reference=("a.png",))["reference"]
        assert {name.partition("/")[0] for name in offered} == {"gemini", "vertex"}


class TestGoogle:
    """The same request at another provider."""

    @pytest.mark.parametrize("provider", ["gemini", "vertex"])
    @pytest.mark.parametrize(
        ("said", "amount"),
        [
            ({}, "0.80"),
            ({"duration": 4}, "0.40"),
            ({"resolution": "1080p"}, "0.96"),
            (FRAMES | {"aspect_ratio": "16:9"}, "0.80"),
            ({"reference": ("a.png", "b.png", "c.png")}, "0.80"),
        ],
    )
    def test_fast_by_default(self, provider: str, said: dict[str, Any], amount: str) -> None:
        """One model for all shapes, billed by the second."""
        made = planned(provider, **said)
        assert (made.model.title, made.quote.amount) == ("Veo 3.1 Fast", Decimal(amount))

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            ({"resolution": "1080p", "duration": 4}, "duration"),
            ({"reference": ("a.png",), "duration": 4}, "duration"),
            ({"reference": ("a.png",), "start_frame": "b.png"}, "start_frame"),
            ({"reference": ("a.png",) * 4}, "reference"),
            ({"duration": 5}, "duration"),
            ({"aspect_ratio": "1:1"}, "aspect_ratio"),
        ],
    )
    def test_combinations_that_cannot_be(self, said: dict[str, Any], field: str) -> None:
        """Refused before a cent is spent."""
        assert field in refused("gemini", **said)

    def test_lite_knows_its_limits(self) -> None:
        """The first offers are its bigger sisters."""
        offered = refused("gemini", model="veo-3.1-lite-generate-preview", reference=("a.png",))
        assert offered["reference"][0] == "gemini/veo-3.1-fast-generate-preview"


class TestRetired:
    """A model past its reported shutdown."""

    def made(self, today: date, retired: Any = "warn") -> Plan:
        """A plan with a model that ends on 14 May 2026."""
        end = {"on": date(2026, 5, 14), "source": "a notice", "replacements": ["other/m-9"]}
        row = model(shutdown=end)
        return make_plan(Request(prompt="p"), {row.name: row}, retired=retired, today=today)

    def test_a_warning_names_date_source_and_replacement(self) -> None:
        """From the day itself on."""
        (warning,) = self.made(date(2026, 5, 14)).warnings
        assert all(word in warning for word in ("m-1", "2026-05-14", "a notice", "other/m-9"))
        assert self.made(date(2026, 5, 13)).warnings == ()

    def test_it_can_be_refused_or_ignored(self) -> None:
        """As configured."""
        with pytest.raises(ModelUnavailableError, match="2026-05-14") as caught:
            self.made(LATE, "refuse")
        assert caught.value.charged is False
        assert self.made(LATE, "ignore").warnings == ()

    def test_the_old_route_of_laozhang_warns(self) -> None:
        """Its eight models were marked as unavailable in May 2026."""
        assert "2026-05-14" in planned().warnings[0]


def test_a_doubtful_rule_is_a_warning_of_the_plan() -> None:
    """Told before it is sent."""
    rule = {"when": {}, "require": {"seed": True}, "says": "hm", "severity": "warning"}
    row = model(rules=[rule])
    assert make_plan(Request(prompt="p"), {row.name: row}).warnings == ("seed: hm.",)


def test_a_plan_says_model_and_price() -> None:
    """The request is the one that was asked for, its model filled in."""
    row = model()
    made = make_plan(Request(prompt="p", aspect_ratio="16:9"), {row.name: row})
    assert made.request == Request(prompt="p", aspect_ratio="16:9", model="m-1")
    assert (made.model, made.quote.amount) == (row, Decimal("0.15"))


@given(
    st.sampled_from(sorted(PROVIDERS)),
    st.sampled_from([None, "16:9", "9:16", "1:1"]),
    st.sampled_from([None, "720p", "1080p", "4k"]),
    st.sampled_from([None, 4, 6, 8, 60]),
    st.sampled_from([{}, {"start_frame": "a.png"}, FRAMES, {"end_frame": "b.png"}]),
)
def test_a_plan_or_all_its_problems(
    provider: str,
    ratio: str | None,
    resolution: str | None,
    duration: int | None,
    frames: dict[str, Any],
) -> None:
    """Nothing else comes out, and a plan has a price."""
    said = {"aspect_ratio": ratio, "resolution": resolution, "duration": duration, **frames}
    amount, problems = Decimal(0), ()
    try:
        amount = planned(provider, **said).quote.amount
    except InvalidRequestError as error:
        problems = error.problems
    assert (amount > 0) is (not problems)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A cinematic shot of a majestic lion!", "a-cinematic-shot-of-a-majestic"),
        ("狮子在草原上奔跑", "狮子在草原上奔跑"),
        ("../../etc/passwd", "etc-passwd"),
        ("😀 ...", "video"),
        ("", "video"),
        ("snake_case and a\nnew line", "snake-case-and-a-new-line"),
    ],
)
def test_a_file_name_from_a_prompt(prompt: str, name: str) -> None:
    """Its first words, in any script."""
    assert make_slug(prompt) == name


@given(st.text())
def test_a_file_name_is_always_one(prompt: str) -> None:
    """Short enough for any disk, never hidden, never in another folder."""
    name = make_slug(prompt)
    assert 0 < len(name.encode()) <= 200
    assert not set(name) & set('/\\:*?"<>|.\0')
    assert not name.startswith("-")
