"""Plans: the model, all problems, and the quote."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import make_model

from veo.errors import InvalidRequestError, ModelUnavailableError, UnknownModelError
from veo.model import Model
from veo.planning.plan import Availability, Plan, Planner, make_slug
from veo.provider import installed_facts
from veo.request import Request
from veo.update import RemoteVideo

PROVIDERS = installed_facts()
CATALOGUE = [row for facts in PROVIDERS.values() for row in facts.models.values()]
LAOZHANG = PROVIDERS["laozhang-async"].models
EIGHT = list(PROVIDERS["laozhang-sync"].models)
FRAMES = {"start_frame": "a.png", "end_frame": "b.png"}
PREVIEW = "veo-3.1-fast-generate-preview"
LATE = date(2027, 1, 1)


def make_plan(
    request: Request, models: Mapping[str, Model], today: date | None = None, **settings: Any
) -> Plan:
    """Plan a request for a provider with these models."""
    availability = Availability(today) if today else Availability()
    return Planner(models, availability=availability, **settings).plan(request)


def plan_request(
    provider: str = "laozhang-async", preferred: str | None = None, **fields: Any
) -> Plan:
    """Plan a request at a real provider."""
    request = Request(**{"prompt": "a lion"} | fields)
    models = PROVIDERS[provider].models
    return make_plan(request, models, preferred=preferred, catalogue=CATALOGUE, today=LATE)


def list_offers(provider: str = "laozhang-async", **fields: Any) -> dict[str, tuple[str, ...]]:
    """Return the fields with problems, and the models offered for each."""
    with pytest.raises(InvalidRequestError) as caught:
        plan_request(provider, **fields)
    return {problem.field: problem.offered_by for problem in caught.value.problems}


class TestTheRightOneOfTheEight:
    """Without ``-m`` the model follows from the request."""

    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            ({}, "veo-3.1-landscape-fast"),
            ({"aspect_ratio": "9:16"}, "veo-3.1-fast"),
            ({"aspect_ratio": "16:9"}, "veo-3.1-landscape-fast"),
            ({"start_frame": "a.png"}, "veo-3.1-landscape-fast-fl"),
            (FRAMES, "veo-3.1-landscape-fast-fl"),
            (FRAMES | {"aspect_ratio": "9:16"}, "veo-3.1-fast-fl"),
        ],
    )
    def test_fast_by_default(self, fields: dict[str, Any], name: str) -> None:
        """The aspect ratio selects the orientation, frames select ``-fl``."""
        assert plan_request("laozhang-sync", **fields).request.model == name

    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            ({}, "veo-3.1"),
            ({"aspect_ratio": "16:9"}, "veo-3.1-landscape"),
            ({"start_frame": "a.png"}, "veo-3.1-fl"),
            (FRAMES | {"aspect_ratio": "16:9"}, "veo-3.1-landscape-fl"),
        ],
    )
    def test_the_preferred_model_selects_a_family(self, fields: dict[str, Any], name: str) -> None:
        """The configured quality is kept, whatever the request decides."""
        assert plan_request(preferred="veo-3.1", **fields).request.model == name

    @pytest.mark.parametrize("preferred", ["veo-3.1-fast", "veo-3.1"])
    @pytest.mark.parametrize("fields", [{"resolution": "1080p"}, {"duration": 4}, {"seed": 1}])
    def test_an_expensive_model_is_never_chosen(
        self, preferred: str, fields: dict[str, Any]
    ) -> None:
        """Models of at least twice the price are offered only."""
        offered = list_offers(preferred=preferred, **fields)
        assert any("generate-preview" in name for name in offered[next(iter(fields))])

    def test_an_expensive_model_can_be_preferred(self) -> None:
        """The configuration is an explicit choice."""
        plan = plan_request(preferred="veo-3.1-generate-preview", resolution="4k")
        assert (plan.request.model, plan.quote.amount) == (
            "veo-3.1-generate-preview",
            Decimal("1.20"),
        )

    def test_a_named_model_is_used(self) -> None:
        """No other model of its family is, even if that would fit."""
        assert set(list_offers(model="veo-3.1-landscape", aspect_ratio="9:16")) == {"aspect_ratio"}

    @given(
        st.sampled_from(["laozhang-async", "laozhang-sync"]),
        st.sampled_from([None, "16:9", "9:16"]),
        st.sampled_from([{}, {"start_frame": "a.png"}, FRAMES]),
        st.sampled_from(EIGHT),
    )
    def test_every_shape_has_a_model(
        self, provider: str, ratio: str | None, frames: dict[str, Any], preferred: str
    ) -> None:
        """It accepts the request and has the configured quality."""
        plan = plan_request(provider, preferred, aspect_ratio=ratio, **frames)
        assert plan.model.family == LAOZHANG[preferred].family
        assert ratio in {None, *plan.model.aspect_ratios}
        assert plan.model.name.endswith("-fl") is bool(frames)


class TestMistakes:
    """Problems come with alternatives."""

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
    def test_a_misspelt_model(self, typed: str, meant: str) -> None:
        """The gateway's own message would only say that the token has no access."""
        with pytest.raises(UnknownModelError, match=typed) as caught:
            plan_request(model=typed)
        assert f"Did you mean {meant}?" in str(caught.value.hint)

    @pytest.mark.parametrize("field", ["model", "preferred"])
    def test_a_model_of_another_provider(self, field: str) -> None:
        """The hint names its providers instead of a similar name."""
        with pytest.raises(UnknownModelError) as caught:
            plan_request("gemini", **{field: "veo-3.1-fast"})
        assert "laozhang-async and laozhang-sync" in str(caught.value.hint)

    @pytest.mark.parametrize("size", ["", "-landscape"])
    @pytest.mark.parametrize("speed", ["", "-fast"])
    def test_frames_with_a_model_without_frames(self, size: str, speed: str) -> None:
        """The first offer is the same model with ``-fl``."""
        offered = list_offers(model=f"veo-3.1{size}{speed}", start_frame="a.png")
        assert offered["start_frame"][0] == f"laozhang-async/veo-3.1{size}{speed}-fl"

    @pytest.mark.parametrize("size", ["", "-landscape"])
    @pytest.mark.parametrize("speed", ["", "-fast"])
    def test_a_frames_model_without_frames(self, size: str, speed: str) -> None:
        """The first offer is the same model without ``-fl``: the server would accept and fail."""
        offered = list_offers(model=f"veo-3.1{size}{speed}-fl")
        assert offered["start_frame"][0] == f"laozhang-async/veo-3.1{size}{speed}"

    @pytest.mark.parametrize(("size", "ratio"), [("", "16:9"), ("-landscape", "9:16")])
    @pytest.mark.parametrize("frames", [{}, FRAMES])
    def test_a_model_of_the_other_orientation(
        self, size: str, ratio: str, frames: dict[str, Any]
    ) -> None:
        """The first offer is the same model in that orientation."""
        end = "-fl" if frames else ""
        twin = "" if size else "-landscape"
        offered = list_offers(model=f"veo-3.1{size}-fast{end}", aspect_ratio=ratio, **frames)
        assert offered["aspect_ratio"][0] == f"laozhang-async/veo-3.1{twin}-fast{end}"

    def test_an_end_frame_alone(self) -> None:
        """The error tells what is missing, not only that the first model does not accept it."""
        with pytest.raises(InvalidRequestError, match="needs a start frame"):
            plan_request(end_frame="b.png")

    def test_a_request_that_no_model_accepts(self) -> None:
        """It is checked against the model with the fewest problems."""
        assert set(list_offers(start_frame="a.png", resolution="8k")) == {"resolution"}

    def test_a_feature_of_other_providers(self) -> None:
        """References are offered at all providers that have a living model for them."""
        offered = list_offers("laozhang-sync", reference=("a.png",))["reference"]
        assert "laozhang-async/gemini-omni-1.2-flash" in offered
        assert {name.partition("/")[0] for name in offered} >= {"laozhang-async", "vertex"}


