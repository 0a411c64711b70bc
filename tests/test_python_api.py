"""What a user of the library meets: the client's arguments, errors, handles and texts."""

from __future__ import annotations

import asyncio
import math
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import veo
from veo.batch.options import BatchKwargs, BatchOptions
from veo.config import Config
from veo.errors import (
    BudgetError,
    ConfigError,
    InvalidBatchError,
    KeyMissingError,
    LedgerError,
    StillRunningError,
    UnknownJobError,
    UnknownOutcomeError,
    UsageError,
)
from veo.money import parse_usd
from veo.provider import _registered, find_provider, installed_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ("pytester",)

SANDBOX = {"latency": "0.1", "clip": "tiny"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[veo.Client]:
    """A client with a sandbox of its own."""
    config = Config(sandbox=SANDBOX)
    with veo.Client(config, sandbox=True, home=str(tmp_path / "home")) as opened:
        yield opened


def test_a_sandbox_needs_one_word(client: veo.Client) -> None:
    """`Client(sandbox=True)` makes a video without a key; its home may be a text."""
    video = client.submit("a lion", output="lion.mp4", max_cost=0.3).result()

    assert video.path == Path("lion.mp4").absolute()
    assert video.charged == Decimal("0.30")


def test_columns_of_a_request(client: veo.Client) -> None:
    """They are kept with the job beside those of the client, by the rules of a batch's items."""
    client.columns["film"] = "A"
    job = client.submit("a lion", columns={"scene": 3, "mood": "calm"})

    assert job.record.columns_json() == {"film": "A", "scene": 3, "mood": "calm"}
    for name, value in (("promt", "x"), ("seed", 7), ("", "x"), ("scene", ["x"]), ("n", math.inf)):
        with pytest.raises(UsageError, match=f"column {name}: "):
            client.submit("a lion", columns={name: value})  # type: ignore[dict-item]


def test_a_sandbox_that_cannot_start(tmp_path: Path) -> None:
    """It is no bug of veo, however often a provider is used: its file is damaged, for example."""
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "sandbox.db").write_bytes(b"x" * 5000)
    with veo.Client(Config(sandbox=SANDBOX), sandbox=True, home=tmp_path) as client:
        for provider in ("gemini", "vertex"):
            with pytest.raises(ConfigError, match="cannot start the sandbox: "):
                client.submit("a lion", provider=provider)


def test_a_single_text_is_not_taken_apart(client: veo.Client) -> None:
    """Else each letter would be a request, a job to send again, or a tag."""
    (job,) = client.submit_all("a lion")
    assert job.result(30).record.parse_request().prompt == "a lion"
    assert client.resume(job.id) == []
    with pytest.raises(UsageError, match="1 outputs for 2 requests"):
        client.submit_all(["a", "b"], outputs=["a.mp4"])
    with pytest.raises(UnknownJobError, match=f"{job.id}x"):
        client.resume(f"{job.id}x", resubmit=True)
    with pytest.raises(InvalidBatchError, match="item 1: must be a request or a mapping"):
        client.batch(["a lion"])  # type: ignore[list-item]
    with pytest.raises(InvalidBatchError, match="the batch: contains no items"):
        client.batch(b"")
    with veo.Client(sandbox=True, tags="film") as tagged:
        assert tagged.tags == ("film",)


@pytest.mark.parametrize("timeout", ["5", math.nan, [1]])
def test_a_timeout_that_is_no_number_is_refused(client: veo.Client, timeout: Any) -> None:
    """Before money is reserved: with it, the engine would fail after the note of the request."""
    with pytest.raises(UsageError, match="is not a valid timeout"):
        client.submit("a lion", timeout=timeout)
    with pytest.raises(UsageError, match="is not a valid timeout"):
        client.resume(timeout=timeout)
    with pytest.raises(UsageError, match="is not a valid timeout"):
        client.batch([{"prompt": "a lion"}], timeout=timeout)
    assert client.ledger.list_jobs() == []


def test_a_closed_client_is_not_a_damaged_ledger(client: veo.Client) -> None:
    """The error says what happened; likewise for a request that is none."""
    with pytest.raises(UsageError, match="not an object of type NoneType"):
        client.submit(None)  # type: ignore[arg-type]
    client.close()
    with pytest.raises(LedgerError, match="is closed") as caught:
        client.submit("a lion")
    assert type(caught.value) is LedgerError


def test_a_closed_client_leaves_nobody_waiting(tmp_path: Path) -> None:
    """Neither a thread that waits, nor a call after the end of the ``with`` block."""
    config = Config(sandbox={"latency": "600", "clip": "tiny"})
    with veo.Client(config, sandbox=True, home=tmp_path) as client, ThreadPoolExecutor() as threads:
        job = client.submit("a lion")
        waiting = threads.submit(job.result)
        client.close()
        assert isinstance(waiting.exception(timeout=30), StillRunningError)
    with pytest.raises(StillRunningError, match="the client was closed while job"):
        job.result()


