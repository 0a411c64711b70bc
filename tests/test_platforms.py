"""What Windows and macOS do differently, with stand-ins for what only they have."""

import errno
import os
import signal
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from veo import paths
from veo.engine import waiting
from veo.files.atomic import open_atomic
from veo.files.output import publish_part
from veo.ledger import Ledger
from veo.ledger.heartbeat import WorkerLease
from veo_commands import signals


class TestWindows:
    """Ctrl-C is heard between two waits only; open files cannot be deleted; a signal more."""

    def test_no_wait_is_long(self) -> None:
        """A signal that comes just before a wait is noticed after it, on all platforms."""
        assert next(waiting.time_slices(None)) <= 1
        assert next(waiting.time_slices(3600)) <= 1

    def test_a_long_wait_has_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A wait without a timeout, or a long one, is never longer than a slice."""
        monkeypatch.setattr(waiting, "SLICE_S", 0.001)
        endless, timed = waiting.time_slices(None), waiting.time_slices(5)

        assert [next(endless), next(endless), next(timed), next(timed)] == [0.001] * 4

    def test_the_end_of_a_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A timeout that is over is one wait of no time; a value ends the wait at once."""
        monkeypatch.setattr(waiting, "SLICE_S", 0.001)
        values = SimpleQueue[int]()
        threading.Timer(0.01, values.put, [7]).start()

        assert list(waiting.time_slices(0)) == [0.0]
        assert waiting.take_next(values, None) == 7
        with pytest.raises(Empty):
            waiting.take_next(values, 0.002)

    def test_a_window_that_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """SIGBREAK ends a command like Ctrl-C."""
        handlers: dict[int, Any] = {}
        system = SimpleNamespace(
            SIGBREAK=21,
            default_int_handler=signal.default_int_handler,
            getsignal=lambda number: handlers.get(number, signal.SIG_DFL),
            signal=handlers.__setitem__,
        )
        monkeypatch.setattr(signals, "signal", system)
        signals.exit_on_interrupt()
        signals.raise_interrupts()

        assert handlers == {21: signal.default_int_handler}

    def test_files_that_others_have_open(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A lock file or a part file that cannot be deleted loses no work and no video."""
        part = tmp_path / "part"
        part.write_bytes(b"video")
        ledger = Ledger(tmp_path / "home")
        lease = WorkerLease(ledger)

        def refuse(path: Path, **_: object) -> None:
            raise PermissionError(errno.EACCES, "used by another process", str(path))

        monkeypatch.setattr(Path, "unlink", refuse)
        output = publish_part(part, tmp_path / "lion.mp4", "job", force=False)
        lease.close()
        ledger.close()

        assert output.read_bytes() == b"video"


class TestMacOs:
    """``fsync`` leaves bytes in the cache of the drive, F_FULLFSYNC does not."""

    @pytest.mark.parametrize(
        ("error", "expected"),
        [(None, ["full"]), (OSError(errno.ENOTSUP, "a network drive"), ["full", "sync"])],
    )
    def test_a_file_is_on_the_disk(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        error: OSError | None,
        expected: list[str],
    ) -> None:
        """The command of the system is used where the drive has it."""
        calls: list[str] = []

        def sync_fully(_: int, command: int) -> None:
            assert command == 51
            calls.append("full")
            if error:
                raise error

        monkeypatch.setattr(paths, "_fcntl", SimpleNamespace(F_FULLFSYNC=51, fcntl=sync_fully))
        monkeypatch.setattr(os, "fsync", lambda _: calls.append("sync"))
        with open_atomic(tmp_path / "file", durable=True) as file:
            file.write(b"bytes")

        assert calls == expected