class TestGoogle:
    """The same requests at Google's providers."""

    @pytest.mark.parametrize(
        ("fields", "veo", "omni"),
        [
            ({}, "0.80", "0.56"),
            ({"duration": 4}, "0.40", "0.28"),
            ({"resolution": "1080p"}, "0.96", "0.84"),
            (FRAMES | {"aspect_ratio": "16:9"}, "0.80", "0.56"),
            ({"reference": ("a.png", "b.png", "c.png")}, "0.80", "0.56"),
        ],
    )
    def test_one_model_for_all_shapes(self, fields: dict[str, Any], veo: str, omni: str) -> None:
        """It is charged per second: Veo where it lives, Omni where only that lives."""
        plans = [plan_request(provider, **fields) for provider in ("vertex", "gemini")]
        assert [(plan.model.title, plan.quote.amount, plan.warnings) for plan in plans] == [
            ("Veo 3.1 Fast", Decimal(veo), ()),
            ("Gemini Omni 1.2 Flash", Decimal(omni), ()),
        ]

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"resolution": "1080p", "duration": 4}, "duration"),
            ({"reference": ("a.png",), "duration": 4}, "duration"),
            ({"reference": ("a.png",), "start_frame": "b.png"}, "start_frame"),
            ({"reference": ("a.png",) * 4}, "reference"),
            ({"duration": 5}, "duration"),
            ({"aspect_ratio": "1:1"}, "aspect_ratio"),
        ],
    )
    def test_forbidden_combinations(self, fields: dict[str, Any], field: str) -> None:
        """Refused before anything is paid."""
        assert field in list_offers("gemini", model=PREVIEW, **fields)

    def test_a_field_that_only_an_ended_model_takes(self) -> None:
        """The refusal names the living models of other providers."""
        offered = list_offers("gemini", negative_prompt="fog")["negative_prompt"]
        assert offered[0] == "vertex/veo-3.1-fast-generate-001"

    def test_rules_of_living_models(self) -> None:
        """Ten seconds are the most of 1.1, and 1.2 is named."""
        offered = list_offers("gemini", model="gemini-omni-1.1-flash", duration=12)["duration"]
        assert offered[0] == "gemini/gemini-omni-1.2-flash"

    @pytest.mark.parametrize(
        ("provider", "larger"),
        [("vertex", "veo-3.1-fast-generate-001"), ("gemini", "gemini-omni-1.2-flash")],
    )
    def test_the_limits_of_lite(self, provider: str, larger: str) -> None:
        """The first offer is a larger model that lives."""
        lite = {"vertex": "veo-3.1-lite-generate-001", "gemini": "veo-3.1-lite-generate-preview"}
        offered = list_offers(provider, model=lite[provider], reference=("a.png",))
        assert offered["reference"][0] == f"{provider}/{larger}"


