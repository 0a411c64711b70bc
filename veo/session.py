"""The state that all operations on jobs share: configuration, ledger, providers and workers."""

from __future__ import annotations

import asyncio
import math
import os
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Self, Unpack

from veo.config import Config, read_config
from veo.engine.context import ProviderHandle, StepContext
from veo.errors import (
    BudgetError,
    ConfigError,
    InvalidRequestError,
    KeyMissingError,
    UsageError,
)
from veo.files.images import ImageStore, read_frame_sizes
from veo.files.output import choose_output, prepare_output
from veo.key import Key
from veo.ledger import Cap, Ledger, NewJob, budget, lineage
from veo.ledger.images import LedgerImages
from veo.ledger.reserve import make_job_id
from veo.money import Usd, to_micros
from veo.paths import ledger_folder, to_absolute
from veo.planning import plan as planning
from veo.planning.check import find_errors
from veo.planning.frames import check_frames, follow_frame, frame_ratio
from veo.problems import Remedy
from veo.provider import ModelLister, Uploader, installed_facts
from veo.request import Request, RequestKwargs
from veo.runtime.offers import Offer, OfferStore
from veo.runtime.providers import Endpoint, ProviderRegistry
from veo.runtime.queue_runner import QueueRunner
from veo.runtime.runner import JobRunner
from veo.runtime.sandbox import start_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from veo.job import Job
    from veo.ledger import Record
    from veo.model import Model, ProviderFacts
    from veo.planning.plan import Plan


