"""The tree of errors.

Every error holds three independent facts: *what happened* (its class), *whether the same call may
be repeated* (``retryable``), and *whether money was charged* (``charged``: True, False, or None
where that is unknown). The number beside a branch is the exit code of the command line::

    VeoError
    ├── UsageError 2
    │   ├── InvalidRequestError  InvalidBatchError  ImageError  OutputError
    │   └── UnknownModelError  UnknownProviderError  UnknownJobError
    ├── SetupError 3
    │   ├── ConfigError  KeyMissingError  AuthError
    │   ├── LedgerError
    │   │   └── DamagedLedgerError
    │   └── BalanceError  QuotaError
    ├── BudgetError 4
    ├── WithdrawnError 1
    ├── ProviderError 1
    │   ├── RefusedError
    │   │   └── TooLargeError  ModelUnavailableError
    │   ├── GenerationError
    │   │   └── ModeratedError
    │   ├── BusyError  ResponseLostError
    │   ├── UnreachableError
    │   │   └── HostNotFoundError
    │   ├── ProtocolError
    │   │   └── ResponseTooLongError
    │   └── TaskNotFoundError  NotReadyError  GoneError
    ├── UnknownOutcomeError 5
    ├── StillRunningError 6
    ├── LeaseLostError 6
    └── DownloadError 7
        └── MissingVideoError
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import EllipsisType
from typing import Any, ClassVar

from veo.problems import ItemLocation, ItemProblem, Problem, Remedy

# The keys that JSON output and sidecars show; the ledger stores all of ``to_json``.
PUBLIC_KEYS = ("type", "message", "hint", "retryable", "charged", "request_id")


# What a program can do, by the kind of a remedy; the command line has commands and options.
PYTHON_REMEDIES = {
    "resume": "client.resume() continues the job.",
    "resubmit": "client.resume([{job!r}], resubmit=True) sends it again, and may pay again.",
    "attach_task": "client.attach_task({job!r}, {task!r}) continues with the provider's task.",
    "list_jobs": "client.ledger.list_jobs() lists all jobs.",
    "list_models": "client.catalogue lists the models of all providers.",
    "use_sandbox": "veo.Client(sandbox=True) needs no key.",
    "overwrite": "force=True overwrites it.",
    "raise_max_cost": "max_cost sets the limit of a call.",
    "fit_frames": "fit='crop' cuts frames to the shape of the video; fit='pad' adds bars.",
    "remake": "remake=True makes it again, and pays again.",
    "skip_invalid": "skip_invalid=True sends the valid items.",
}


class VeoError(Exception):
    """The base class of all errors of this library.

    Args:
        message: One sentence: what happened and why. It never contains a key.
        hint: What the user can do, as text.
        remedies: What the user can do, as data. The default is that of the class.
        retryable: Whether the same call may be repeated. The default is that of the class.
        charged: Whether money was charged; None if unknown. The default is that of the class.
        retry_after: Seconds to wait before the call is repeated, as the server says.
        request_id: The id that the provider gave the exchange.
    """

    exit_code: ClassVar[int] = 1
    # What happened, in English, for classes whose message is the provider's own text.
    summary: ClassVar[str] = ""
    retryable: bool = False
    charged: bool | None = False
    remedies: tuple[Remedy, ...] = ()
    # Of a response that was not understood: its end, and the addresses that it names. The key is
    # removed from both. Only the history of the job keeps them.
    response_end: str | None = None
    urls: tuple[str, ...] = ()
    # By name, for ``from_json``. Classes of other packages are added when they are defined.
    known: ClassVar[dict[str, type[VeoError]]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        VeoError.known[cls.__name__] = cls

    def __init__(  # noqa: PLR0913 - one for each fact that an error carries
        self,
        message: str,
        *,
        hint: str | None = None,
        remedies: Iterable[Remedy] | None = None,
        retryable: bool | None = None,
        charged: bool | EllipsisType | None = ...,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry_after = retry_after
        self.request_id = request_id
        if remedies is not None:
            self.remedies = tuple(remedies)
        if retryable is not None:
            self.retryable = retryable
        # ``...`` stands for "not given", because None is a value here: unknown.
        if not isinstance(charged, EllipsisType):
            self.charged = charged
        # Python prints notes below a traceback.
        if hint:
            self.add_note(hint)
        for remedy in self.remedies:
            if call := PYTHON_REMEDIES.get(remedy.kind):
                self.add_note(call.format(job=remedy.job, task=remedy.task_id or "TASK"))

    def __str__(self) -> str:
        """Return the reason, and for a provider's own message what it means for the money."""
        return f"{self.reason}; {self._money_note()}" if self.summary else self.reason

    @property
    def reason(self) -> str:
        """The message; that of a provider in brackets, after what it means."""
        return f"{self.summary} ({self.message})" if self.summary else self.message

    def _money_note(self) -> str:
        if self.charged is None:
            return "it may have been charged"
        if self.charged:
            return "it was charged"
        return "not charged, may be tried again" if self.retryable else "not charged"

    def __reduce__(self) -> tuple[Any, ...]:
        # Restored from its attributes, because the constructors of some classes differ.
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]

    def add_hint(self, text: str) -> None:
        """Add a sentence to what the user can do."""
        self.hint = f"{self.hint or ''} {text}".strip()

    def to_item_problems(self, location: ItemLocation, key: str = "") -> list[ItemProblem]:
        """Return the error as problems of an item of a batch, under the given key of the item."""
        text = f"{self.message}. {self.hint}" if self.hint else self.message
        return [ItemProblem(location, f"{key}: {text}" if key else text, self.remedies)]

    def to_json(self) -> dict[str, Any]:
        return {
            "type": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "remedies": [remedy.to_json() for remedy in self.remedies],
            "retryable": self.retryable,
            "charged": self.charged,
            "request_id": self.request_id,
        }

    def to_public_json(self) -> dict[str, Any]:
        """Return the part of ``to_json`` that JSON output shows."""
        body = self.to_json()
        return {key: body[key] for key in PUBLIC_KEYS}

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> VeoError:
        """Return the error that ``to_json`` described, of its class where that is known."""
        cls = VeoError.known.get(str(body.get("type")), VeoError)
        error = cls.__new__(cls)
        # Not the class's own ``__init__``, whose arguments may be others than a message.
        VeoError.__init__(
            error,
            str(body.get("message", "")),
            hint=body.get("hint"),
            # Ledgers of earlier versions hold none; commands are part of their hints.
            remedies=[Remedy(**remedy) for remedy in body.get("remedies", ())],
            retryable=body.get("retryable"),
            charged=body.get("charged"),
            request_id=body.get("request_id"),
        )
        return error


