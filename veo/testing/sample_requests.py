"""Requests that a row allows, made from the row alone."""

from __future__ import annotations

import io
from itertools import product
from typing import TYPE_CHECKING, Any

from PIL import Image as Pil

from veo.image import Image
from veo.planning.check import check
from veo.request import Request
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from veo.model import Feature, Model


def asking(model: Model, **said: Any) -> Request:
    """A request that a model takes: a prompt, what it needs, and what is said."""
    fields: dict[str, Any] = {"prompt": "a lion wakes up", "model": model.name}
    needs = {str(name): SAID[name] for name in model.needs}
    return Request(**fields | needs | said)


def shapes(model: Model) -> list[Request]:
    """One request for every ratio, size and length that go together beyond doubt."""
    every = product(model.aspect_ratios, model.resolutions, model.durations)
    asked = [
        asking(model, aspect_ratio=ratio, resolution=resolution, duration=duration)
        for ratio, resolution, duration in every
    ]
    return [request for request in asked if not check(request, model)]


def using(model: Model, feature: Feature) -> Request:
    """A request with one feature more, in the form that raises the fewest problems."""
    forms = [{feature: SAID[feature]}, {feature: SAID[feature], "start_frame": SAID["start_frame"]}]
    if feature == "person_generation":
        forms += [{feature: "allow_adult"}]
    return min((asking(model, **form) for form in forms), key=lambda one: len(check(one, model)))


def picture(colour: str) -> Image:
    """A small picture."""
    data = io.BytesIO()
    Pil.new("RGB", (160, 90), colour).save(data, "PNG")
    return Image.of(data.getvalue())


WORDS: dict[str, Any] = {"negative_prompt": "no fog at all", "seed": 421_337}
SAID: dict[str, Any] = WORDS | {
    "start_frame": picture("orange"),
    "end_frame": picture("navy"),
    "reference": (picture("green"),),
    "person_generation": "allow_all",
    "extend": RemoteVideo("videos/of-somebody-else"),
}
