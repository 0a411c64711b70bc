"""Images: where one comes from, and what its bytes say it is."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pil

from veo.errors import ImageError
from veo.image import Image, detect_mime


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 6), **options: Any) -> bytes:
    """A small encoded picture."""
    out = io.BytesIO()
    Pil.new("RGB", size, "orange").save(out, kind, **options)
    return out.getvalue()


KINDS = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}


@pytest.mark.parametrize(("kind", "mime"), KINDS.items())
def test_the_first_bytes_tell_the_type(kind: str, mime: str) -> None:
    """Of files that a real encoder wrote, without the rest of them."""
    assert detect_mime(picture(kind)[:16]) == mime


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"\0\0\0\x18ftypheic", "image/heic"),
        (b"\0\0\0\x18ftypmif1", "image/heic"),
        (b"\0\0\0\x18ftypisom", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"<svg xmlns=", None),
        (b"", None),
    ],
)
def test_what_no_encoder_here_writes(head: bytes, mime: str | None) -> None:
    """Phone pictures are recognised; videos, sounds and drawings are no pictures."""
    assert detect_mime(head) == mime


@given(st.binary(max_size=40))
def test_any_bytes_have_a_type_or_none(data: bytes) -> None:
    """Never an error."""
    assert detect_mime(data) is None or str(detect_mime(data)).startswith("image/")


def test_a_suffix_tells_nothing(tmp_path: Path) -> None:
    """A PNG called .jpg is sent as the PNG it is."""
    path = tmp_path / "frame.jpg"
    path.write_bytes(picture("PNG"))
    image = Image.of(path)
    assert image.with_data(image.read()).mime == "image/png"


class TestOf:
    """Everything that names or is a picture."""

    def test_a_path(self) -> None:
        """By reference: not read before it is needed."""
        assert Image.of("a.png") == Image.of(Path("a.png")) == Image("a.png")

    @pytest.mark.parametrize("url", ["https://h.test/a.png", "HTTP://h.test/a"])
    def test_a_url(self, url: str) -> None:
        """By reference, to be downloaded."""
        assert (Image.of(url).is_url, Image.of(url).data) == (True, None)

    def test_bytes(self) -> None:
        """By value, known by content."""
        image = Image.of(b"abc")
        assert (image.data, image.is_url, image.source) == (b"abc", False, "<bytes>")
        assert image.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    def test_an_image(self) -> None:
        """Stays the one it is."""
        image = Image.of(b"abc")
        assert Image.of(image) is image

    @pytest.mark.parametrize(
        "uri",
        [
            "data:image/png;base64,YWJj",
            "DATA:image/png;BASE64,YWJj",
            "data:;base64,YW\nJj\n",
            "data:image/png,abc",
            "data:,%61bc",
        ],
    )
    def test_a_data_uri(self, uri: str) -> None:
        """In base64 (line breaks are usual) or percent-encoded, the same as its bytes."""
        assert Image.of(uri).read() == b"abc"
        assert Image.of(uri).sha256 == Image.of(b"abc").sha256

    @pytest.mark.parametrize(
        "uri", ["data:image/png", "data:;base64,YWJ", "data:;base64,狮子", "data:;base64,YW!j"]
    )
    def test_a_broken_data_uri(self, uri: str) -> None:
        """An error of ours, and not one that repeats megabytes."""
        with pytest.raises(ImageError, match="data URI"):
            Image.of(uri)

    @given(st.binary(max_size=200))
    def test_a_data_uri_and_back(self, tail: bytes) -> None:
        """What `data_uri` writes, `of` reads."""
        image = Image.of(b"\xff\xd8\xff" + tail)
        again = Image.of(image.data_uri())
        assert (again.data, again.mime) == (image.data, "image/jpeg")
        assert image.data_uri().endswith(base64.b64encode(tail).decode()[-2:])


class TestRead:
    """From the disk."""

    def test_a_home_folder_is_understood(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`~` is the user's, as a shell would have it."""
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "a.png").write_bytes(b"abc")
        assert Image.of("~/a.png").read() == b"abc"

    @pytest.mark.parametrize(
        ("source", "says"),
        [
            ("nowhere.png", "no such file"),
            ("~nobody-has-this-name/a.png", "no such file"),
            (".", "directory"),
            ("a\0b.png", "no path"),
        ],
    )
    def test_what_cannot_be_read_is_named(self, source: str, says: str) -> None:
        """The error says which picture, and why."""
        with pytest.raises(ImageError, match=says) as caught:
            Image.of(source).read()
        assert source in str(caught.value) or repr(source) in str(caught.value)


def test_the_name_of_an_upload_tells_the_type_and_no_more() -> None:
    """Neither the user's folders nor a wrong suffix leave the machine."""
    private = Image("/home/me/secret plans.bmp", picture("WEBP"))
    assert private.filename == "image.webp"
    assert Image("<bytes>", picture("JPEG")).filename == "image.jpg"


def test_no_bytes_no_type() -> None:
    """A provider that is handed a picture without bytes finds out at once."""
    with pytest.raises(ImageError, match=r"a\.png"):
        _ = Image("a.png").mime


def test_bytes_are_not_printed() -> None:
    """A picture in an error or a log is a line, not a megabyte."""
    assert "abcabc" not in repr(Image.of(b"abcabc"))
