"""Whether a file is a complete MP4, and how long it is."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mp4_boxes import FILE_TYPE, FRAME, make_box, make_file, make_index
from sample_videos import make_video

from veo.files.mp4 import find_defect, read_duration_s


def find_fault(data: bytes) -> str | None:
    """Return what is wrong with some bytes."""
    return find_defect(io.BytesIO(data))


HEAD = make_box(b"ftyp", b"isom") + make_box(b"moov")
OPEN_FRAMES = make_box(b"mdat", FRAME, open_end=True)


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

    @pytest.mark.parametrize("tail", [b"\0", b"\n", b"\r\n--boundary--\r\n", bytes(8), b"<html>"])
    def test_a_few_stray_bytes(self, tail: bytes, *, fast_start: bool) -> None:
        """The file is whole: every frame is there."""
        assert find_fault(make_video(fast_start=fast_start) + tail) is None

    def test_another_response_behind_the_file(self, *, fast_start: bool) -> None:
        """An error page or a part of a second file at the end is found."""
        data = make_video(fast_start=fast_start)
        for tail in (b"<html>" * 20, data[:100], data):
            assert find_fault(data + tail) is not None


class TestBoxes:
    """Lengths as ISO 14496-12 allows them."""

    @pytest.mark.parametrize(
        "data",
        [
            make_file(),
            make_file(large=True),
            make_file(wide=True),
            make_file(version=1),
            make_file(frames=2, sizes=(2, 3)),
            make_file() + make_box(b"free", b"x" * 9),
            make_file(b"..frame..", at=2),
            FILE_TYPE + make_index(len(FILE_TYPE + make_index(0)) + 8) + OPEN_FRAMES,
        ],
        ids=["short", "large", "wide", "version 1", "sizes", "others behind", "inside", "open"],
    )
    def test_complete(self, data: bytes) -> None:
        """Every kind of length and of index is accepted."""
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
            (HEAD + make_box(b"mdat"), "it has no video track"),
            (make_box(b"ftyp") + make_box(b"moov") + make_box(b"mdat"), "it has no video track"),
            (make_file(kind=b"soun"), "it has no video track"),
            (make_file(frames=0), "it has no video"),
            (make_file(b"fram"), "frames of its video are missing"),
            (make_file(b""), "frames of its video are missing"),
            (make_file(at=1), "frames of its video are missing"),
            (make_file(at=-1), "frames of its video are missing"),
            (make_file(at=10**6), "frames of its video are missing"),
            (make_file(frames=2, sizes=(3, 3)), "frames of its video are missing"),
            (make_file(frames=3, sizes=(1, 1)), "its index cannot be read"),
            (make_file().replace(b"stsz", b"free"), "its index cannot be read"),
            (HEAD + make_box(b"moof") + make_box(b"mdat", b"a"), "it has no video"),
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

    @given(st.integers(0, len(make_file()) - 1), st.binary(min_size=1, max_size=8))
    def test_any_damage_is_checked(self, at: int, damage: bytes) -> None:
        """An index that is wrong anywhere raises no error either."""
        data = make_file(frames=2, sizes=(2, 3))
        assert isinstance(find_fault(data[:at] + damage + data[at + len(damage) :]), str | None)


class TestSeconds:
    """The length of the video track."""

    def test_a_real_file(self, tmp_path: Path) -> None:
        """Twelve frames at 24 per second are half a second."""
        (tmp_path / "a.mp4").write_bytes(make_video(frames=12))
        assert read_duration_s(tmp_path / "a.mp4") == pytest.approx(0.5)

    @pytest.mark.parametrize(
        "data", [b"", b"no video", HEAD + make_box(b"mdat"), make_file(seconds=0)]
    )
    def test_not_a_video(self, tmp_path: Path, data: bytes) -> None:
        """The length is unknown."""
        (tmp_path / "a.mp4").write_bytes(data)
        assert read_duration_s(tmp_path / "a.mp4") is None

    def test_a_missing_file(self, tmp_path: Path) -> None:
        """The length is unknown."""
        assert read_duration_s(tmp_path / "a.mp4") is None
