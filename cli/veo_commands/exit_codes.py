"""Exit codes, as ``veo --help`` documents them. Error classes carry theirs."""

from veo.errors import (
    BudgetError,
    DownloadError,
    ProviderError,
    SetupError,
    StillRunningError,
    UnknownOutcomeError,
    UsageError,
)

DONE = 0
FAILED = ProviderError.exit_code
USAGE = UsageError.exit_code
SETUP = SetupError.exit_code
UNKNOWN = UnknownOutcomeError.exit_code
STILL_RUNNING = StillRunningError.exit_code
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
BROKEN_PIPE = 141  # 128 + SIGPIPE; not in the help, because no reader is left to see it

MEANINGS = {
    DONE: "done",
    FAILED: "the provider could not make it",
    USAGE: "the request or the usage is wrong",
    SETUP: "configuration, key, balance, ledger",
    BudgetError.exit_code: "over the cap",
    UNKNOWN: "outcome unknown: sent, no answer, it may have been paid for",
    STILL_RUNNING: "still running: `veo resume` carries on",
    DownloadError.exit_code: "made, but not downloaded yet: `veo resume` tries again",
    INTERRUPTED: "interrupted; jobs stay resumable",
}