class TestLiving:
    """Without a named model a living one is chosen."""

    @pytest.mark.parametrize(
        ("fields", "name", "usd"),
        [
            ({}, "gemini-omni-1.2-flash", "0.30"),
            ({"aspect_ratio": "9:16", "resolution": "360p"}, "gemini-omni-1.2-flash", "0.10"),
            ({"resolution": "1080p", "duration": 3}, "gemini-omni-1.2-flash", "0.45"),
            ({"start_frame": "a.png"}, "gemini-omni-1.2-flash", "0.30"),
            ({"reference": ("a.png",) * 6}, "gemini-omni-1.2-flash", "0.30"),
            (FRAMES, "muse-video", "0.30"),
            ({"duration": 20}, "muse-video-20s", "0.55"),
        ],
    )
    def test_the_best_that_takes_the_request(
        self, fields: dict[str, Any], name: str, usd: str
    ) -> None:
        """No warning is needed."""
        plan = plan_request(**fields)
        assert (plan.model.name, plan.quote.amount, plan.warnings) == (name, Decimal(usd), ())

    @pytest.mark.parametrize(
        ("fields", "shape"),
        [
            ({}, ("16:9", "720p", 8)),
            ({"aspect_ratio": "9:16"}, ("9:16", "720p", 8)),
            ({"resolution": "1080p", "duration": 4}, ("16:9", "1080p", 4)),
        ],
    )
    def test_the_shape_where_nothing_is_asked(
        self, fields: dict[str, Any], shape: tuple[str, str, int]
    ) -> None:
        """16:9, 720p and 8 s, although the model's own defaults are others."""
        row = make_model(
            aspect_ratios=("9:16", "16:9"), resolutions=("1080p", "720p"), durations=(10, 4, 8)
        )
        request = make_plan(Request(prompt="p", **fields), {row.name: row}).request
        assert (request.aspect_ratio, request.resolution, request.duration) == shape

    @pytest.mark.parametrize("fields", [{"model": "m-1"}, {"extend": RemoteVideo("files/1")}])
    def test_a_named_model_keeps_its_own_shape(self, fields: dict[str, Any]) -> None:
        """So does a video that is extended."""
        row = make_model(durations=(10, 8), features={"extend"}, extend_s=7)
        request = Request(prompt="p", **fields)
        assert make_plan(request, {row.name: row}).request.duration is None

    def test_a_model_without_that_shape_is_taken_if_no_other_fits(self) -> None:
        """It makes what it can."""
        long, short = make_model(name="long", durations=(20,)), make_model(name="short")
        models = {row.name: row for row in (long, short)}
        assert make_plan(Request(prompt="p"), models).model is short
        assert make_plan(Request(prompt="p"), {"long": long}).model is long

    def test_a_request_that_only_dead_models_take(self) -> None:
        """It is refused, and only living models are offered, of all providers."""
        offered = list_offers(negative_prompt="rain")["negative_prompt"]
        assert "vertex/veo-3.1-fast-generate-001" in offered
        ended = {f"{row.provider}/{row.name}" for row in CATALOGUE if row.has_ended(LATE)}
        assert not ended & set(offered)

    def test_a_provider_without_living_models(self) -> None:
        """Its best one is taken, with one short warning that names what lives and its price."""
        (warning,) = plan_request("laozhang-sync").warnings
        assert warning.message == (
            "laozhang-sync has no model that is known to work: veo-3.1-landscape-fast was"
            " reportedly shut down on 2026-05-14; use instead:"
            " laozhang-async/gemini-omni-1.2-flash ($0.30), vertex/veo-3.1-fast-generate-001"
            " ($0.80)"
        )

    @pytest.mark.parametrize("fields", [{"model": "veo-3.1-fast"}, {"preferred": "veo-3.1-fast"}])
    def test_a_named_dead_model(self, fields: dict[str, Any]) -> None:
        """It is used; the warning has a living replacement with its price for the same clip."""
        plan = plan_request(resolution="720p", **fields)
        assert plan.model.name == "veo-3.1-fast"
        assert "laozhang-async/gemini-omni-1.2-flash ($0.30)" in plan.warnings[0].message

    def test_a_replacement_that_cannot_take_the_request(self) -> None:
        """It is not offered if another one can."""
        (warning,) = plan_request(model="veo-3.1-landscape-fast-fl", **FRAMES).warnings
        assert "vertex/veo-3.1-fast-generate-001 ($0.80)" in warning.message
        assert "omni" not in warning.message

    @pytest.mark.parametrize(
        ("provider", "model", "warned"),
        [
            ("laozhang-async", None, False),
            ("laozhang-sync", None, False),
            ("laozhang-sync", "veo-3.1-fast", True),
        ],
    )
    def test_the_sandbox_warns_of_named_models_only(
        self, provider: str, model: str | None, warned: bool
    ) -> None:
        """There every model works."""
        request = Request(prompt="p", model=model)
        models = PROVIDERS[provider].models
        plan = make_plan(request, models, catalogue=CATALOGUE, is_sandbox=True, today=LATE)
        assert bool(plan.warnings) is warned

    def test_an_earliest_date_is_no_end(self) -> None:
        """Nobody has seen the model off, even after that day."""
        end = {"on": date(2026, 5, 14), "source": "a notice", "earliest": True}
        row = make_model(shutdown=end)
        request = Request(prompt="p", model=row.name)
        plan = make_plan(request, {row.name: row}, retired="refuse", today=LATE)
        assert plan.warnings == ()


