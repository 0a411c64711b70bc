"""Checks of ``veo doctor`` for what changes while jobs run: disk, clock, hosts, waiting jobs."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

from veo.bucket import BucketPath
from veo.errors import VeoError
from veo.money import format_micros
from veo_commands.format import format_bytes
from veo_commands.output import out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from veo.client import Client
    from veo.ledger import Record

Status = Literal["ok", "warn", "fail", "off"]
LOW_DISK_BYTES = 1_000_000_000  # room for a few hundred videos
FULL_DISK_BYTES = 50_000_000  # a video can have 20 MB, and the ledger needs room as well
MAX_SKEW_S = 120.0  # signed requests of Google are refused from five minutes on
STUCK_S = 3600.0  # no model takes an hour
EXPIRY_NOTICE_S = 6 * 3600.0


@dataclass(frozen=True)
class Check:
    name: str
    status: Status
    message: str
    hint: str | None = None


def failed_check(name: str, error: VeoError) -> Check:
    return Check(name, "fail", error.message, " ".join(out.advice(error)) or None)


def closest_folder(path: Path) -> Path:
    """Return the folder, or the closest one above it that exists: it is made when it is needed."""
    return next(each for each in (path, *path.parents) if each.exists())


def check_disk(folders: Iterable[Path]) -> Check:
    """Check the room where videos and the ledger are written."""
    closest = {closest_folder(folder) for folder in folders if not isinstance(folder, BucketPath)}
    free, folder = min((shutil.disk_usage(folder).free, folder) for folder in closest)
    message = f"{format_bytes(free)} free at {folder}"
    if free >= LOW_DISK_BYTES:
        return Check("disk", "ok", message)
    status: Status = "fail" if free < FULL_DISK_BYTES else "warn"
    return Check("disk", status, message, "Free some space: a video that is paid for needs it.")


def check_clock(client: Client) -> Check:
    """Check that the clock was not set back behind what the ledger holds."""
    newest = max((record.created_at for record in client.ledger.list_jobs(limit=1)), default=0.0)
    behind = newest - time.time()
    if behind > MAX_SKEW_S:
        message = f"{behind / 60:.0f} min behind the newest job of the ledger"
        hint = "Set the clock: budgets count by day, and retention times by hour."
        return Check("clock", "warn", message, hint)
    return Check("clock", "ok", time.strftime("%Y-%m-%d %H:%M %Z"))


def check_host(name: str, base_url: str) -> Iterator[Check]:
    """Ask a host for its base URL, without a key, and compare its clock with ours."""
    from veo.http import ApiClient

    try:
        response = ApiClient(base_url).get("")
    except VeoError as error:
        yield failed_check(f"{name} host", error)
        return
    yield Check(f"{name} host", "ok", f"{base_url} responds")
    try:
        skew = time.time() - parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except ValueError:
        return
    if abs(skew) > MAX_SKEW_S:
        message = f"{abs(skew) / 60:.0f} min {'ahead of' if skew > 0 else 'behind'} {base_url}"
        yield Check("clock", "warn", message, "Set the clock of this machine.")


def check_jobs(client: Client) -> Iterator[Check]:
    """Find jobs that need the user: of unknown outcome, stuck, or about to expire."""
    from veo.ledger import State

    resume = out.command("resume")
    unknown = client.ledger.list_jobs(states=[State.UNKNOWN])
    if unknown:
        amount = format_micros(sum(record.in_doubt_amount for record in unknown))
        message = f"{len(unknown)} of unknown outcome, may have been charged: {amount}"
        yield Check("jobs", "warn", message, f"{resume} shows what you can do.")
    unfinished = client.ledger.list_unfinished()
    now = client.ledger.clock()
    stuck = [record for record in unfinished if _is_stuck(record, now)]
    if stuck:
        held = format_micros(sum(record.held_amount for record in stuck))
        message = f"{len(stuck)} unfinished for more than an hour; they reserve {held}"
        hint = f"{resume} asks for them once more; the provider's console tells what they cost."
        yield Check("stuck jobs", "warn", message, hint)
    expiring = [record for record in unfinished if _is_expiring(client, record, now)]
    if expiring:
        names = ", ".join(record.id for record in expiring[:3])
        message = f"{len(expiring)} videos that the provider deletes within 6 h: {names}"
        yield Check("expiring jobs", "warn", message, f"{resume} downloads them now, free.")
    if unfinished:
        yield Check("jobs", "ok", f"{len(unfinished)} unfinished; {resume} continues")


def _is_stuck(record: Record, now: float) -> bool:
    # Without an owner no process works on it.
    return record.owner is None and now - (record.submitted_at or record.created_at) > STUCK_S


def _is_expiring(client: Client, record: Record, now: float) -> bool:
    if not record.submitted_at:
        return False
    try:
        model = client.models(record.provider).get(record.model)
    except VeoError:  # its provider is not installed, or its configuration is not valid
        return False
    if model is None:
        return False
    soon = record.is_retention_over(model.retention_s, now + EXPIRY_NOTICE_S)
    return soon and not record.is_retention_over(model.retention_s, now)
