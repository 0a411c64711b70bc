"""Pictures made fit to send: looked at once, turned, converted, shrunk."""

import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pil
from PIL import ImageCms
from raw_server import closed_port
from recording_server import RecordingServer, Reply

from veo.errors import ImageError, LedgerError
from veo.files import images as pictures
from veo.files.images import ImageStore, prepare_image, verify_image
from veo.image import Image, detect_mime
from veo.model import ImageLimits

ANY = ImageLimits()
ORIENTATION = 0x0112


def encoded(picture: Pil.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """A picture as bytes."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def plain(size: tuple[int, int] = (64, 48), colour: str = "orange") -> Pil.Image:
    """A picture of one colour."""
    return Pil.new("RGB", size, colour)


def noise(size: tuple[int, int]) -> Pil.Image:
    """A picture that cannot be compressed, always the same."""
    return Pil.frombytes("RGB", size, Random(7).randbytes(3 * size[0] * size[1]))


def decoded(data: bytes) -> Pil.Image:
    """A picture out of bytes, whole."""
    picture = Pil.open(io.BytesIO(data))
    picture.load()
    return picture


def near(one: Any, other: Any, slack: int = 12) -> bool:
    """Whether two colours are as good as the same after JPEG."""
    return all(abs(a - b) <= slack for a, b in zip(one, other, strict=True))


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """The pictures of a ledger."""
    return ImageStore(tmp_path / "pictures")


class TestVerify:
    """Looked at to the end before anything is paid."""

    @pytest.mark.parametrize(
        "data",
        [
            encoded(plain()),
            encoded(plain(), progressive=True),
            encoded(plain().convert("CMYK")),
            encoded(plain().convert("L")),
            encoded(plain(), "PNG"),
            encoded(plain().convert("RGBA"), "PNG"),
            encoded(plain().convert("P"), "PNG", transparency=0),
            encoded(Pil.new("I;16", (9, 9), 40_000), "PNG"),
            encoded(plain(), "WEBP"),
            encoded(plain(), "WEBP", save_all=True, append_images=[plain(colour="red")]),
        ],
        ids=["JPEG", "scans", "CMYK", "grey", "PNG", "RGBA", "P", "16 bit", "WebP", "moving"],
    )
    def test_jpeg_png_and_webp_are_taken(self, data: bytes) -> None:
        """In all their dresses."""
        verify_image("a", data)

    @pytest.mark.parametrize(
        ("kind", "says"),
        [("GIF", "is a GIF"), ("BMP", "is a BMP"), ("TIFF", "is a TIFF"), ("AVIF", "is a AVIF")],
    )
    def test_other_kinds_are_refused(self, kind: str, says: str) -> None:
        """By name, with what would be taken."""
        with pytest.raises(ImageError, match=f"frame.png {says}") as caught:
            verify_image("frame.png", encoded(plain(), kind))
        assert "JPEG, PNG or WebP" in str(caught.value.hint)

    @pytest.mark.parametrize("data", [b"", b"no picture", b"<svg/>", b"\0\0\0\x18ftypisom"])
    def test_what_is_no_picture_is_refused(self, data: bytes) -> None:
        """By name too."""
        with pytest.raises(ImageError, match=r"frame\.png is not an image"):
            verify_image("frame.png", data)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("kept", [0.999, 0.9, 0.5, 0.1, 0.02])
    def test_a_truncated_picture_is_refused(self, kind: str, kept: float) -> None:
        """A file that a copy or download left half: wherever it ends."""
        data = encoded(noise((200, 150)), kind)
        with pytest.raises(ImageError, match=r"a\.png is (broken or truncated|not an image)"):
            verify_image("a.png", data[: int(len(data) * kept)])

    def test_too_many_pixels_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A small file can be a picture that fills the memory."""
        data = encoded(plain((300, 300)), "PNG")
        monkeypatch.setattr(Pil, "MAX_IMAGE_PIXELS", 1000)
        with pytest.raises(ImageError, match="too many pixels"):
            verify_image("a.png", data)


BASES = {
    kind: encoded(noise((24, 20)), kind, exif=Pil.Exif() if kind != "PNG" else None)
    for kind in ("JPEG", "PNG", "WEBP")
}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(BASES)), st.integers(0, 10**6), st.binary(min_size=1, max_size=9))
def test_a_damaged_picture_is_fitted_or_refused(kind: str, at: int, damage: bytes) -> None:
    """What decoders raise about rubbish is an error of ours, whatever its kind."""
    data = bytearray(BASES[kind])
    at %= len(data)
    data[at : at + len(damage)] = damage
    try:
        verify_image("a", bytes(data))
        made = prepare_image("a", bytes(data), ImageLimits(max_side=16), 10**6)
        assert decoded(made.data).size <= (16, 16)
    except ImageError as error:
        assert str(error).startswith("a ")  # noqa: PT017 - either is right


