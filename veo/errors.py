"""What can go wrong, as one tree.

Three facts are kept apart on every error: *what happened* (the class), *may the same call be
made again* (``retryable``), and *was money taken* (``charged``: True, False, or None where nobody
can tell). The exit code of the command line is a fourth, and belongs to the branch::

    VeoError
    ├── UsageError 2            what was asked for cannot be done as asked
    │   ├── InvalidRequestError     every problem of a request at once
    │   ├── InvalidBatchError       every problem of every item of a batch
    │   ├── ImageError              a frame or reference that cannot be used
    │   ├── UnknownModelError  UnknownProviderError  UnknownJobError
    │   └── OutputError             the output file cannot be written, or is there already
    ├── SetupError 3            configuration, key, balance, the ledger
    │   ├── ConfigError  KeyMissingError  AuthError  BalanceError  LedgerError
    ├── BudgetError 4           over a cap
    ├── WithdrawnError 1        planned, then given up before it was sent
    ├── ProviderError 1         the provider did not make the video
    │   ├── RefusedError            certainly not accepted
    │   │   ├── TooLargeError           the upload is too large: a smaller one may do
    │   │   └── ModelUnavailableError   no such model there, not for this key, or retired
    │   ├── BusyError               overload or rate limit: not accepted, later it may be
    │   ├── UnreachableError        no connection: nothing was sent
    │   ├── ResponseLostError         sent, but no answer that says anything
    │   ├── GenerationError         accepted, then failed
    │   │   └── ModeratedError          a safety filter said no
    │   ├── TaskNotFoundError       the provider does not know the task (any more)
    │   ├── NotReadyError           the file is not there yet
    │   ├── GoneError               the file is not there any more
    │   └── ProtocolError           an answer that nobody can read
    ├── UnknownOutcomeError 5   sent, no answer: it may have been paid for
    ├── StillRunningError 6     a deadline ended the waiting, not the job
    ├── LeaseLostError 6        another process works on the job now
    └── DownloadError 7         the video is made, but not on disk yet
"""

from __future__ import annotations

from types import EllipsisType
from typing import TYPE_CHECKING, Any, ClassVar

from veo.problems import ItemLocation, ItemProblem, Problem, Remedy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What ``--json`` and the sidecar publish of an error; the ledger stores all of ``to_json``.
PUBLIC_KEYS = ("type", "message", "retryable", "charged", "request_id")


class VeoError(Exception):
    """The root of everything that this library raises on purpose.

    Args:
        message: One plain sentence: what happened and why. Never contains a key.
        hint: What to do next, or None.
        remedies: What the user can do, as data, for callers that offer it; the class knows the
            usual ones.
        retryable: Whether the same call may be made again; the class knows the usual answer.
        charged: True, False, or None where it is unknown; the class knows the usual answer.
        retry_after: Seconds to wait before the same call, if the server said so.
        request_id: The provider's name for the exchange, if it gave one.
    """

    exit_code: ClassVar[int] = 1
    retryable: bool = False
    charged: bool | None = False
    remedies: tuple[Remedy, ...] = ()
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
        if not isinstance(charged, EllipsisType):
            self.charged = charged

    def __reduce__(self) -> tuple[Any, ...]:
        # By attributes, because some classes take other arguments than a message.
        return _restore, (type(self), self.args, vars(self))

    def to_item_problems(self, location: ItemLocation, key: str = "") -> list[ItemProblem]:
        """Return the error as problems of an item of a batch, under the given key of the item."""
        text = f"{self.message} {self.hint or ''}".strip()
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
        """Return what ``--json`` prints."""
        body = self.to_json()
        return {key: body[key] for key in PUBLIC_KEYS}

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> VeoError:
        """Return the error that ``to_json`` described, of its class where that is known."""
        cls = VeoError.known.get(str(body.get("type")), VeoError)
        error = cls.__new__(cls)
        VeoError.__init__(
            error,
            str(body.get("message", "")),
            hint=body.get("hint"),
            # Earlier versions stored none: their hint holds the commands.
            remedies=[Remedy(**remedy) for remedy in body.get("remedies", ())],
            retryable=body.get("retryable"),
            charged=body.get("charged"),
            request_id=body.get("request_id"),
        )
        return error


def _restore(cls: type[VeoError], args: tuple[Any, ...], facts: dict[str, Any]) -> VeoError:
    error = cls.__new__(cls)
    error.args = args
    vars(error).update(facts)
    return error


