"""From a remote video to a file: whole or not there at all."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_videos import film

from veo import paths
from veo.errors import DownloadError, OutputError, ResponseLostError
from veo.files import output as download
from veo.provider import ByteStream

DATA = bytes(range(200))


def stream(data: bytes, offset: int = 0, total: int | None = None, piece: int = 7) -> ByteStream:
    """Bytes as they come from a server: a slice of a file, in pieces."""
    pieces = (data[at : at + piece] for at in range(0, len(data), piece))
    return ByteStream(pieces, offset, total)


def breaking(data: bytes, error: Exception, **told: Any) -> ByteStream:
    """The same, with an end that nobody wanted."""

    def chunks() -> Iterator[bytes]:
        yield data
        raise error

    return ByteStream(chunks(), **told)


def received(part: Path, *streams: ByteStream) -> list[tuple[int, int | None]]:
    """What a watcher was told while these came in."""
    told: list[tuple[int, int | None]] = []
    for one in streams:
        download.write_stream(one, part, lambda *counts: told.append(counts))
    return told


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A part file, not there yet."""
    return tmp_path / ".lion.mp4.job.part"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Where the video is to be."""
    return tmp_path / "lion.mp4"


class TestReceive:
    """Bytes gather in a part file."""

    def test_all_of_them_in_order(self, part: Path) -> None:
        """And the watcher sees them come."""
        told = received(part, stream(DATA, total=200, piece=80))
        assert part.read_bytes() == DATA
        assert told == [(80, 200), (160, 200), (200, 200)]

    @given(st.integers(0, 200), st.integers(0, 200))
    def test_a_second_try_continues_where_the_server_does(
        self, tmp_path_factory: pytest.TempPathFactory, first: int, offset: int
    ) -> None:
        """Not beyond what is there; what was behind that is dropped."""
        part = tmp_path_factory.mktemp("d") / "part"
        received(part, stream(DATA[:first]))
        if offset <= first:
            received(part, stream(DATA[offset:], offset, 200))
            assert part.read_bytes() == DATA
        else:
            with pytest.raises(DownloadError, match=f"starts at byte {offset} instead of {first}"):
                received(part, stream(DATA[offset:], offset, 200))
            assert part.read_bytes() == DATA[:first]

    def test_a_server_that_begins_again_is_taken_at_its_word(self, part: Path) -> None:
        """Offset 0: what was there is replaced."""
        received(part, stream(b"x" * 300), stream(DATA, 0, 200))
        assert part.read_bytes() == DATA

    def test_nothing_is_left_to_come(self, part: Path) -> None:
        """A part that is whole already stays as it is."""
        received(part, stream(DATA), stream(b"", 200, 200))
        assert part.read_bytes() == DATA

    def test_what_came_before_a_break_is_kept(self, part: Path) -> None:
        """So that the next try can go on from there."""
        with pytest.raises(ResponseLostError):
            received(part, breaking(DATA[:50], ResponseLostError("cut"), total=200))
        assert download.size_on_disk(part) == 50

    def test_too_few_bytes_are_kept_and_told(self, part: Path) -> None:
        """A connection that ended politely, but early."""
        with pytest.raises(DownloadError, match="150 of 200") as caught:
            received(part, stream(DATA[:150], total=200))
        assert (caught.value.retryable, download.size_on_disk(part)) == (True, 150)

    def test_too_many_bytes_are_not_kept(self, part: Path) -> None:
        """Nobody knows which of them are right."""
        with pytest.raises(DownloadError, match="200 of 150"):
            received(part, stream(DATA, total=150))
        assert download.size_on_disk(part) == 0

    @pytest.mark.parametrize("error", [None, ResponseLostError("cut"), OSError("disk")])
    def test_the_stream_is_closed(self, part: Path, error: Exception | None) -> None:
        """Whatever happens."""
        one = breaking(b"", error) if error else stream(DATA)
        one.close = Mock()
        with pytest.raises((ResponseLostError, DownloadError)) if error else nullcontext():
            received(part, one)
        one.close.assert_called_once_with()

    @pytest.mark.parametrize(
        ("number", "hint"),
        [(errno.ENOSPC, "Free some space there, then resume the job."), (errno.EIO, None)],
    )
    def test_a_disk_that_fails_is_told(self, part: Path, number: int, hint: str | None) -> None:
        """Full or broken: trying again at once would not help, resuming later does."""
        with pytest.raises(DownloadError, match=str(part.parent)) as caught:
            received(part, breaking(DATA, OSError(number, os.strerror(number))))
        assert caught.value.retryable is False
        assert caught.value.hint == hint


class TestCheck:
    """A part file is followed to its last byte."""

    def test_a_whole_one_is_known_by_content(self, part: Path) -> None:
        """Its length and sha256."""
        part.write_bytes(film())
        saved = download.verify_part(part)
        assert saved == download.SavedFile(part, len(film()), hashlib.sha256(film()).hexdigest())

    @pytest.mark.parametrize("data", [film()[:-1], b"<html>gone</html>", b""])
    def test_a_broken_one_is_removed(self, part: Path, data: bytes) -> None:
        """The next try begins again, instead of going on behind rubbish."""
        part.write_bytes(data)
        with pytest.raises(DownloadError, match="not a complete MP4") as caught:
            download.verify_part(part)
        assert (part.exists(), caught.value.retryable) == (False, True)


class TestPublish:
    """A checked file gets its name in one step."""

    def test_it_is_there_under_its_name_alone(self, part: Path, output: Path) -> None:
        """The part file is gone."""
        part.write_bytes(DATA)
        assert download.publish_part(part, output, "job", force=False) == output
        assert {path.name: path.read_bytes() for path in output.parent.iterdir()} == {
            "lion.mp4": DATA
        }

    @pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
    def test_a_file_that_came_first_stays(
        self, part: Path, output: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
    ) -> None:
        """The video is saved beside it, with its job's id: it has been paid for."""
        if not links:
            monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.EPERM, "no links")))
        part.write_bytes(DATA)
        output.write_bytes(b"mine")
        path = download.publish_part(part, output, "job", force=False)
        assert (path.name, path.read_bytes(), output.read_bytes()) == (
            "lion.job.mp4",
            DATA,
            b"mine",
        )
        assert not part.exists()

    def test_force_replaces_it(self, part: Path, output: Path) -> None:
        """In one step."""
        part.write_bytes(DATA)
        output.write_bytes(b"old")
        download.publish_part(part, output, "job", force=True)
        assert (output.read_bytes(), part.exists()) == (DATA, False)

    def test_a_file_system_without_links_will_do(
        self, part: Path, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Cards, phones and some network drives have none."""
        monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.ENOTSUP, "no links")))
        part.write_bytes(DATA)
        assert download.publish_part(part, output, "job", force=False).read_bytes() == DATA

    def test_a_folder_that_cannot_be_synced_is_no_failure(
        self, part: Path, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file is there, and its bytes are durable."""
        monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.EINVAL, "no")))
        part.write_bytes(DATA)
        assert download.publish_part(part, output, "job", force=False) == output

    def test_a_folder_that_vanished_is_told(self, part: Path, output: Path) -> None:
        """The bytes are kept wherever the part file is."""
        part.write_bytes(DATA)
        with pytest.raises(DownloadError, match="cannot write"):
            download.publish_part(part, output.parent / "gone" / "lion.mp4", "job", force=False)
        assert part.read_bytes() == DATA


