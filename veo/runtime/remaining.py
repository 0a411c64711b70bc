"""Estimate how long a job still takes, from its age, its progress, and what is usual."""

from __future__ import annotations

# A job that takes longer than usual may end at once or go on for long: assume a tenth more.
_OVERTIME = 0.1
# Below this share the progress is mostly rounding, and a division by it exaggerates.
_MIN_PROGRESS = 0.1


def estimate_job_s(age: float, usual: float, progress: float | None = None) -> float:
    """Estimate the seconds until a video is made.

    Args:
        age: Seconds since the submit.
        usual: Seconds that a job of this model usually takes.
        progress: From 0 to 1; None if the provider does not report it.
    """
    by_age = max(usual - age, usual * _OVERTIME)
    if progress is None or not _MIN_PROGRESS <= progress < 1:
        return by_age
    # The further a job is, the more its own pace says.
    return progress * age * (1 - progress) / progress + (1 - progress) * by_age
