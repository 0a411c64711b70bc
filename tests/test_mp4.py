"""Whether a file is a whole MP4: the bytes tell, to the last one."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_videos import film

from veo.files.mp4 import find_defect, read_duration_s


def fault(data: bytes) -> str | None:
    """What is wrong with these bytes."""
    return find_defect(io.BytesIO(data))


def box(kind: bytes, body: bytes = b"", *, large: bool = False, open_end: bool = False) -> bytes:
    """One box: with a short, a 64-bit or no length."""
    if large:
        return b"\0\0\0\1" + kind + (16 + len(body)).to_bytes(8, "big") + body
    length = 0 if open_end else 8 + len(body)
    return length.to_bytes(4, "big") + kind + body


HEAD = box(b"ftyp", b"isom") + box(b"moov")


@pytest.mark.parametrize("fast_start", [False, True])
class TestRealFiles:
    """Written by a real muxer, with the index behind or before the pictures."""

    def test_a_whole_file_is_whole(self, *, fast_start: bool) -> None:
        """And lasts as long as its frames."""
        data = film(fast_start=fast_start)
        assert fault(data) is None
        assert (data.find(b"moov") < data.find(b"mdat")) is fast_start

    def test_it_is_not_whole_cut_anywhere(self, *, fast_start: bool) -> None:
        """At every single byte: even where players still show its full length."""
        data = film(fast_start=fast_start)
        assert not [end for end in range(len(data)) if fault(data[:end]) is None]

    def test_nor_with_something_behind_it(self, *, fast_start: bool) -> None:
        """An error page or half a second answer appended."""
        data = film(fast_start=fast_start)
        for tail in (b"<html>", b"\0", data[:20]):
            assert fault(data + tail) is not None


class TestBoxes:
    """Lengths as the format allows them."""

    @pytest.mark.parametrize(
        "data",
        [
            HEAD + box(b"mdat", b"abc"),
            HEAD + box(b"mdat", b"abc", large=True),
            HEAD + box(b"mdat", b"abc", open_end=True),
            box(b"ftyp") + box(b"free", b"x" * 9) + box(b"mdat") + box(b"moov"),
        ],
        ids=["short", "large", "open", "others between"],
    )
    def test_whole(self, data: bytes) -> None:
        """Nothing to complain about."""
        assert fault(data) is None

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"", "it has no ftyp and no moov and no mdat box"),
            (HEAD, "it has no mdat box"),
            (box(b"ftyp") + box(b"mdat"), "it has no moov box"),
            (b"<!doctype html>" * 9, "it does not start like an MP4"),
            (b'{"error": "gone"}', "it does not start like an MP4"),
            (box(b"moov") + box(b"ftyp"), "it does not start like an MP4"),
            (HEAD + box(b"mdat", b"abc")[:-1], "it ends within 'mdat', 1 bytes short"),
            (HEAD + box(b"mdat", b"abc", large=True)[:-2], "it ends within 'mdat', 2 bytes short"),
            (HEAD + b"\0\0\0\7mdat", f"it has no valid box at byte {len(HEAD)}"),
        ],
    )
    def test_the_fault_is_named(self, data: bytes, says: str) -> None:
        """In a few words for a person."""
        assert fault(data) == says

    @given(st.binary(max_size=200))
    def test_any_bytes_have_an_answer(self, tail: bytes) -> None:
        """Never an error, never for ever."""
        assert fault(tail) is not None
        assert isinstance(fault(HEAD + tail), str | None)


class TestSeconds:
    """How long the pictures last."""

    def test_of_a_real_file(self, tmp_path: Path) -> None:
        """Twelve frames at 24 a second."""
        (tmp_path / "a.mp4").write_bytes(film(frames=12))
        assert read_duration_s(tmp_path / "a.mp4") == pytest.approx(0.5)

    @pytest.mark.parametrize("data", [b"", b"no video", HEAD + box(b"mdat")])
    def test_of_what_is_none(self, tmp_path: Path, data: bytes) -> None:
        """Nobody can tell."""
        (tmp_path / "a.mp4").write_bytes(data)
        assert read_duration_s(tmp_path / "a.mp4") is None

    def test_of_what_is_not_there(self, tmp_path: Path) -> None:
        """Nobody can tell either."""
        assert read_duration_s(tmp_path / "a.mp4") is None