class TestClaim:
    """Before anything is paid it is certain that there is a place."""

    def test_folders_are_made(self, tmp_path: Path) -> None:
        """And nothing else is left behind."""
        download.prepare_output(tmp_path / "a" / "b" / "lion.mp4", force=False)
        assert list((tmp_path / "a" / "b").iterdir()) == []

    def test_a_file_is_not_replaced_unasked(self, output: Path) -> None:
        """With `force` it may be."""
        output.write_bytes(b"mine")
        with pytest.raises(OutputError, match=r"lion\.mp4 already exists"):
            download.prepare_output(output, force=False)
        download.prepare_output(output, force=True)
        assert output.read_bytes() == b"mine"

    @pytest.mark.parametrize("force", [False, True])
    def test_a_folder_is_no_file(self, tmp_path: Path, *, force: bool) -> None:
        """It is never replaced."""
        with pytest.raises(OutputError, match="is a folder"):
            download.prepare_output(tmp_path, force=force)

    def test_a_file_is_no_folder(self, output: Path) -> None:
        """Nothing can be written below one."""
        output.write_bytes(b"mine")
        with pytest.raises(OutputError, match="cannot write"):
            download.prepare_output(output / "lion.mp4", force=False)

    @pytest.mark.parametrize("method", ["exists", "mkdir", "touch"])
    def test_a_folder_that_is_not_ours(
        self, output: Path, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        """Not to be looked into, not to be made, not to be written."""
        no = PermissionError(errno.EACCES, "Permission denied")
        monkeypatch.setattr(Path, method, Mock(side_effect=no))
        with pytest.raises(OutputError, match="Permission denied"):
            download.prepare_output(output, force=False)

    def test_a_name_that_is_too_long(self, tmp_path: Path) -> None:
        """For the disk, not only for us."""
        with pytest.raises(OutputError, match="too long"):
            download.prepare_output(tmp_path / ("x" * 300), force=False)

    def test_two_at_once_do_not_stumble_over_each_other(
        self, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A trial file that is gone again is no sign of anything."""
        monkeypatch.setattr(Path, "touch", lambda _: None)
        download.prepare_output(output, force=False)


@given(st.text("狮a😀.", min_size=1, max_size=60).filter(lambda name: set(name) != {"."}))
def test_every_name_that_fits_has_a_part_and_another_name_that_fit(name: str) -> None:
    """Disks count bytes: a name of 60 letters can have 240."""
    output = Path("/videos", name)
    for other in (
        paths.part_path(output, "abcdefghij"),
        paths.alternative_path(output, "abcdefghij"),
    ):
        assert len(other.name.encode()) <= 255
        assert (other.parent, other != output) == (output.parent, True)


def test_parts_of_different_jobs_are_different() -> None:
    """Two jobs with one output do not write into one file."""
    output = Path("/videos/lion.mp4")
    assert paths.part_path(output, "a") != paths.part_path(output, "b")
    assert paths.part_path(output, "a").name.startswith(".")