def test_a_sandbox_by_its_variable(monkeypatch: pytest.MonkeyPatch, isolated: Path) -> None:
    """`VEO_SANDBOX=1` is `sandbox=True`, unless the client says otherwise; `no` is `0`."""
    monkeypatch.setenv("VEO_SANDBOX", "1")
    with veo.Client() as sandbox, veo.Client(sandbox=False) as live:
        assert sandbox.home == isolated / "home" / "sandbox"
        assert live.home == isolated / "home"
    monkeypatch.setenv("VEO_SANDBOX", "no")
    with veo.Client() as live:
        assert live.home == isolated / "home"


def test_a_key_is_an_argument(tmp_path: Path) -> None:
    """`provider` and `api_key` are those of this client; the key is not printed."""
    with veo.Client(provider="gemini", api_key="secret-key", home=tmp_path) as client:
        assert client.connect("gemini").key is not None
        assert client.config.provider == "gemini"
        assert "secret-key" not in repr(client.__dict__)
    with pytest.raises(KeyMissingError, match="api_key is empty"):
        veo.Client(provider="gemini", api_key=" \n", home=tmp_path)


@pytest.mark.parametrize("amount", [1, 1.0, "1", "$1.00", Decimal(1)])
def test_an_amount(amount: Any) -> None:
    """Any number is an amount in USD."""
    assert parse_usd(amount) == 1


@pytest.mark.parametrize("amount", ["much", -1, float("nan"), float("inf"), ""])
def test_no_amount(amount: Any) -> None:
    """Anything else is an error that shows it."""
    with pytest.raises(UsageError, match="is not a valid amount in USD"):
        parse_usd(amount)


def test_a_limit_is_a_plain_number(client: veo.Client) -> None:
    """A float is a limit; the error of one that is too low has notes for Python."""
    with pytest.raises(BudgetError) as caught:
        client.submit("a lion", max_cost=0.01)

    text = "".join(traceback.format_exception(caught.value))
    assert "max_cost would have to be at least $0.30." in text
    assert "max_cost sets the limit of a call." in text
    assert "--" not in text.rpartition("BudgetError")[2]


def test_notes_name_calls() -> None:
    """A remedy is a call, with the job that it concerns."""
    assert "client.resume(['abc'], resubmit=True) sends it again, and may pay again." in (
        UnknownOutcomeError("abc").__notes__
    )


def test_waiting_too_long_is_a_timeout(client: veo.Client) -> None:
    """`except TimeoutError` catches it."""
    assert issubclass(StillRunningError, TimeoutError)
    with pytest.raises(TimeoutError, match="still"):
        client.submit("a lion").result(timeout=0.001)


def test_a_job_is_a_coroutine(client: veo.Client) -> None:
    """Tasks, gather and a second await get the same video; a cancelled wait stops nothing."""

    async def use() -> list[veo.Video]:
        async with client:
            job = client.submit("a lion")
            cancelled = asyncio.create_task(job)
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            return [*await asyncio.gather(job, asyncio.create_task(job)), await job]

    videos = asyncio.run(use())
    assert len({video.path for video in videos}) == 1


def test_updates_in_both_loops(client: veo.Client) -> None:
    """`for` and `async for` see the same statuses, up to the last."""
    job = client.submit("a lion")

    async def collect() -> list[str]:
        return [str(status.state) async for status in job.updates()]

    assert asyncio.run(collect())[-1] == "done"
    assert [str(status.state) for status in job.updates()] == ["done"]


def test_texts_are_short(client: veo.Client) -> None:
    """What an interactive session shows fits on a line."""
    plan = client.plan("a lion " * 50)
    job = client.submit("a lion " * 50)
    video = job.result()
    shown = [client, plan, plan.model, job, job.record, video, client.providers()["gemini"]]

    assert all(len(repr(each)) < 100 for each in shown), shown
    assert "a-lion" in repr(video)


def test_a_notebook_shows_the_video(client: veo.Client, tmp_path: Path) -> None:
    """The HTML holds the clip itself, and escapes its name."""
    video = client.submit("a lion", output=tmp_path / "a&b.mp4").result()
    page = video._repr_html_()

    assert 'src="data:video/mp4;base64,' in page
    assert "a&amp;b.mp4" in page


def test_the_version() -> None:
    """`veo.__version__` is that of the distribution."""
    assert veo.__version__.count(".") == 2


def test_the_options_of_a_batch() -> None:
    """Type checkers know every option of a batch, and no other."""
    assert set(BatchKwargs.__annotations__) == {item.name for item in fields(BatchOptions)}


def test_a_provider_of_the_program() -> None:
    """A registered provider is found like an installed one."""
    cls = find_provider("gemini")
    veo.register_provider("mine", cls)
    try:
        assert find_provider("mine") is cls
        assert "mine" in installed_facts()
    finally:
        _registered.clear()
        installed_facts.cache_clear()


def test_the_pytest_plugin(pytester: pytest.Pytester) -> None:
    """The fixture gives a client that needs nothing, and programs use the sandbox as well."""
    pytester.makepyfile(
        """
        import veo

        def test_mine(veo_sandbox):
            assert veo_sandbox.submit("a lion").result().charged > 0
            with veo.Client() as client:
                assert "sandbox" in repr(client)
        """
    )
    pytester.makeconftest("from veo.pytest_plugin import veo_sandbox")
    ran = pytester.runpytest_inprocess()

    ran.assert_outcomes(passed=1)
