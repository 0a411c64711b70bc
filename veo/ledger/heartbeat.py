"""Heartbeats: how a process shows that it is alive, and how others find out that it is not.

The leases of a dead process are free: ``JobRunner.take_leases`` takes them, and a job that was
being sent becomes unknown (``engine.step.mark_unknown``).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from sqlalchemy import delete, insert, select, update

from veo.errors import LedgerError
from veo.ledger import spill
from veo.ledger.database import FOLDER_HINT
from veo.ledger.record import IN_FLIGHT
from veo.ledger.schema import jobs, workers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from veo.ledger.ledger import Ledger

HEARTBEATS_PER_LEASE = 4  # so that three may fail


class WorkerLease:
    """The identity under which this process holds the leases of jobs.

    The process counts as alive while its last heartbeat is younger than ``Database.lease_s``. On
    the same machine a lock file shows it sooner, because the system frees it when the process dies.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Callable[[], float] | None = None,
        interval_s: float | None = None,
    ) -> None:
        # The random part tells apart clients of one process, and processes with a reused pid.
        self.id = f"{socket.gethostname()[:24]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._ledger = ledger
        self._clock = clock or ledger.clock
        self._stopped = threading.Event()
        # Not thread-local: another thread may close the lease than the one that opened it.
        try:
            self._lock = FileLock(_lock_path(ledger.folder, self.id), thread_local=False)
            self._lock.acquire()
        except OSError as error:
            text = f"cannot write {ledger.folder}: {error.strerror or error}"
            raise LedgerError(text, hint=FOLDER_HINT) from error
        spill.prepare(ledger.folder)
        self._beat()
        interval_s = interval_s or ledger.database.lease_s / HEARTBEATS_PER_LEASE
        self._thread = threading.Thread(
            target=self._run_heartbeat, args=(interval_s,), daemon=True, name="veo-heartbeat"
        )
        self._thread.start()

    def close(self, *, release: bool = True) -> None:
        """Stop the heartbeat, and release every lease.

        Without ``release`` the leases remain those of a process that is not alive.
        """
        self._stopped.set()
        self._thread.join()
        if release:
            self._ledger.release_leases(self.id)
        _delete_workers(self._ledger, [self.id])
        self._lock.release()
        with contextlib.suppress(OSError):  # on Windows, while another process looks at it
            _lock_path(self._ledger.folder, self.id).unlink(missing_ok=True)

    def _run_heartbeat(self, interval_s: float) -> None:
        while not self._stopped.wait(interval_s):
            # A failed heartbeat does not stop the work: if another process takes a job over in
            # the meantime, the fence of the next write stops it.
            with contextlib.suppress(Exception):
                self._beat()

    def _beat(self) -> None:
        seen_at = self._clock()
        row = update(workers).where(workers.c.id == self.id).values(seen_at=seen_at)
        with self._ledger.database.write() as connection:
            # None at the start, or if others have taken this process for dead: it was frozen.
            if connection.execute(row).rowcount == 0:
                new = {"host": socket.gethostname(), "pid": os.getpid(), "seen_at": seen_at}
                connection.execute(insert(workers).values(id=self.id, **new))


def find_dead_workers(ledger: Ledger, owners: Collection[str], now: float) -> set[str]:
    """Return the owners that are not alive any more; their leases may be taken."""
    if not owners:
        return set()
    with ledger.database.read() as connection:
        rows = connection.execute(select(workers)).all()
    hosts = {row.id: row.host for row in rows if row.seen_at > now - ledger.database.lease_s}
    this_host = socket.gethostname()
    dead = {
        owner
        for owner in owners
        if owner not in hosts or (hosts[owner] == this_host and _is_unlocked(ledger.folder, owner))
    }
    _delete_workers(ledger, dead)
    return dead


def free_dead_slots(ledger: Ledger, provider: str, now: float) -> None:
    """Stop counting the jobs of processes that died on this machine as in flight."""
    query = select(jobs.c.owner).distinct().where(jobs.c.provider == provider)
    with ledger.database.read() as connection:
        owners = connection.scalars(
            query.where(jobs.c.state.in_(IN_FLIGHT), jobs.c.owner > "")
        ).all()
    find_dead_workers(ledger, {str(owner) for owner in owners}, now)


def _is_unlocked(folder: Path, owner: str) -> bool:
    path = _lock_path(folder, owner)
    if not path.exists():  # a process with another folder, perhaps in another container
        return False
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True


def _delete_workers(ledger: Ledger, owners: Collection[str]) -> None:
    if owners:
        with ledger.database.write() as connection:
            connection.execute(delete(workers).where(workers.c.id.in_(list(owners))))


def _lock_path(folder: Path, owner: str) -> Path:
    locks = folder / "workers"
    locks.mkdir(parents=True, exist_ok=True, mode=0o700)
    return locks / f"{owner}.lock"
