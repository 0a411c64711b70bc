"""Tests that every provider must pass, run through the real client; see ``veo.testing``."""
# ruff: noqa: S101 - these are tests

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pytest
from sqlalchemy import update

from veo.client import Client, Endpoint
from veo.config import Config
from veo.continuation import extend
from veo.continuation.sources import find_source
from veo.errors import (
    AuthError,
    GenerationError,
    GoneError,
    InvalidRequestError,
    ModelUnavailableError,
    ModeratedError,
    UnknownOutcomeError,
    VeoError,
)
from veo.files import mp4
from veo.key import Key
from veo.ledger import State
from veo.ledger.schema import jobs
from veo.model import ProviderFacts
from veo.money import to_usd
from veo.planning.check import effective_values
from veo.provider import Pingable, find_facts
from veo.request import FEATURES, Request
from veo.testing.sample_requests import (
    WIRE_SAMPLES,
    build_feature_request,
    build_request,
    build_shape_requests,
)
from veo.testing.service import Service, Trouble, call_or_skip
from veo.update import Stage, Update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from veo.job import Job, Video
    from veo.model import Model

Test = TypeVar("Test")
JOB_TIMEOUT_S = 60.0
# Of a charge by usage from its quote: texts and thoughts are billed too, and cannot be quoted.
USAGE_TOLERANCE = Decimal("0.1")
USAGE_TOLERANCE_USD = Decimal("0.01")  # of a short video, of which they are a larger part


def only(condition: Callable[[Any], object]) -> Callable[[Test], Test]:
    """Run a test only with the models, or with the providers, that meet a condition."""

    def add_condition(test: Test) -> Test:
        setattr(test, "condition", condition)  # noqa: B010 - mypy knows no such attribute
        return test

    return add_condition