class TestRetired:
    """Models past their reported shutdown."""

    def plan_at(self, today: date, retired: Any = "warn") -> Plan:
        """Plan with a model that ends on 14 May 2026."""
        end = {"on": date(2026, 5, 14), "source": "a notice", "replacements": ["other/m-9"]}
        row = make_model(shutdown=end)
        request = Request(prompt="p", model=row.name)
        return make_plan(request, {row.name: row}, retired=retired, today=today)

    def test_the_warning(self) -> None:
        """It has date, source and replacement, from the day itself on."""
        (warning,) = self.plan_at(date(2026, 5, 14)).warnings
        assert all(
            word in warning.message for word in ("m-1", "2026-05-14", "a notice", "other/m-9")
        )
        assert self.plan_at(date(2026, 5, 13)).warnings == ()

    def test_refuse_and_ignore(self) -> None:
        """As configured."""
        with pytest.raises(ModelUnavailableError, match="2026-05-14") as caught:
            self.plan_at(LATE, "refuse")
        assert caught.value.charged is False
        assert self.plan_at(LATE, "ignore").warnings == ()

    def test_laozhang_models_warn(self) -> None:
        """Its eight models were marked as unavailable in May 2026."""
        assert "2026-05-14" in plan_request(model="veo-3.1").warnings[0].message