class Session:
    """Plans, starts and follows jobs. ``Client`` adds what a user calls.

    Batches, extensions and comparisons depend on this class only, so that ``Client`` can import
    them.

    Args:
        config: The configuration; read from files and environment by default.
        provider: The provider of requests that name none, in place of the configured one.
        api_key: The key for that provider, in place of the one in its environment variable.
        sandbox: Use a local sandbox with a ledger of its own: no key, no network, play money. By
            default it is used if ``VEO_SANDBOX`` is set to 1.
        tags: Words that every job of this session gets, to find it again.
        columns: Texts and numbers by name that every job of this session gets, likewise.
        home: The ledger's folder; ``$VEO_HOME`` or the platform's data folder by default.
        endpoint: A sandbox that replaces the live services, or a function that starts one. The
            function is called on the first connection to a provider.
    """

    def __init__(  # noqa: PLR0913 - what a session works with, and where
        self,
        config: Config | None = None,
        *,
        provider: str | None = None,
        api_key: str | Key | None = None,
        sandbox: bool | None = None,
        home: Path | str | None = None,
        tags: Iterable[str] = (),
        columns: Mapping[str, str | float] | None = None,
        endpoint: Endpoint | Callable[[], Endpoint] | None = None,
    ) -> None:
        key = Key(api_key.strip()) if isinstance(api_key, str) else api_key
        if key and not key.reveal():
            raise KeyMissingError("api_key is empty")
        self.columns = self._check_columns(columns or {})
        self.config = config or read_config().config
        if provider:
            self.config = self.config.replace(provider=provider)
        if sandbox is None:
            sandbox = endpoint is None and _is_set("VEO_SANDBOX")
        self.home = to_absolute(home) if home else ledger_folder(sandbox=sandbox)
        self.tags: tuple[str, ...] = (tags,) if isinstance(tags, str) else tuple(tags)
        self._servers = ExitStack()
        if sandbox:
            # Play money must not get into the ledger of an organisation.
            self.config = self.config.replace(ledger=None)
            endpoint = cache(self._start_sandbox)
        self.ledger = Ledger(self.home, url=self.config.ledger)
        # Whether workers do the work. An endpoint is known to this process only.
        self.has_workers = self.config.ledger is not None and endpoint is None
        self.images = ImageStore(
            self.home / "images",
            trusted_urls=lambda: self._registry.base_urls(),  # noqa: PLW0108 - is made below
            shared=LedgerImages(self.ledger) if self.has_workers else None,
        )
        # The wall clock, because the times in the ledger must be valid after a restart.
        context = StepContext(
            self.ledger,
            self.images,
            self.connect,
            self.ledger.clock,
            parts_folder=self.home / "parts",
        )
        runner = QueueRunner if self.has_workers else JobRunner
        self.runner = runner(context, self.config.timeout)
        self._is_sandbox = endpoint is not None
        self._offers = OfferStore(self.home / "offers.json")
        keys = {self.config.provider: key} if key else {}
        self._registry = ProviderRegistry(self.config, endpoint, self.runner.on_capacity, keys)

    def plan(
        self,
        request: Request | str,
        provider: str | None = None,
        **options: Unpack[RequestKwargs],
    ) -> Plan:
        """Return what a request would send and cost. Nothing is sent, stored or reserved.

        Args:
            request: A request, or a prompt.
            provider: The provider's name. By default the configured one; another one if the
                request names a model that only others have, or ``PROVIDER/MODEL``.
            **options: Fields of the request, in addition to a prompt or in place of those of a
                request.

        Raises:
            InvalidRequestError: The request breaks rules; the error lists all of them.
            UnknownModelError: The provider has no model of that name.
            UnknownProviderError: No provider of that name is installed.
            ConfigError: The configuration of the provider is not valid.
        """
        name, complete = self.choose_provider(Request.of(request, **options), provider)
        provider_config = self.config.for_provider(name)
        preferred = self.config.model or provider_config.model
        sizes = {} if complete.source else read_frame_sizes(complete)
        start_frame = sizes.get("start_frame")
        ratio = {"aspect_ratio": frame_ratio(start_frame)} if start_frame else {}
        planner = planning.Planner(
            self.models(name),
            preferred,
            # An iterator: other providers are imported only if the request has problems.
            catalogue=self._registry.offers(),
            shape={**planning.DEFAULT_SHAPE, **ratio},
            retired=self.config.retired,
            is_sandbox=self._is_sandbox,
            availability=planning.Availability(offered=self._offers.recent_names()),
        )
        if named := planner.named_models(complete):
            complete = follow_frame(complete, start_frame, named)
        plan = planner.plan(complete)
        problems = tuple(check_frames(plan.request, plan.model, sizes))
        if find_errors(problems):
            raise InvalidRequestError(problems, [Remedy("fit_frames")])
        return replace(plan, warnings=plan.warnings + problems)

    def choose_provider(
        self, request: Request, provider: str | None, default: str | None = None
    ) -> tuple[str, Request]:
        """Return the provider of a request, and the request with the plain name of its model.

        Args:
            request: The request.
            provider: The provider that is named; it is not questioned.
            default: The provider of a request that names none; the configured one by default.
        """
        head, slash, model = (request.model or "").partition("/")
        if slash and head in self.providers():
            return provider or head, replace(request, model=model)
        default = default or self.config.provider
        if provider or request.model is None or request.model in self.models(default):
            return provider or default, request
        owners = [row.provider for row in self.catalogue if row.name == request.model]
        return next(iter(owners), default), request

    def prepare_job(
        self,
        plan: Plan,
        *,
        run: str,
        job: str = "",
        output: Path | str | None = None,
        force: bool = False,
    ) -> NewJob:
        """Prepare a plan for the ledger: connect its provider, store its images, check its output.

        Limits such as ``max_cost`` count by ``run``. A file that is not given is named after prompt
        and job in the configured folder.

        Raises:
            OutputError: The file exists or cannot be written.
            ImageError: An image cannot be used.
            SetupError: The provider cannot be used.
        """
        provider = plan.model.provider
        # First, so that a missing key is reported before anything is stored.
        handle = self.connect(provider)
        source = plan.request.source
        if source and source.local_path and not isinstance(handle.provider, Uploader):
            raise ConfigError(f"{provider} cannot upload a video")
        maker = lineage.find_maker(self.ledger, source) if source and not plan.parent else None
        job = job or make_job_id()
        request = plan.request.map_images(self.images.store)
        name = planning.fill_name(self.config.output_name, plan, job)
        if isinstance(output, str):
            output = planning.fill_name(output, plan, job)
        path = choose_output(output, self.config.output_dir, name)
        prepare_output(path, force=force)
        return NewJob(
            id=job,
            run=run,
            provider=provider,
            model=plan.model.name,
            request=request,
            output=str(path),
            quote=plan.quote,
            force=force,
            parent=maker.id if maker else plan.parent,
            tags=self.tags,
            columns=self.columns,
        )

    def start_jobs(
        self,
        new: Sequence[NewJob],
        run: str,
        max_cost: Usd | None = None,
        timeout: float | None = None,
    ) -> list[Job]:
        """Reserve the money of jobs, of all or none, and begin to work on them.

        The jobs may belong to several providers. ``max_cost``, USD, limits the sum of the run, and
        ``timeout`` is in seconds; both have configured defaults.

        Raises:
            BudgetError: A limit would be exceeded. Nothing was sent or reserved.
            UsageError: The timeout is not a number.
        """
        check_timeout(timeout)
        # All or none: a caller must not pay for half of a list.
        planned = self.ledger.plan_jobs(
            new, self.list_caps(run, max_cost), self.runner.worker, all_or_nothing=True
        )
        if planned.stopped_by:
            amount = sum(to_micros(job.quote.amount) for job in new)
            raise budget.over_cap_error(planned.stopped_by, planned.spent, amount)
        return self.runner.work_on(planned.records, timeout)

    def plan_resubmit(self, record: Record, run: str, max_cost: Usd | None = None) -> Record:
        """Plan a job of unknown outcome again, which may pay a second time.

        Raises:
            BudgetError: A limit would be exceeded.
            LeaseLostError: Another process has changed the job.
        """
        caps = self.list_caps(run, max_cost)
        planned = self.ledger.plan_resubmit(record, caps, self.runner.worker)
        if planned.stopped_by:
            amount = to_micros(record.parse_quote().amount)
            raise budget.over_cap_error(planned.stopped_by, planned.spent, amount)
        return planned.records[0]

    def list_caps(self, run: str, max_cost: Usd | None = None) -> list[Cap]:
        """Return the limits on money that apply now: of the run, the day and the month."""
        return budget.current_caps(self.config, run, max_cost)

    def budget_error(
        self, run: str, amount: int, max_cost: Usd | None = None
    ) -> BudgetError | None:
        """Return why an amount, millionths of a USD, exceeds limits of a run; None if it fits."""
        spent = {cap: self.ledger.count_spent(cap) for cap in self.list_caps(run, max_cost)}
        return budget.caps_error(spent, amount)

    def models(self, provider: str) -> dict[str, Model]:
        """Return a provider's models by name, with the user's overrides.

        Raises:
            UnknownProviderError: No provider of that name is installed.
        """
        return self._registry.models(provider)

    @property
    def catalogue(self) -> list[Model]:
        """All models of all installed providers."""
        return self._registry.catalogue

    def living_models(self) -> list[Model]:
        """Return the models of all installed providers that work as far as is known."""
        availability = planning.Availability(offered=self._offers.recent_names())
        return [model for model in self.catalogue if not availability.has_ended(model)]

    def providers(self) -> dict[str, ProviderFacts]:
        """Return the facts of every installed provider by name."""
        return installed_facts()

    def connect(self, name: str) -> ProviderHandle:
        """Return a connected provider with its limits.

        Raises:
            KeyMissingError: No key is configured.
            ConfigError: The configuration of the provider is not valid.
            UnknownProviderError: No provider of that name is installed.
        """
        return self._registry.connect(name)

    def ask_offer(self, provider: str) -> Offer | None:
        """Ask a provider which models it offers, free of charge, and keep the list for a day.

        Returns None if the provider has no such list.
        """
        lister = self.connect(provider).provider
        if not isinstance(lister, ModelLister):
            return None
        return self._offers.save(provider, lister.list_models())

    def stop(self, *, wait: bool = True) -> None:
        """Stop all work and release the leases.

        Without ``wait`` the outcome of the paid requests that are under way stays unknown.
        """
        self.runner.close(wait=wait)

    def close(self) -> None:
        """Stop all work, release the leases and close the ledger; who waits for a job is woken."""
        self.stop()
        self.runner.end_waits()
        self.ledger.close()
        self._servers.close()

    def _check_columns(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy; ``Client`` checks it by the rules of a batch, which import this class."""
        return dict(columns)

    def _start_sandbox(self) -> Endpoint:
        return self._servers.enter_context(start_sandbox(self.config, self.home))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)  # it waits for paid requests under way

    def __repr__(self) -> str:
        ledger = "sandbox" if self._is_sandbox else str(self.home)
        return f"<{type(self).__name__} {self.config.provider}, {ledger}>"


def _is_set(name: str) -> bool:
    """Return whether a variable is switched on, by the words that the command line takes."""
    return os.environ.get(name, "").strip().lower() not in {"", "0", "f", "false", "n", "no", "off"}


def check_timeout(timeout: object) -> None:
    """Raise a UsageError unless a timeout is a number of seconds, or None."""
    is_number = isinstance(timeout, int | float) and not math.isnan(timeout)
    if timeout is not None and not is_number:
        raise UsageError(f"{timeout!r} is not a valid timeout: it must be a number of seconds")