class UsageError(VeoError):
    """A request, an argument or a file is not valid; nothing was sent."""

    exit_code = 2


class InvalidRequestError(UsageError):
    """A request breaks rules of its model; ``problems`` holds all of them."""

    problems: tuple[Problem, ...] = ()

    def __init__(self, problems: Iterable[Problem], remedies: Iterable[Remedy] = ()) -> None:
        self.problems = tuple(problems)
        text = "\n".join(str(problem) for problem in self.problems)
        super().__init__(text, remedies=remedies)

    def to_item_problems(self, location: ItemLocation, key: str = "") -> list[ItemProblem]:
        del key  # every problem names its own field
        return [
            ItemProblem(location, f"{problem.field}: {problem.explanation}", self.remedies)
            for problem in self.problems
        ]


class InvalidBatchError(UsageError):
    """Items of a batch are not valid; ``problems`` holds every problem of every item."""

    problems: tuple[ItemProblem, ...] = ()

    def __init__(
        self,
        problems: Iterable[ItemProblem],
        *,
        hint: str | None = None,
        remedies: Iterable[Remedy] = (),
    ) -> None:
        self.problems = tuple(problems)
        found = [remedy for problem in self.problems for remedy in problem.remedies]
        super().__init__(
            "\n".join(map(str, self.problems)),
            hint=hint,
            remedies=dict.fromkeys([*found, *remedies]),  # each once
        )


class ImageError(UsageError):
    """A frame or reference image is missing, truncated, or of a type that no model accepts."""


class UnknownModelError(UsageError):
    """The provider has no model of that name."""

    remedies = (Remedy("list_models"),)


class UnknownProviderError(UsageError):
    """No provider of that name is installed."""


class UnknownJobError(UsageError):
    """The ledger has no such job, or the short id matches several."""


class OutputError(UsageError):
    """The output file exists already or cannot be written."""


class SetupError(VeoError):
    """The configuration, the key, the balance or the ledger needs attention first."""

    exit_code = 3


class ConfigError(SetupError):
    """A configuration file or value is not valid."""


class KeyMissingError(SetupError):
    """No API key is set for the provider."""

    remedies = (Remedy("use_sandbox"),)


class AuthError(SetupError):
    """The provider rejected the key."""

    summary = "the provider rejected the key"


class BalanceError(SetupError):
    """The balance of the account is too low; the request was not accepted."""

    summary = "the balance is too low"


class QuotaError(SetupError):
    """A quota of the account is used up, for longer than is worth waiting for."""

    summary = "the quota is used up"