class Conformance:
    """Tests that every provider must pass. A subclass sets ``providers`` and ``service``."""

    providers: ClassVar[Sequence[str]]

    @pytest.fixture
    def service(self) -> Service:
        """The local server of the provider; a subclass starts it."""
        raise NotImplementedError("start the provider's local server in a fixture `service`")

    @pytest.fixture
    def start(self, service: Service, tmp_path: Path) -> Iterator[Callable[..., Client]]:
        """Start clients of one ledger, with another key or a slower poll schedule."""
        limits: Any = {name: {"submits_per_minute": 1000} for name in self.providers}
        config = Config(retired="ignore", output_dir=tmp_path / "videos", providers=limits)
        with ExitStack() as clients:

            def start_client(key: str = service.key, median_s: float = 0.1) -> Client:
                options = getattr(service, "options", {})
                endpoint = Endpoint(service.url, Key(key), median_s, options)
                client = Client(config, home=tmp_path / "home", endpoint=endpoint)
                return clients.enter_context(client)

            yield start_client

    @pytest.fixture
    def client(self, start: Callable[..., Client]) -> Client:
        return start()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run tests with ``facts`` once per provider, and those with ``model`` once per model."""
        facts = [find_facts(name) for name in self.providers]
        models = [model for each in facts for model in each.models.values()]
        is_needed = getattr(metafunc.function, "condition", lambda _: True)
        if "model" in metafunc.fixturenames:
            models = list(filter(is_needed, models))
            ids = [f"{model.provider}/{model.name}" for model in models]
            metafunc.parametrize("model", models, ids=ids)
        if "facts" in metafunc.fixturenames:
            facts = list(filter(is_needed, facts))
            metafunc.parametrize("facts", facts, ids=[each.name for each in facts])

    def test_rows_are_complete(self, facts: ProviderFacts) -> None:
        """Values are valid, shapes have prices, rules name request fields; no key is needed."""
        assert ProviderFacts(**asdict(facts)) == facts  # rows are not validated when they are read
        assert facts.models
        for row in facts.models.values():
            fields = effective_values(build_request(row), row)
            assert None not in row.list_unit_prices()
            for rule in row.rules:
                assert {*rule.when, *rule.require} <= fields.keys()

    def test_every_shape(self, client: Client, service: Service, model: Model) -> None:
        """Each ratio, resolution and duration of a model is made, at the quoted price."""
        requests = build_shape_requests(model)
        made = [client.submit(request, provider=model.provider) for request in requests]

        for request, job in zip(requests, made, strict=True):
            video = result_or_skip(job)
            assert mp4.read_duration_s(video.path) == pytest.approx(request.duration, abs=0.25)
            check_charge(video, model)
        assert service.charged() == sum(job.record.charged_usd for job in made)
        assert len(service.accepted()) == len(made) > 0

    def test_every_feature(self, client: Client, service: Service, model: Model) -> None:
        """Each feature of a model arrives at the service, at the quoted price."""
        # What extends or edits a video needs one that the service knows.
        features = sorted(model.features - {"extend", "edit"})
        requests = {name: build_feature_request(model, name) for name in features}
        made = [client.submit(request, provider=model.provider) for request in requests.values()]

        assert sum(result_or_skip(job).charged for job in made) == service.charged()
        for text in (str(value) for name, value in WIRE_SAMPLES.items() if name in requests):
            assert any(text in body for body in service.accepted()), text

    def test_what_it_does_not_take(self, client: Client, service: Service, model: Model) -> None:
        """A feature that a model lacks is refused; nothing is sent or reserved."""
        for feature in set(FEATURES) - model.features:
            with pytest.raises(InvalidRequestError, match=feature):
                client.submit(build_feature_request(model, feature), provider=model.provider)

        assert (list(service.accepted()), client.ledger.list_jobs()) == ([], [])

    @only(lambda model: "extend" in model.features)
    def test_a_video_continued(self, client: Client, service: Service, model: Model) -> None:
        """A video of the model is extended twice, each time by a job with its own charge."""
        first = submit_first(client, model)
        before = mp4.read_duration_s(result_or_skip(first).path)
        # The shortest one, where there is a choice, so that the limits of no model are exceeded.
        seconds = min(model.extend_durations, default=None)
        request = Request(prompt="and then it roars", duration=seconds)
        planned = extend.plan_extension(client, find_source(client, first.id), request, times=2)
        steps = list(extend.run_steps(client, planned))
        videos = [job.result(JOB_TIMEOUT_S) for job in steps]

        assert before is not None
        assert mp4.read_duration_s(videos[-1].path) == pytest.approx(
            planned.total_seconds, abs=0.25
        )
        added = model.added_seconds(seconds) or 0
        assert planned.total_seconds == pytest.approx(before + 2 * added, abs=0.25)
        assert [job.record.parent for job in steps] == [first.id, steps[0].id]
        assert service.charged() == sum(job.record.charged_usd for job in (first, *steps))
        for video in videos if not model.usage_prices else ():
            check_charge(video, model)

    @only(lambda model: "edit" in model.features)
    def test_a_video_edited(self, client: Client, service: Service, model: Model) -> None:
        """A video of the model is edited twice: each edit has its length, and its own charge."""
        first = submit_first(client, model)
        before = mp4.read_duration_s(result_or_skip(first).path)
        made = [first]
        for prompt in ("make it rain", "make it night"):
            made.append(client.edit(made[-1].id, prompt))
            video = made[-1].result(JOB_TIMEOUT_S)
            assert mp4.read_duration_s(video.path) == pytest.approx(before, abs=0.25)

        assert [job.record.parent for job in made] == [None, first.id, made[1].id]
        assert any("make it night" in body for body in service.accepted())
        assert service.charged() == sum(job.record.charged_usd for job in made)

    @only(lambda model: model.uploads and model.features & {"extend", "edit"})
    def test_a_file_of_the_user(
        self, client: Client, service: Service, model: Model, tmp_path: Path
    ) -> None:
        """A file that no job made is uploaded free of charge, and extended or edited."""
        clip = tmp_path / "clip.mp4"
        shortest = build_request(model, duration=min(model.durations))
        first = client.submit(shortest, provider=model.provider)
        # One more box, which players skip: the ledger does not know the file.
        clip.write_bytes(result_or_skip(first).path.read_bytes() + b"\0\0\0\x08free")
        request = Request(prompt="make it rain", model=model.name)
        made = [first]
        if "extend" in model.features:
            made += client.extend(clip, request, provider=model.provider)
        if "edit" in model.features:
            made.append(client.edit(clip, request, provider=model.provider))
        for job in made:
            job.result(JOB_TIMEOUT_S)

        assert all(job.record.upload and not job.record.parent for job in made[1:])
        assert service.charged() == sum(job.record.charged_usd for job in made)

    def test_awaited(self, client: Client, facts: ProviderFacts) -> None:
        """A job can be awaited, and its video is complete."""

        async def make_video() -> Video:
            return await submit_preferred(client, facts)

        video = asyncio.run(asyncio.wait_for(make_video(), JOB_TIMEOUT_S))
        with video.path.open("rb") as file:
            assert mp4.find_defect(file) is None

    def test_busy(self, client: Client, service: Service, facts: ProviderFacts) -> None:
        """A request refused as overloaded is sent again; one video is made and charged."""
        call_or_skip(service.trouble, "busy")
        job = submit_preferred(client, facts)

        assert job.result(JOB_TIMEOUT_S).charged == service.charged()
        assert (job.record.submits, len(service.accepted())) == (2, 1)

    def test_lost_answer(self, client: Client, service: Service, facts: ProviderFacts) -> None:
        """A paid request without a response is not repeated; its money stays reserved."""
        call_or_skip(service.trouble, "lost")
        job = submit_preferred(client, facts)
        with pytest.raises(UnknownOutcomeError):
            job.result(JOB_TIMEOUT_S)
        with pytest.raises(UnknownOutcomeError):
            client.resume([job.id])

        assert (job.state, len(service.accepted())) == (State.UNKNOWN, 1)
        record = client.ledger.find_job(job.id)
        assert to_usd(record.reserved + record.charged) == record.parse_quote().amount

    def test_failed(self, client: Client, service: Service, facts: ProviderFacts) -> None:
        """A failed generation is reported, and charged by the model's rule."""
        check_failure(client, service, facts, "failed", GenerationError)

    def test_moderated(self, client: Client, service: Service, facts: ProviderFacts) -> None:
        """A video refused by a content filter is reported as moderated, not as failed."""
        check_failure(client, service, facts, "moderated", ModeratedError)

    def test_cut_download(self, client: Client, service: Service, facts: ProviderFacts) -> None:
        """An interrupted download is continued until the file is complete."""
        call_or_skip(service.trouble, "cut")
        video = submit_preferred(client, facts).result(JOB_TIMEOUT_S)

        assert video.path.stat().st_size == video.bytes
        assert service.charged() == video.charged

    @only(lambda facts: facts.tasks)
    def test_another_process(
        self, start: Callable[..., Client], service: Service, facts: ProviderFacts
    ) -> None:
        """Another client finishes a job by its stored task id, without a second charge."""
        job = leave_job_running(start, facts)
        (resumed,) = start().resume([job])

        assert resumed.result(JOB_TIMEOUT_S).charged == service.charged()
        assert len(service.accepted()) == 1

    @only(lambda facts: facts.tasks)
    def test_deleted(
        self, start: Callable[..., Client], service: Service, facts: ProviderFacts
    ) -> None:
        """A video that was not downloaded within its retention is reported as gone."""
        job, client = leave_job_running(start, facts), start()
        retention_s = facts.models[client.ledger.find_job(job).model].retention_s
        call_or_skip(service.wait, 2.0 * retention_s)
        with client.ledger.database.write() as connection:
            submitted_at = jobs.c.submitted_at - 2.0 * retention_s
            connection.execute(update(jobs).values(submitted_at=submitted_at))
        (resumed,) = client.resume([job])

        with pytest.raises(GoneError):
            resumed.result(JOB_TIMEOUT_S)
        assert resumed.state is State.EXPIRED

    def test_wrong_key(
        self, start: Callable[..., Client], service: Service, facts: ProviderFacts
    ) -> None:
        """A refused key is reported, and nothing is charged or reserved."""
        job = submit_preferred(start(key="another-key"), facts)
        with pytest.raises(AuthError):
            job.result(JOB_TIMEOUT_S)

        assert (job.state, job.record.charged, job.record.reserved) == (State.FAILED, 0, 0)
        assert service.accepted() == []

    @only(lambda facts: facts.tasks)
    def test_poll_twice(self, start: Callable[..., Client], facts: ProviderFacts) -> None:
        """Polls are coroutines: two at the same time report the same task."""
        job, client = leave_job_running(start, facts), start()
        provider, task = client.connect(facts.name).provider, client.ledger.find_job(job).task_id
        assert task

        async def poll_twice() -> tuple[Update, Update]:
            return await asyncio.gather(provider.poll(task), provider.poll(task))

        first, second = asyncio.run(poll_twice())
        assert first.task_id == second.task_id
        assert {first.stage, second.stage} <= {Stage.SUBMITTED, Stage.RUNNING, Stage.READY}

    def test_ping(
        self, start: Callable[..., Client], service: Service, facts: ProviderFacts
    ) -> None:
        """A provider that can check its key does so without a paid request."""
        valid, invalid = (
            start(key=key).connect(facts.name).provider for key in (service.key, "another")
        )
        if not isinstance(valid, Pingable) or not isinstance(invalid, Pingable):
            pytest.skip("the provider cannot check its key")

        assert valid.ping()
        with pytest.raises(AuthError):
            invalid.ping()
        assert service.accepted() == []

    def test_the_key_stays_at_home(
        self,
        client: Client,
        service: Service,
        facts: ProviderFacts,
        caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
    ) -> None:
        """The key is in no file of a job and in no log line."""
        caplog.set_level("DEBUG")
        submit_preferred(client, facts).result(JOB_TIMEOUT_S)
        client.close()

        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if service.key.encode() in path.read_bytes()]
        assert service.key not in caplog.text


