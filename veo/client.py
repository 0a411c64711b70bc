"""The public face of it all."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

from veo import download
from veo import plan as planning
from veo.config import Config, ProviderConfig, key_of, load, models_of
from veo.engine.engine import Engine
from veo.engine.limits import Gate
from veo.engine.work import Context, Route, Work
from veo.errors import BudgetError, ConfigError, UnknownOutcomeError
from veo.image import Image
from veo.job import Job
from veo.ledger import IN_FLIGHT, Cap, Ledger, NewJob, Record, State
from veo.ledger.planning import new_id
from veo.ledger.worker import Worker, dead
from veo.money import micros, show, usd
from veo.pictures import Pictures
from veo.places import home as default_home
from veo.provider import Connection, ProviderClass, find, installed
from veo.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal

    from veo.key import Key
    from veo.model import Facts, Model
    from veo.plan import Plan


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where every provider is sent to instead of the live services: a sandbox.

    Attributes:
        url: Scheme, host and port; each provider keeps the path of its own base URL.
        key: The key it takes.
        median_s: Seconds that its videos usually take, if it is not the providers' time.
    """

    url: str
    key: Key
    median_s: float | None = None


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
        self._endpoint = endpoint
        self._routes: dict[str, Route] = {}
        self._jobs: dict[str, Job] = {}
        self._lock = threading.RLock()
        self._worker: Worker | None = None
        self._engine: Engine | None = None
        pictures = Pictures(self.home / "pictures")
        self._context = Context(self.ledger, pictures, self.route, time.time)

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
            _request(request, options),
            self.models(name),
            preferred=self.config.model or chosen.model,
            catalogue=self._catalogue,
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
        planned = self.ledger.plan([new], self.caps(job, max_cost), self.worker)
        if planned.stopped_by:
            raise over(planned.stopped_by, planned.spent, plan.quote.amount)
        return self.work_on(planned.records, timeout)[0]

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
        self.route(provider)
        job = job or new_id()
        kept = plan.request.map_images(self._context.pictures.keep)
        named = Path(output) if output else Path(f"{planning.slug(kept.prompt)}-{job}.mp4")
        folder = self.config.output_dir if output is None else Path()
        place = (folder / named).expanduser().absolute()
        download.claim_place(place, force=force)
        return NewJob(
            id=job,
            run=run,
            provider=provider,
            model=plan.model.name,
            request=kept,
            output=str(place),
            quote=plan.quote,
            force=force,
        )

    def caps(self, run: str, max_cost: Decimal | None = None) -> list[Cap]:
        """The limits on money that hold now: of the run, the day, the month (local time)."""
        limit = max_cost if max_cost is not None else self.config.max_cost
        today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        caps = [Cap("--max-cost", micros(limit), run=run)] if limit is not None else []
        budget = self.config.budget
        if budget.daily is not None:
            caps.append(Cap("budget.daily", micros(budget.daily), since=today.timestamp()))
        if budget.monthly is not None:
            first = today.replace(day=1).timestamp()
            caps.append(Cap("budget.monthly", micros(budget.monthly), since=first))
        return caps

    def work_on(self, records: Iterable[Record], timeout: float | None = None) -> list[Job]:
        """Begin to work on jobs whose lease this client holds."""
        engine = self._running()
        jobs = []
        for record in records:
            work = Work(record, wait_s=timeout if timeout is not None else self.config.timeout)
            job = Job(work)
            if record.state is not State.PLANNED:
                work.deadline = time.time() + (work.wait_s or 0.0)
            if record.state in IN_FLIGHT:
                self.route(record.provider).gate.admit(record.id)
            self._jobs[record.id] = job
            jobs.append(job)
            engine.add(work)
        return jobs

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
        wanted = [self.ledger.job(name) for name in names] or self.ledger.unfinished()
        ready = []
        for record in wanted:
            if record.state is State.UNKNOWN and names:
                ready.append(self._decided(record, resubmit=resubmit))
            elif not record.ended:
                ready.append(record)
        return self.work_on(self.lease(ready), timeout)

    def lease(self, records: Sequence[Record]) -> list[Record]:
        """Those of the jobs that nobody works on, now held by this client."""
        owners = {record.owner for record in records if record.owner}
        gone = dead(self.ledger, owners - {self.worker}, time.time())
        free = [record for record in records if record.owner is None or record.owner in gone]
        return self.ledger.lease(free, self.worker)

    def adopt(self, name: str, task_id: str) -> Record:
        """Tell the ledger the task id of a job whose outcome is unknown.

        Raises:
            UnknownJobError: No such job.
            ConfigError: The job's outcome is known.
        """
        record = self.ledger.job(name)
        if not self.ledger.adopt(record.id, task_id, None):
            raise ConfigError(f"job {record.id} is {record.state}: it needs no task id")
        return self.ledger.job(record.id)

    @property
    def worker(self) -> str:
        """The identity under which this client holds leases."""
        with self._lock:
            self._worker = self._worker or Worker(self.ledger)
            return self._worker.id

    def models(self, provider: str) -> dict[str, Model]:
        """A provider's models, the user's overrides applied.

        Raises:
            UnknownProviderError: No such provider is installed.
        """
        return models_of(find(provider).facts, self.config.of(provider))

    def providers(self) -> dict[str, Facts]:
        """The facts of every installed provider, by name."""
        return {name: cls.facts for name, cls in installed().items()}

    def route(self, name: str) -> Route:
        """A provider ready to be used, with its limits.

        Raises:
            KeyMissingError, ConfigError, UnknownProviderError: It cannot be.
        """
        with self._lock:
            if name not in self._routes:
                self._routes[name] = self._connect(name)
            return self._routes[name]

    def close(self) -> None:
        """Stop working, wait for the answers of paid requests under way, give up the leases."""
        with self._lock:
            engine, self._engine = self._engine, None
            worker, self._worker = self._worker, None
        if engine:
            engine.stop()
        if worker:
            worker.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self, name: str) -> Route:
        cls: ProviderClass = find(name)
        facts, chosen = cls.facts, self.config.of(name)
        unknown = sorted(set(chosen.model_extra or {}) - set(facts.options))
        if unknown:
            known = ", ".join([*ProviderConfig.model_fields, *facts.options])
            raise ConfigError(
                f"providers.{name}.{unknown[0]}: there is no such setting",
                hint=f"There are: {known}.",
            )
        base = chosen.base_url or facts.base_url
        endpoint = self._endpoint() if callable(self._endpoint) else self._endpoint
        key = endpoint.key if endpoint else key_of(facts, chosen)
        url = _moved(base, endpoint.url) if endpoint else base
        models = models_of(facts, chosen)
        provider = cls(Connection(url, key, models, chosen.model_extra or {}))
        gate = Gate(
            chosen.max_in_flight or facts.max_in_flight,
            chosen.submits_per_minute or facts.submits_per_minute,
            opened=lambda: self._opened(name),
        )
        median = (endpoint and endpoint.median_s) or chosen.median_s or facts.median_s
        return Route(provider, facts.model_copy(update={"median_s": median}), gate)

    def _opened(self, provider: str) -> None:
        if self._engine:
            self._engine.opened(provider)

    def _running(self) -> Engine:
        with self._lock:
            self._engine = self._engine or Engine(self._context, self._over)
            return self._engine

    def _over(self, work: Work) -> None:
        job = self._jobs.pop(work.record.id, None)
        if job:
            job.finish()

    @cached_property
    def _catalogue(self) -> list[Model]:
        return [
            model
            for name, facts in self.providers().items()
            for model in models_of(facts, self.config.of(name)).values()
        ]

    def _decided(self, record: Record, *, resubmit: bool) -> Record:
        if not resubmit:
            raise UnknownOutcomeError(
                f"the outcome of job {record.id} is unknown: it may have been paid for",
                hint=str((record.failure() or {}).get("hint") or ""),
            )
        quoted = micros(record.quoted().amount)
        return self.ledger.move(
            record,
            State.PLANNED,
            kind="resubmit",
            message="sent again on request; the first may have been paid for too",
            doubtful=record.doubtful + record.reserved,
            reserved=quoted,
            error=None,
            certain=True,
        )


def over(cap: Cap, spent: int, amount: Decimal) -> BudgetError:
    """The error of a quote that does not fit under a cap, with what would be needed."""
    needed = show(usd(spent) + amount)
    return BudgetError(
        f"{show(amount)} does not fit under {cap.name} of {show(usd(cap.limit))}: "
        f"{show(usd(spent))} is spent or reserved already",
        hint=f"{cap.name} would have to be at least {needed}.",
    )


def _request(request: Request | str, options: dict[str, Any]) -> Request:
    if isinstance(request, Request):
        return replace(request, **options) if options else request
    images = {key: options[key] for key in ("start_frame", "end_frame") if options.get(key)}
    options |= {key: Image.of(image) for key, image in images.items()}
    references = options.get("reference") or ()
    options["reference"] = tuple(Image.of(image) for image in references)
    return Request(prompt=request, **options)


def _moved(base: str, origin: str) -> str:
    parts, other = urlsplit(base), urlsplit(origin)
    return urlunsplit((other.scheme, other.netloc, parts.path, "", ""))
