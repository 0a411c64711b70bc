"""What every provider must do, proved through the real client; see ``veo.testing``."""
# ruff: noqa: S101 - these are tests

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, ClassVar

import pytest
from sqlalchemy import update

from veo import extend
from veo.client import Client, Endpoint
from veo.config import Config
from veo.errors import (
    AuthError,
    GenerationError,
    GoneError,
    InvalidRequestError,
    ModeratedError,
    UnknownOutcomeError,
    VeoError,
)
from veo.files import mp4
from veo.key import Key
from veo.ledger import State
from veo.ledger.schema import jobs
from veo.money import quote, to_usd
from veo.planning.check import effective_values
from veo.provider import Asking, Pingable, find_provider
from veo.request import FEATURES, Request
from veo.testing.sample_requests import (
    WIRE_SAMPLES,
    build_feature_request,
    build_request,
    build_shape_requests,
)
from veo.testing.service import run_or_skip, trigger_trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from veo.job import Job, Video
    from veo.model import Facts, Model
    from veo.testing.service import Service, Trouble

PATIENCE_S = 60.0


class Conformance:
    """What every provider must do. Subclass it, name ``providers``, and give ``service``."""

    providers: ClassVar[Sequence[str]]

    @pytest.fixture
    def service(self) -> Service:
        """The provider's other side; a subclass starts it."""
        raise NotImplementedError("start the provider's local server in a fixture `service`")

    @pytest.fixture
    def start(self, service: Service, tmp_path: Path) -> Iterator[Callable[..., Client]]:
        """Start clients of one ledger: with another key, or that poll as if videos took long."""
        limits = {name: {"submits_per_minute": 1000} for name in self.providers}
        config = Config.model_validate(
            {"retired": "ignore", "output_dir": tmp_path / "videos", "providers": limits}
        )
        with ExitStack() as clients:

            def started(key: str = service.key, median_s: float = 0.1) -> Client:
                endpoint = Endpoint(service.url, Key(key), median_s)
                client = Client(config, home=tmp_path / "home", endpoint=endpoint)
                return clients.enter_context(client)

            yield started

    @pytest.fixture
    def client(self, start: Callable[..., Client]) -> Client:
        """A client of the service."""
        return start()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test for every provider; those that ask for ``model`` for every row."""
        facts = [find_provider(name).facts for name in self.providers]
        rows = [row for each in facts for row in each.models.values()]
        wanted = metafunc.fixturenames
        if "model" in wanted:
            metafunc.parametrize("model", rows, ids=[f"{row.provider}/{row.name}" for row in rows])
        if "facts" in wanted:
            metafunc.parametrize("facts", facts, ids=self.providers)

    def test_rows_are_complete(self, facts: Facts) -> None:
        """Everything offered has a price, every rule a field, and no key is needed to know it."""
        assert facts.models
        for row in facts.models.values():
            known = effective_values(build_request(row), row)
            for resolution in row.resolutions:
                assert row.price.unit_price(resolution) is not None
            for rule in row.rules:
                assert {*rule.when, *rule.require} <= known.keys()

    def test_every_shape(self, client: Client, service: Service, model: Model) -> None:
        """Each ratio, size and length that the row offers is made, and costs what was quoted."""
        asked = build_shape_requests(model)
        made = [client.submit(request, provider=model.provider) for request in asked]

        for request, job in zip(asked, made, strict=True):
            video = job.result(PATIENCE_S)
            assert mp4.read_duration_s(video.path) == pytest.approx(request.duration, abs=0.25)
            assert video.charged == quote(request, model).amount
        assert service.charged() == sum(job.record.charged_usd for job in made)
        assert len(service.accepted()) == len(made) > 0

    def test_every_feature(self, client: Client, service: Service, model: Model) -> None:
        """What the row says it takes arrives, each for itself, and costs what was quoted."""
        wanted = {
            name: build_feature_request(model, name) for name in sorted(model.features - {"extend"})
        }
        made = [client.submit(one, provider=model.provider) for one in wanted.values()]

        assert sum(job.result(PATIENCE_S).charged for job in made) == service.charged()
        for word in (str(word) for name, word in WIRE_SAMPLES.items() if name in wanted):
            assert any(word in request for request in service.accepted()), word

    def test_what_it_does_not_take(self, client: Client, service: Service, model: Model) -> None:
        """What the row does not list is refused, with nothing sent and nothing reserved."""
        for feature in set(FEATURES) - model.features:
            with pytest.raises(InvalidRequestError, match=feature):
                client.submit(build_feature_request(model, feature), provider=model.provider)

        assert (list(service.accepted()), client.ledger.list_jobs()) == ([], [])

    def test_a_video_continued(self, client: Client, service: Service, model: Model) -> None:
        """A video of the row's own grows twice, each step a job with its own charge."""
        if "extend" not in model.features:
            pytest.skip("the row offers no extension")
        first = client.submit(build_request(model), provider=model.provider)
        before = mp4.read_duration_s(first.result(PATIENCE_S).path)
        source = extend.find_source(client, first.id)
        planned = extend.plan_extension(
            client, source, Request(prompt="and then it roars"), times=2
        )
        videos = [job.result(PATIENCE_S) for job in extend.run_steps(client, planned)]

        assert before is not None
        assert mp4.read_duration_s(videos[-1].path) == pytest.approx(
            planned.total_seconds, abs=0.25
        )
        assert planned.total_seconds == pytest.approx(before + 2 * (model.extend_s or 0), abs=0.25)
        assert service.charged() == first.record.charged_usd + planned.total_usd

    def test_awaited(self, client: Client, facts: Facts) -> None:
        """A job can be awaited, and tells its states on the way."""

        async def made() -> Video:
            return await submit_preferred(client, facts)

        video = asyncio.run(asyncio.wait_for(made(), PATIENCE_S))
        with video.path.open("rb") as file:
            assert mp4.find_defect(file) is None

    def test_busy(self, client: Client, service: Service, facts: Facts) -> None:
        """An overload is no acceptance: sent again, made once, paid once."""
        trigger_trouble(service, "busy")
        job = submit_preferred(client, facts)

        assert job.result(PATIENCE_S).charged == service.charged()
        assert (job.record.submits, len(service.accepted())) == (2, 1)

    def test_lost_answer(self, client: Client, service: Service, facts: Facts) -> None:
        """A paid request without an answer is never repeated by itself; its money stays held."""
        trigger_trouble(service, "lost")
        job = submit_preferred(client, facts)
        with pytest.raises(UnknownOutcomeError):
            job.result(PATIENCE_S)
        with pytest.raises(UnknownOutcomeError):
            client.resume([job.id])

        assert (job.state, len(service.accepted())) == (State.UNKNOWN, 1)
        held = client.ledger.find_job(job.id)
        assert to_usd(held.reserved + held.charged) == held.parse_quote().amount

    def test_failed(self, client: Client, service: Service, facts: Facts) -> None:
        """A failed generation says so, and costs what the row's rule says."""
        check_failure(client, service, facts, "failed", GenerationError)

    def test_moderated(self, client: Client, service: Service, facts: Facts) -> None:
        """What a filter kept back is told apart from what broke: the same would fail again."""
        check_failure(client, service, facts, "moderated", ModeratedError)

    def test_cut_download(self, client: Client, service: Service, facts: Facts) -> None:
        """A download that breaks is carried on with, until the file is whole."""
        trigger_trouble(service, "cut")
        video = submit_preferred(client, facts).result(PATIENCE_S)

        assert video.path.stat().st_size == video.bytes
        assert service.charged() == video.charged

    def test_another_process(
        self, start: Callable[..., Client], service: Service, facts: Facts
    ) -> None:
        """What one client has begun another finishes from the stored task id, without paying."""
        job = leave_job_running(start, facts)
        (again,) = start().resume([job])

        assert again.result(PATIENCE_S).charged == service.charged()
        assert len(service.accepted()) == 1

    def test_deleted(self, start: Callable[..., Client], service: Service, facts: Facts) -> None:
        """A video that was not fetched while it was kept is gone, and said to be."""
        job, client = leave_job_running(start, facts), start()
        kept = facts.models[client.ledger.find_job(job).model].retention_s
        run_or_skip(lambda: service.wait(2.0 * kept))
        with client.ledger.database.write() as connection:
            connection.execute(update(jobs).values(submitted_at=jobs.c.submitted_at - 2.0 * kept))
        (again,) = client.resume([job])

        with pytest.raises(GoneError):
            again.result(PATIENCE_S)
        assert again.state is State.EXPIRED

    def test_wrong_key(self, start: Callable[..., Client], service: Service, facts: Facts) -> None:
        """A key that is refused costs nothing and is named as the reason."""
        job = submit_preferred(start(key="another-key"), facts)
        with pytest.raises(AuthError):
            job.result(PATIENCE_S)

        assert (job.state, job.record.charged, job.record.reserved) == (State.FAILED, 0, 0)
        assert service.accepted() == []

    def test_asked_and_heard(self, start: Callable[..., Client], facts: Facts) -> None:
        """Where a poll can be sent and read apart, it tells what it tells at once."""
        job, client = leave_job_running(start, facts), start()
        provider, task = client.connect(facts.name).provider, client.ledger.find_job(job).task_id
        if not isinstance(provider, Asking) or task is None:
            pytest.skip("it polls in one step")
        before, asked = provider.poll(task), provider.ask(task)
        assert asked
        heard, after = asked.read(), provider.poll(task)

        assert heard.task_id == after.task_id
        assert heard.stage in {before.stage, after.stage}

    def test_ping(self, start: Callable[..., Client], service: Service, facts: Facts) -> None:
        """Where a provider can prove its key, that costs nothing and tells a wrong one."""
        good, bad = (
            start(key=key).connect(facts.name).provider for key in (service.key, "another")
        )
        if not isinstance(good, Pingable) or not isinstance(bad, Pingable):
            pytest.skip("it cannot prove its key")

        assert good.ping()
        with pytest.raises(AuthError):
            bad.ping()
        assert service.accepted() == []

    def test_the_key_stays_at_home(
        self,
        client: Client,
        service: Service,
        facts: Facts,
        caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
    ) -> None:
        """The key is in no file that a job leaves behind, and in no line of a log."""
        caplog.set_level("DEBUG")
        submit_preferred(client, facts).result(PATIENCE_S)
        client.close()

        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if service.key.encode() in path.read_bytes()]
        assert service.key not in caplog.text


def submit_preferred(client: Client, facts: Facts) -> Job:
    """A job of the provider's preferred model."""
    return client.submit(build_request(next(iter(facts.models.values()))), provider=facts.name)


def leave_job_running(start: Callable[..., Client], facts: Facts) -> str:
    """The id of a job whose client went away once the provider had accepted it."""
    if not facts.tasks:
        pytest.skip("it makes the video within the call")
    with start(median_s=100_000.0) as client:
        job = submit_preferred(client, facts)
        for _ in job.updates():
            if job.record.task_id:
                break
    return job.id


def check_failure(
    client: Client, service: Service, facts: Facts, kind: Trouble, error: type[VeoError]
) -> None:
    """A job that ends with an error, and with the money where the row's rule puts it."""
    trigger_trouble(service, kind)
    job = submit_preferred(client, facts)
    with pytest.raises(error) as caught:
        job.result(PATIENCE_S)

    assert type(caught.value) is error
    assert (job.state, job.record.reserved) == (State.FAILED, 0)
    assert job.record.charged_usd == service.charged()
