"""Jobs of Gemini Omni by the real client, against a sandbox with each known misbehaviour."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from interactions import OMNI
from sample_videos import make_video

from veo.client import Client, Endpoint
from veo.config import Config
from veo.engine import retry_delay
from veo.errors import (
    BusyError,
    GenerationError,
    ModelUnavailableError,
    ModeratedError,
    RefusedError,
    StillRunningError,
    UnknownOutcomeError,
    VeoError,
)
from veo.key import Key
from veo.ledger import State
from veo_gemini.interactions import errors as rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import veo_sandbox
    from veo.job import Job

PROVIDERS = ("gemini", "vertex")
# On the Agent Platform Omni takes no key: the sandbox takes its own one as an access token.
OPTIONS = {"key_is_access_token": True, "project": "sandbox"}
EVERY_PROVIDER = pytest.mark.parametrize("provider", PROVIDERS)


@pytest.fixture
def server(sandbox: Callable[..., veo_sandbox.Sandbox]) -> veo_sandbox.Sandbox:
    """A sandbox whose files can be read at once."""
    return sandbox(processing_lag=0)


@pytest.fixture
def client(
    server: veo_sandbox.Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """A client that waits for parts of a second where it would wait for seconds."""
    monkeypatch.setattr(retry_delay, "RETRY_DELAYS_S", (0.05,))
    limits = {name: {"submits_per_minute": 1000} for name in PROVIDERS}
    config = Config(providers=limits, output_dir=tmp_path / "videos")
    endpoint = Endpoint(server.url, Key(server.key), 0.1, OPTIONS)
    with Client(config, home=tmp_path / "home", endpoint=endpoint) as client:
        yield client


def start(client: Client, provider: str, **options: Any) -> Job:
    """Submit a lion to Omni."""
    return client.submit("a lion", provider=provider, model=OMNI, **options)


def catch_error(client: Client, provider: str, kind: type[VeoError]) -> tuple[Job, VeoError]:
    """Return a job that ends with an error of this class, and the error."""
    job = start(client, provider)
    with pytest.raises(kind) as caught:
        job.result(60)
    return job, caught.value


def count_posts(server: veo_sandbox.Sandbox) -> int:
    """Return how many paid requests the sandbox has received."""
    paths = [each["path"] for each in server.requests() if each["method"] == "POST"]
    return sum(path.endswith("/interactions") for path in paths)


def sum_bills(server: veo_sandbox.Sandbox) -> Decimal:
    """Return what the sandbox has charged."""
    taken = [bill["amount"] for bill in server.bills() if bill["state"] == "charged"]
    return sum((Decimal(str(amount)) for amount in taken), Decimal(0))


@EVERY_PROVIDER
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"fault": "http_400"}, RefusedError),
        ({"fault": "interaction_400_blocked"}, ModeratedError),
        ({"fault": "interaction_404_retired"}, ModelUnavailableError),
        ({"fault": "redirect_away"}, RefusedError),
    ],
    ids=lambda each: each.get("fault") if isinstance(each, dict) else "",
)
def test_refused_once(
    client: Client,
    server: veo_sandbox.Sandbox,
    provider: str,
    fault: dict[str, Any],
    kind: type[VeoError],
) -> None:
    """One POST, nothing charged or reserved, and the key at no other host."""
    server.fault(**fault, on=["create"])
    job, error = catch_error(client, provider, kind)

    assert error.charged is False
    assert (count_posts(server), server.leaks()) == (1, [])
    assert (job.record.reserved, job.record.charged, server.bills()) == (0, 0, [])


@EVERY_PROVIDER
@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "interaction_500"},
        {"fault": "interaction_500", "accept": True},
        {"fault": "drop_answer"},
    ],
    ids=["500", "500 after acceptance", "dropped"],
)
def test_unknown_outcome(
    client: Client, server: veo_sandbox.Sandbox, provider: str, fault: dict[str, Any]
) -> None:
    """One POST, which is not repeated: it may be paid for."""
    server.fault(**fault, on=["create"])
    job, _ = catch_error(client, provider, UnknownOutcomeError)

    assert (job.state, count_posts(server)) == (State.UNKNOWN, 1)
    assert job.record.reserved > 0


@EVERY_PROVIDER
@pytest.mark.parametrize("fault", ["interaction_429", "interaction_503"])
def test_sent_again_after_an_overload(
    client: Client, server: veo_sandbox.Sandbox, provider: str, fault: str
) -> None:
    """It was certainly not accepted; one video is made and charged."""
    server.fault(fault, on=["create"], first=1, **({"retry_after": 1} if "429" in fault else {}))
    video = start(client, provider).result(60)

    assert count_posts(server) == 2
    assert video.charged == sum_bills(server)


@EVERY_PROVIDER
@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "interaction_400", "first": 3},
        {"fault": "interaction_400_credentials", "first": 3},
        {"fault": "interaction_403", "first": 3},
        {"fault": "unknown_status", "first": 2},
        {"fault": "output_first"},
        {"fault": "several_outputs"},
    ],
    ids=lambda each: each["fault"],
)
def test_polls_that_do_not_help(
    client: Client, server: veo_sandbox.Sandbox, provider: str, fault: dict[str, Any]
) -> None:
    """The video is found, whatever the polls before it say."""
    server.fault(**{"on": ["poll"]} | fault)
    video = start(client, provider).result(60)

    assert video.charged == sum_bills(server) > 0
    assert video.path.exists()


@EVERY_PROVIDER
def test_permanent_refusal_of_polls_ends_with_the_wait(
    client: Client, server: veo_sandbox.Sandbox, provider: str
) -> None:
    """It is no failure before the deadline, and the job can be resumed after it."""
    server.fault("interaction_400", on=["poll"])
    job = client.submit("a lion", provider=provider, model=OMNI, timeout=1.5)
    with pytest.raises(StillRunningError):
        job.result(60)
    server.clear_faults()
    (resumed,) = client.resume([job.id])

    assert resumed.result(60).charged == sum_bills(server)


@pytest.mark.parametrize("fault", ["no_output", "inline_output"])
def test_unhelpful_polls_of_the_platform(
    server: veo_sandbox.Sandbox, tmp_path: Path, fault: str
) -> None:
    """The video is in the bucket, or inline although an address was asked for."""
    server.fault(fault)
    options = {**OPTIONS, "storage_uri": "gs://b/v", "storage_base_url": server.files_url}
    endpoint = Endpoint(server.url, Key(server.key), 0.1, options)
    config = Config(output_dir=tmp_path / "videos")
    with Client(config, home=tmp_path / "home", endpoint=endpoint) as client:
        job = start(client, "vertex")
        assert job.result(60).path.exists()

    assert "#gs://b/v/veo-" in str(job.record.task_id)


def test_empty_polls_of_the_platform_without_a_bucket(
    client: Client, server: veo_sandbox.Sandbox
) -> None:
    """The video is in the streamed poll."""
    server.fault("no_output")
    video = start(client, "vertex").result(60)

    assert video.charged == sum_bills(server)


@pytest.mark.parametrize("verb", ["edit", "extend"])
def test_region_lock(
    client: Client, server: veo_sandbox.Sandbox, tmp_path: Path, verb: str
) -> None:
    """An uploaded video comes back empty: the error says where uploads are closed."""
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(make_video(frames=96))
    server.fault("region_lock")
    use = client.edit if verb == "edit" else client.extend
    started = use(clip, "make it night", provider="gemini")
    job = started if verb == "edit" else next(iter(started))
    with pytest.raises(ModeratedError) as caught:
        job.result(60)

    assert "EEA, Switzerland, the UK and some US states" in str(caught.value.hint)
    assert count_posts(server) == 1


@EVERY_PROVIDER
@pytest.mark.parametrize("fault", ["filtered", "moderated"])
def test_refused_by_the_model(
    client: Client, server: veo_sandbox.Sandbox, provider: str, fault: str
) -> None:
    """The model's words are the reason, and its few tokens are charged."""
    server.fault(fault)
    job, error = catch_error(client, provider, ModeratedError)

    assert error.message
    assert job.record.charged_usd == sum_bills(server)
    assert 0 <= job.record.charged_usd < Decimal("0.01")


