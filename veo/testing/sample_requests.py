"""Valid requests for a model, made from its facts alone."""

from __future__ import annotations

import io
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

from PIL import Image as Pil

from veo.image import Image
from veo.planning.check import check_request
from veo.request import FEATURES, REQUEST_FIELDS, Request, RequestField
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from veo.model import Feature, Model


def build_request(model: Model, **options: Any) -> Request:
    """Return a request with a prompt, the fields that the model needs, and ``options``.

    Its images have the shape of its video.
    """
    fields: dict[str, Any] = {"prompt": "a lion wakes up", "model": model.name}
    needs = {str(name): SAMPLES[name] for name in model.needs}
    request = Request(**fields | needs | options)
    ratio = request.aspect_ratio or model.aspect_ratios[0]
    return request.map_images(lambda image: _reshape_image(image, ratio))


def build_shape_requests(model: Model) -> list[Request]:
    """Return a request for each combination of ratio, size and length without a warning."""
    shapes = product(model.aspect_ratios, model.resolutions, model.durations)
    requests = [
        build_request(model, aspect_ratio=ratio, resolution=resolution, duration=duration)
        for ratio, resolution, duration in shapes
    ]
    return [request for request in requests if not check_request(request, model)]


def build_feature_request(model: Model, feature: Feature) -> Request:
    """Return a request with a feature, in the form that has the fewest problems."""
    values = REQUEST_FIELDS[feature].values or (SAMPLES[feature],)
    forms = [{feature: value} for value in values]
    forms.append({feature: values[0], "start_frame": SAMPLES["start_frame"]})
    requests = (build_request(model, **form) for form in forms)
    return min(requests, key=lambda request: len(check_request(request, model)))


def make_image(colour: str) -> Image:
    data = io.BytesIO()
    Pil.new("RGB", (160, 90), colour).save(data, "PNG")
    return Image.of(data.getvalue())


@cache  # thousands of requests have the same few images
def _reshape_image(image: Image, ratio: str) -> Image:
    width, height = (int(part) * 10 for part in ratio.split(":"))
    data = io.BytesIO()
    with Pil.open(io.BytesIO(image.data or b"")) as opened:
        opened.resize((width, height)).save(data, "PNG")
    return Image.of(data.getvalue())


def _make_sample(name: str, row: RequestField) -> Any:
    image = make_image(_COLOURS.get(name, "gray"))
    samples = {"text": "no fog at all", "integer": 421_337, "flag": True, "image": image}
    samples |= {"images": (image,), "video": RemoteVideo("videos/of-somebody-else")}
    return row.values[0] if row.values else samples[row.kind]


_COLOURS = {"start_frame": "orange", "end_frame": "navy", "reference": "green"}
SAMPLES: dict[str, Any] = {name: _make_sample(name, REQUEST_FIELDS[name]) for name in FEATURES}
# Values unlikely enough to be searched for in the body of a paid request.
WIRE_SAMPLES = {
    name: SAMPLES[name] for name in FEATURES if REQUEST_FIELDS[name].kind in {"text", "integer"}
}