class UsageError(VeoError):
    """What was asked for cannot be done as asked; nothing was sent."""

    exit_code = 2


class InvalidRequestError(UsageError):
    """A request breaks rules of its model.

    ``problems`` holds every one of them, so that they can be mended in one go.
    """

    problems: tuple[Problem, ...] = ()

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def to_item_problems(self, location: ItemLocation, key: str = "") -> list[ItemProblem]:
        del key  # each problem names its own field
        return [
            ItemProblem(location, f"{problem.field}: {problem.explanation}")
            for problem in self.problems
        ]


class InvalidBatchError(UsageError):
    """Items of a batch cannot be used; nothing was sent.

    ``problems`` holds every problem of every item, so that they can be mended in one go.
    """

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
    """A frame or reference image is missing, truncated, or of a kind that no model takes."""


class UnknownModelError(UsageError):
    """No model of that name at that provider."""

    remedies = (Remedy("list_models"),)


class UnknownProviderError(UsageError):
    """No installed provider has that name."""


class UnknownJobError(UsageError):
    """The ledger has no such job, or more than one that the short name fits."""


class OutputError(UsageError):
    """The output file cannot be written where it was asked for, or is there already."""


class SetupError(VeoError):
    """Something about this installation has to be mended first."""

    exit_code = 3


class ConfigError(SetupError):
    """A configuration file or value is broken."""


class KeyMissingError(SetupError):
    """No API key is set for the provider."""

    remedies = (Remedy("use_sandbox"),)


class AuthError(SetupError):
    """The provider refused the key."""


class BalanceError(SetupError):
    """The account has not enough balance; the request was not accepted."""


class LedgerError(SetupError):
    """The ledger cannot be opened, read, or written."""


class BudgetError(VeoError):
    """The quote does not fit under a cap; nothing was sent."""

    exit_code = 4


class WithdrawnError(VeoError):
    """The job was planned, and given up again before anything was sent."""


class ProviderError(VeoError):
    """The provider did not make the video."""


class RefusedError(ProviderError):
    """The provider refused the request: certainly not accepted, so not charged."""


class TooLargeError(RefusedError):
    """The upload is too large for the provider (HTTP 413); a smaller one may do."""


class ModelUnavailableError(RefusedError):
    """The provider does not offer the model: unknown there, not for this key, or retired."""

    remedies = (Remedy("list_models"),)


class BusyError(ProviderError):
    """Overload or a rate limit (429, 503): not accepted now, later it may be."""

    retryable = True


class UnreachableError(ProviderError):
    """No connection to the provider: nothing was sent."""

    retryable = True


class ResponseLostError(ProviderError):
    """Sent, but no answer arrived that says what became of it."""

    retryable = True
    charged = None


class GenerationError(ProviderError):
    """The provider accepted the request and then failed to make the video."""


class ModeratedError(GenerationError):
    """A safety filter of the provider said no; the same request will fail again."""


class TaskNotFoundError(ProviderError):
    """The provider does not know the task: too new, expired, or never accepted."""

    charged = None


class NotReadyError(ProviderError):
    """The file is not there yet, although it will be."""

    retryable = True


class GoneError(ProviderError):
    """The file is not there any more."""

    charged = None


class ProtocolError(ProviderError):
    """An answer that nobody can read; ``charged`` is None because it may follow an acceptance."""

    retryable = True
    charged = None


class UnknownOutcomeError(VeoError):
    """A paid request was sent and no response came: it may have been accepted and paid for.

    Args:
        job: The id of the job.
        message: What happened, where more is known than that.
        request_id: The provider's name for the exchange, if it gave one.
    """

    exit_code = 5
    charged = None

    def __init__(
        self, job: str, message: str | None = None, *, request_id: str | None = None
    ) -> None:
        super().__init__(
            message or f"the outcome of job {job} is unknown: it may have been paid for",
            hint="Look for the task in the provider's console. If it is there, attach it to the "
            "job. If not, the request can be sent again, which may pay again.",
            remedies=(Remedy("attach_task", job), Remedy("resubmit", job)),
            request_id=request_id,
        )


class StillRunningError(VeoError):
    """The waiting has ended, the job has not: it can be resumed."""

    exit_code = 6
    retryable = True
    charged = None


class LeaseLostError(VeoError):
    """Another process works on the job now; this one must not touch it any more."""

    exit_code = 6
    charged = None


class DownloadError(VeoError):
    """The video is made, but it is not on disk yet; a resumed job tries again."""

    exit_code = 7
    retryable = True
    charged = None
