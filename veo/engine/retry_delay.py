"""When to try again after an error of one job; ``ledger.backoff`` slows down a whole provider."""

from __future__ import annotations

import zlib

RETRY_DELAYS_S = (2.0, 4.0, 8.0, 16.0, 30.0, 60.0)


def retry_delay_s(job_id: str, failures: int) -> float:
    """Return the seconds until the next try, longer after each failure in a row.

    The jitter of a quarter, up and down, spreads the jobs that failed together. It is a hash, so
    that a job's delays are the same in every process and in every test.
    """
    delay = RETRY_DELAYS_S[min(failures, len(RETRY_DELAYS_S) - 1)]
    return delay * (0.75 + (zlib.crc32(f"{job_id}{failures + 1}".encode()) % 512) / 1024)
