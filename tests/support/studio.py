"""A provider in this process that extends and edits videos by a handle, or as uploads.

Its service is ``Service.current``, a new one for each test; every task is done at the first poll.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from importlib.metadata import EntryPoint, EntryPoints
from typing import TYPE_CHECKING, Any, ClassVar

from sample_videos import make_video

from veo import provider
from veo.errors import GoneError, VeoError
from veo.model import Model, ProviderFacts
from veo.provider import GROUP, ByteStream, Connection
from veo.update import RemoteVideo, Stage, Update

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from veo.request import Request

FRAMES_PER_S = 24
TALK, OLDER, SHORT = "talk-2", "film-1", "talk-1"


def make_row(name: str, **changes: Any) -> Model:
    """Return a model that is billed by the second."""
    price = {
        "usd": Decimal("0.10"),
        "per": "second",
        "charged": "on_success",
        "as_of": date(2026, 11, 1),
        "source": "a test",
    }
    row = {
        "name": name,
        "provider": "studio",
        "aspect_ratios": ("16:9", "9:16"),
        "resolutions": ("720p", "1080p"),
        "durations": (8, 3, 4, 10),
        "price": price,
        "retention_s": 172_800,
        "as_of": date(2026, 11, 1),
        "source": "a test",
    }
    return Model(**row | changes)


_TALKING: dict[str, Any] = {
    "wire": "talk",
    "features": {"start_frame", "extend", "edit"},
    "extend_durations": (10, 3, 4, 5, 6, 7),
    "extend_max_input_s": 30,
    "extend_max_total_s": 40,
    "extend_warn_total_s": 30,
    "changes_resolution": True,
    "handle_retention_s": 55 * 86_400,
    "uploads": True,
    "upload_note": "Uploads are closed in some countries.",
}
FACTS = ProviderFacts(
    name="studio",
    title="A studio",
    base_url="https://studio.example",
    key_env=("STUDIO_KEY",),
    key_help="Ask the test.",
    max_in_flight=10,
    submits_per_minute=10_000,
    median_s=0.02,
    models={
        row.name: row
        for row in (
            make_row(TALK, **_TALKING),
            make_row(OLDER, features={"extend"}, extend_s=7, extend_max_times=20),
            make_row(SHORT, **_TALKING | {"edit_min_s": 1, "edit_max_upload_s": 2, "auto": False}),
        )
    },
)


@dataclass
class Service:
    """What the studio has seen and made."""

    current: ClassVar[Service]
    requests: list[Request] = field(default_factory=list)
    uploads: list[Path] = field(default_factory=list)
    lengths: dict[str, float] = field(default_factory=dict)  # seconds by address
    error: VeoError | None = None  # of the next paid request

    def list_lengths(self) -> list[float]:
        """Return the seconds of the videos that were made."""
        return [s for name, s in self.lengths.items() if name.startswith("videos/")]


class Studio:
    """The provider; it keeps nothing itself."""

    facts = FACTS
    name = "studio"

    def __init__(self, connection: Connection) -> None:
        self.models = connection.models
        self._service = Service.current

    def submit(self, request: Request, report: Any) -> Update:
        """Accept the request; the length of its video follows from what it names."""
        del report
        service, model = self._service, self.models[str(request.model)]
        if service.error:
            error, service.error = service.error, None
            raise error
        source = request.source
        before = service.lengths[source.uri] if source else 0.0
        added = model.added_seconds(request.duration) if request.extend else request.duration
        length = before if request.edit else before + (added or model.durations[0])
        service.requests.append(request)
        task = f"{model.wire or 'film'}-{len(service.requests)}"
        service.lengths[f"videos/{task}"] = length
        return Update(stage=Stage.SUBMITTED, task_id=task)

    async def poll(self, task_id: str) -> Update:
        """Every task is done. The talking models report what it cost."""
        seconds = self._service.lengths[f"videos/{task_id}"]
        is_talk = task_id.startswith("talk")
        handle = f"v1_{task_id}" if is_talk else None
        video = RemoteVideo(f"videos/{task_id}", id=handle, seconds=seconds)
        charge = Decimal("0.1013") * int(seconds) if is_talk else None
        return Update(stage=Stage.READY, task_id=task_id, video=video, charge=charge)

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """Return a video of the right length; one frame more or less for each task."""
        if video.uri not in self._service.lengths:
            raise GoneError("no such video")
        number = int(video.uri.rpartition("-")[2])
        # Videos of equal length differ in the time of their frames, as real ones differ in all.
        frames = round(self._service.lengths[video.uri] * FRAMES_PER_S)
        data = make_video(frames=frames) + _free_box(number)
        return ByteStream(iter([data[offset:]]), offset, len(data), "tag")

    def upload(self, path: Path, report: Callable[[int, int], None]) -> RemoteVideo:
        """Store a file, and know how long it is."""
        from veo.files.mp4 import read_duration_s

        size = path.stat().st_size
        report(size, size)
        self._service.uploads.append(path)
        uri = f"uploads/{len(self._service.uploads)}"
        self._service.lengths[uri] = read_duration_s(path) or 0.0
        return RemoteVideo(uri)


def _free_box(number: int) -> bytes:
    """Return an MP4 box that players skip, so that no two files are equal."""
    return b"\0\0\0\x0cfree" + number.to_bytes(4, "big")


def install_studio(patch: pytest.MonkeyPatch) -> Service:
    """Add the studio to the installed providers, with a new service."""
    point = EntryPoint("studio", "studio:Studio", GROUP)
    points = EntryPoints([*provider._entry_points(), point])
    patch.setattr(provider, "_entry_points", lambda: points)
    provider.installed_facts.cache_clear()
    patch.setenv("STUDIO_KEY", "a-key-of-the-studio")
    Service.current = Service()
    return Service.current
