"""The public face of it all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from veo import extend, orders, resume
from veo.batch.load import load as load_batch
from veo.batch.options import Rules
from veo.config import Config, load
from veo.engine.context import Context
from veo.files.images import Pictures
from veo.ledger import Ledger, NewJob, budget
from veo.ledger.reserve import new_id
from veo.money import micros
from veo.paths import home as default_home
from veo.planning import plan as planning
from veo.runtime.providers import Endpoint, Routes
from veo.runtime.runner import Hands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from decimal import Decimal
    from pathlib import Path

    from veo.batch.batch import Batch
    from veo.batch.load import Source
    from veo.engine.context import Route
    from veo.job import Job
    from veo.ledger import Cap, Record
    from veo.model import Facts, Model
    from veo.planning.plan import Plan
    from veo.request import Request

__all__ = ["Client", "Endpoint"]


class Client:
    """Makes videos. Use it as a context manager, or ``close`` it.

    Args:
        config: As ``veo.config.load`` gave it; read from files and environment by default.
        home: The folder of the ledger; ``$VEO_HOME`` or the platform's by default.
        endpoint: A sandbox to talk to instead of the live services, or what starts one: it is
            called when a provider is first connected to.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        home: Path | None = None,
        endpoint: Endpoint | Callable[[], Endpoint] | None = None,
    ) -> None:
        self.config = config or load().config
        self.home = home or default_home()
        self.ledger = Ledger(self.home)
        self.pictures = Pictures(self.home / "pictures")
        context = Context(self.ledger, self.pictures, self.route, time.time)
        self._hands = Hands(context, self.config.timeout)
        self._routes = Routes(self.config, endpoint, self._hands.opened)

    def plan(self, request: Request | str, provider: str | None = None, **options: Any) -> Plan:
        """What a request would send and cost; nothing is sent, kept or reserved.

        Args:
            request: A request, or a prompt with the other fields of one as ``options``.
            provider: Its route; the configured one by default.
            **options: Fields of a request, when it is given as a prompt.

        Raises:
            InvalidRequestError: With every problem of it.
            UnknownModelError, UnknownProviderError, ConfigError: What it says.
        """
        name = provider or self.config.provider
        chosen = self.config.of(name)
        return planning.plan(
            orders.asked(request, options),
            self.models(name),
            preferred=self.config.model or chosen.model,
            catalogue=self._routes.offers(),
            retired=self.config.retired,
        )

    def submit(
        self,
        request: Request | str,
        *,
        provider: str | None = None,
        output: Path | str | None = None,
        force: bool = False,
        max_cost: Decimal | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> Job:
        """Plan one job, reserve its money, and begin to work on it.

        Args:
            request: A request, or a prompt with the other fields of one as ``options``.
            provider: Its route; the configured one by default.
            output: The file; named after prompt and job in the configured folder by default.
            force: Replace an existing file.
            max_cost: USD that it may cost at most.
            timeout: Seconds after which ``result`` stops waiting; the configured ones by default.
            **options: Fields of a request, when it is given as a prompt.

        Raises:
            UsageError, SetupError, BudgetError: Nothing was sent, nothing is reserved.
        """
        name = provider or self.config.provider
        plan = self.plan(request, name, **options)
        job = new_id()
        new = self.new_job(plan, name, run=job, job=job, output=output, force=force)
        return self.start([new], job, max_cost, timeout)[0]

    def submit_all(
        self,
        requests: Iterable[Request | str],
        *,
        provider: str | None = None,
        outputs: Iterable[Path | str] | None = None,
        force: bool = False,
        max_cost: Decimal | None = None,
        timeout: float | None = None,
    ) -> list[Job]:
        """Plan many jobs, reserve the money of all of them or of none, and begin to work.

        Every call makes new jobs; ``batch`` recognises what is made already.

        Args:
            requests: Requests, or prompts.
            provider: Their route; the configured one by default.
            outputs: Their files, as many; named after prompt and job by default.
            force: Replace existing files.
            max_cost: USD that they may cost together at most.
            timeout: Seconds after which ``result`` stops waiting; the configured ones by default.

        Raises:
            InvalidBatchError: With every problem of every request.
            UsageError, SetupError, BudgetError: Nothing was sent, nothing is reserved.
        """
        name, run = provider or self.config.provider, new_id()
        wanted = list(requests)
        places = list(outputs) if outputs is not None else [None] * len(wanted)
        pairs = zip(wanted, places, strict=True)
        new = orders.jobs(self, pairs, name, run=run, force=force)
        return self.start(new, run, max_cost, timeout)

    def batch(self, source: Source, **rules: Any) -> Batch:
        """Many requests that are made once each, however often and in however many processes.

        Everything is read and checked now, nothing is sent. Iterate over the batch to make it.

        Args:
            source: A file (a JSON list or JSON Lines), the content of one, or items: requests, or
                mappings with the keys of an item in a file.
            **rules: Fields of ``veo.batch.options.Rules``: ``output_dir``, ``max_cost``, ...

        Raises:
            InvalidBatchError: With every problem of every item.
            UsageError, SetupError: The file or the configuration cannot be used.
        """
        return load_batch(self, source, Rules(**rules))

    def extend(  # noqa: PLR0913 - what `submit` takes, and how often
        self,
        video: Path | str,
        request: Request | str,
        times: int = 1,
        *,
        output: Path | str | None = None,
        force: bool = False,
        max_cost: Decimal | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> Iterator[Job]:
        """Continue a video: a job a step, each sent once the one before has its video.

        Args:
            video: The job that made it, or the file that it made.
            request: What comes next; ``options`` are its other fields, as for ``submit``.
            times: How many steps.
            output: The file of the last step, which holds the whole; see ``veo.extend.steps``.
            force: Replace existing files.
            max_cost: USD that all steps may cost together at most.
            timeout: Seconds to wait for each step; the configured ones by default.
            **options: Fields of a request, when it is given as a prompt.

        Raises:
            UnknownJobError: No job of this ledger made the video.
            InvalidRequestError: With everything that speaks against continuing it.
            OutputError, BudgetError: Nothing was sent, nothing is reserved.
        """
        source = extend.find(self, str(video))
        planned = extend.plan(self, source, orders.asked(request, options), times)
        how: dict[str, Any] = {"force": force, "max_cost": max_cost, "timeout": timeout}
        return extend.steps(self, planned, output=output, **how)

    def new_job(
        self,
        plan: Plan,
        provider: str,
        *,
        run: str,
        job: str = "",
        output: Path | str | None = None,
        force: bool = False,
    ) -> NewJob:
        """A plan made ready for the ledger: its pictures kept, its place claimed, its key found."""
        return orders.job(self, plan, provider, run=run, name=job, output=output, force=force)

    def start(
        self,
        new: Sequence[NewJob],
        run: str,
        max_cost: Decimal | None = None,
        timeout: float | None = None,
    ) -> list[Job]:
        """Plan jobs made by ``new_job``, all of them or none, and begin to work on them.

        Args:
            new: The jobs, of any providers.
            run: Their run, which ``max_cost`` counts.
            max_cost: USD that the run may cost at most; the configured amount by default.
            timeout: As for ``submit``.

        Raises:
            BudgetError: Nothing was sent, nothing is reserved.
        """
        planned = self.ledger.plan(new, self.caps(run, max_cost), self.worker, whole=True)
        if planned.stopped_by:
            asked = sum(micros(job.quote.amount) for job in new)
            raise budget.over(planned.stopped_by, planned.spent, asked)
        return self.work_on(planned.records, timeout)

    def caps(self, run: str, max_cost: Decimal | None = None) -> list[Cap]:
        """The limits on money that hold now: of the run, the day, the month (local time)."""
        return budget.caps(self.config, run, max_cost)

    def work_on(self, records: Iterable[Record], timeout: float | None = None) -> list[Job]:
        """Begin to work on jobs whose lease this client holds."""
        return self._hands.work_on(records, timeout)

    def join(self, records: Sequence[Record], timeout: float | None = None) -> list[Job]:
        """Work on those jobs that nobody works on, and follow the others.

        A followed job is taken over when its process gives it up or dies.
        """
        return self._hands.join(records, timeout)

    def resume(
        self,
        names: Sequence[str] = (),
        *,
        resubmit: bool = False,
        timeout: float | None = None,
    ) -> list[Job]:
        """Carry on with jobs that nobody works on; without names with all that can be.

        Args:
            names: Ids or unambiguous beginnings of them.
            resubmit: Send jobs of unknown outcome again, which may pay again.
            timeout: As for ``submit``.

        Returns:
            The jobs that this process works on now. Those that another process works on, and
            those that have ended, are not among them.

        Raises:
            UnknownJobError: No such job.
            UnknownOutcomeError: A named job has an unknown outcome and ``resubmit`` is not set.
        """
        return resume.resume(self, names, resubmit=resubmit, timeout=timeout)

    def cancel(self, records: Sequence[Record]) -> list[Record]:
        """Give up jobs that were never sent and that nobody works on; their money is free again.

        Returns:
            Those that were given up, failed now; what was sent cannot be taken back.
        """
        return resume.cancel(self, records)

    def lease(self, records: Sequence[Record]) -> list[Record]:
        """Those of the jobs that nobody works on, now held by this client."""
        return self._hands.lease(records)

    def adopt(self, name: str, task_id: str) -> Record:
        """Tell the ledger the task id of a job whose outcome is unknown.

        Raises:
            UnknownJobError: No such job.
            ConfigError: The job's outcome is known.
        """
        return resume.adopt(self, name, task_id)

    @property
    def worker(self) -> str:
        """The identity under which this client holds leases."""
        return self._hands.worker

    def usual_s(self, provider: str, model: str) -> float:
        """Seconds that a model usually takes, learned from past jobs of this ledger.

        Raises:
            SetupError: The provider cannot be used.
        """
        return self._hands.usual_s(provider, model)

    def models(self, provider: str) -> dict[str, Model]:
        """A provider's models, the user's overrides applied.

        Raises:
            UnknownProviderError: No such provider is installed.
        """
        return self._routes.models(provider)

    @property
    def catalogue(self) -> list[Model]:
        """All models of all providers."""
        return self._routes.catalogue

    def providers(self) -> dict[str, Facts]:
        """The facts of every installed provider, by name."""
        return self._routes.providers()

    def route(self, name: str) -> Route:
        """A provider ready to be used, with its limits.

        Raises:
            KeyMissingError, ConfigError, UnknownProviderError: It cannot be.
        """
        return self._routes.route(name)

    def stop(self, *, wait: bool = True) -> None:
        """Stop working, and give up the leases.

        Args:
            wait: For the answers to paid requests under way. Without them it will not be known
                whether those were accepted.
        """
        self._hands.close(wait=wait)

    def close(self) -> None:
        """Stop working as ``stop`` does, and close the ledger."""
        self.stop()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
