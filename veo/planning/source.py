"""The video that a request extends or edits: who can take it, and why it may not be possible.

A provider takes a video in one of two ways: by its own handle, if it made it and still has it, or
as an upload of the file. No I/O.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from veo.ledger.record import Record, State
from veo.planning.check import MAX_OFFERS
from veo.problems import Problem
from veo.request import MODEL_VALUES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from veo.model import Model
    from veo.request import Request
    from veo.update import RemoteVideo

Use = Literal["extend", "edit"]  # the field of a request that holds the video
_WITHOUT_VIDEO = frozenset({State.FAILED, State.EXPIRED, State.UNKNOWN})


@dataclass(frozen=True, slots=True)
class VideoSource:
    """A video that is to be extended or edited.

    Attributes:
        record: The job that made it; None for a file that no job made.
        model: The model of that job; None if it no longer exists.
        seconds: Its length; None if unknown.
        times: How many extensions it contains.
        expires_at: When its provider forgets it, Unix seconds; None if unknown.
        file_expires_at: When its provider deletes the file, which can be earlier; None if unknown.
        file: Its unchanged file on disk, which can be uploaded; None without one.
        shape: Its aspect ratio and resolution by the names of the request fields.
        note: What else is known about a file that no job made, for a person.
    """

    record: Record | None = None
    model: Model | None = None
    seconds: float | None = None
    times: int = 0
    expires_at: float | None = None
    file_expires_at: float | None = None
    file: RemoteVideo | None = None
    shape: Mapping[str, str | None] = field(default_factory=dict)
    note: str = ""

    @property
    def provider(self) -> str | None:
        """The provider that made it."""
        return self.record.provider if self.record else None

    @property
    def name(self) -> str:
        """What a person calls it: a job or a file."""
        if self.record:
            return f"job {self.record.id}"
        return str(self.file.local_path) if self.file else "the video"

    def has_handle_for(self, model: Model) -> bool:
        """Return whether its provider knows it by a handle that the model understands."""
        is_own = self.record is not None and self.record.provider == model.provider
        return is_own and (self.model is None or self.model.wire == model.wire)

    def can_go_to(self, model: Model) -> bool:
        """Return whether a model can be given the video at all, expired or not."""
        return self.has_handle_for(model) or (model.uploads and self.file is not None)


@dataclass(frozen=True)
class VideoTask(ABC):
    """What a user wants to do with a video."""

    use: ClassVar[Use]
    source: VideoSource
    request: Request  # in the user's terms, without the video
    now: float  # Unix seconds

    @abstractmethod
    def build_request(self, model: Model) -> Request:
        """Return the complete request for a model."""

    def find_problems(self, model: Model, catalogue: Collection[Model] = ()) -> Iterator[Problem]:
        """Yield every reason why a model cannot do it; ``catalogue`` has alternatives to name."""
        source, expires_at = self.source, self.source.file_expires_at
        reasons = tuple(self._check_handle()) if source.has_handle_for(model) else ()
        is_file_deleted = expires_at is not None and self.now >= expires_at
        if self.use not in model.features:
            yield from reasons
            yield self._unsupported_problem(model, catalogue)
        elif (video := self.choose_video(model)) is None:
            yield from reasons or (self._foreign_problem(model, catalogue),)
        elif model.handle_retention_s and video.id and is_file_deleted:
            # A handle is documented to live longer than its file; nothing says if it works alone.
            text = f"{model.provider} has deleted its file, and may not {self.use} the video"
            yield Problem(self.use, f"{text} without it", severity="warning")

    def adapt_problems(
        self, problems: Iterable[Problem], model: Model | None, takers: Collection[str]
    ) -> Iterator[Problem]:
        """Yield problems of the complete request in the user's terms.

        ``takers`` are the models that can be given the video, as ``provider/model``.
        """
        del model
        for problem in problems:
            offers = tuple(offer for offer in problem.offered_by if offer in takers)
            yield replace(problem, offered_by=offers)

    def list_takers(self, catalogue: Iterable[Model]) -> list[str]:
        """Return the ``provider/model`` names that can be given the video, its own first."""
        rows = [row for row in catalogue if self.use in row.features and self.source.can_go_to(row)]
        rows.sort(key=lambda row: row.provider != self.source.provider)
        return [row.full_name for row in rows]

    def choose_video(self, model: Model) -> RemoteVideo | None:
        """Return the video as a model takes it: at the provider, else the file, else None."""
        source = self.source
        if self.use not in model.features:
            return None
        is_handle = source.has_handle_for(model) and not any(self._check_handle())
        video = source.record.remote_video() if source.record and is_handle else None
        if video:
            return replace(video, seconds=source.seconds)
        return source.file if model.uploads else None

    def keep_shape(self, model: Model, names: Iterable[str]) -> dict[str, Any]:
        """Return fields of the shape of the video, as far as they are not the model's defaults.

        Only where the model can change the resolution, the request may choose it.
        """
        fields: dict[str, Any] = {}
        for name in names:
            offered, own = getattr(model, MODEL_VALUES[name]), self.source.shape.get(name)
            value = own or getattr(self.request, name)
            if name == "resolution" and model.changes_resolution:
                # A video may have a size that the model does not make.
                value = self.request.resolution or (own if own in offered else None)
            fields[name] = value if value != offered[0] else None
        return fields

    def _check_handle(self) -> Iterator[Problem]:
        source, record = self.source, self.source.record
        if record and not (record.remote_video() and record.state not in _WITHOUT_VIDEO):
            is_over = record.has_ended or record.state is State.UNKNOWN
            text = "{}: it has no video" if is_over else "still {}: it has no video yet"
            yield Problem(self.use, f"job {record.id} is {text.format(record.state)}")
        if record and source.expires_at is not None and self.now >= source.expires_at:
            expiry = datetime.fromtimestamp(source.expires_at).astimezone()
            text = f"{record.provider} has deleted the video: it expired {expiry:%Y-%m-%d %H:%M}"
            yield Problem(self.use, text)

    def _unsupported_problem(self, model: Model, catalogue: Collection[Model]) -> Problem:
        use, takers = self.use, self.list_takers(catalogue)
        message = f"{model.name} cannot {use} a video"
        if not any(row.provider == model.provider and use in row.features for row in catalogue):
            message = f"{model.provider} cannot {use} videos"
            if not takers:
                message += f", and others {use} only their own"
        capable = [row.full_name for row in catalogue if use in row.features]
        return Problem(use, message, offered_by=tuple((takers or capable)[:MAX_OFFERS]))

    def _foreign_problem(self, model: Model, catalogue: Collection[Model]) -> Problem:
        use, source = self.use, self.source
        takers = tuple(self.list_takers(catalogue)[:MAX_OFFERS])
        if model.uploads:
            message = f"the file of {source.name} is not on disk, and {model.name} needs it"
            return Problem(use, message, offered_by=takers)
        if source.record and source.record.provider != model.provider:
            own = source.record.provider
            message = f"{own} made the video, and {model.provider} can {use} only its own"
            return Problem("provider", message, (own,), takers)
        if source.record:
            maker = source.model.name if source.model else "another model"
            message = f"{model.name} cannot {use} a video of {maker}"
            if source.file:
                message += f", and {model.provider} takes no uploads for it"
        else:
            reason = source.note or f"no job of this ledger made {source.name}"
            message = f"{reason}, and {model.name} can {use} only videos of {model.provider}"
        return Problem(use, message, offered_by=takers)


def shape_of(request: Request, model: Model | None) -> dict[str, str | None]:
    """Return the aspect ratio and the resolution that a request makes."""
    return {
        name: getattr(request, name) or (getattr(model, MODEL_VALUES[name])[0] if model else None)
        for name in ("aspect_ratio", "resolution")
    }
