"""The chaos run in its short form: random jobs, faults and kills break no promise."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from chaos_process import BENCHMARKS, fork_client

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def chaos(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, which is a script among the benchmarks."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import chaos

    return chaos


def test_short_form(chaos: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is paid twice, lost, left in pieces or unaccounted for."""
    monkeypatch.setattr(chaos, "start_client", fork_client)
    report = chaos.run_chaos(seed=8, jobs=8, kills=2, keep=tmp_path)
    assert report.details == []
    assert report.jobs >= 8
    assert report.kills.total() >= 1


def test_a_seed_gives_the_same_rounds(chaos: Any) -> None:
    """A run with violations can be repeated."""
    assert list(chaos.plan_rounds(1, 2000, 200)) == list(chaos.plan_rounds(1, 2000, 200))
    rounds = list(chaos.plan_rounds(1, 2000, 200))
    assert sum(each.jobs for each in rounds) == 2000
    assert sum(each.kills for each in rounds) == 200
    rules = [rule | {"rate": 0} for each in rounds for rule in each.rules]
    assert all(rule | {"rate": 0} in rules for rule in chaos.FAULTS)
    assert {(each.provider, each.model) for each in rounds} == set(chaos.ROUTES)
    assert sys.path[0] == BENCHMARKS
