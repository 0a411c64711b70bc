"""Videos on disk: written to part files, checked, and given their names."""

import errno
import hashlib
import itertools
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_videos import make_video

from veo import paths
from veo.bucket import BucketPath
from veo.errors import DownloadError, OutputError, ResponseLostError
from veo.files import output as download
from veo.provider import ByteStream

DATA = bytes(range(200))


def make_stream(
    data: bytes, offset: int = 0, total: int | None = None, piece: int = 7
) -> ByteStream:
    """Return the bytes of a response: a part of a file, in chunks."""
    pieces = (data[at : at + piece] for at in range(0, len(data), piece))
    return ByteStream(pieces, offset, total)


def make_broken_stream(data: bytes, error: Exception, **progress: Any) -> ByteStream:
    """Return a stream that ends with an error."""

    def chunks() -> Iterator[bytes]:
        yield data
        raise error

    return ByteStream(chunks(), **progress)


def write_streams(part: Path, *streams: ByteStream) -> list[tuple[int, int | None]]:
    """Write streams to a part file and return the reported progress."""
    progress: list[tuple[int, int | None]] = []
    for one in streams:
        download.write_stream(one, part, lambda *counts: progress.append(counts))
    return progress


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """The path of a part file that does not exist yet."""
    return tmp_path / ".lion.mp4.job.part"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The path of the video."""
    return tmp_path / "lion.mp4"


class TestReceive:
    """Bytes are written to a part file."""

    def test_all_bytes_in_order(self, part: Path) -> None:
        """Progress is reported for each chunk."""
        progress = write_streams(part, make_stream(DATA, total=200, piece=80))
        assert part.read_bytes() == DATA
        assert progress == [(80, 200), (160, 200), (200, 200)]

    @given(st.integers(0, 200), st.integers(0, 200))
    def test_a_second_attempt_continues(
        self, tmp_path_factory: pytest.TempPathFactory, first: int, offset: int
    ) -> None:
        """It must not start after the end of the part file; later bytes are dropped."""
        part = tmp_path_factory.mktemp("d") / "part"
        write_streams(part, make_stream(DATA[:first]))
        if offset <= first:
            write_streams(part, make_stream(DATA[offset:], offset, 200))
            assert part.read_bytes() == DATA
        else:
            with pytest.raises(DownloadError, match=f"starts at byte {offset} instead of {first}"):
                write_streams(part, make_stream(DATA[offset:], offset, 200))
            assert part.read_bytes() == DATA[:first]

    def test_a_response_from_offset_0_starts_again(self, part: Path) -> None:
        """The old content is replaced."""
        write_streams(part, make_stream(b"x" * 300), make_stream(DATA, 0, 200))
        assert part.read_bytes() == DATA

    def test_an_empty_rest(self, part: Path) -> None:
        """A complete part file stays as it is."""
        write_streams(part, make_stream(DATA), make_stream(b"", 200, 200))
        assert part.read_bytes() == DATA

    def test_bytes_before_a_lost_connection_stay(self, part: Path) -> None:
        """The next attempt can continue from there."""
        with pytest.raises(ResponseLostError):
            write_streams(part, make_broken_stream(DATA[:50], ResponseLostError("cut"), total=200))
        assert download.size_on_disk(part) == 50

    def test_too_few_bytes_are_an_error(self, part: Path) -> None:
        """A connection was closed early; the bytes stay."""
        with pytest.raises(DownloadError, match="150 of 200") as caught:
            write_streams(part, make_stream(DATA[:150], total=200))
        assert (caught.value.retryable, download.size_on_disk(part)) == (True, 150)

    def test_too_many_bytes_are_removed(self, part: Path) -> None:
        """It is not known which of them are right."""
        with pytest.raises(DownloadError, match="154 of 150"):
            write_streams(part, make_stream(DATA, total=150))
        assert download.size_on_disk(part) == 0

    @pytest.mark.parametrize("total", [None, 1 << 40])
    def test_no_file_is_longer_than_a_video(
        self, part: Path, total: int | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An endless stream stops at the limit; an announced length is refused at once."""
        monkeypatch.setattr(download, "MAX_VIDEO_BYTES", 1000)
        endless = itertools.repeat(DATA)
        with pytest.raises(DownloadError, match="a video at most 1000") as caught:
            write_streams(part, ByteStream(endless, 0, total))
        assert (caught.value.retryable, part.exists()) == (False, False)

    def test_bytes_after_the_announced_length_are_not_written(self, part: Path) -> None:
        """The reading ends with the first chunk that is too much."""
        progress: list[tuple[int, int | None]] = []
        endless = ByteStream(itertools.repeat(DATA), 0, 300)
        with pytest.raises(DownloadError, match="400 of 300"):
            download.write_stream(endless, part, lambda *counts: progress.append(counts))
        assert progress == [(200, 300), (400, 300)]

    @pytest.mark.parametrize("error", [None, ResponseLostError("cut"), OSError("disk")])
    def test_the_stream_is_closed(self, part: Path, error: Exception | None) -> None:
        """After success and after every error."""
        one = make_broken_stream(b"", error) if error else make_stream(DATA)
        one.close = Mock()
        with pytest.raises((ResponseLostError, DownloadError)) if error else nullcontext():
            write_streams(part, one)
        one.close.assert_called_once_with()

    @pytest.mark.parametrize(
        ("number", "hint"),
        [(errno.ENOSPC, "Free some space there, then resume the job."), (errno.EIO, None)],
    )
    def test_a_disk_error_is_not_retryable(self, part: Path, number: int, hint: str | None) -> None:
        """A retry at once would not help, but the job can be resumed later."""
        with pytest.raises(DownloadError, match=str(part.parent)) as caught:
            write_streams(part, make_broken_stream(DATA, OSError(number, os.strerror(number))))
        assert caught.value.retryable is False
        assert caught.value.hint == hint


