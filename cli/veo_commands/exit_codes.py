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
    DONE: "success",
    FAILED: "the provider did not make the video, or the job was cancelled",
    USAGE: "invalid request or options",
    SETUP: "problem with the configuration, key, balance or ledger",
    BudgetError.exit_code: "over a cost limit; nothing was sent",
    UNKNOWN: "outcome unknown: sent without a response, may have been charged",
    STILL_RUNNING: "still running, or in another process; `veo resume` continues",
    DownloadError.exit_code: "made but not downloaded; `veo resume` tries again",
    INTERRUPTED: "interrupted; `veo resume` continues",
}
