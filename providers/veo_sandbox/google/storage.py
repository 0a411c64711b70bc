"""The Cloud Storage of the Agent Platform: which video is at which `gs://` address."""

from veo_sandbox.core import Core
from veo_sandbox.state.tasks import Task


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


def list_stored(core: Core, prefix: str) -> list[tuple[str, Task]]:
    """Return address and task of every video below a prefix, in the order of their names."""
    stored = ((uri, task) for task in core.tasks.list_tasks() for uri in object_uris(task))
    return sorted(
        ((uri, task) for uri, task in stored if uri.startswith(prefix) and core.has_file(task)),
        key=lambda item: item[0],
    )
