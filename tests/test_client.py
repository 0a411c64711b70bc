"""The client's calls, without a provider behind them."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from veo.client import Client
from veo.config import Config
from veo.image import Image
from veo.request import Request, RequestKwargs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "veo-3.1-fast-generate-preview"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client that plans for Gemini, with a ledger of its own."""
    with Client(Config(provider="gemini", model=MODEL), home=tmp_path) as opened:
        yield opened


def test_one_reference_may_be_given_without_a_list(client: Client) -> None:
    """The path of a reference is one image, not an image of each of its characters."""
    plan = client.plan("a lion", reference="a.png")

    assert plan.request.reference == (Image("a.png"),)


def test_options_replace_fields_of_a_request(client: Client, tmp_path: Path) -> None:
    """Options are converted in the same way, whether a request or a prompt is given."""
    plan = client.plan(Request(prompt="a lion", seed=1), seed=2, start_frame=tmp_path / "a.png")

    assert (plan.request.prompt, plan.request.seed) == ("a lion", 2)
    assert plan.request.start_frame == Image(str(tmp_path / "a.png"))


def test_the_options_are_the_fields_of_a_request() -> None:
    """Type checkers know every field of a request as an option of `submit`, and no other."""
    names = {field.name for field in fields(Request)}

    assert names - {"prompt"} == set(RequestKwargs.__annotations__)


def test_a_model_chooses_its_provider(client: Client) -> None:
    """A model that the configured provider does not have, or PROVIDER/MODEL, decides."""
    alone = client.plan("a lion", model="veo-3.1-fast-generate-001")
    named = client.plan("a lion", model="laozhang-sync/veo-3.1-fast")

    assert alone.model.provider == "vertex"
    assert (named.model.provider, named.request.model) == ("laozhang-sync", "veo-3.1-fast")
