"""Where Google's APIs keep files: addresses of the Files API, and objects in Cloud Storage."""

import re
from pathlib import Path
from typing import NamedTuple

from veo_sandbox.core import Core
from veo_sandbox.state.tasks import Task

# Any host: the setting `file_host` may have changed since the video was made.
_FILE_URI = re.compile(r"(?:https?://[^/]+/v1(?:beta)?/)?files/([a-z0-9-]+)(?::download)?(?:\?.*)?")


def parse_file_uri(uri: str) -> str | None:
    """Return the id in an address of the Files API; None if it is another address."""
    match = _FILE_URI.fullmatch(uri)
    return match[1] if match else None


def is_processing(core: Core, task: Task) -> bool:
    """Return whether a video is not processed yet, which lasts beyond the end of its task."""
    return core.clock.now() < task.done_at + core.settings.processing_s


class StoredObject(NamedTuple):
    """An object in a bucket: a video that was made, or what a client has put there."""

    uri: str
    path: Path
    mime_type: str


def build_object_uri(folder: str, file: str) -> str:
    """Return where a video goes in a `gs://` folder; "" without a folder."""
    return f"{folder.rstrip('/')}/{file}/sample_0.mp4" if folder else ""


def find_stored(core: Core, uri: str) -> Task | None:
    folder, _, _ = uri.rpartition("/")
    task = core.tasks.find_by_file(folder.rpartition("/")[2])
    return task if task and uri in object_uris(task) else None


def object_uris(task: Task) -> list[str]:
    """Return the address of each video of a task; none if they are not stored."""
    first = str(task.spec.extra.get("uri", ""))
    numbers = range(task.spec.extra.get("samples", 1) if first else 0)
    return [first.replace("sample_0", f"sample_{number}") for number in numbers]


def find_object(core: Core, uri: str) -> StoredObject | None:
    if file := core.uploads.find_object(uri):
        return StoredObject(uri, core.uploads.path(file), file.mime_type)
    task = find_stored(core, uri)
    return _describe_video(core, uri, task) if task and core.has_file(task) else None


def list_objects(core: Core, prefix: str) -> list[StoredObject]:
    """Return every object whose address begins with a prefix, in the order of their names."""
    made = [
        _describe_video(core, uri, task)
        for task in core.tasks.list_tasks()
        for uri in object_uris(task)
        if uri.startswith(prefix) and core.has_file(task)
    ]
    put = [
        StoredObject(file.uri, core.uploads.path(file), file.mime_type)
        for file in core.uploads.list_files()
        if file.uri and file.uri.startswith(prefix)
    ]
    return sorted(made + put)


def _describe_video(core: Core, uri: str, task: Task) -> StoredObject:
    return StoredObject(uri, core.clips.clip_path(task), "video/mp4")