@EVERY_PROVIDER
def test_failed(client: Client, server: veo_sandbox.Sandbox, provider: str) -> None:
    """A failure of the service is free, as its bill says."""
    server.fault("failed")
    job, _ = catch_error(client, provider, GenerationError)

    assert job.record.charged_usd == sum_bills(server)


@pytest.mark.parametrize("provider", ["gemini"])
def test_charged_video_without_an_address(
    client: Client, server: veo_sandbox.Sandbox, provider: str
) -> None:
    """It is said to be charged, with the amount of the bill."""
    server.fault("video_without_place")
    job, error = catch_error(client, provider, GenerationError)

    assert error.charged
    assert job.record.charged_usd == sum_bills(server) > 0


def test_rate_limit_after_the_acceptance(client: Client, server: veo_sandbox.Sandbox) -> None:
    """The task is lost; it is not sent again."""
    limited = {"error": {"code": "too_many_requests", "message": "Please retry in 23.397s."}}
    server.fault("replace", body=limited, on=["poll"])
    catch_error(client, "gemini", BusyError)

    assert count_posts(server) == 1


@EVERY_PROVIDER
def test_new_video_is_edited_as_soon_as_it_can_be(
    client: Client, server: veo_sandbox.Sandbox, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chained request that is not found yet made nothing, and is sent again."""
    quick = [replace(rule, retry_after=0.05) for rule in rules.CHAIN_RULES]
    monkeypatch.setattr(rules, "CHAIN_RULES", tuple(quick))
    first = start(client, provider)
    first.result(60)
    server.fault("late_source", first=2)
    client.edit(first.id, "make it night").result(60)

    assert count_posts(server) == 4
    assert client.ledger.list_jobs()[0].state is State.DONE
