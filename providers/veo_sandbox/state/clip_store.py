"""Renders clips in worker threads that write `home/files`, one file per video."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from veo_sandbox.clips import ClipSpec, StoppedError, atomic_write, render
from veo_sandbox.state.tasks import Task

_MAX_LEFTOVER_AGE_S = 7 * 86_400
"""Real seconds. Nothing renders that long: older images and drafts are left from killed runs."""

_log = logging.getLogger(__name__)


class ClipStore:
    """Renders the clips of tasks, and keeps their files and the images that they are made from."""

    def __init__(self, home: Path, *, tiny: bool, min_bytes: int) -> None:
        self._files = home / "files"
        self._images = home / "pictures"
        self._files.mkdir(exist_ok=True)
        self._images.mkdir(exist_ok=True)
        self._tiny = tiny
        self._min_bytes = min_bytes
        # Rendering takes the CPU of a core each; more would starve the server's thread.
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="veo-sandbox-clip")
        self._stopping = threading.Event()
        self._renders: dict[Path, Future[None]] = {}
        self._ready: set[Path] = set()

    def plan_clip(
        self, spec: ClipSpec, frames: Sequence[bytes] = (), references: Sequence[bytes] = ()
    ) -> ClipSpec:
        """Return the clip with its images saved for the renderer; tiny clips show none."""
        if self._tiny:
            return replace(spec, tiny=True, min_bytes=self._min_bytes)
        # A clip with one image starts on it.
        start, end = ([self.save_input(frame) for frame in frames] + ["", ""])[:2]
        images = tuple(self.save_input(reference) for reference in references)
        return replace(spec, start=start, end=end, references=images)

    def plan_extension(self, earlier: Path, spec: ClipSpec, length: float) -> ClipSpec:
        """Return a clip that continues an earlier one by `spec`, up to `length` in all."""
        # There is nothing to see in a tiny clip, so it is not joined to the earlier one.
        if self._tiny:
            return self.plan_clip(replace(spec, seconds=length))
        return replace(spec, earlier=str(earlier))

    def plan_change(self, earlier: Path, spec: ClipSpec) -> ClipSpec:
        """Return a clip that is a changed version of an earlier one."""
        return self.plan_clip(spec if self._tiny else replace(spec, changed=str(earlier)))

    def clip_path(self, task: Task) -> Path:
        """Return the path of a task's video; tiny clips of one kind share a file."""
        clip = task.spec.clip
        kind = f"tiny-{clip.width}x{clip.height}-{clip.seconds:g}-{clip.min_bytes}"
        return self._files / f"{kind if clip.tiny else task.file}.mp4"

    def start_rendering(self, task: Task) -> None:
        """Start a worker on the clip, unless it exists or is being rendered."""
        path = self.clip_path(task)
        # Another process may render the same file; both write the same bytes, and rename.
        if path in self._renders or self._stopping.is_set() or self.is_ready(task):
            return
        self._renders[path] = self._pool.submit(self._render_clip, task.spec.clip, path)

    def is_ready(self, task: Task) -> bool:
        """Return whether the clip exists; a clip has its name only when it is complete."""
        path = self.clip_path(task)
        if path not in self._ready and path.exists():
            self._ready.add(path)
            self._renders.pop(path, None)
        return path in self._ready

    def delete_expired(self, is_wanted: Callable[[str], bool]) -> None:
        """Delete videos whose file id is not wanted, and old images and unfinished files."""
        for path in self._files.glob("*.mp4"):
            # Tiny clips are shared by tasks.
            if not path.name.startswith("tiny-") and not is_wanted(path.stem):
                path.unlink(missing_ok=True)
        for path in (*self._files.glob(".*"), *self._images.iterdir()):
            if path.is_file() and path.stat().st_mtime < time.time() - _MAX_LEFTOVER_AGE_S:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        self._stopping.set()
        self._pool.shutdown(cancel_futures=True)

    def _render_clip(self, clip: ClipSpec, path: Path) -> None:
        try:
            render(clip, path, self._stopping.is_set)
        # The next process of this home renders it again.
        except StoppedError:
            return
        except Exception:
            _log.exception("clip %s could not be rendered; its task will not complete", path.name)
            raise

    def save_input(self, data: bytes) -> str:
        """Save an image or a video that a request brought, and return its path."""
        path = self._images / sha256(data).hexdigest()
        if path.exists():
            # The age of an input counts from its last use.
            path.touch()
        else:
            with atomic_write(path) as draft:
                draft.write_bytes(data)
        return str(path)
