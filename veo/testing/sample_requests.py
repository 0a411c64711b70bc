"""Requests that a row allows, made from the row alone."""

from __future__ import annotations

import io
from itertools import product
from typing import TYPE_CHECKING, Any

from PIL import Image as Pil

from veo.image import Image
from veo.planning.check import check_request
from veo.request import FEATURES, REQUEST_FIELDS, Request
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from veo.model import Feature, Model


def build_request(model: Model, **said: Any) -> Request:
    """A request that a model takes: a prompt, what it needs, and what is said."""
    fields: dict[str, Any] = {"prompt": "a lion wakes up", "model": model.name}
    needs = {str(name): SAMPLES[name] for name in model.needs}
    return Request(**fields | needs | said)


def build_shape_requests(model: Model) -> list[Request]:
    """One request for every ratio, size and length that go together beyond doubt."""
    every = product(model.aspect_ratios, model.resolutions, model.durations)
    asked = [
        build_request(model, aspect_ratio=ratio, resolution=resolution, duration=duration)
        for ratio, resolution, duration in every
    ]
    return [request for request in asked if not check_request(request, model)]


def build_feature_request(model: Model, feature: Feature) -> Request:
    """A request with one feature more, in the form that raises the fewest problems."""
    values = REQUEST_FIELDS[feature].values or (SAMPLES[feature],)
    forms = [{feature: value} for value in values]
    forms.append({feature: values[0], "start_frame": SAMPLES["start_frame"]})
    return min(
        (build_request(model, **form) for form in forms),
        key=lambda one: len(check_request(one, model)),
    )


def make_image(colour: str) -> Image:
    """A small picture."""
    data = io.BytesIO()
    Pil.new("RGB", (160, 90), colour).save(data, "PNG")
    return Image.of(data.getvalue())


def _sample_value(name: str) -> Any:
    """Return a value of a field that any model with that feature accepts."""
    row = REQUEST_FIELDS[name]
    image = make_image(_COLOURS.get(name, "gray"))
    by_kind = {"text": "no fog at all", "integer": 421_337, "flag": True, "image": image}
    by_kind |= {"images": (image,), "video": RemoteVideo("videos/of-somebody-else")}
    return row.values[0] if row.values else by_kind[row.kind]


_COLOURS = {"start_frame": "orange", "end_frame": "navy", "reference": "green"}
SAMPLES: dict[str, Any] = {name: _sample_value(name) for name in FEATURES}
# Values that can be found in the body of a paid request as they are.
WIRE_SAMPLES = {
    name: SAMPLES[name] for name in FEATURES if REQUEST_FIELDS[name].kind in {"text", "integer"}
}