class TestCheck:
    """A part file is checked to its last byte."""

    def test_a_complete_file(self, part: Path) -> None:
        """The result has its size and sha256."""
        part.write_bytes(make_video())
        saved = download.verify_part(part)
        digest = hashlib.sha256(make_video()).hexdigest()
        assert (saved.path, saved.bytes, saved.sha256) == (part, len(make_video()), digest)
        assert saved.footage.seconds == 0.25

    @pytest.mark.parametrize("data", [make_video()[:-1], b"<html>gone</html>", b""])
    def test_an_incomplete_file_is_removed(self, part: Path, data: bytes) -> None:
        """The next attempt must not append to it."""
        part.write_bytes(data)
        with pytest.raises(DownloadError, match="not a complete MP4") as caught:
            download.verify_part(part)
        assert (part.exists(), caught.value.retryable) == (False, True)


class TestPublish:
    """A checked part file gets its name in one step."""

    def test_the_part_file_is_renamed(self, part: Path, output: Path) -> None:
        """Only the output remains."""
        part.write_bytes(DATA)
        assert download.publish_part(part, output, "job", force=False) == output
        assert {path.name: path.read_bytes() for path in output.parent.iterdir()} == {
            "lion.mp4": DATA
        }

    @pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
    def test_an_existing_file_stays(
        self, part: Path, output: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
    ) -> None:
        """The paid video is saved beside it, with the job's id in its name."""
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

    def test_force_replaces_the_file(self, part: Path, output: Path) -> None:
        """In one step."""
        part.write_bytes(DATA)
        output.write_bytes(b"old")
        download.publish_part(part, output, "job", force=True)
        assert (output.read_bytes(), part.exists()) == (DATA, False)

    def test_without_hard_links(
        self, part: Path, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Memory cards and some network drives do not support them."""
        monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.ENOTSUP, "no links")))
        part.write_bytes(DATA)
        assert download.publish_part(part, output, "job", force=False).read_bytes() == DATA

    def test_a_folder_that_cannot_be_flushed(
        self, part: Path, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file exists, and its bytes are durable."""
        monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.EINVAL, "no")))
        part.write_bytes(DATA)
        assert download.publish_part(part, output, "job", force=False) == output

    def test_a_missing_folder_is_an_error(self, part: Path, output: Path) -> None:
        """The part file stays."""
        part.write_bytes(DATA)
        with pytest.raises(DownloadError, match="cannot write"):
            download.publish_part(part, output.parent / "gone" / "lion.mp4", "job", force=False)
        assert part.read_bytes() == DATA


class TestClaim:
    """Outputs are checked before anything is paid."""

    def test_folders_are_created(self, tmp_path: Path) -> None:
        """No other file is left behind."""
        download.prepare_output(tmp_path / "a" / "b" / "lion.mp4", force=False)
        assert list((tmp_path / "a" / "b").iterdir()) == []

    def test_an_existing_file_is_refused(self, output: Path) -> None:
        """Except with `force`."""
        output.write_bytes(b"mine")
        with pytest.raises(OutputError, match=r"lion\.mp4 already exists"):
            download.prepare_output(output, force=False)
        download.prepare_output(output, force=True)
        assert output.read_bytes() == b"mine"

    @pytest.mark.parametrize("force", [False, True])
    def test_a_folder_is_refused(self, tmp_path: Path, *, force: bool) -> None:
        """It is never replaced."""
        with pytest.raises(OutputError, match="is a folder"):
            download.prepare_output(tmp_path, force=force)

    def test_a_file_as_folder_is_refused(self, output: Path) -> None:
        """Nothing can be written below a file."""
        output.write_bytes(b"mine")
        with pytest.raises(OutputError, match="cannot write"):
            download.prepare_output(output / "lion.mp4", force=False)

    def test_a_bucket_is_probed_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A probe is two requests."""
        probe = Mock()
        monkeypatch.setattr(BucketPath, "check_writable", probe)
        download.prepare_output(BucketPath("s3://clips/lion.mp4"), force=True)
        assert probe.call_count == 1

    @pytest.mark.parametrize("method", ["exists", "mkdir", "touch"])
    def test_a_folder_without_permission_is_refused(
        self, output: Path, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        """It cannot be read, created or written."""
        no = PermissionError(errno.EACCES, "Permission denied")
        monkeypatch.setattr(Path, method, Mock(side_effect=no))
        with pytest.raises(OutputError, match="Permission denied"):
            download.prepare_output(output, force=False)

    def test_a_long_name_is_refused(self, tmp_path: Path) -> None:
        """The limit is that of the file system."""
        with pytest.raises(OutputError, match="too long"):
            download.prepare_output(tmp_path / ("x" * 300), force=False)

    def test_two_checks_at_the_same_time(
        self, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A probe file that is already removed is not an error."""
        monkeypatch.setattr(Path, "touch", lambda _: None)
        download.prepare_output(output, force=False)


@given(st.text("狮a😀.", min_size=1, max_size=60).filter(lambda name: set(name) != {"."}))
def test_derived_names_fit(name: str) -> None:
    """File systems count bytes: a name of 60 characters can have 240."""
    output = Path("/videos", name)
    for other in (
        paths.part_path(output, "abcdefghij"),
        paths.alternative_path(output, "abcdefghij"),
    ):
        assert len(other.name.encode()) <= 255
        assert (other.parent, other != output) == (output.parent, True)


def test_part_files_of_jobs_differ() -> None:
    """Two jobs with one output do not write to one file."""
    output = Path("/videos/lion.mp4")
    assert paths.part_path(output, "a") != paths.part_path(output, "b")
    assert paths.part_path(output, "a").name.startswith(".")
