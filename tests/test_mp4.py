"""Whether a file is a complete MP4, and how long it is."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_videos import make_video

from veo.files.mp4 import find_defect, read_duration_s


def find_fault(data: bytes) -> str | None:
    """Return what is wrong with some bytes."""
    return find_defect(io.BytesIO(data))


def make_box(
    kind: bytes, body: bytes = b"", *, large: bool = False, open_end: bool = False
) -> bytes:
    """Return a box with a 32-bit length, a 64-bit length, or none."""
    if large:
        return b"\0\0\0\1" + kind + (16 + len(body)).to_bytes(8, "big") + body
    length = 0 if open_end else 8 + len(body)
    return length.to_bytes(4, "big") + kind + body


HEAD = make_box(b"ftyp", b"isom") + make_box(b"moov")


@pytest.mark.parametrize("fast_start", [False, True])
class TestRealFiles:
    """Files of a real muxer, with the index before or after the frames."""

    def test_a_complete_file(self, *, fast_start: bool) -> None:
        """It has no defect."""
        data = make_video(fast_start=fast_start)
        assert find_fault(data) is None
        assert (data.find(b"moov") < data.find(b"mdat")) is fast_start

    def test_a_truncated_file(self, *, fast_start: bool) -> None:
        """Truncation is found at every byte, even where players show the full length."""
        data = make_video(fast_start=fast_start)
        assert not [end for end in range(len(data)) if find_fault(data[:end]) is None]

    def test_trailing_bytes(self, *, fast_start: bool) -> None:
        """An error page or a part of a second response at the end is found."""
        data = make_video(fast_start=fast_start)
        for tail in (b"<html>", b"\0", data[:20]):
            assert find_fault(data + tail) is not None


class TestBoxes:
    """Lengths as ISO 14496-12 allows them."""

    @pytest.mark.parametrize(
        "data",
        [
            HEAD + make_box(b"mdat", b"abc"),
            HEAD + make_box(b"mdat", b"abc", large=True),
            HEAD + make_box(b"mdat", b"abc", open_end=True),
            make_box(b"ftyp") + make_box(b"free", b"x" * 9) + make_box(b"mdat") + make_box(b"moov"),
        ],
        ids=["short", "large", "open", "others between"],
    )
    def test_complete(self, data: bytes) -> None:
        """Every kind of length is accepted."""
        assert find_fault(data) is None

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "it has no ftyp and no moov and no mdat box"),
            (HEAD, "it has no mdat box"),
            (make_box(b"ftyp") + make_box(b"mdat"), "it has no moov box"),
            (b"<!doctype html>" * 9, "it does not start like an MP4"),
            (b'{"error": "gone"}', "it does not start like an MP4"),
            (make_box(b"moov") + make_box(b"ftyp"), "it does not start like an MP4"),
            (HEAD + make_box(b"mdat", b"abc")[:-1], "it ends within 'mdat', 1 bytes short"),
            (
                HEAD + make_box(b"mdat", b"abc", large=True)[:-2],
                "it ends within 'mdat', 2 bytes short",
            ),
            (HEAD + b"\0\0\0\7mdat", f"it has no valid box at byte {len(HEAD)}"),
        ],
    )
    def test_each_defect_has_a_message(self, data: bytes, message: str) -> None:
        """The message is a few words."""
        assert find_fault(data) == message

    @given(st.binary(max_size=200))
    def test_any_bytes_are_checked(self, tail: bytes) -> None:
        """No input raises an error or loops."""
        assert find_fault(tail) is not None
        assert isinstance(find_fault(HEAD + tail), str | None)


class TestSeconds:
    """The length of the video track."""

    def test_a_real_file(self, tmp_path: Path) -> None:
        """Twelve frames at 24 per second are half a second."""
        (tmp_path / "a.mp4").write_bytes(make_video(frames=12))
        assert read_duration_s(tmp_path / "a.mp4") == pytest.approx(0.5)

    @pytest.mark.parametrize("data", [b"", b"no video", HEAD + make_box(b"mdat")])
    def test_not_a_video(self, tmp_path: Path, data: bytes) -> None:
        """The length is unknown."""
        (tmp_path / "a.mp4").write_bytes(data)
        assert read_duration_s(tmp_path / "a.mp4") is None

    def test_a_missing_file(self, tmp_path: Path) -> None:
        """The length is unknown."""
        assert read_duration_s(tmp_path / "a.mp4") is None
