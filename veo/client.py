"""The client: what a user of the library calls."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack
from urllib.parse import urlsplit

from veo.batch.columns import check_columns
from veo.batch.item import KNOWN_KEYS
from veo.batch.load import load_batch
from veo.batch.options import BatchKwargs, BatchOptions
from veo.continuation import edit, extend
from veo.continuation.sources import find_source
from veo.engine.context import MADE
from veo.errors import (
    InvalidBatchError,
    LeaseLostError,
    UnknownOutcomeError,
    UsageError,
    VeoError,
    WithdrawnError,
)
from veo.job import Job
from veo.ledger import LIVE, NewJob, Record, State
from veo.ledger.reserve import make_job_id
from veo.problems import ItemLocation, ItemProblem, Remedy
from veo.provider import has_tasks
from veo.request import Request, RequestKwargs
from veo.runtime.providers import Endpoint
from veo.session import Session, check_timeout
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from veo.batch.batch import Batch
    from veo.batch.load import Source
    from veo.money import Usd
    from veo.planning.plan import Plan

__all__ = ["Client", "Endpoint"]


class Client(Session):
    """Makes videos. Use it as a context manager, or call ``close``.

    ``Session`` describes the arguments of the constructor.
    """

    def submit(  # noqa: PLR0913 - what is made, where to, and its limits
        self,
        request: Request | str,
        *,
        provider: str | None = None,
        output: Path | str | None = None,
        force: bool = False,
        max_cost: Usd | None = None,
        timeout: float | None = None,
        columns: Mapping[str, str | float] | None = None,
        **options: Unpack[RequestKwargs],
    ) -> Job:
        """Plan one job, reserve its money, and begin to work on it.

        Args:
            request: A request, or a prompt.
            provider: The provider's name; the configured one by default.
            output: The file; named after prompt and job in the configured folder by default.
            force: Replace an existing file.
            max_cost: The most that the job may cost, USD.
            timeout: Seconds after which ``Job.result`` stops waiting; the configured time by
                default.
            columns: Texts and numbers by name that are kept with the job, as those of an item of
                a batch; in addition to those of the client.
            **options: Fields of the request, in addition to a prompt or in place of those of a
                request.

        Raises:
            UsageError, SetupError, BudgetError: Nothing was sent or reserved.
        """
        plan = self.plan(request, provider, **options)
        return self.submit_plan(
            plan, output=output, force=force, max_cost=max_cost, timeout=timeout, columns=columns
        )

    def submit_plan(
        self,
        plan: Plan,
        *,
        output: Path | str | None = None,
        force: bool = False,
        max_cost: Usd | None = None,
        timeout: float | None = None,
        columns: Mapping[str, str | float] | None = None,
    ) -> Job:
        """Reserve the money of a plan, and begin to work on it; the arguments as for ``submit``.

        Raises:
            UsageError, SetupError, BudgetError: Nothing was sent or reserved.
        """
        columns = self.columns | self._check_columns(columns or {})
        job = make_job_id()  # is also a run, so that `max_cost` limits it alone
        new = self.prepare_job(plan, run=job, job=job, output=output, force=force)
        new = replace(new, columns=columns)
        return self.start_jobs([new], job, max_cost, timeout)[0]

    def submit_all(
        self,
        requests: Iterable[Request | str],
        *,
        provider: str | None = None,
        outputs: Iterable[Path | str] | None = None,
        force: bool = False,
        max_cost: Usd | None = None,
        timeout: float | None = None,
    ) -> list[Job]:
        """Plan many jobs, reserve the money of all or none, and begin to work on them.

        Every call makes new jobs. ``batch`` recognises videos that already exist. The arguments are
        those of ``submit``, with one of ``outputs`` for each request; ``max_cost`` limits the cost
        of all jobs together, USD.

        Raises:
            InvalidBatchError: Requests are not valid; the error lists every problem.
            UsageError, SetupError, BudgetError: Nothing was sent or reserved.
        """
        run = make_job_id()
        # A single text would be a request for each of its letters.
        requests = [requests] if isinstance(requests, str) else list(requests)
        files = list(outputs) if outputs is not None else [None] * len(requests)
        if len(files) != len(requests):
            raise UsageError(f"{len(files)} outputs for {len(requests)} requests")
        pairs = zip(requests, files, strict=True)
        new = self._new_jobs(pairs, provider, run=run, force=force)
        return self.start_jobs(new, run, max_cost, timeout)

    def _new_jobs(
        self,
        pairs: Iterable[tuple[Request | str, Path | str | None]],
        provider: str | None,
        *,
        run: str,
        force: bool,
    ) -> list[NewJob]:
        new: list[NewJob] = []
        problems: list[ItemProblem] = []
        outputs: dict[str, ItemLocation] = {}
        for index, (request, output) in enumerate(pairs):
            location = ItemLocation(index)
            try:
                plan = self.plan(request, provider)
                job = self.prepare_job(plan, run=run, output=output, force=force)
            except UsageError as error:
                problems += error.to_item_problems(location)
                continue
            new.append(job)
            first = outputs.setdefault(job.output, location)
            if first is not location:
                text = f"output: {job.output} is already the output of {first}"
                problems.append(ItemProblem(location, text))
        if problems:
            raise InvalidBatchError(problems)
        return new

    def batch(self, source: Source, **options: Unpack[BatchKwargs]) -> Batch:
        """Read and check a batch: many requests, each of which is made exactly once.

        A batch may be run again, or in several processes at a time; it makes only what is
        missing. Nothing is sent before the batch is iterated over.

        Args:
            source: A file (a JSON list or JSON Lines), the content of one, or items: requests, or
                mappings with the keys of an item in a file.
            **options: Fields of ``veo.batch.options.BatchOptions``, such as ``output_dir``.

        Raises:
            InvalidBatchError: Items are not valid; the error lists every problem.
            UsageError, SetupError: The file or the configuration cannot be used.
        """
        return load_batch(self, source, BatchOptions(**options))

    def extend(  # noqa: PLR0913 - the arguments of `submit`, the video and the number of steps
        self,
        video: Job | Path | str,
        request: Request | str,
        times: int = 1,
        *,
        provider: str | None = None,
        output: Path | str | None = None,
        force: bool = False,
        max_cost: Usd | None = None,
        timeout: float | None = None,
        **options: Unpack[RequestKwargs],
    ) -> Iterator[Job]:
        """Continue a video: one job per step, sent as soon as the step before has its video.

        The video is named by its job or its file, and ``request`` says what comes next; its
        ``duration`` is the seconds that a step adds, where the model lets it choose. Some models
        also take a file that no job made. ``output`` is the file of the last step, which holds the
        whole video; see ``run_steps`` in ``veo.continuation.extend``. ``max_cost`` limits the cost
        of all steps together, USD. The other arguments are those of ``submit``; provider and model
        are those of the video unless they are named.

        Raises:
            UnknownJobError: There is no such job or file.
            InvalidRequestError: The video cannot be continued like this; the error lists every
                problem, and the models that could.
            OutputError, BudgetError: Nothing was sent or reserved.
        """
        source, complete = find_source(self, _name_of(video)), Request.of(request, **options)
        planned = extend.plan_extension(self, source, complete, times, provider=provider)
        return extend.run_steps(
            self, planned, output=output, force=force, max_cost=max_cost, timeout=timeout
        )

    def edit(  # noqa: PLR0913 - the arguments of `submit`, and the video
        self,
        video: Job | Path | str,
        request: Request | str,
        *,
        provider: str | None = None,
        output: Path | str | None = None,
        force: bool = False,
        max_cost: Usd | None = None,
        timeout: float | None = None,
        **options: Unpack[RequestKwargs],
    ) -> Job:
        """Change a video with words: one job, whose file is the whole changed video.

        The video is named by its job or its file, and ``request`` says what changes. It keeps its
        length and aspect ratio. The other arguments are those of ``submit``; provider and model
        are those of the video unless they are named.

        Raises:
            UnknownJobError: There is no such job or file.
            InvalidRequestError: The video cannot be edited like this; the error lists every
                problem, and the models that could.
            OutputError, BudgetError: Nothing was sent or reserved.
        """
        source, complete = find_source(self, _name_of(video)), Request.of(request, **options)
        plan = edit.plan_edit(self, source, complete, provider=provider)
        return self.submit_plan(
            plan, output=output, force=force, max_cost=max_cost, timeout=timeout
        )

    def resume(
        self,
        names: Sequence[str] = (),
        *,
        resubmit: bool = False,
        timeout: float | None = None,
    ) -> list[Job]:
        """Continue jobs that no process works on: the named ones, or all that are not finished.

        A named job that is done, and whose file is gone, downloads its video again.

        Args:
            names: Job ids, or unambiguous beginnings of them.
            resubmit: Send jobs of unknown outcome again, which may pay a second time.
            timeout: As for ``submit``.

        Returns:
            The jobs that this process works on now, without those of other processes.

        Raises:
            UnknownJobError: The ledger has no such job.
            UnknownOutcomeError: A named job has an unknown outcome and ``resubmit`` is not set.
        """
        check_timeout(timeout)
        # A single text would be the beginning of a job for each of its letters.
        names = [names] if isinstance(names, str) else names
        records = [self.ledger.find_job(name) for name in names]
        if not names:
            records = self.ledger.list_unfinished() + self._list_fetchable()
        # Without names, jobs of unknown outcome are left alone: sending them again may cost money.
        unknown = [record for record in records if record.state is State.UNKNOWN and names]
        if unknown and not resubmit:
            job = unknown[0]
            raise UnknownOutcomeError(job.id, has_tasks=has_tasks(job.provider))
        resubmitted = [self.plan_resubmit(record, record.run) for record in unknown]
        open_jobs = [r for r in records if r.state in LIVE or r.can_reopen]
        leased = [self._reopen_ended(each) for each in self.runner.take_leases(open_jobs)]
        return self.runner.work_on([*resubmitted, *leased], timeout)

    def _check_columns(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        check_columns(columns, KNOWN_KEYS)
        return dict(columns)

    def _list_fetchable(self) -> list[Record]:
        """Return the expired jobs whose videos the provider should still have.

        Earlier versions ended a job after one 404. A job that another one has replaced since, on
        request, stays as it is.
        """
        expired = self.ledger.list_jobs(states=[State.EXPIRED])
        found = [each for each in expired if each.can_reopen and not self._is_deleted(each)]
        return [each for each in found if not self._is_replaced(each)]

    def _is_deleted(self, record: Record) -> bool:
        try:
            model = self.models(record.provider).get(record.model)
        except VeoError:  # the provider is not installed any more
            return True
        return model is None or record.is_retention_over(model.retention_s, time.time())

    def _is_replaced(self, record: Record) -> bool:
        return any(
            (other.fingerprint, other.output) == (record.fingerprint, record.output)
            and other.created_at > record.created_at
            for other in self.ledger.list_jobs(run=record.run)
        )

    def _reopen_ended(self, record: Record) -> Record:
        """Return a leased job that continues; a video that was missing may be there again."""
        if not record.has_ended:
            return record
        message = "the provider is asked for the video again"
        return self.ledger.reopen_job(record, record.owner, message)

    def cancel(self, records: Sequence[Record]) -> list[Record]:
        """Withdraw jobs that were never sent and that no process works on; free their money.

        Returns:
            The withdrawn jobs, now failed. A job that was sent cannot be withdrawn.
        """
        leased = self.runner.take_leases([each for each in records if each.state is State.PLANNED])
        error = WithdrawnError("withdrawn before it was sent")
        withdrawn = self.ledger.withdraw_jobs(leased, error)
        self.ledger.release_leases(self.runner.worker, [record.id for record in leased])
        return withdrawn

    def attach_task(self, name: str, task_id: str) -> Record:
        """Attach the provider's task to a job whose outcome is unknown, or whose task is missing.

        A task that was attached can be replaced until the provider has reported something about it.

        Raises:
            UnknownJobError: The ledger has no such job.
            UsageError: The outcome of the job is known, or its provider has no tasks; nothing was
                changed.
            LeaseLostError: Another process works on the job.
        """
        record = self.ledger.find_job(name)
        if not has_tasks(record.provider):
            raise UsageError(
                f"{record.provider} has no tasks: its videos come within the request",
                remedies=[Remedy("attach_url", record.id)],
            )
        if record.state is State.EXPIRED or record.is_missing or self._has_unseen_task(record):
            return self._replace_task(record, task_id)
        if not self.ledger.attach_task(record.id, task_id):
            raise UsageError(
                f"job {record.id} is {record.state}: a task can be attached only while the "
                "outcome is unknown, or when the task was not found"
            )
        return self.ledger.find_job(record.id)

    def attach_url(self, name: str, url: str) -> Record:
        """Have a job download its video from an address, which its response names, for example.

        The job's outcome is unknown, it failed after it was charged, or its video is missing or
        was not downloaded yet.

        Raises:
            UnknownJobError: The ledger has no such job.
            UsageError: The address is not an http(s) URL, or the job needs none; nothing was
                changed.
            LeaseLostError: Another process works on the job.
        """
        record = self.ledger.find_job(name)
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(f"{url!r} is not an http(s) URL")
        remote = RemoteVideo(url)
        if record.state is State.UNKNOWN and self.ledger.attach_task(record.id, None, remote):
            return self.ledger.find_job(record.id)
        video, message = json.dumps(remote.to_json()), "the video has the address that a user named"
        has_failed = record.state is State.FAILED and record.charged
        if has_failed or record.state is State.EXPIRED:
            found = replace(record, video=video)
            return self.ledger.reopen_job(found, None, message, video=video, certain=True)
        if not record.is_missing and record.state not in MADE:
            raise UsageError(f"job {record.id} is {record.state}: no address can be attached to it")
        if not (leased := self.runner.take_leases([record])):
            raise LeaseLostError(f"another process works on job {record.id}")
        state = State.READY if record.state in MADE else None
        changes: dict[str, Any] = {"owner": None, "video": video, "etag": None, "error": None}
        return self.ledger.move_job(leased[0], state, kind="url", message=message, **changes)

    def _has_unseen_task(self, record: Record) -> bool:
        """Return whether a user attached the task, perhaps with a typing error in its id."""
        if record.state is not State.SUBMITTED:
            return False
        return any(event.kind == "task attached" for event in self.ledger.read_history(record.id))

    def _replace_task(self, record: Record, task_id: str) -> Record:
        """Have a job ask for a task again, or for another one, after it was not found."""
        message = f"continued with task {task_id}"
        changes: dict[str, Any]
        is_other = task_id != record.task_id
        if record.state is State.EXPIRED:
            # The address of the earlier task's video says nothing about this one.
            source = replace(record, video=None) if is_other else record
            changes = {"task_id": task_id, "video": None} if is_other else {}
            return self.ledger.reopen_job(source, None, message, **changes)
        if not is_other:
            return record
        leased = [] if record.video else self.runner.take_leases([record])
        if not leased:
            raise UsageError(f"job {record.id} has a video already, or another process works on it")
        changes = {"owner": None, "task_id": task_id, "error": None}
        return self.ledger.move_job(leased[0], kind="task", message=message, **changes)


def _name_of(video: Job | Path | str) -> str:
    return video.id if isinstance(video, Job) else str(video)
