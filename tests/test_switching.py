"""The provider is one option; what a provider cannot do is refused before anything is sent."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest

import veo_sandbox
from veo.client import Client, Endpoint
from veo.config import Config
from veo.errors import InvalidRequestError
from veo.files.mp4 import find_defect
from veo.key import Key
from veo.provider import GROUP, find_provider
from veo.testing.sample_requests import SAMPLES, build_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli_runner import CommandResult, Veo

    from veo.model import Model, Rule
    from veo.request import Request

pytest_plugins = ("veo_fixtures",)

PROVIDERS = sorted(distribution("veo-video").entry_points.select(group=GROUP).names)
MODELS = [model for name in PROVIDERS for model in find_provider(name).facts.models.values()]
TINY = '[sandbox]\nclip = "tiny"\nlatency = "0.1"\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[veo_sandbox.Sandbox]:
    """One sandbox for all tests, because nothing is sent to it."""
    with veo_sandbox.Sandbox(tmp_path_factory.mktemp("sandbox"), clip="tiny") as sandbox:
        yield sandbox


@pytest.fixture
def client(server: veo_sandbox.Sandbox, tmp_path: Path) -> Iterator[Client]:
    """A client of the sandbox, connected to every provider."""
    config = Config(retired="ignore")
    endpoint = Endpoint(server.url, Key(server.key))
    with Client(config, home=tmp_path / "home", endpoint=endpoint) as client:
        for name in PROVIDERS:
            client.connect(name)
        yield client


def provider_of(ran: CommandResult) -> str:
    """Check the one video that a command has made, and return its provider."""
    assert ran.code == 0, ran.err
    (job,) = ran.objects
    with Path(job["output"]).open("rb") as file:
        assert find_defect(file) is None
    return str(job["provider"])


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_option_selects_the_provider(veo: Veo, provider: str) -> None:
    """The same command line makes a video with each provider."""
    Path("veo.toml").write_text(TINY)

    assert provider_of(veo("generate", "a lion", "--sandbox", "-p", provider, "--json")) == provider


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_configuration_selects_the_provider(veo: Veo, provider: str) -> None:
    """``provider`` in ``veo.toml`` is enough."""
    Path("veo.toml").write_text(f'provider = "{provider}"\n{TINY}')

    assert provider_of(veo("generate", "a lion", "--sandbox", "--json")) == provider


@pytest.mark.slow
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_environment_selects_the_provider(
    veo: Veo, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``VEO_PROVIDER`` overrides the file."""
    Path("veo.toml").write_text(f'provider = "laozhang-sync"\n{TINY}')
    monkeypatch.setenv("VEO_PROVIDER", provider)

    assert provider_of(veo("generate", "a lion", "--sandbox", "--json")) == provider


