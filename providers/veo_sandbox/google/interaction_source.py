"""The media that an interaction names: its own earlier videos, uploads, stored and inline files."""

from dataclasses import dataclass
from pathlib import Path

from veo_sandbox.clips import Footage
from veo_sandbox.core import Core
from veo_sandbox.exchange import Upload
from veo_sandbox.google.interaction_input import InputPart
from veo_sandbox.google.interaction_request import MIN_SECONDS, InteractionRequest
from veo_sandbox.google.omni import OmniModel
from veo_sandbox.google.omni_api import OmniApi
from veo_sandbox.google.storage import find_stored, is_processing, parse_file_uri
from veo_sandbox.profiles.images import ACCEPTED_FORMATS, image_format
from veo_sandbox.state.tasks import Task
from veo_sandbox.state.uploads import StoredFile

PROFILE = "interactions"
"""The profile of every task of this wire, at both APIs."""

_MAX_EXTENDED_S = 30.0
"""Of a source, at both models (tried live on 1.1): with 10 s more the longest video has 40 s."""

_MAX_REFERENCE_S = 3.0
_FRAME_S = 0.05  # a video of 24 frames per second may lack one


@dataclass(frozen=True, slots=True)
class Source:
    """A video that a request names; `is_own` is whether an interaction made it."""

    path: Path
    size: tuple[int, int]
    seconds: float
    is_own: bool

    @property
    def ratio(self) -> float:
        return self.size[0] / self.size[1]


def find_interaction(core: Core, api: OmniApi, interaction_id: str) -> Task | None:
    """Return an interaction that can be asked for: stored, not deleted, not expired."""
    task = core.tasks.find(interaction_id)
    if task is None or task.spec.profile != PROFILE or task.spec.route != api.name:
        return None
    is_gone = core.clock.now() >= task.expires_at or core.tasks.has_mark(task, "deleted")
    return None if is_gone or not task.spec.extra["store"] else task


def find_source(
    core: Core, api: OmniApi, model: OmniModel, request: InteractionRequest
) -> Source | None:
    """Return the video that is edited or extended, or raise a Refusal; None for a new video."""
    earlier = _find_previous(core, api, request.previous) if request.previous else None
    part = request.source_part
    if not request.needs_source:
        return None
    source = find_video(core, api, part) if part else earlier
    if source is None:
        raise api.error("missing_video", task=request.task)
    if request.task == "extend" and source.seconds > _MAX_EXTENDED_S:
        raise api.error("extend_too_long", seconds=_MAX_EXTENDED_S)
    if request.task == "edit" and not source.is_own:
        if source.seconds > model.max_edit_seconds:
            raise api.error("edit_too_long", seconds=model.max_edit_seconds)
        if source.seconds < MIN_SECONDS - _FRAME_S:
            raise api.error("edit_too_short", seconds=MIN_SECONDS)
    return source


def find_video(core: Core, api: OmniApi, part: InputPart) -> Source:
    if part.data:
        path = Path(core.clips.save_input(part.data))
        return _read_source(api, path)
    file = _find_file(core, api, part.uri)
    if isinstance(file, StoredFile):
        return _describe_upload(core, api, file)
    return _describe_task(core, file, api)


def find_image(core: Core, api: OmniApi, part: InputPart) -> Upload:
    """Return the bytes of an image part; one at an address is a file that was uploaded."""
    data = part.data
    if not data:
        file = _find_file(core, api, part.uri)
        if not isinstance(file, StoredFile):
            raise api.error("not_found")
        data = core.uploads.path(file).read_bytes()
        if image_format(data) not in ACCEPTED_FORMATS:
            raise api.error("bad_image")
    return Upload("input", "", part.mime_type, data)


def check_references(core: Core, api: OmniApi, parts: list[InputPart]) -> float:
    """Return the seconds of all reference videos; each may have three (documented)."""
    lengths = [find_video(core, api, part).seconds for part in parts]
    if any(length > _MAX_REFERENCE_S for length in lengths):
        raise api.error("reference_length", seconds=_MAX_REFERENCE_S)
    return sum(lengths)


def _find_file(core: Core, api: OmniApi, uri: str) -> StoredFile | Task | None:
    """Return the file of a bucket or of the Files API that a part names, if it may be used now."""
    if api.name == "vertex":
        return core.uploads.find_object(uri) or find_stored(core, uri)
    file_id = parse_file_uri(uri)
    if file_id is None:
        raise api.error("invalid_input", path="input")
    now = core.clock.now()
    file = core.uploads.find(file_id)
    if file and file.is_available(now):
        if file.is_processing(now, core.settings.processing_s):
            raise api.error("inactive_file", file=file_id)
        return file
    task = core.tasks.find_by_file(file_id)
    if task is None or task.spec.profile != PROFILE or not core.has_file(task):
        # The service never says which of its entities it did not find.
        raise api.error("not_found")
    if is_processing(core, task):
        raise api.error("inactive_file", file=file_id)
    return task


def _find_previous(core: Core, api: OmniApi, interaction_id: str) -> Source | None:
    api.check_id(interaction_id)
    task = find_interaction(core, api, interaction_id)
    if task is None:
        raise api.error("not_found")
    state = core.task_state(task)
    if not state.has_ended or state.name == "cancelled":
        raise api.error("unfinished")
    return _describe_task(core, task, api) if state.name == "completed" else None


def _describe_task(core: Core, task: Task | None, api: OmniApi) -> Source:
    # At the Agent Platform any stored video may be named, also one of Veo's.
    if task is None or not core.clips.is_ready(task):
        raise api.error("not_found")
    is_own, length = task.spec.profile == PROFILE, task.spec.extra["length"]
    return Source(core.clips.clip_path(task), task.spec.clip.size, length, is_own)


def _describe_upload(core: Core, api: OmniApi, file: StoredFile) -> Source:
    if file.footage is None:
        raise api.error("invalid_input", path="input")
    width, height, seconds = file.footage
    return Source(core.uploads.path(file), (width, height), seconds, is_own=False)


def _read_source(api: OmniApi, path: Path) -> Source:
    try:
        footage = Footage.read(path)
    except ValueError:
        raise api.error("invalid_input", path="input") from None
    return Source(path, (footage.width, footage.height), footage.seconds, is_own=False)
