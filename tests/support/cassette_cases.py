"""The list of cassettes: which requests are sent to which provider, and their results.

The requests are the same for all providers; a provider has those that its models support.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cassette_folder import FOLDER
from interactions import CAPTURED_REFUSAL, CAPTURED_VIDEO
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
from veo.planning.plan import Planner
from veo.provider import find_provider
from veo.request import Request
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROVIDERS = ("laozhang-async", "laozhang-sync", "gemini", "vertex")
EARLIER = RemoteVideo("https://storage.example/earlier")
"""Placeholder in a request for the video of the previous request."""


@dataclass(frozen=True, slots=True)
class Capture:
    """A published response from which a cassette is rebuilt.

    Attributes:
        reply: The rebuilt response.
        source: What was published when, and which parts of the cassette were not.
    """

    reply: Reply
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CassetteCase:
    """One cassette.

    Attributes:
        provider: Name of the provider.
        name: Name of the file.
        shows: Its content in a few words.
        requests: The paid requests, in order.
        error: The error that it ends with.
        sandbox: Settings of the sandbox from which it is recorded.
        fault: The fault that the sandbox injects.
        options: Options of the provider's configuration.
        capture: The published response from which it is rebuilt, if it is not recorded.
    """

    provider: str
    name: str
    shows: str
    requests: tuple[Request, ...] = ()
    error: type[VeoError] | None = None
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    capture: Capture | None = None

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"

    @property
    def is_live(self) -> bool:
        """Whether it can be recorded from the live service, with only a key."""
        return not (self.error or self.options or self.capture)

    @property
    def cost(self) -> Decimal:
        """The cost of recording it live, USD, by the prices of the models."""
        models = find_provider(self.provider).facts.models
        return sum(
            (quote(request, models[str(request.model)]).amount for request in self.requests),
            Decimal(0),
        )


@functools.cache
def list_cases() -> tuple[CassetteCase, ...]:
    """Return all cassettes, by provider."""
    found = [case for provider in PROVIDERS for case in _list_cases(provider)]
    return tuple(sorted(found, key=lambda case: PROVIDERS.index(case.provider)))


@functools.cache
def load_image(name: str) -> Image:
    """Return an image of the folder ``pictures``: dawn, noon or night, 1280x720."""
    return Image.of((FOLDER / "pictures" / f"{name}.jpg").read_bytes())


def _list_cases(provider: str) -> Iterator[CassetteCase]:
    for name, (shows, requests) in _successes().items():
        planned = _plan_requests(provider, requests)
        if planned:
            yield CassetteCase(provider=provider, name=name, shows=shows, requests=planned)
    for name, (shows, ends, fault) in _failures(provider).items():
        planned = _plan_requests(provider, (_LION,))
        setting = {} if fault else {"balance": 0}
        yield CassetteCase(
            provider=provider,
            name=name,
            shows=shows,
            requests=planned,
            error=ends,
            sandbox=setting,
            fault=fault,
        )
    yield from (case for case in _special_cases() if case.provider == provider)


_LION = Request(prompt="A lion walks through tall grass at dawn", aspect_ratio="16:9")


def _successes() -> dict[str, tuple[str, tuple[Request, ...]]]:
    dawn, noon, night = (load_image(name) for name in ("dawn", "noon", "night"))
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
        "extension": ("a video, then an extension of it", (_LION, more)),
    }


def _failures(provider: str) -> dict[str, tuple[str, type[VeoError], str | None]]:
    google = provider in ("gemini", "vertex")
    # The platform has no prepaid balance: it reports that the project has no billing.
    unpaid = AuthError if provider == "vertex" else BalanceError
    return {
        "failure": ("a video that could not be made", GenerationError, "failed"),
        "filtered": (
            "a video that a safety filter blocked",
            ModeratedError,
            "filtered" if google else "moderated",
        ),
        "balance": ("an account without a balance", unpaid, None),
        "overload": (
            "an overloaded service",
            BusyError,
            "google_503" if google else "http_503_overload",
        ),
    }


# The model of the scenes that all providers share, where a newer one is the default.
_PREFERRED = {"laozhang-async": "veo-3.1-fast", "gemini": "veo-3.1-fast-generate-preview"}


def _omni_cases() -> Iterator[CassetteCase]:
    dawn, noon, night = (load_image(name) for name in ("dawn", "noon", "night"))
    omni = replace(_LION, model="gemini-omni-1.2-flash")
    portrait = replace(omni, aspect_ratio="9:16", resolution="1080p", duration=3)
    seeded = replace(portrait, seed=7)
    image = replace(omni, start_frame=dawn)
    references = replace(omni, reference=(dawn, noon, night))
    gateway = {
        "omni_text": ("all options in JSON, and `video_url` at another host", (portrait,)),
        "omni_image": ("a start frame in a form", (image,)),
        "omni_references": ("three reference images in JSON", (references,)),
    }
    edit = replace(omni, aspect_ratio=None, prompt="Make it night", edit=EARLIER)
    longer = replace(edit, prompt="Then the lion roars", edit=None, extend=EARLIER, duration=7)
    google = {
        "omni_text": ("all options, and a file that is processed for a while", (seeded,)),
        "omni_first_last": ("a start and an end frame", (replace(image, end_frame=night),)),
        "omni_references": ("three reference images", (references,)),
        "omni_edit": ("a video, then a change of it", (omni, edit)),
        "omni_extension": ("a video, then seven seconds more", (omni, longer)),
    }
    stored = {"project": "p", "storage_uri": "gs://bucket/videos"}
    platform = {
        "omni_storage": ("credentials, and a video in the folder of its job", (seeded,)),
        "omni_edit": ("a video in Cloud Storage, then a change of it", (omni, edit)),
    }
    for provider, options, cases in (
        ("laozhang-async", {}, gateway),
        ("gemini", {}, google),
        ("vertex", stored, platform),
    ):
        for name, (shows, requests) in cases.items():
            yield CassetteCase(
                provider=provider,
                name=name,
                shows=f"Gemini Omni: {shows}",
                requests=requests,
                options=options,
            )
    yield CassetteCase(
        provider="gemini",
        name="omni_filtered",
        shows="Gemini Omni: a refusal in words, which costs a few tokens",
        requests=(omni,),
        error=ModeratedError,
        fault="filtered",
    )
    for name, shows, body in (
        ("omni_capture", "a completed interaction", CAPTURED_VIDEO),
        ("omni_capture_refused", "a refusal in words", CAPTURED_REFUSAL),
    ):
        yield CassetteCase(
            provider="gemini",
            name=name,
            shows=f"Gemini Omni: {shows}",
            capture=Capture(Reply(body), _OMNI_CAPTURE),
        )


_OMNI_CAPTURE = (
    "the last poll of an interaction of `gemini-omni-1.1-flash` that a public project recorded on"
    " 2026-10-08: status, steps, usage and format as published; id, prompt, file and words stand"
    " for the originals; headers were not published"
)


def _special_cases() -> Iterator[CassetteCase]:
    yield from _omni_cases()
    official = replace(
        _LION,
        model="veo-3.1-fast-generate-preview",
        start_frame=load_image("dawn"),
        negative_prompt="people, text",
        seed=7,
    )
    yield CassetteCase(
        provider="laozhang-async",
        name="official",
        shows="a model resold from Google: a form, and `/content`, which is late",
        requests=(official,),
        sandbox={"content_lag": 30},
    )
    yield CassetteCase(
        provider="laozhang-async",
        name="capture",
        shows="a completed task",
        capture=Capture(
            Reply(CAPTURED),
            "the body of the one completed task that the vendor published, of 2025-11-27; the"
            " storage host and the file's name stand for the originals; headers were not published",
        ),
    )
    yield CassetteCase(
        provider="laozhang-sync",
        name="capture",
        shows="a whole stream",
        requests=_plan_requests("laozhang-sync", (Request(prompt=PROMPT, model="veo-3.1-fast"),)),
        capture=Capture(
            Reply(STREAM, headers={"Content-Type": "text/event-stream"}),
            "the text of a stream that the vendor published beside its sample in November 2025,"
            " word for word but for the prompt, the storage host and the file's name; the chunks"
            " around it as the vendor documents them; headers were not published",
        ),
    )
    yield CassetteCase(
        provider="gemini",
        name="retired",
        shows="a model that is no longer available",
        requests=_plan_requests("gemini", (_LION,)),
        error=ModelUnavailableError,
        sandbox={"retired": True},
    )
    yield CassetteCase(
        provider="vertex",
        name="storage",
        shows="a project's credentials, its region's host, and a video in Cloud Storage",
        requests=_plan_requests("vertex", (_LION,)),
        options={"project": "p", "storage_uri": "gs://bucket/videos"},
    )


def _plan_requests(provider: str, requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """Return the requests with their model; none if the provider has no model for them."""
    models = find_provider(provider).facts.models
    try:
        plans = [
            Planner(models, _PREFERRED.get(provider), retired="ignore").plan(request)
            for request in requests
        ]
        return tuple(plan.request for plan in plans)
    except InvalidRequestError:
        return ()
