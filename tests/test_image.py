"""Images: where one comes from, and which type its bytes have."""

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


def encode_image(kind: str = "PNG", size: tuple[int, int] = (8, 6), **options: Any) -> bytes:
    """Return a small encoded image."""
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
def test_first_bytes_give_the_type(kind: str, mime: str) -> None:
    """The first 16 bytes of what a real encoder writes are enough."""
    assert detect_mime(encode_image(kind)[:16]) == mime


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
def test_types_that_pillow_does_not_write(head: bytes, mime: str | None) -> None:
    """HEIC is recognised; videos, audio and SVG are not images."""
    assert detect_mime(head) == mime


@given(st.binary(max_size=40))
def test_any_bytes_have_a_type_or_none(data: bytes) -> None:
    """No input raises an error."""
    assert detect_mime(data) is None or str(detect_mime(data)).startswith("image/")


def test_the_suffix_is_ignored(tmp_path: Path) -> None:
    """A PNG named .jpg is sent as a PNG."""
    path = tmp_path / "frame.jpg"
    path.write_bytes(encode_image("PNG"))
    image = Image.of(path)
    assert image.with_data(image.read()).mime == "image/png"


class TestOf:
    """``Image.of`` accepts paths, URLs, bytes, images and data URIs."""

    def test_a_path(self) -> None:
        """A path is a reference; the file is read later."""
        assert Image.of("a.png") == Image.of(Path("a.png")) == Image("a.png")

    @pytest.mark.parametrize("url", ["https://h.test/a.png", "HTTP://h.test/a"])
    def test_a_url(self, url: str) -> None:
        """A URL is a reference; the image is downloaded later."""
        assert (Image.of(url).is_url, Image.of(url).data) == (True, None)

    def test_bytes(self) -> None:
        """Bytes are a value; their hash is known at once."""
        image = Image.of(b"abc")
        assert (image.data, image.is_url, image.source) == (b"abc", False, "<bytes>")
        assert image.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    def test_an_image(self) -> None:
        """An image is returned as it is."""
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
        """Base64 (with line breaks) and percent-encoding give the same image as the bytes."""
        assert Image.of(uri).read() == b"abc"
        assert Image.of(uri).sha256 == Image.of(b"abc").sha256

    @pytest.mark.parametrize(
        "uri", ["data:image/png", "data:;base64,YWJ", "data:;base64,狮子", "data:;base64,YW!j"]
    )
    def test_a_broken_data_uri(self, uri: str) -> None:
        """A broken data URI raises an ``ImageError`` that does not repeat the data."""
        with pytest.raises(ImageError, match="data URI"):
            Image.of(uri)

    @given(st.binary(max_size=200))
    def test_a_data_uri_and_back(self, tail: bytes) -> None:
        """``Image.of`` reads what ``data_uri`` writes."""
        image = Image.of(b"\xff\xd8\xff" + tail)
        again = Image.of(image.data_uri())
        assert (again.data, again.mime) == (image.data, "image/jpeg")
        assert image.data_uri().endswith(base64.b64encode(tail).decode()[-2:])


class TestRead:
    """``Image.read`` reads files."""

    def test_the_home_folder_is_expanded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """``~`` is the home folder, as in a shell."""
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "a.png").write_bytes(b"abc")
        assert Image.of("~/a.png").read() == b"abc"

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("nowhere.png", "no such file"),
            ("~nobody-has-this-name/a.png", "no such file"),
            (".", "directory"),
            ("a\0b.png", "not a valid path"),
        ],
    )
    def test_an_unreadable_file_is_named(self, source: str, reason: str) -> None:
        """The error names the file and the reason."""
        with pytest.raises(ImageError, match=reason) as caught:
            Image.of(source).read()
        assert source in str(caught.value) or repr(source) in str(caught.value)


def test_the_name_of_an_upload_reveals_only_the_type() -> None:
    """The name holds neither the user's folders nor a wrong suffix."""
    private = Image("/home/me/secret plans.bmp", encode_image("WEBP"))
    assert private.filename == "image.webp"
    assert Image("<bytes>", encode_image("JPEG")).filename == "image.jpg"


def test_a_reference_has_no_type() -> None:
    """The type of an image without bytes raises an error that names it."""
    with pytest.raises(ImageError, match=r"a\.png"):
        _ = Image("a.png").mime


def test_bytes_are_not_printed() -> None:
    """The repr of an image omits its bytes."""
    assert "abcabc" not in repr(Image.of(b"abcabc"))


@pytest.mark.parametrize("data", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"])
def test_base64_without_its_header_gets_a_short_error(data: bytes) -> None:
    """The text of the image is not taken for a path, and is not repeated."""
    with pytest.raises(ImageError, match="data:image/png;base64") as caught:
        Image.of(base64.b64encode(data + bytes(100_000)).decode())
    assert len(str(caught.value)) < 200


def test_an_endless_path_gets_a_short_error() -> None:
    """An error shows its beginning."""
    with pytest.raises(ImageError) as caught:
        Image.of("a" * 1_000_000).read()
    assert len(str(caught.value)) < 500