def result_or_skip(job: Job) -> Video:
    """Return the video of a job, or skip the test if the service does not offer the model."""
    try:
        return job.result(JOB_TIMEOUT_S)
    except ModelUnavailableError as error:
        pytest.skip(error.message)


def submit_first(client: Client, model: Model) -> Job:
    return client.submit(build_request(model), provider=model.provider)


def check_charge(video: Video, model: Model) -> None:
    """Check that a video costs its quote; what is billed by usage costs about as much."""
    quoted = video.record.parse_quote().amount
    if not model.usage_prices:
        assert video.charged == quoted
        return
    tolerance = max(USAGE_TOLERANCE_USD, quoted * USAGE_TOLERANCE)
    assert abs(video.charged - quoted) <= tolerance


def submit_preferred(client: Client, facts: ProviderFacts) -> Job:
    return client.submit(build_request(next(iter(facts.models.values()))), provider=facts.name)


def leave_job_running(start: Callable[..., Client], facts: ProviderFacts) -> str:
    """Return the id of a job that the provider has accepted and whose client has closed."""
    # With so long a median the first poll is far away: the job stays as it is.
    with start(median_s=100_000.0) as client:
        job = submit_preferred(client, facts)
        for _ in job.updates():
            if job.record.task_id:
                break
    return job.id


def check_failure(
    client: Client, service: Service, facts: ProviderFacts, kind: Trouble, error: type[VeoError]
) -> None:
    """Check that a job fails with the error, and is charged by the model's rule."""
    call_or_skip(service.trouble, kind)
    job = submit_preferred(client, facts)
    with pytest.raises(error) as caught:
        job.result(JOB_TIMEOUT_S)

    assert type(caught.value) is error
    assert (job.state, job.record.reserved) == (State.FAILED, 0)
    assert job.record.charged_usd == service.charged()
