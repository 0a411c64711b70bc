"""Where clips are made: worker threads that write `home/files`, one file a video."""

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

_LEFTOVER_AGE_S = 7 * 86_400
"""Real seconds after which a picture or an unfinished file is of no use."""

_log = logging.getLogger(__name__)


class ClipStore:
    """Renders the clips of tasks, and keeps their files and the pictures they are made from."""

    def __init__(self, home: Path, *, tiny: bool, min_bytes: int) -> None:
        self._files = home / "files"
        self._images = home / "pictures"
        self._files.mkdir(exist_ok=True)
        self._images.mkdir(exist_ok=True)
        self._tiny = tiny
        self._min_bytes = min_bytes
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="veo-sandbox-clip")
        self._stopping = threading.Event()
        self._renders: dict[Path, Future[None]] = {}
        self._ready: set[Path] = set()

    def plan_clip(
        self, spec: ClipSpec, frames: Sequence[bytes] = (), references: Sequence[bytes] = ()
    ) -> ClipSpec:
        """The clip with its pictures kept for the renderer; tiny clips show none."""
        if self._tiny:
            return replace(spec, tiny=True, min_bytes=self._min_bytes)
        start, end = ([self._save_image(frame) for frame in frames] + ["", ""])[:2]
        kept = tuple(self._save_image(reference) for reference in references)
        return replace(spec, start=start, end=end, references=kept)

    def plan_extension(self, earlier: Task, prompt: str, seconds: float, length: float) -> ClipSpec:
        """A clip that goes on from an earlier one for `seconds`, and then is `length` in all."""
        clip = earlier.order.clip
        if clip.tiny:
            return replace(clip, prompt=prompt, seconds=length)
        return ClipSpec(prompt, *clip.size, seconds=seconds, earlier=str(self.clip_path(earlier)))

    def clip_path(self, task: Task) -> Path:
        """Where the video of a task is or will be; tiny clips of one kind share a file."""
        clip = task.order.clip
        name = _tiny_file_name(clip) if clip.tiny else task.file
        return self._files / f"{name}.mp4"

    def start_rendering(self, task: Task) -> None:
        """Have the clip made, unless it is there or on its way."""
        path = self.clip_path(task)
        if path in self._renders or self._stopping.is_set() or self.is_ready(task):
            return
        self._renders[path] = self._pool.submit(self._render_clip, task.order.clip, path)

    def is_ready(self, task: Task) -> bool:
        """Whether the clip is there, whole."""
        path = self.clip_path(task)
        if path not in self._ready and path.exists():
            self._ready.add(path)
            self._renders.pop(path, None)
        return path in self._ready

    def delete_expired(self, wanted: Callable[[str], bool]) -> None:
        """Delete videos that nobody may fetch any more, and what killed processes left behind.

        `wanted` is asked with the file id of every video.
        """
        for path in self._files.glob("*.mp4"):
            if not path.name.startswith("tiny-") and not wanted(path.stem):
                path.unlink(missing_ok=True)
        for path in (*self._files.glob(".*"), *self._images.iterdir()):
            if path.is_file() and path.stat().st_mtime < time.time() - _LEFTOVER_AGE_S:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Call off what is being made and wait for the workers."""
        self._stopping.set()
        self._pool.shutdown(cancel_futures=True)

    def _render_clip(self, clip: ClipSpec, path: Path) -> None:
        try:
            render(clip, path, self._stopping.is_set)
        except StoppedError:
            return
        except Exception:
            _log.exception("clip %s could not be made; its task will not complete", path.name)
            raise

    def _save_image(self, picture: bytes) -> str:
        path = self._images / sha256(picture).hexdigest()
        if path.exists():
            path.touch()
        else:
            with atomic_write(path) as draft:
                draft.write_bytes(picture)
        return str(path)


def _tiny_file_name(clip: ClipSpec) -> str:
    return f"tiny-{clip.width}x{clip.height}-{clip.seconds:g}-{clip.min_bytes}"
