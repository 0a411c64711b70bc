"""Exit codes, as ``veo --help`` documents them. Those of errors stand in ``veo.errors``."""

DONE = 0
SETUP = 3
STILL_RUNNING = 6
INTERRUPTED = 130
BROKEN_PIPE = 141  # nobody reads the output any more; as for a process that SIGPIPE ended

MEANINGS = {
    DONE: "done",
    1: "the provider could not make it",
    2: "the request or the usage is wrong",
    SETUP: "configuration, key, balance, ledger",
    4: "over the cap",
    5: "outcome unknown: sent, no answer, it may have been paid for",
    STILL_RUNNING: "still running: `veo resume` carries on",
    7: "made, but not downloaded yet: `veo resume` tries again",
    INTERRUPTED: "interrupted; jobs stay resumable",
}
