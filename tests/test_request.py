"""Requests: stored, compared and changed."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.image import Image
from veo.request import OPTIONS, REQUEST_FIELDS, Request, RequestKwargs
from veo.update import RemoteVideo

IMAGES = st.builds(Image, st.text(min_size=1), st.none(), st.none() | st.text("0123456789abcdef"))
VIDEOS = st.builds(
    RemoteVideo,
    st.text(),
    st.just("video/mp4"),
    st.none() | st.floats(0, 2e9),
    st.none() | st.text(),
    st.none() | st.floats(0, 60),
)
REQUESTS = st.builds(
    Request,
    prompt=st.text(),
    model=st.none() | st.text(),
    aspect_ratio=st.sampled_from([None, "16:9", "9:16"]),
    resolution=st.sampled_from([None, "720p", "4k"]),
    duration=st.none() | st.integers(),
    negative_prompt=st.none() | st.text(),
    seed=st.none() | st.integers(),
    person_generation=st.sampled_from([None, "allow_all"]),
    start_frame=st.none() | IMAGES,
    end_frame=st.none() | IMAGES,
    reference=st.lists(IMAGES, max_size=3).map(tuple),
    extend=st.none() | VIDEOS,
    edit=st.none() | VIDEOS,
)


def test_every_field_is_a_keyword_argument() -> None:
    """``RequestKwargs`` repeats the fields for type checkers; none is missing."""
    assert set(RequestKwargs.__annotations__) == set(REQUEST_FIELDS) - {"prompt"}
    assert set(OPTIONS) == set(REQUEST_FIELDS) - {"prompt", "extend", "edit"}


@given(REQUESTS)
def test_json_and_back(request: Request) -> None:
    """A request read from JSON equals the one that was written.

    A field that was left out is absent, so that a later default is not taken for a choice.
    """
    body = request.to_json()
    assert Request.from_json(body) == request
    assert None not in body.values()
    assert {name for name in body if name != "prompt"} == {
        name
        for name in Request.__dataclass_fields__
        if name != "prompt" and getattr(request, name) not in (None, ())
    }


def test_json_holds_no_bytes() -> None:
    """An image is stored as its source and hash."""
    body = Request(prompt="p", start_frame=Image("a.png", b"bytes", "cafe")).to_json()
    assert body["start_frame"] == {"source": "a.png", "sha256": "cafe"}


def test_a_video_of_an_earlier_version_is_read() -> None:
    """It has neither a handle nor a length, and is written as it was."""
    video = {"uri": "files/1", "mime": "video/mp4", "expires_at": None}
    request = Request.from_json({"prompt": "p", "extend": video})

    assert request.extend == RemoteVideo("files/1")
    assert request.to_json()["extend"] == video


@pytest.mark.parametrize(
    "source",
    ["a.png", Path("a.png"), Image("a.png"), ["a.png"], (Path("a.png"),)],
    ids=["text", "path", "image", "list", "tuple"],
)
def test_images_are_accepted_in_every_form(source: Any) -> None:
    """A reference is given alone or in a list, as text, path or image."""
    request = Request(prompt="p", start_frame="a.png", reference=source)  # type: ignore[arg-type]
    assert (request.start_frame, request.reference) == (Image("a.png"), (Image("a.png"),))


def test_no_references() -> None:
    """An empty list is the same as no references."""
    assert Request(prompt="p", reference=[]) == Request(prompt="p")  # type: ignore[arg-type]


def test_images_are_in_order() -> None:
    """Start frame, end frame, references; a missing image leaves no gap."""
    request = Request(prompt="p", end_frame=Image("e"), reference=(Image("1"), Image("2")))
    assert request.frames == (Image("e"),)
    assert request.images == (Image("e"), Image("1"), Image("2"))


def test_every_image_is_mapped() -> None:
    """``map_images`` changes all images and nothing else."""
    request = Request(
        prompt="p", seed=7, start_frame=Image("s"), end_frame=Image("e"), reference=(Image("r"),)
    )
    mapped = request.map_images(lambda image: Image(image.source.upper()))
    assert [image.source for image in mapped.images] == ["S", "E", "R"]
    assert (mapped.prompt, mapped.seed) == ("p", 7)


class TestFingerprint:
    """Equal requests have equal fingerprints."""

    def test_images_count_by_content(self) -> None:
        """Two paths to the same image give the same fingerprint."""
        here, there = (Request(prompt="p", start_frame=Image(at, None, "cafe")) for at in "ab")
        other = Request(prompt="p", start_frame=Image("a", None, "beef"))
        assert here.fingerprint() == there.fingerprint() != other.fingerprint()

    @given(REQUESTS, REQUESTS)
    def test_different_requests_differ(self, one: Request, other: Request) -> None:
        """Requests that differ in more than the paths of images have different fingerprints."""
        same = one.map_images(_content) == other.map_images(_content)
        assert (one.fingerprint() == other.fingerprint()) is same


def _content(image: Image) -> Image:
    return Image(image.sha256 or image.source)