def test_the_option_overrides_the_environment(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """``-p`` overrides ``VEO_PROVIDER``, which overrides ``veo.toml``."""
    Path("veo.toml").write_text(f'provider = "laozhang-sync"\n{TINY}')
    monkeypatch.setenv("VEO_PROVIDER", "laozhang-async")

    assert provider_of(veo("generate", "a lion", "--sandbox", "--json", "-p", "vertex")) == "vertex"


@pytest.mark.slow
def test_full_clips_are_real_videos(veo: Veo) -> None:
    """Without tiny clips: H.264 and AAC, 1280 x 720, 24 frames per second, 8 seconds."""
    Path("veo.toml").write_text('[sandbox]\nlatency = "0.1"\n')
    assert provider_of(
        veo("generate", "a lion", "--sandbox", "-p", "gemini", "-o", "a.mp4", "--json")
    )

    with av.open("a.mp4") as file:
        video, sound = file.streams.video[0], file.streams.audio[0]
        assert (video.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, video.average_rate) == (1280, 720, 24)
        assert video.frames == 8 * 24


@pytest.mark.parametrize(
    ("provider", "option", "alternative"),
    [
        ("laozhang-async", ("--negative-prompt", "fog"), "vertex/"),
        ("laozhang-sync", ("--reference", "a.png"), "laozhang-async/gemini-omni-1.2-flash"),
        ("laozhang-sync", ("--seed", "7"), "vertex/"),
        ("laozhang-sync", ("--duration", "4"), "laozhang-async/gemini-omni-1.2-flash"),
        ("laozhang-sync", ("--resolution", "4k"), "vertex/"),
        ("gemini", ("--aspect-ratio", "1:1"), "Allowed: 16:9, 9:16"),
    ],
)
def test_an_unsupported_option_is_refused(
    veo: Veo, provider: str, option: tuple[str, str], alternative: str
) -> None:
    """The error names the option and a provider that supports it."""
    ran = veo("generate", "a lion", "--sandbox", "-p", provider, *option)

    assert ran.code == 2
    assert (option[0] in ran.err, alternative in ran.err) == (True, True), ran.err
    assert veo("jobs", "--sandbox", "--json").out == ""


def make_breaking_request(model: Model, rule: Rule, field: str) -> Request:
    """Return a request that breaks a rule in one field."""
    fields = {name: _choose_value(model, name, allowed) for name, allowed in rule.when.items()}
    fields[field] = _choose_value(model, field, rule.require[field], unlike=True)
    if fields.get("end_frame"):
        fields["start_frame"] = SAMPLES["start_frame"]
    return build_request(
        model, **{name: value for name, value in fields.items() if value is not None}
    )


def _choose_value(
    model: Model, name: str, allowed: bool | list[str | int], *, unlike: bool = False
) -> Any:
    """Return a value of a field that a rule allows, or with ``unlike`` forbids."""
    if isinstance(allowed, bool):
        return SAMPLES[name] if allowed is not unlike else None
    offered = {
        "aspect_ratio": model.aspect_ratios,
        "resolution": model.resolutions,
        # A rule may also be about lengths that only other models of its family offer.
        "duration": (*model.durations, 12),
        "person_generation": ("allow_all", "allow_adult", "dont_allow"),
    }[name]
    return next((value for value in offered if (value in allowed) is not unlike), None)


RULES = [
    pytest.param(model, rule, field, id=f"{model.provider}/{model.name}-{number}-{field}")
    for model in MODELS
    for number, rule in enumerate(model.rules)
    for field in rule.require
]


@pytest.mark.parametrize(("model", "rule", "field"), RULES)
def test_every_rule_of_every_model(
    client: Client, server: veo_sandbox.Sandbox, model: Model, rule: Rule, field: str
) -> None:
    """A broken rule is reported in its own words; an error sends and reserves nothing."""
    request = make_breaking_request(model, rule, field)
    try:
        problems = client.plan(request, model.provider).warnings
        refused = False
    except InvalidRequestError as error:
        problems, refused = error.problems, True

    assert any(rule.says in problem.message for problem in problems), problems
    assert refused or rule.severity == "warning"
    if refused:
        with pytest.raises(InvalidRequestError):
            client.submit(request, provider=model.provider)
    assert (server.requests(), client.ledger.list_jobs()) == ([], [])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.provider}/{model.name}")
def test_all_problems_are_reported_together(
    client: Client, server: veo_sandbox.Sandbox, model: Model
) -> None:
    """A request in which every field is wrong; nothing is sent or reserved."""
    wrong = {"prompt": " ", "aspect_ratio": "1:1", "resolution": "480p", "duration": 99}
    unsupported = {"person_generation": "everybody", "reference": SAMPLES["reference"] * 9}

    with pytest.raises(InvalidRequestError) as caught:
        client.submit(
            build_request(model, **SAMPLES | wrong | unsupported), provider=model.provider
        )

    fields = {problem.field for problem in caught.value.problems}
    assert fields >= wrong.keys() | unsupported.keys() | (SAMPLES.keys() - model.features)
    assert (server.requests(), client.ledger.list_jobs()) == ([], [])
