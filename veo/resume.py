"""Jobs carried on with: those that nobody works on, and those whose outcome was unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from veo.errors import ConfigError, UnknownOutcomeError, WithdrawnError
from veo.ledger import State
from veo.ledger.budget import over_cap_error
from veo.money import to_micros

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.job import Job
    from veo.ledger import Record
    from veo.session import Session


def resume_jobs(
    client: Session, names: Sequence[str], *, resubmit: bool, timeout: float | None
) -> list[Job]:
    """See ``Client.resume``."""
    wanted = [client.ledger.find_job(name) for name in names] or client.ledger.list_unfinished()
    undecided = [record for record in wanted if record.state is State.UNKNOWN and names]
    if undecided and not resubmit:
        raise UnknownOutcomeError(undecided[0].id)
    ready = [resubmit_job(client, record) for record in undecided]
    live = [r for r in wanted if not r.has_ended and r.state is not State.UNKNOWN]
    return client.work_on([*ready, *client.take_leases(live)], timeout)


def resubmit_job(client: Session, record: Record) -> Record:
    """Plan a job of unknown outcome once more, which may pay a second time.

    Raises:
        BudgetError: It does not fit under a cap.
        LeaseLostError: Somebody else has decided about it meanwhile.
    """
    planned = client.ledger.plan_resubmit(record, client.list_caps(record.run), client.worker)
    if planned.stopped_by:
        raise over_cap_error(
            planned.stopped_by, planned.spent, to_micros(record.parse_quote().amount)
        )
    return planned.records[0]


def withdraw_jobs(client: Session, records: Sequence[Record]) -> list[Record]:
    """See ``Client.cancel``."""
    mine = client.take_leases([record for record in records if record.state is State.PLANNED])
    given_up = client.ledger.withdraw_jobs(mine, WithdrawnError("given up before it was sent"))
    client.ledger.release_leases(client.worker, [record.id for record in mine])
    return given_up


def adopt_task(client: Session, name: str, task_id: str) -> Record:
    """See ``Client.adopt``."""
    record = client.ledger.find_job(name)
    if not client.ledger.adopt_late_response(record.id, task_id, None):
        raise ConfigError(f"job {record.id} is {record.state}: it needs no task id")
    return client.ledger.find_job(record.id)
