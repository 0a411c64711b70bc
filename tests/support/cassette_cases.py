"""The cassettes there are: what is asked of which provider, and what becomes of it.

The scenes are the same for all; a provider has those that the rows of its models take.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cassette_folder import FOLDER
from laozhang import CAPTURED, PROMPT, STREAM
from recording_server import Reply

from veo.errors import (
    AuthError,
    BalanceError,
    BusyError,
    GenerationError,
    InvalidRequestError,
    ModelUnavailableError,
    ModeratedError,
    VeoError,
)
from veo.image import Image
from veo.money import quote
from veo.planning.plan import make_plan
from veo.provider import find_provider
from veo.request import Request
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROVIDERS = ("laozhang-async", "laozhang-sync", "gemini", "vertex")
EARLIER = RemoteVideo("https://storage.example/earlier")
"""Stands in a request for the video that the request before it made."""


@dataclass(frozen=True, slots=True)
class Capture:
    """A published answer that a cassette is rebuilt from.

    Attributes:
        reply: The answer, rebuilt.
        source: What was published when, and what of the cassette was not.
    """

    reply: Reply
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """One cassette.

    Attributes:
        provider: Whose wire it shows.
        name: Its file's name.
        shows: What is in it, in a few words.
        requests: What is paid for, in this order.
        ends: The error that it ends with.
        sandbox: Settings of the sandbox that it is recorded from.
        fault: What the sandbox does wrong.
        options: Of the provider's configuration table.
        capture: What it is rebuilt from, if it is not recorded.
    """

    provider: str
    name: str
    shows: str
    requests: tuple[Request, ...] = ()
    ends: type[VeoError] | None = None
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    capture: Capture | None = None

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"

    @property
    def live(self) -> bool:
        """Whether the live service would show it too, with nothing but a key."""
        return not (self.ends or self.options or self.capture)

    @property
    def cost(self) -> Decimal:
        """USD that recording it live would cost, by the rows of the models."""
        models = find_provider(self.provider).facts.models
        return sum(
            (quote(request, models[str(request.model)]).amount for request in self.requests),
            Decimal(0),
        )


def takes() -> tuple[Take, ...]:
    """Every cassette, by provider."""
    found = [take for provider in PROVIDERS for take in _takes(provider)]
    return tuple(sorted(found, key=lambda take: PROVIDERS.index(take.provider)))


@functools.cache
def picture(name: str) -> Image:
    """A picture of the folder ``pictures``: dawn, noon or night, 1280x720."""
    return Image.of((FOLDER / "pictures" / f"{name}.jpg").read_bytes())


def _takes(provider: str) -> Iterator[Take]:
    for name, (shows, requests) in _scenes().items():
        planned = _planned(provider, requests)
        if planned:
            yield Take(provider=provider, name=name, shows=shows, requests=planned)
    for name, (shows, ends, fault) in _troubles(provider).items():
        planned = _planned(provider, (_LION,))
        setting = {} if fault else {"balance": 0}
        yield Take(
            provider=provider,
            name=name,
            shows=shows,
            requests=planned,
            ends=ends,
            sandbox=setting,
            fault=fault,
        )
    yield from (take for take in _specials() if take.provider == provider)


_LION = Request(prompt="A lion walks through tall grass at dawn", aspect_ratio="16:9")


def _scenes() -> dict[str, tuple[str, tuple[Request, ...]]]:
    dawn, noon, night = (picture(name) for name in ("dawn", "noon", "night"))
    more = Request(prompt="Then the lion roars", extend=EARLIER)
    options = {
        "aspect_ratio": "9:16",
        "resolution": "1080p",
        "negative_prompt": "people, text",
        "seed": 7,
    }
    return {
        "text": ("a video from a prompt", (_LION,)),
        "image": ("a start frame", (replace(_LION, start_frame=dawn),)),
        "first_last": (
            "a start and an end frame",
            (replace(_LION, start_frame=dawn, end_frame=night),),
        ),
        "references": ("three reference images", (replace(_LION, reference=(dawn, noon, night)),)),
        "options": ("portrait, 1080p, negative prompt, seed", (replace(_LION, **options),)),
        "extension": ("a video, then one that goes on from it", (_LION, more)),
    }


def _troubles(provider: str) -> dict[str, tuple[str, type[VeoError], str | None]]:
    google = provider in ("gemini", "vertex")
    # The platform has no prepaid balance: it says that the project is not billed.
    broke = AuthError if provider == "vertex" else BalanceError
    return {
        "failure": ("a video that could not be made", GenerationError, "failed"),
        "filtered": (
            "a video that a safety filter kept back",
            ModeratedError,
            "filtered" if google else "moderated",
        ),
        "balance": ("an account that cannot pay", broke, None),
        "overload": (
            "a service with too much to do",
            BusyError,
            "google_503" if google else "http_503_overload",
        ),
    }


def _specials() -> Iterator[Take]:
    official = replace(
        _LION,
        model="veo-3.1-fast-generate-preview",
        start_frame=picture("dawn"),
        negative_prompt="people, text",
        seed=7,
    )
    yield Take(
        provider="laozhang-async",
        name="official",
        shows="a model that is handed on from Google: a form, and `/content`, which comes late",
        requests=(official,),
        sandbox={"content_lag": 30},
    )
    yield Take(
        provider="laozhang-async",
        name="capture",
        shows="a completed task",
        capture=Capture(
            Reply(CAPTURED),
            "the body of the one completed task that the vendor published, of 2025-11-27; the"
            " storage host and the file's name stand for the originals; headers were not published",
        ),
    )
    yield Take(
        provider="laozhang-sync",
        name="capture",
        shows="a whole stream",
        requests=_planned("laozhang-sync", (Request(prompt=PROMPT, model="veo-3.1-fast"),)),
        capture=Capture(
            Reply(STREAM, headers={"Content-Type": "text/event-stream"}),
            "the text of a stream that the vendor published beside its sample in November 2025,"
            " word for word but for the prompt, the storage host and the file's name; the chunks"
            " around it as the vendor documents them; headers were not published",
        ),
    )
    yield Take(
        provider="gemini",
        name="retired",
        shows="a model that is no longer available",
        requests=_planned("gemini", (_LION,)),
        ends=ModelUnavailableError,
        sandbox={"retired": True},
    )
    yield Take(
        provider="vertex",
        name="storage",
        shows="a project's credentials, its region's host, and a video in Cloud Storage",
        requests=_planned("vertex", (_LION,)),
        options={"project": "p", "storage_uri": "gs://bucket/videos"},
    )


def _planned(provider: str, requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """The requests with a model; none if a provider has no model that takes them."""
    models = find_provider(provider).facts.models
    try:
        return tuple(make_plan(request, models, retired="ignore").request for request in requests)
    except InvalidRequestError:
        return ()
