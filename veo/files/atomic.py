"""Files that are written whole or not at all; for videos see ``output.py``."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from veo.bucket import BucketPath
from veo.paths import part_path, sync_to_disk


@contextmanager
def open_atomic(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Open a file for writing; it gets its name when the block ends without an error.

    Until then the bytes are in a hidden file in the same folder, which an error removes, or in
    memory for a file in a bucket. With ``durable`` they are on the disk before the file gets its
    name.
    """
    if isinstance(path, BucketPath):
        buffer = BytesIO()
        yield buffer
        path.write_bytes(buffer.getvalue())
        return
    # Other processes and threads may write the same file at the same time: the last one wins.
    part = part_path(path, f"{os.getpid()}-{threading.get_ident()}")
    try:
        with part.open("wb") as file:
            yield file
            if durable:
                file.flush()
                sync_to_disk(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
