"""Find the video that is to be extended or edited, and plan a request that names it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from veo.errors import (
    InvalidRequestError,
    UnknownJobError,
    UnknownProviderError,
    UsageError,
    os_errors,
)
from veo.files import mp4, sidecar
from veo.files.output import hash_file, size_on_disk
from veo.ledger import Ledger, Record, lineage
from veo.paths import to_absolute
from veo.planning.check import find_errors
from veo.planning.source import Use, VideoSource, VideoTask, shape_of
from veo.problems import Problem, Remedy
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.model import Model
    from veo.planning.plan import Plan
    from veo.request import Request
    from veo.session import Session


def find_source(session: Session, name: str) -> VideoSource:
    """Find a video by its file, its job id, or an unambiguous beginning of the id.

    A file that no job made is a video, too; some models take it as an upload.

    Raises:
        UnknownJobError: There is no such file or job, or the file is not that of its job.
        UnknownProviderError: The provider that made it is not installed.
        UsageError: The file cannot be read, or is not a complete MP4.
    """
    if not (path := _find_file(name)):
        return _describe_job(session, _find_job_of_name(session.ledger, name))
    sha256 = _hash_file(path)
    record = _find_job_of_file(session.ledger, path, sha256)
    if record:
        return _describe_job(session, record, path)
    with path.open("rb") as video:
        footage = mp4.inspect_video(video)
    if footage.defect:
        raise UsageError(f"{path} is not a complete MP4 file: {footage.defect}")
    job = sidecar.read_job_id(path)
    note = f"it was made by job {job}, which this ledger does not know" if job else ""
    file = RemoteVideo.of_file(path, sha256, footage.seconds)
    return VideoSource(seconds=footage.seconds, file=file, shape=footage.shape, note=note)


def find_job(ledger: Ledger, name: str) -> Record:
    """Find a job by its id, an unambiguous beginning of it, or the file that it made or will make.

    Raises:
        UnknownJobError: There is no such job.
        UsageError: The file cannot be read.
    """
    if not (path := _find_file(name)):
        return _find_job_of_name(ledger, name)
    if record := _find_job_of_file(ledger, path, _hash_file(path)):
        return record
    raise UnknownJobError(f"no job of this ledger made {name}", remedies=[Remedy("list_jobs")])


def _find_file(name: str) -> Path | None:
    path = to_absolute(name)
    with os_errors(UsageError, path):
        return path if path.is_file() else None


def _find_job_of_name(ledger: Ledger, name: str) -> Record:
    """Return a job by its id, or the newest one whose file has this name, but is not there."""
    path = to_absolute(name)
    if not path.suffix:  # which no job id has
        return ledger.find_job(name)
    if records := lineage.jobs_by_output(ledger, str(path)):
        return records[0]
    raise UnknownJobError(f"{name}: no such file", remedies=[Remedy("list_jobs")])


def plan_with_video(session: Session, task: VideoTask, provider: str | None = None) -> Plan:
    """Return the plan of a request that extends or edits a video.

    The provider and the model are those of the video unless the caller names others; for a video
    that no job made, the configured provider and its best model that can be given it.

    Raises:
        InvalidRequestError: The error lists every problem.
        UnknownModelError: The provider has no such model.
    """
    source = task.source
    target, request = session.choose_provider(task.request, provider, source.provider)
    name = request.model or _default_model(session, source, task.use, target)
    model = session.models(target).get(name)
    problems: list[Problem] = []
    complete, catalogue = replace(request, model=name), session.living_models()
    if model:
        # Of an ended model, which was chosen or named knowingly, the ended siblings count too.
        own = session.models(target).values() if model not in catalogue else ()
        catalogue += [row for row in own if row not in catalogue]
        problems += task.find_problems(model, catalogue)
        complete = task.build_request(model)
    takers = task.list_takers(catalogue)
    try:
        plan = session.plan(complete, target)
    except InvalidRequestError as error:
        found = task.adapt_problems(error.problems, model, takers)
        raise InvalidRequestError([*problems, *found]) from None
    problems += task.adapt_problems((), model, takers)
    if find_errors(problems):
        raise InvalidRequestError(problems)
    parent = source.record.id if source.record else None
    return replace(plan, warnings=(*plan.warnings, *problems), parent=parent)


def _default_model(session: Session, source: VideoSource, use: Use, provider: str) -> str:
    if source.record and source.record.provider == provider:
        return source.record.model
    rows = [row for row in session.living_models() if row.provider == provider and row.auto]
    preferred = {session.config.model, session.config.for_provider(provider).model}
    ranked = sorted(
        rows or session.models(provider).values(),
        key=lambda row: (
            use not in row.features,
            not source.can_go_to(row),
            row.name not in preferred,
        ),
    )
    return ranked[0].name


def _describe_job(session: Session, record: Record, path: Path | None = None) -> VideoSource:
    model = session.models(record.provider).get(record.model)
    links = {
        link: _find_model(session, link)
        for link in (record, *lineage.find_ancestors(session.ledger, record))
    }
    # An edit has the aspect ratio of its video, and does not state it.
    ratios = (
        shape_of(link.parse_request(), maker)["aspect_ratio"]
        for link, maker in links.items()
        if not link.parse_request().edit
    )
    file = _unchanged_file(record) or path
    measured_s = record.video_s or (mp4.read_duration_s(file) if file else None)
    video = record.remote_video()
    expires_at, file_expires_at = _find_expiry(session.ledger, record, model)
    seconds = measured_s or (video and video.seconds) or _sum_requested_s(links)
    return VideoSource(
        record=record,
        model=model,
        seconds=seconds,
        times=sum(link.parse_request().extend is not None for link in links),
        expires_at=expires_at,
        file_expires_at=file_expires_at,
        file=RemoteVideo.of_file(file, str(record.sha256), seconds) if file else None,
        shape=shape_of(record.parse_request(), model) | {"aspect_ratio": next(ratios, None)},
    )


def _find_model(session: Session, record: Record) -> Model | None:
    with suppress(UnknownProviderError):  # of an earlier job of the chain
        return session.models(record.provider).get(record.model)
    return None


def _hash_file(path: Path) -> str:
    with os_errors(UsageError, path):
        return hash_file(path)


def _find_job_of_file(ledger: Ledger, path: Path, sha256: str) -> Record | None:
    records = lineage.jobs_by_file(ledger, sha256)
    # Several jobs can have made equal files; only the sidecar tells which of them made this one.
    job = sidecar.read_job_id(path)
    if records:
        return next((record for record in records if record.id == job), records[0])
    if job and ledger.list_jobs(ids=[job]):
        raise UnknownJobError(
            f"{path} has changed since job {job} made it: the provider has the original video",
            hint="Name the job instead of the file; without its sidecar, the file is a video of "
            "your own.",
            remedies=[Remedy("extend", job)],
        )
    return None


def _unchanged_file(record: Record) -> Path | None:
    """Return the file of a job; None if it is missing or was replaced."""
    path = record.path
    if record.bytes is None or size_on_disk(path) != record.bytes:
        return None
    return path


def _sum_requested_s(links: Mapping[Record, Model | None]) -> float | None:
    """Return the length of a job's video by the requests of its chain, the newest first."""
    total = 0.0
    for link, model in links.items():
        request = link.parse_request()
        if request.edit is None:  # an edit has the length of its video
            seconds = _requested_s(request, model)
            if seconds is None:
                return None
            total += seconds
    first = list(links)[-1].parse_request().source
    if first is None:
        return total
    return total + first.seconds if first.seconds else None


def _requested_s(request: Request, model: Model | None) -> int | None:
    if request.extend:
        return model.added_seconds(request.duration) if model else None
    return request.duration or (model.durations[0] if model else None)


def _find_expiry(
    ledger: Ledger, record: Record, model: Model | None
) -> tuple[float | None, float | None]:
    """Return when the provider forgets a video, and when it deletes its file.

    Both are Unix seconds, or None if unknown. The retention starts again whenever the video is
    extended. That is documented for the Gemini Developer API only; other providers get the same
    benefit of the doubt.
    """
    video = record.remote_video()
    if video is None or record.ready_at is None or model is None:
        return None, None
    file_expires_at = video.expires_at or record.ready_at + model.retention_s
    if video.id and model.handle_retention_s:
        return record.ready_at + model.handle_retention_s, file_expires_at
    children = lineage.find_children(ledger, [record.id])
    uses = [each.submitted_at for each in children if each.task_id]
    renewals = [at + model.retention_s for at in uses if at]
    return max([file_expires_at, *renewals]), file_expires_at