def test_a_doubtful_rule_is_a_warning() -> None:
    """It is reported before the request is sent."""
    rule = {"when": {}, "require": {"seed": True}, "says": "hm", "severity": "warning"}
    row = make_model(rules=[rule])
    (warning,) = make_plan(Request(prompt="p"), {row.name: row}).warnings
    assert (str(warning), warning.severity) == ("seed: hm.", "warning")


def test_a_plan_has_model_and_quote() -> None:
    """The request is unchanged except for its model."""
    row = make_model()
    plan = make_plan(Request(prompt="p", aspect_ratio="16:9"), {row.name: row})
    assert plan.request == Request(prompt="p", aspect_ratio="16:9", model="m-1")
    assert (plan.model, plan.quote.amount) == (row, Decimal("0.15"))


@given(
    st.sampled_from(sorted(PROVIDERS)),
    st.sampled_from([None, "16:9", "9:16", "1:1"]),
    st.sampled_from([None, "720p", "1080p", "4k"]),
    st.sampled_from([None, 4, 6, 8, 60]),
    st.sampled_from([{}, {"start_frame": "a.png"}, FRAMES, {"end_frame": "b.png"}]),
)
def test_a_plan_or_all_problems(
    provider: str,
    ratio: str | None,
    resolution: str | None,
    duration: int | None,
    frames: dict[str, Any],
) -> None:
    """Every request has either a quote or problems."""
    fields = {"aspect_ratio": ratio, "resolution": resolution, "duration": duration, **frames}
    amount, problems = Decimal(0), ()
    try:
        amount = plan_request(provider, **fields).quote.amount
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
def test_a_slug(prompt: str, name: str) -> None:
    """The first words of the prompt, in any script."""
    assert make_slug(prompt) == name


@given(st.text())
def test_a_slug_is_a_valid_file_name(prompt: str) -> None:
    """Short enough for any file system, never hidden, never in another folder."""
    name = make_slug(prompt)
    assert 0 < len(name.encode()) <= 200
    assert not set(name) & set('/\\:*?"<>|.\0')
    assert not name.startswith("-")