class TestFit:
    """Changed as little as the model allows, and said so."""

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_what_fits_is_not_touched(self, kind: str) -> None:
        """Not a byte."""
        data = encoded(plain(), kind)
        assert prepare_image("a", data, ANY, ANY.max_bytes) == pictures.PreparedImage(data)

    @pytest.mark.parametrize("orientation", range(2, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_it_is_turned_upright(self, kind: str, orientation: int) -> None:
        """Cameras write how they were held; models do not read it."""
        upright = plain((64, 48), "blue")
        upright.paste("red", (0, 0, 20, 20))
        turned = _turned(upright, orientation)
        exif = Pil.Exif()
        exif[ORIENTATION] = orientation
        fitted = prepare_image(
            "a", encoded(turned, kind, exif=exif, quality=95), ANY, ANY.max_bytes
        )
        made = decoded(fitted.data)
        assert made.size == (64, 48)
        assert made.getexif().get(ORIENTATION, 1) == 1
        assert near(made.getpixel((8, 8)), (254, 0, 0), 30)
        assert near(made.getpixel((56, 40)), (0, 0, 254), 30)
        assert fitted.note

    def test_a_large_png_becomes_a_jpeg(self) -> None:
        """Photographs as PNG are what makes uploads fail."""
        data = encoded(noise((800, 600)), "PNG")
        fitted = prepare_image("a.png", data, ANY, ANY.max_bytes)
        assert (detect_mime(fitted.data), decoded(fitted.data).size) == ("image/jpeg", (800, 600))
        assert len(fitted.data) < len(data)
        assert fitted.note == (
            f"PNG 800x600, {len(data) / 1e6:.1f} MB"
            f" -> JPEG 800x600, {len(fitted.data) / 1e6:.1f} MB"
        )

    def test_a_kind_that_the_model_does_not_take_becomes_a_jpeg(self) -> None:
        """However small."""
        limits = ImageLimits(types=("image/jpeg", "image/png"))
        made = prepare_image("a", encoded(plain(), "WEBP"), limits, limits.max_bytes)
        assert detect_mime(made.data) == "image/jpeg"

    @pytest.mark.parametrize(
        "see_through",
        [
            encoded(Pil.new("RGBA", (64, 48), (255, 0, 0, 0)), "WEBP", lossless=True),
            encoded(Pil.new("LA", (64, 48), (0, 0)), "PNG"),
            encoded(Pil.new("P", (64, 48), 0), "PNG", transparency=0),
            encoded(Pil.new("RGB", (64, 48), "red"), "PNG", transparency=(255, 0, 0)),
        ],
        ids=["RGBA", "LA", "P", "RGB"],
    )
    def test_what_can_be_seen_through_lies_on_white(self, see_through: bytes) -> None:
        """Not on black, and not on the colour that is hidden in there."""
        limits = ImageLimits(types=("image/jpeg",))
        made = decoded(prepare_image("a", see_through, limits, limits.max_bytes).data)
        assert near(made.getpixel((30, 20)), (255, 255, 255))

    @pytest.mark.parametrize(
        ("picture", "colour"),
        [
            (plain().convert("CMYK"), (255, 165, 0)),
            (Pil.new("L", (64, 48), 128), (128, 128, 128)),
            (Pil.new("RGBA", (64, 48), (0, 0, 255, 128)), (127, 127, 255)),
        ],
        ids=["CMYK", "grey", "half"],
    )
    def test_colours_stay_what_they_were(self, picture: Pil.Image, colour: Any) -> None:
        """Printing colours, greys, and what is half seen through."""
        kind = "JPEG" if picture.mode != "RGBA" else "PNG"
        limits = ImageLimits(types=("image/webp",))
        made = decoded(prepare_image("a", encoded(picture, kind), limits, limits.max_bytes).data)
        assert near(made.getpixel((30, 20)), colour)

    def test_a_colour_profile_is_kept(self) -> None:
        """A phone's wide colours would fade without it."""
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        limits = ImageLimits(max_side=32)
        made = prepare_image("a", encoded(plain(), icc_profile=profile), limits, limits.max_bytes)
        assert decoded(made.data).info["icc_profile"] == profile
        grey = encoded(plain().convert("CMYK"), icc_profile=profile)
        assert (
            "icc_profile"
            not in decoded(prepare_image("a", grey, limits, limits.max_bytes).data).info
        )

    @pytest.mark.parametrize(("size", "made"), [((900, 300), (100, 33)), ((300, 900), (33, 100))])
    def test_a_side_that_is_too_long_is_shrunk(
        self, size: tuple[int, int], made: tuple[int, int]
    ) -> None:
        """In proportion, and never enlarged."""
        limits = ImageLimits(max_side=100)
        fitted = prepare_image("a", encoded(plain(size)), limits, limits.max_bytes)
        assert decoded(fitted.data).size == made
        small = encoded(plain((50, 20)))
        assert prepare_image("a", small, limits, limits.max_bytes).data == small

    @pytest.mark.parametrize("max_bytes", [200_000, 60_000, 20_000])
    def test_bytes_that_are_too_many_are_shrunk(self, max_bytes: int) -> None:
        """By quality first, then by size; it never stays above the limit."""
        data = encoded(noise((700, 500)), quality=95)
        fitted = prepare_image("a", data, ANY, max_bytes)
        assert len(fitted.data) <= max_bytes < len(data)
        width, height = decoded(fitted.data).size
        assert width / height == pytest.approx(1.4, abs=0.05)

    def test_a_limit_that_nothing_useful_fits_is_an_error(self) -> None:
        """Not a picture of eight pixels."""
        with pytest.raises(ImageError, match=r"a\.jpg does not fit into 300 bytes"):
            prepare_image("a.jpg", encoded(noise((700, 500))), ANY, 300)


def _turned(upright: Pil.Image, orientation: int) -> Pil.Image:
    """As a camera held that way stores it: the inverse of what a viewer does."""
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
    """A picture by reference to a file that stays."""

    def test_a_file_stays_where_it_is(self, store: ImageStore, isolated: Path) -> None:
        """Named from the root on: the job may go on elsewhere."""
        Path("a.png").write_bytes(data := encoded(plain(), "PNG"))
        kept = store.store(Image.of("a.png"))
        assert kept == Image(
            str(isolated / "here" / "a.png"), None, hashlib.sha256(data).hexdigest()
        )

    @pytest.mark.parametrize("form", ["bytes", "data URI"])
    def test_bytes_are_stored_by_content(
        self, store: ImageStore, tmp_path: Path, form: str
    ) -> None:
        """Once, whatever way they came; nothing else lies about."""
        image = Image.of(encoded(plain()))
        given_ = image if form == "bytes" else Image.of(image.data_uri())
        kept = store.store(given_)
        store.store(image)
        assert (kept.data, kept.read(), kept.sha256) == (None, image.data, image.sha256)
        assert [path.name for path in (tmp_path / "pictures").iterdir()] == [image.sha256]

    def test_a_url_is_downloaded_once(self, store: ImageStore, tmp_path: Path) -> None:
        """And lives on when the server does not."""
        with RecordingServer(Reply(data := encoded(plain()))) as server:
            image = Image.of(f"{server.url}/a")
            kept = [store.store(image), store.store(image)]
            assert "authorization" not in server.only.headers
        assert kept[0] == kept[1]
        assert ImageStore(tmp_path / "pictures").prepare(kept[0], ANY)[0].data == data

    @pytest.mark.parametrize(
        ("reply", "says"),
        [
            (Reply(b"gone", 404), "HTTP 404"),
            (Reply(b"<html>"), "not an image"),
            (Reply(encoded(plain(), "GIF")), "is a GIF"),
            (Reply(encoded(plain())[:-40], missing=40), "broke before"),
            (Reply(silent=True), "broke before"),
        ],
        ids=["404", "html", "gif", "cut", "silent"],
    )
    def test_a_url_without_a_picture_is_named(
        self, store: ImageStore, reply: Reply, says: str
    ) -> None:
        """With what is wrong with it."""
        with RecordingServer(reply) as server:
            url = f"{server.url}/a.png"
            with pytest.raises(ImageError, match=says) as caught:
                store.store(Image.of(url))
        assert url in str(caught.value)

    @pytest.mark.parametrize("url", [None, "http://", "https://[::1", "http://h:x/"])
    def test_a_url_that_leads_nowhere_is_named(self, store: ImageStore, url: str | None) -> None:
        """Nobody there, or no URL at all: a picture's error, not one of the configuration."""
        url = url or f"http://127.0.0.1:{closed_port()}/a"
        with pytest.raises(ImageError) as caught:
            store.store(Image.of(url))
        assert url in str(caught.value)

    def test_a_huge_download_is_stopped(
        self, store: ImageStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before it fills the memory."""
        monkeypatch.setattr(pictures, "_MAX_DOWNLOAD_BYTES", 1_000_000)
        reply = Reply(b"\xff\xd8\xff" * 1_000_000)
        with RecordingServer(reply) as server, pytest.raises(ImageError, match="larger than 1 MB"):
            store.store(Image.of(f"{server.url}/a"))

    @pytest.mark.parametrize("name", ["missing.png", "."])
    def test_a_file_that_is_none_is_named(self, store: ImageStore, name: str) -> None:
        """Missing, or a folder."""
        with pytest.raises(ImageError, match=name.replace(".", r"\.")):
            store.store(Image.of(name))

    def test_a_file_is_looked_at_again_when_it_has_changed(
        self, store: ImageStore, isolated: Path
    ) -> None:
        """And only then."""
        path = Path("a.png")
        path.write_bytes(encoded(plain(), "PNG"))
        first = store.store(Image.of(path))
        path.write_bytes(encoded(plain(colour="red"), "PNG"))
        assert store.store(Image.of(path)).sha256 != first.sha256
        path.write_bytes(b"broken")
        with pytest.raises(ImageError):
            store.store(Image.of(path))

    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        """As what it is: not the picture's fault."""
        (tmp_path / "pictures").write_text("in the way")
        with pytest.raises(LedgerError, match="cannot store an image"):
            ImageStore(tmp_path / "pictures").store(Image.of(encoded(plain())))


class TestFitting:
    """The pictures of many jobs."""

    @pytest.fixture
    def fits(self, monkeypatch: pytest.MonkeyPatch) -> Mock:
        """Counts how often a picture is really worked on."""
        counted = Mock(side_effect=prepare_image)
        monkeypatch.setattr(pictures, "prepare_image", counted)
        return counted

    def test_it_carries_its_bytes(self, store: ImageStore) -> None:
        """As a provider needs it, with a line that names the picture."""
        kept = store.store(Image.of(encoded(plain((300, 30)))))
        image, note = store.prepare(kept, ImageLimits(max_side=100))
        assert (image.mime, image.filename) == ("image/jpeg", "image.jpg")
        assert str(note).startswith(f"{kept.source}: JPEG 300x30")
        assert store.prepare(kept, ANY)[1] is None

    def test_a_shared_frame_is_worked_on_once(self, store: ImageStore, fits: Mock) -> None:
        """By however many jobs at the same time."""
        kept = store.store(Image.of(encoded(noise((300, 300)))))
        limits = ImageLimits(max_side=100)
        with ThreadPoolExecutor(16) as pool:
            made = list(pool.map(lambda _: store.prepare(kept, limits)[0].data, range(64)))
        assert (fits.call_count, len(set(made))) == (1, 1)

    def test_only_a_few_are_worked_on_at_a_time(
        self, store: ImageStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A decoded picture is large: a batch of frames must not fill the memory."""
        kept = [store.store(Image.of(encoded(plain((20 + n, 20))))) for n in range(12)]
        busy, worst = set[int](), [0]

        def slow(*args: Any) -> Any:
            busy.add(threading.get_ident())
            worst.append(len(busy))
            made = prepare_image(*args)
            busy.discard(threading.get_ident())
            return made

        monkeypatch.setattr(pictures, "prepare_image", slow)
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda image: store.prepare(image, ImageLimits(max_side=10)), kept))
        assert 1 <= max(worst) <= pictures._MAX_DECODERS

    def test_what_is_remembered_has_an_end(self, tmp_path: Path, fits: Mock) -> None:
        """The oldest goes when there is no room; it is made again when it is asked for."""
        datas = [encoded(noise((64, 64 + n)), quality=95) for n in range(3)]
        store = ImageStore(tmp_path / "pictures", cache_bytes=sum(map(len, datas[1:])))
        kept = [store.store(Image.of(data)) for data in datas]
        for image in (*kept, kept[2], kept[1], kept[0]):
            assert store.prepare(image, ANY)[0].data == datas[kept.index(image)]
        assert fits.call_count == 4
        assert sum(len(one.data) for one in store._prepared.values()) <= store._cache_bytes

    def test_one_that_is_larger_than_the_room_is_fitted_all_the_same(self, tmp_path: Path) -> None:
        """And not remembered."""
        store = ImageStore(tmp_path / "pictures", cache_bytes=10)
        kept = store.store(Image.of(data := encoded(plain())))
        assert store.prepare(kept, ANY)[0].data == data
        assert not store._prepared

    def test_every_413_makes_it_smaller_than_what_was_sent(self, store: ImageStore) -> None:
        """Also a picture that was far below the limit already."""
        kept = store.store(Image.of(encoded(noise((900, 700)), quality=90)))
        sizes = [len(store.prepare(kept, ANY, shrink)[0].data or b"") for shrink in range(3)]
        assert sizes[1] <= sizes[0] // 2
        assert sizes[2] <= max(sizes[0] // 4, pictures._MIN_UPLOAD_BYTES)

    def test_a_picture_that_is_tiny_stays(self, store: ImageStore) -> None:
        """It is not what the server found too large."""
        kept = store.store(Image.of(data := encoded(plain())))
        assert store.prepare(kept, ANY, 3)[0].data == data

    @pytest.mark.parametrize("change", ["changed", "gone"])
    def test_it_must_be_the_picture_that_was_planned(
        self, store: ImageStore, isolated: Path, change: str
    ) -> None:
        """Nobody pays for a video of something else."""
        path = Path("a.png")
        path.write_bytes(encoded(plain(), "PNG"))
        kept = store.store(Image.of(path))
        path.unlink()
        if change == "changed":
            path.write_bytes(encoded(plain(colour="red"), "PNG"))
        says = "has changed since" if change == "changed" else "no such file"
        with pytest.raises(ImageError, match=says):
            store.prepare(kept, ANY)