class LedgerError(SetupError):
    """The ledger cannot be opened, read, or written."""


class DamagedLedgerError(LedgerError):
    """The file of the ledger is damaged, or is no database at all."""

    remedies = (Remedy("set_aside"),)


class BudgetError(VeoError):
    """The quote exceeds a cost limit; nothing was sent."""

    exit_code = 4


class WithdrawnError(VeoError):
    """A planned job was withdrawn: it was never sent, and its reservation is released.

    ``veo cancel``, Ctrl-C, and a batch that stops or no longer has the item do this.
    """


class ProviderError(VeoError):
    """The provider did not make the video."""


class RefusedError(ProviderError):
    """The provider refused the request: not accepted and not charged."""

    summary = "the provider rejected the request"


class TooLargeError(RefusedError):
    """The upload is too large for the provider (HTTP 413); a smaller one may pass."""

    summary = "the images are too large"


class ModelUnavailableError(RefusedError):
    """The provider does not offer the model, or not for this key, or no longer."""

    summary = "the model is not available"
    remedies = (Remedy("list_models"),)


class BusyError(ProviderError):
    """The provider is overloaded or limits the rate (429, 503); the request was not accepted."""

    summary = "the provider is busy"
    retryable = True


class UnreachableError(ProviderError):
    """No connection to the provider was made; nothing was sent."""

    retryable = True


class HostNotFoundError(UnreachableError):
    """The name of the provider's host does not resolve: it is wrong, or there is no network."""

    remedies = (Remedy("show_settings"),)


class ResponseLostError(ProviderError):
    """The request was sent, but no usable response arrived."""

    # A paid request is not sent again all the same, because ``charged`` is None.
    retryable = True
    charged = None


class GenerationError(ProviderError):
    """The provider accepted the request and then failed to make the video."""

    summary = "the provider failed to make the video"


class ModeratedError(GenerationError):
    """A safety filter blocked the video; the same request will fail again."""

    summary = "a safety filter rejected the request"


class TaskNotFoundError(ProviderError):
    """The provider does not know the task: too new, expired, or never accepted."""

    charged = None  # a provider that bills at acceptance keeps the money of an expired task


class NotReadyError(ProviderError):
    """The file does not exist yet."""

    retryable = True


class GoneError(ProviderError):
    """The file no longer exists."""

    charged = None


class ProtocolError(ProviderError):
    """A response cannot be interpreted."""

    retryable = True
    charged = None  # the request may have been accepted all the same


class ResponseTooLongError(ProtocolError):
    """A response is longer than any that makes sense; the rest of it was not read."""

    retryable = False


class UnknownOutcomeError(VeoError):
    """A paid request was sent and no response arrived: it may have been accepted and charged.

    Args:
        job: The id of the job.
        message: What happened, where more is known than that.
        request_id: The id that the provider gave the exchange.
        has_tasks: Whether the provider makes videos in tasks; else there is none to attach.
    """

    exit_code = 5
    charged = None

    def __init__(
        self,
        job: str,
        message: str | None = None,
        *,
        request_id: str | None = None,
        has_tasks: bool = True,
    ) -> None:
        found = (
            "the task in the provider's console. If it is there, attach it to the job"
            if has_tasks
            else "the request in the provider's console. If its response names a video, download it"
        )
        super().__init__(
            message or f"the outcome of job {job} is unknown: it may have been paid for",
            hint=f"Look for {found}. If not, the request can be sent again, which may pay again.",
            remedies=(
                Remedy("attach_task" if has_tasks else "attach_url", job),
                Remedy("resubmit", job),
            ),
            request_id=request_id,
        )


class StillRunningError(VeoError, TimeoutError):
    """The wait for a job has ended; the job continues and can be resumed."""

    exit_code = 6
    retryable = True
    charged = None


class LeaseLostError(VeoError):
    """Another process works on the job now; this one must not change it."""

    exit_code = 6
    charged = None


class DownloadError(VeoError):
    """The video is made, but not downloaded; a resumed job tries again."""

    exit_code = 7
    retryable = True
    charged = None


class MissingVideoError(DownloadError):
    """The provider does not know the task, or does not have the file, although it should.

    The retention time is not over, so the job does not end: a resumed job asks again.
    """


@contextmanager
def os_errors(error: type[VeoError], subject: object) -> Iterator[None]:
    """Turn an error of the system into one that names what it is about, a file for example."""
    try:
        yield
    except VeoError:  # which can be an error of the system, too
        raise
    except OSError as cause:
        raise error(f"{subject}: {cause.strerror or cause}") from cause
