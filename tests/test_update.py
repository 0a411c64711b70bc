"""Which reports of a provider change the ledger."""

from __future__ import annotations

import pytest
from records import make_record

from veo.engine.update import must_persist
from veo.ledger import State
from veo.update import RemoteVideo, Stage, Update


@pytest.mark.parametrize(
    ("state", "stage", "is_stored"),
    [
        (State.SUBMITTED, Stage.RUNNING, True),
        (State.RUNNING, Stage.RUNNING, False),
        (State.RUNNING, Stage.READY, True),
        (State.READY, Stage.READY, True),  # the address of the video may be another one
        (State.RUNNING, Stage.FAILED, True),
    ],
)
def test_what_changes_the_ledger(state: State, stage: Stage, is_stored: bool) -> None:
    """A new state, and every report that ends the work of the provider, also a second time."""
    video = RemoteVideo("https://host/a.mp4") if stage is Stage.READY else None
    record = make_record(state, task_id="task-1")

    assert must_persist(record, Update(stage=stage, video=video)) is is_stored
