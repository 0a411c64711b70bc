"""Images of requests: checked, stored, and prepared for a model's limits."""

import hashlib
import io
import threading
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import Mock

import pytest
from cli_runner import Veo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pil
from PIL import ImageCms
from raw_server import find_closed_port
from recording_server import RecordingServer, Reply

from veo.errors import ImageError, LedgerError
from veo.files import images
from veo.files.images import ImageStore, prepare_image, verify_image
from veo.image import Image, detect_mime
from veo.model import ImageLimits

pytest_plugins = ("veo_fixtures",)

ANY = ImageLimits()
ORIENTATION = 0x0112


def encode_image(decoded: Pil.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """Return an image as bytes."""
    out = io.BytesIO()
    decoded.save(out, kind, **options)
    return out.getvalue()


def make_plain(size: tuple[int, int] = (64, 48), colour: str = "orange") -> Pil.Image:
    """Return an image of one colour."""
    return Pil.new("RGB", size, colour)


def make_noise(size: tuple[int, int]) -> Pil.Image:
    """Return an image that cannot be compressed; it is always the same."""
    return Pil.frombytes("RGB", size, Random(7).randbytes(3 * size[0] * size[1]))


def decode_image(data: bytes) -> Pil.Image:
    """Decode an image to its end."""
    decoded = Pil.open(io.BytesIO(data))
    decoded.load()
    return decoded


def are_close(one: Any, other: Any, slack: int = 12) -> bool:
    """Return whether two colours are equal but for JPEG's losses."""
    return all(abs(a - b) <= slack for a, b in zip(one, other, strict=True))


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """The images of a ledger."""
    return ImageStore(tmp_path / "images", trusted_urls=lambda: ["http://127.0.0.1"])


class TestVerify:
    """Images are decoded to the end before anything is paid."""

    @pytest.mark.parametrize(
        "data",
        [
            encode_image(make_plain()),
            encode_image(make_plain(), progressive=True),
            encode_image(make_plain().convert("CMYK")),
            encode_image(make_plain().convert("L")),
            encode_image(make_plain(), "PNG"),
            encode_image(make_plain().convert("RGBA"), "PNG"),
            encode_image(make_plain().convert("P"), "PNG", transparency=0),
            encode_image(Pil.new("I;16", (9, 9), 40_000), "PNG"),
            encode_image(make_plain(), "WEBP"),
            encode_image(
                make_plain(), "WEBP", save_all=True, append_images=[make_plain(colour="red")]
            ),
        ],
        ids=["JPEG", "scans", "CMYK", "grey", "PNG", "RGBA", "P", "16 bit", "WebP", "moving"],
    )
    def test_jpeg_png_and_webp_are_accepted(self, data: bytes) -> None:
        """In all modes and variants."""
        verify_image("a", data)

    @pytest.mark.parametrize(
        ("kind", "message"),
        [("GIF", "is a GIF"), ("BMP", "is a BMP"), ("TIFF", "is a TIFF"), ("AVIF", "is a AVIF")],
    )
    def test_other_types_are_refused(self, kind: str, message: str) -> None:
        """The error names the type and the accepted ones."""
        with pytest.raises(ImageError, match=f"frame.png {message}") as caught:
            verify_image("frame.png", encode_image(make_plain(), kind))
        assert "JPEG, PNG or WebP" in str(caught.value.hint)

    @pytest.mark.parametrize("data", [b"", b"no image", b"<svg/>", b"\0\0\0\x18ftypisom"])
    def test_other_files_are_refused(self, data: bytes) -> None:
        """The error names the file."""
        with pytest.raises(ImageError, match=r"frame\.png is not an image"):
            verify_image("frame.png", data)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("stored", [0.999, 0.9, 0.5, 0.1, 0.02])
    def test_a_truncated_image_is_refused(self, kind: str, stored: float) -> None:
        """Wherever an incomplete copy or download ends."""
        data = encode_image(make_noise((200, 150)), kind)
        with pytest.raises(ImageError, match=r"a\.png is (broken or truncated|not an image)"):
            verify_image("a.png", data[: int(len(data) * stored)])

    def test_too_many_pixels_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A small file can decode to an image that fills the memory."""
        data = encode_image(make_plain((300, 300)), "PNG")
        monkeypatch.setattr(Pil, "MAX_IMAGE_PIXELS", 1000)
        with pytest.raises(ImageError, match="too many pixels"):
            verify_image("a.png", data)


BASES = {
    kind: encode_image(make_noise((24, 20)), kind, exif=Pil.Exif() if kind != "PNG" else None)
    for kind in ("JPEG", "PNG", "WEBP")
}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(BASES)), st.integers(0, 10**6), st.binary(min_size=1, max_size=9))
def test_a_damaged_image_is_prepared_or_refused(kind: str, at: int, damage: bytes) -> None:
    """Every error of a decoder becomes an ImageError."""
    data = bytearray(BASES[kind])
    at %= len(data)
    data[at : at + len(damage)] = damage
    try:
        verify_image("a", bytes(data))
        made = prepare_image("a", bytes(data), ImageLimits(max_side=16), 10**6)
        assert decode_image(made.data).size <= (16, 16)
    except ImageError as error:
        assert str(error).startswith("a ")  # noqa: PT017 - either is right


class TestFit:
    """Images are changed as little as the model's limits allow."""

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_an_image_within_the_limits_is_unchanged(self, kind: str) -> None:
        """Every byte stays the same."""
        data = encode_image(make_plain(), kind)
        assert prepare_image("a", data, ANY, ANY.max_bytes) == images.PreparedImage(data)

    @pytest.mark.parametrize("orientation", range(2, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_the_image_is_rotated(self, kind: str, orientation: int) -> None:
        """The orientation comes from EXIF data, which models do not read."""
        upright = make_plain((64, 48), "blue")
        upright.paste("red", (0, 0, 20, 20))
        turned = _rotate(upright, orientation)
        exif = Pil.Exif()
        exif[ORIENTATION] = orientation
        fitted = prepare_image(
            "a", encode_image(turned, kind, exif=exif, quality=95), ANY, ANY.max_bytes
        )
        made = decode_image(fitted.data)
        assert made.size == (64, 48)
        assert made.getexif().get(ORIENTATION, 1) == 1
        assert are_close(made.getpixel((8, 8)), (254, 0, 0), 30)
        assert are_close(made.getpixel((56, 40)), (0, 0, 254), 30)
        assert fitted.note

    def test_a_large_png_becomes_a_jpeg(self) -> None:
        """A photograph as PNG makes uploads fail."""
        data = encode_image(make_noise((800, 600)), "PNG")
        fitted = prepare_image("a.png", data, ANY, ANY.max_bytes)
        assert (detect_mime(fitted.data), decode_image(fitted.data).size) == (
            "image/jpeg",
            (800, 600),
        )
        assert len(fitted.data) < len(data)
        assert fitted.note == (
            f"PNG 800x600, {len(data) / 1e6:.1f} MB"
            f" -> JPEG 800x600, {len(fitted.data) / 1e6:.1f} MB"
        )

    def test_an_unsupported_type_becomes_a_jpeg(self) -> None:
        """However small the image is."""
        limits = ImageLimits(types=("image/jpeg", "image/png"))
        made = prepare_image("a", encode_image(make_plain(), "WEBP"), limits, limits.max_bytes)
        assert detect_mime(made.data) == "image/jpeg"

    @pytest.mark.parametrize(
        "see_through",
        [
            encode_image(Pil.new("RGBA", (64, 48), (255, 0, 0, 0)), "WEBP", lossless=True),
            encode_image(Pil.new("LA", (64, 48), (0, 0)), "PNG"),
            encode_image(Pil.new("P", (64, 48), 0), "PNG", transparency=0),
            encode_image(Pil.new("RGB", (64, 48), "red"), "PNG", transparency=(255, 0, 0)),
        ],
        ids=["RGBA", "LA", "P", "RGB"],
    )
    def test_transparent_parts_become_white(self, see_through: bytes) -> None:
        """Not black, and not the colour that the transparent pixels have."""
        limits = ImageLimits(types=("image/jpeg",))
        made = decode_image(prepare_image("a", see_through, limits, limits.max_bytes).data)
        assert are_close(made.getpixel((30, 20)), (255, 255, 255))

    @pytest.mark.parametrize(
        ("decoded", "colour"),
        [
            (make_plain().convert("CMYK"), (255, 165, 0)),
            (Pil.new("L", (64, 48), 128), (128, 128, 128)),
            (Pil.new("RGBA", (64, 48), (0, 0, 255, 128)), (127, 127, 255)),
        ],
        ids=["CMYK", "grey", "half"],
    )
    def test_colours_are_converted(self, decoded: Pil.Image, colour: Any) -> None:
        """CMYK, grey and half transparent images keep their appearance."""
        kind = "JPEG" if decoded.mode != "RGBA" else "PNG"
        limits = ImageLimits(types=("image/webp",))
        made = decode_image(
            prepare_image("a", encode_image(decoded, kind), limits, limits.max_bytes).data
        )
        assert are_close(made.getpixel((30, 20)), colour)

    def test_the_colour_profile_is_kept(self) -> None:
        """Without it the wide colours of a phone's camera would fade."""
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        limits = ImageLimits(max_side=32)
        made = prepare_image(
            "a", encode_image(make_plain(), icc_profile=profile), limits, limits.max_bytes
        )
        assert decode_image(made.data).info["icc_profile"] == profile
        grey = encode_image(make_plain().convert("CMYK"), icc_profile=profile)
        assert (
            "icc_profile"
            not in decode_image(prepare_image("a", grey, limits, limits.max_bytes).data).info
        )

    @pytest.mark.parametrize(("size", "made"), [((900, 300), (100, 33)), ((300, 900), (33, 100))])
    def test_a_long_side_is_reduced(self, size: tuple[int, int], made: tuple[int, int]) -> None:
        """The proportions stay, and no image is enlarged."""
        limits = ImageLimits(max_side=100)
        fitted = prepare_image("a", encode_image(make_plain(size)), limits, limits.max_bytes)
        assert decode_image(fitted.data).size == made
        small = encode_image(make_plain((50, 20)))
        assert prepare_image("a", small, limits, limits.max_bytes).data == small

    @pytest.mark.parametrize("max_bytes", [200_000, 60_000, 20_000])
    def test_too_many_bytes_are_reduced(self, max_bytes: int) -> None:
        """First by quality, then by size, to below the limit."""
        data = encode_image(make_noise((700, 500)), quality=95)
        fitted = prepare_image("a", data, ANY, max_bytes)
        assert len(fitted.data) <= max_bytes < len(data)
        width, height = decode_image(fitted.data).size
        assert width / height == pytest.approx(1.4, abs=0.05)

    def test_a_limit_that_is_too_small_is_an_error(self) -> None:
        """An image of a few pixels is of no use."""
        with pytest.raises(ImageError, match=r"a\.jpg does not fit into 300 bytes"):
            prepare_image("a.jpg", encode_image(make_noise((700, 500))), ANY, 300)


def prepare(data: bytes, **limits: Any) -> images.PreparedImage:
    return prepare_image("a", data, ImageLimits(**limits), ANY.max_bytes)


class TestLosses:
    """What a service would show in another way is converted here, and told."""

    @pytest.mark.parametrize("value", [0, 10_000, 32_768, 50_000, 65_535])
    def test_sixteen_bits_of_grey(self, value: int) -> None:
        """The brightness stays; a decoder for 8 bits would make almost all of it white."""
        fitted = prepare(encode_image(Pil.new("I;16", (64, 48), value), "PNG"))
        level = round(value / 257)
        assert are_close(decode_image(fitted.data).convert("RGB").getpixel((9, 9)), (level,) * 3, 3)
        assert "16 bits of grey become 8" in str(fitted.note)

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    @pytest.mark.parametrize("size", [(64, 48), (800, 600)])
    def test_transparent_parts_are_white_whatever_the_size(
        self, kind: str, size: tuple[int, int]
    ) -> None:
        """Small files were sent as they are, and became black at the service."""
        decoded = make_noise(size).convert("RGBA")
        decoded.paste((255, 0, 0, 0), (0, 0, 40, 40))
        fitted = prepare(encode_image(decoded, kind, lossless=True))
        made = decode_image(fitted.data)
        assert made.mode == "RGB"
        assert are_close(made.getpixel((20, 20)), (255, 255, 255))
        assert "transparent parts become white" in str(fitted.note)

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_an_alpha_channel_without_use_changes_nothing(self, kind: str) -> None:
        """Screenshots have one."""
        data = encode_image(make_plain().convert("RGBA"), kind)
        assert prepare(data) == images.PreparedImage(data)

    def test_cmyk_becomes_rgb(self) -> None:
        """Also in a small JPEG of an accepted type."""
        fitted = prepare(encode_image(make_plain().convert("CMYK")))
        made = decode_image(fitted.data)
        assert made.mode == "RGB"
        assert are_close(made.getpixel((9, 9)), (255, 165, 0))
        assert "CMYK becomes RGB" in str(fitted.note)

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_an_animation_is_its_first_frame(self, kind: str) -> None:
        """APNG and animated WebP; the note says that the others are not used."""
        frames = [make_plain(colour=colour) for colour in ("blue", "red", "green")]
        fitted = prepare(encode_image(frames[0], kind, save_all=True, append_images=frames[1:]))
        assert "only the first of 3 frames is used" in str(fitted.note)
        assert getattr(decode_image(fitted.data), "n_frames", 1) == 1
        assert are_close(decode_image(fitted.data).convert("RGB").getpixel((9, 9)), (0, 0, 255))


def insert_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """Insert a chunk behind the header of a PNG."""
    crc = zlib.crc32(kind + body).to_bytes(4, "big")
    return png[:33] + len(body).to_bytes(4, "big") + kind + body + crc + png[33:]


PLAIN_PNG = encode_image(make_plain(), "PNG")
LARGE_TEXT = zlib.compress(b"<x:xmpmeta/>" * 120_000)


def make_profile(size: int) -> bytes:
    """Return the chunk of a colour profile of that many zeros."""
    return b"profile\0\0" + zlib.compress(bytes(size))


class TestMetadata:
    """Metadata of any size makes no image broken."""

    @pytest.mark.parametrize(
        "build",
        [
            lambda: insert_chunk(PLAIN_PNG, b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE_TEXT),
            lambda: insert_chunk(PLAIN_PNG, b"zTXt", b"Comment\0\0" + LARGE_TEXT),
            lambda: insert_chunk(PLAIN_PNG, b"iCCP", make_profile(1_500_000)),
            lambda: insert_chunk(PLAIN_PNG, b"iCCP", make_profile(90_000_000)),
            lambda: insert_chunk(PLAIN_PNG, b"iCCP", b"profile\0\7damaged"),
            lambda: encode_image(make_plain(), icc_profile=bytes(1_500_000)),
            lambda: encode_image(make_plain(), "WEBP", icc_profile=bytes(1_500_000)),
            lambda: encode_image(make_plain(), xmp=b"x" * 60_000),
        ],
        ids=["XMP", "text", "profile", "huge", "damaged", "JPEG", "WebP", "JPEG XMP"],
    )
    def test_an_image_with_large_metadata(self, build: Callable[[], bytes]) -> None:
        """It is accepted, sent as it is, and can be made smaller."""
        data = build()
        verify_image("a", data)
        assert prepare(data) == images.PreparedImage(data)
        assert decode_image(prepare(data, max_side=32).data).size == (32, 24)

    def test_a_large_profile_of_a_png_is_kept(self) -> None:
        """It describes the colours of the pixels."""
        profile = bytes(range(256)) * 6000
        data = insert_chunk(PLAIN_PNG, b"iCCP", b"p\0\0" + zlib.compress(profile))
        assert decode_image(prepare(data, max_side=32).data).info["icc_profile"] == profile


class TestBombs:
    """Too many pixels are refused before they are decoded."""

    @pytest.mark.parametrize(
        ("kind", "side"),
        [("PNG", 8_000), ("WEBP", 8_000), ("PNG", 13_000), ("JPEG", 13_000), ("WEBP", 13_000)],
    )
    def test_the_header_is_enough(
        self, monkeypatch: pytest.MonkeyPatch, kind: str, side: int
    ) -> None:
        """The pixels are never decoded."""
        data = encode_image(make_plain((64, 64)), kind)
        if kind == "WEBP":  # 14 bits each for width and height
            place = data.index(b"\x9d\x01\x2a") + 3
            data = data[:place] + side.to_bytes(2, "little") * 2 + data[place + 4 :]
        elif kind == "PNG":
            header = data[12:16] + side.to_bytes(4, "big") * 2 + data[24:29]
            data = data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]
        else:
            data = data.replace(b"\0\x40\0\x40", side.to_bytes(2, "big") * 2, 1)
        monkeypatch.setattr(Pil.Image, "load", Mock(side_effect=AssertionError))
        with warnings.catch_warnings():  # Pillow's own limit only warns below 180 million pixels
            warnings.simplefilter("ignore", Pil.DecompressionBombWarning)
            with pytest.raises(ImageError, match=f"too many pixels: {side}x{side}"):
                verify_image("a", data)

    def test_the_largest_photos_are_accepted(self) -> None:
        """A camera of almost 90 million pixels, as JPEG."""
        verify_image("a", encode_image(Pil.new("L", (11_000, 8_000))))


@pytest.mark.parametrize("data", [b"RIFF\0\0\0\0WEBPVP8 ", b"\xff\xd8\xff\xe0", PLAIN_PNG[:30]])
def test_an_error_shows_no_objects_of_the_program(data: bytes) -> None:
    """Their addresses tell a user nothing."""
    with pytest.raises(ImageError) as caught:
        verify_image("a.png", data)
    assert " object at 0x" not in str(caught.value)


def test_warnings_of_the_image_library_do_not_reach_the_user(veo: Veo) -> None:
    """Such as those about odd EXIF data."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\1"
    Path("a.jpg").write_bytes(encode_image(make_plain(), exif=exif))
    with warnings.catch_warnings(record=True) as caught:
        ran = veo("generate", "a lion", "--start-frame", "a.jpg", "--dry-run", "--sandbox")
    assert ran.code == 0, ran.err
    assert [str(each.message) for each in caught if "PIL" in each.filename] == []


def _rotate(upright: Pil.Image, orientation: int) -> Pil.Image:
    """Rotate an image as a camera with this orientation stores it."""
    undo = {
        2: [Pil.Transpose.FLIP_LEFT_RIGHT],
        3: [Pil.Transpose.ROTATE_180],
        4: [Pil.Transpose.FLIP_TOP_BOTTOM],
        5: [Pil.Transpose.TRANSPOSE],
        6: [Pil.Transpose.ROTATE_90],
        7: [Pil.Transpose.TRANSVERSE],
        8: [Pil.Transpose.ROTATE_270],
    }
    for step in undo[orientation]:
        upright = upright.transpose(step)
    return upright


class TestKeep:
    """Images become references to files that stay."""

    def test_a_file_is_not_copied(self, store: ImageStore, isolated: Path) -> None:
        """Its path is absolute, because another process may continue the job."""
        Path("a.png").write_bytes(data := encode_image(make_plain(), "PNG"))
        stored = store.store(Image.of("a.png"))
        assert stored == Image(
            str(isolated / "here" / "a.png"), None, hashlib.sha256(data).hexdigest()
        )

    @pytest.mark.parametrize("form", ["bytes", "data URI"])
    def test_bytes_are_stored_by_content(
        self, store: ImageStore, tmp_path: Path, form: str
    ) -> None:
        """Equal images are stored once, without temporary files."""
        image = Image.of(encode_image(make_plain()))
        source = image if form == "bytes" else Image.of(image.data_uri())
        stored = store.store(source)
        store.store(image)
        assert (stored.data, stored.read(), stored.sha256) == (None, image.data, image.sha256)
        assert [path.name for path in (tmp_path / "images").iterdir()] == [image.sha256]

    def test_a_url_is_downloaded_once(self, store: ImageStore, tmp_path: Path) -> None:
        """The stored image is used when the server is gone."""
        with RecordingServer(Reply(data := encode_image(make_plain()))) as server:
            image = Image.of(f"{server.url}/a")
            stored = [store.store(image), store.store(image)]
            assert "authorization" not in server.only_request.headers
        assert stored[0] == stored[1]
        assert ImageStore(tmp_path / "images").prepare(stored[0], ANY)[0].data == data

    @pytest.mark.parametrize(
        ("reply", "message"),
        [
            (Reply(b"gone", 404), "HTTP 404"),
            (Reply(b"<html>"), "not an image"),
            (Reply(encode_image(make_plain(), "GIF")), "is a GIF"),
            (Reply(encode_image(make_plain())[:-40], missing=40), "lost before"),
            (Reply(silent=True), "lost before"),
        ],
        ids=["404", "html", "gif", "cut", "silent"],
    )
    def test_a_url_without_an_image_is_an_error(
        self, store: ImageStore, reply: Reply, message: str
    ) -> None:
        """The error has the URL and the reason."""
        with RecordingServer(reply) as server:
            url = f"{server.url}/a.png"
            with pytest.raises(ImageError, match=message) as caught:
                store.store(Image.of(url))
        assert url in str(caught.value)

    @pytest.mark.parametrize("url", [None, "http://", "https://[::1", "http://h:x/"])
    def test_an_unusable_url_is_an_image_error(self, store: ImageStore, url: str | None) -> None:
        """Unreachable or not a URL: the configuration is not to blame."""
        url = url or f"http://127.0.0.1:{find_closed_port()}/a"
        with pytest.raises(ImageError) as caught:
            store.store(Image.of(url))
        assert url in str(caught.value)

    def test_a_huge_download_is_stopped(
        self, store: ImageStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before it fills the memory."""
        monkeypatch.setattr(images, "MAX_BYTES", 1_000_000)
        reply = Reply(b"\xff\xd8\xff" * 1_000_000)
        with RecordingServer(reply) as server, pytest.raises(ImageError, match="larger than 1 MB"):
            store.store(Image.of(f"{server.url}/a"))

    @pytest.mark.parametrize("name", ["missing.png", "."])
    def test_a_path_without_a_file_is_an_error(self, store: ImageStore, name: str) -> None:
        """The error names a missing file or a folder."""
        with pytest.raises(ImageError, match=name.replace(".", r"\.")):
            store.store(Image.of(name))

    def test_a_changed_file_is_checked_again(self, store: ImageStore, isolated: Path) -> None:
        """An unchanged file is checked once."""
        path = Path("a.png")
        path.write_bytes(encode_image(make_plain(), "PNG"))
        first = store.store(Image.of(path))
        path.write_bytes(encode_image(make_plain(colour="red"), "PNG"))
        assert store.store(Image.of(path)).sha256 != first.sha256
        path.write_bytes(b"broken")
        with pytest.raises(ImageError):
            store.store(Image.of(path))

    def test_an_unwritable_folder_is_a_ledger_error(self, tmp_path: Path) -> None:
        """The image is not to blame."""
        (tmp_path / "images").write_text("in the way")
        with pytest.raises(LedgerError, match="cannot store an image"):
            ImageStore(tmp_path / "images").store(Image.of(encode_image(make_plain())))


class TestFitting:
    """Prepared images are shared by many jobs."""

    @pytest.fixture
    def fits(self, monkeypatch: pytest.MonkeyPatch) -> Mock:
        """Counts how often an image is prepared."""
        counted = Mock(side_effect=prepare_image)
        monkeypatch.setattr(images, "prepare_image", counted)
        return counted

    def test_a_prepared_image_has_its_bytes(self, store: ImageStore) -> None:
        """A line names the image if it was changed."""
        stored = store.store(Image.of(encode_image(make_plain((300, 30)))))
        image, note = store.prepare(stored, ImageLimits(max_side=100))
        assert (image.mime, image.filename) == ("image/jpeg", "image.jpg")
        assert str(note).startswith(f"{stored.source}: JPEG 300x30")
        assert store.prepare(stored, ANY)[1] is None

    def test_a_shared_image_is_prepared_once(self, store: ImageStore, fits: Mock) -> None:
        """By however many jobs at the same time."""
        stored = store.store(Image.of(encode_image(make_noise((300, 300)))))
        limits = ImageLimits(max_side=100)
        with ThreadPoolExecutor(16) as pool:
            made = list(pool.map(lambda _: store.prepare(stored, limits)[0].data, range(64)))
        assert (fits.call_count, len(set(made))) == (1, 1)

    def test_few_images_are_decoded_at_a_time(
        self, store: ImageStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Decoded images are large, and a batch of them would fill the memory."""
        stored = [store.store(Image.of(encode_image(make_plain((20 + n, 20))))) for n in range(12)]
        busy, worst = set[int](), [0]

        def slow(*args: Any) -> Any:
            busy.add(threading.get_ident())
            worst.append(len(busy))
            made = prepare_image(*args)
            busy.discard(threading.get_ident())
            return made

        monkeypatch.setattr(images, "prepare_image", slow)
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda image: store.prepare(image, ImageLimits(max_side=16)), stored))
        assert 1 <= max(worst) <= images._MAX_DECODERS

    def test_the_cache_is_limited(self, tmp_path: Path, fits: Mock) -> None:
        """The oldest image is dropped, and prepared again on demand."""
        datas = [encode_image(make_noise((64, 64 + n)), quality=95) for n in range(3)]
        store = ImageStore(tmp_path / "images", cache_bytes=sum(map(len, datas[1:])))
        stored = [store.store(Image.of(data)) for data in datas]
        for image in (*stored, stored[2], stored[1], stored[0]):
            assert store.prepare(image, ANY)[0].data == datas[stored.index(image)]
        assert fits.call_count == 4
        assert sum(len(one.data) for one in store._prepared.values()) <= store._cache_bytes

    def test_an_image_larger_than_the_cache(self, tmp_path: Path) -> None:
        """It is prepared, but not stored."""
        store = ImageStore(tmp_path / "images", cache_bytes=10)
        stored = store.store(Image.of(data := encode_image(make_plain())))
        assert store.prepare(stored, ANY)[0].data == data
        assert not store._prepared

    def test_every_413_halves_the_size(self, store: ImageStore) -> None:
        """Also of an image that was far below the limit."""
        stored = store.store(Image.of(encode_image(make_noise((900, 700)), quality=90)))
        sizes = [len(store.prepare(stored, ANY, shrink)[0].data or b"") for shrink in range(3)]
        assert sizes[1] <= sizes[0] // 2
        assert sizes[2] <= max(sizes[0] // 4, images._MIN_UPLOAD_BYTES)

    def test_a_tiny_image_is_not_reduced(self, store: ImageStore) -> None:
        """It is not what the server found too large."""
        stored = store.store(Image.of(data := encode_image(make_plain())))
        assert store.prepare(stored, ANY, 3)[0].data == data

    @pytest.mark.parametrize("change", ["changed", "gone"])
    def test_the_image_must_be_unchanged(
        self, store: ImageStore, isolated: Path, change: str
    ) -> None:
        """Otherwise the user would pay for the video of another image."""
        path = Path("a.png")
        path.write_bytes(encode_image(make_plain(), "PNG"))
        stored = store.store(Image.of(path))
        path.unlink()
        if change == "changed":
            path.write_bytes(encode_image(make_plain(colour="red"), "PNG"))
        message = "has changed since" if change == "changed" else "no such file"
        with pytest.raises(ImageError, match=message):
            store.prepare(stored, ANY)
