"""Every view shows the same money of a job, for all states and amounts."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import records
from cli_runner import Veo
from sqlalchemy import insert

from veo.compare.metrics import compute_metrics
from veo.files import sidecar
from veo.ledger import Cap, Ledger, Record, State
from veo.ledger.rows import to_row
from veo.ledger.schema import events, jobs
from veo.ledger.spending import JobFilter, sum_spending
from veo.paths import ledger_folder
from veo.reconcile.charges import ChargeList
from veo.reconcile.match import reconcile
from veo.reconcile.result import Assumptions

pytest_plugins = ("veo_fixtures",)

# The sums of any selection differ, so a wrong sum cannot look right.
RESERVED, CHARGED, DOUBTFUL = 150_000, 40_000, 8_000
LIVE = {"planned", "submitting", "submitted", "running", "ready", "downloading"}


@dataclass(frozen=True)
class Case:
    """A job and its money, written out independently of the code, millionths of a USD."""

    state: State
    reserved: int
    charged: int
    doubtful: int
    certain: bool

    @property
    def job(self) -> str:
        """The job's id and run."""
        flags = (self.reserved, self.charged, self.doubtful, self.certain)
        return f"{self.state}" + "".join("1" if flag else "0" for flag in flags)

    @property
    def held(self) -> int:
        """Reserved while the job is live."""
        return self.reserved if self.state in LIVE else 0

    @property
    def in_doubt(self) -> int:
        """What may have been charged in addition."""
        return self.doubtful + self.reserved - self.held

    @property
    def uncertain(self) -> int:
        """The charge if it is not beyond doubt."""
        return 0 if self.certain else self.charged

    def to_record(self) -> Record:
        return records.make_record(
            self.state,
            id=self.job,
            run=self.job,
            owner=None,
            reserved=self.reserved,
            charged=self.charged,
            doubtful=self.doubtful,
            certain=self.certain,
        )


CASES = [
    Case(*each)
    for each in itertools.product(State, (0, RESERVED), (0, CHARGED), (0, DOUBTFUL), (True, False))
]


def make_event(case: Case) -> dict[str, Any]:
    """Return the only event of a job, which moves all its money at once."""
    amounts = {"reserved": case.reserved, "charged": case.charged, "doubtful": case.doubtful}
    line = {"job": case.job, "at": 1000.0, "kind": "test", "state": case.state, "data": "{}"}
    return line | amounts


@pytest.fixture
def ledger(veo: Veo) -> Iterator[Ledger]:
    """Return a ledger with a job for each case."""
    ledger = Ledger(ledger_folder())
    with ledger.database.write() as connection:
        connection.execute(insert(jobs), [to_row(case.to_record()) for case in CASES])
        connection.execute(insert(events), [make_event(case) for case in CASES])
    yield ledger
    ledger.close()


def read_amount(text: str) -> int:
    """Convert ``$0.15`` into millionths of a USD."""
    return round(float(text.strip("$()?- ")) * 1e6) if "$" in text else 0


def to_micros(amount: float) -> int:
    return round(amount * 1e6)


def read_sentence(text: str) -> dict[str, int]:
    """Return the amounts of a text such as ``probably charged $0.04, possibly $0.15 more``."""
    found = {"held": 0, "charged": 0, "uncertain": 0, "in_doubt": 0}
    for part in text.split(", "):
        amount = read_amount(match[0]) if (match := re.search(r"\$[\d.]+", part)) else 0
        if part.startswith("possibly"):
            found["in_doubt"] += amount
        elif part.startswith("quoted"):
            found["held"] += amount
        elif amount:
            found["charged"] += amount
            found["uncertain"] += amount if part.startswith("probably") else 0
    return found


def expected_money(case: Case) -> dict[str, int]:
    """Return what every view must show."""
    return {
        "held": case.held,
        "charged": case.charged,
        "uncertain": case.uncertain,
        "in_doubt": case.in_doubt,
    }


def test_show_describes_the_money(veo: Veo, ledger: Ledger) -> None:
    """`veo show` has what is held, charged, uncertain and in doubt."""
    for case in CASES:
        lines = veo("show", case.job).out.splitlines()
        (text,) = (line.split(maxsplit=1)[1] for line in lines if line.startswith("cost "))

        assert read_sentence(text) == expected_money(case), (case, text)


def test_show_adds_up_to_the_amounts(veo: Veo, ledger: Ledger) -> None:
    """The movements of `veo show --json` add up; `certain` is false if anything is in doubt."""
    for case in CASES:
        (shown,) = veo("show", case.job, "--json").objects
        sums = {
            name: sum(to_micros(line.get(name, 0)) for line in shown["money"])
            for name in ("reserved", "charged", "doubtful")
        }

        assert sums["charged"] == case.charged
        assert sums["reserved"] + sums["doubtful"] == case.held + case.in_doubt
        assert to_micros(shown["cost"]["charged"]) == case.charged
        assert shown["cost"]["certain"] == (case.certain and not case.in_doubt), case


def test_the_list_of_jobs_marks_doubt(veo: Veo, ledger: Ledger) -> None:
    """`veo jobs`: charged; with a question mark all that may have been; in brackets if held."""
    lines = veo("jobs", "--all").out.splitlines()[1:]
    cells = {line.split()[0]: re.search(r" (\(?\$[\d.]+\)?(?: \?)?|-) ", line) for line in lines}

    for case in CASES:
        cell = cells[case.job]
        assert cell is not None
        text = cell[1]
        doubt = case.in_doubt > 0 or not case.certain

        assert text.endswith("?") == doubt, (case, text)
        if doubt:
            assert read_amount(text) == case.charged + case.in_doubt, (case, text)
        elif case.charged:
            assert text == f"${case.charged / 1e6:.2f}"
        else:
            assert text == (f"(${case.held / 1e6:.2f})" if case.held else "-"), (case, text)


def sum_up(cases: list[Case]) -> dict[str, int]:
    """Return the money of several jobs together."""
    return {
        name: sum(expected_money(case)[name] for case in cases)
        for name in ("held", "charged", "uncertain", "in_doubt")
    }


def test_the_sum_of_jobs(veo: Veo, ledger: Ledger) -> None:
    """`veo jobs --cost` shows the same sums, for each state."""
    for state in State:
        (totals,) = veo("jobs", "--cost", "--json", "--state", state).objects
        cases = [case for case in CASES if case.state is state]

        assert totals["jobs"] == {str(state): len(cases)}
        assert {
            "held": to_micros(totals["reserved"]),
            "charged": to_micros(totals["charged"]),
            "uncertain": to_micros(totals["uncertain"]),
            "in_doubt": to_micros(totals["doubtful"]),
        } == sum_up(cases), state


def read_account(line: dict[str, Any]) -> dict[str, int]:
    """Return the money in a line of ``veo cost --json``."""
    assert to_micros(line["most"]) == to_micros(line["charged"]) + to_micros(line["unknown"])
    return {
        "held": to_micros(line["reserved"]),
        "charged": to_micros(line["charged"]),
        "uncertain": to_micros(line["uncertain"]),
        "in_doubt": to_micros(line["unknown"]),
    }


def test_the_cost_of_jobs(veo: Veo, ledger: Ledger) -> None:
    """`veo cost` shows the same for each job, and for all of them together."""
    lines = veo("cost", "--by", "batch", "--json").objects
    totals = {line["group"].get("batch"): read_account(line) for line in lines}

    for case in CASES:
        assert totals[case.job] == expected_money(case), case
    assert totals[None] == sum_up(CASES)


def test_caps_count_all_of_it(ledger: Ledger) -> None:
    """A cap counts what is held, charged and in doubt, of a run and of the ledger."""
    for case in CASES:
        spent = case.held + case.charged + case.in_doubt

        assert ledger.count_spent(Cap("--max-cost", 0, run=case.job)) == spent, case
    assert ledger.count_spent(Cap("budget.daily", 0)) == sum(
        amount for name, amount in sum_up(CASES).items() if name != "uncertain"
    )


def test_the_sums_of_a_run(ledger: Ledger) -> None:
    """The sums of a run, which batches show, equal the record's properties."""
    for case in CASES:
        record = ledger.find_job(case.job)
        spending = sum_spending(ledger, JobFilter(run=case.job))

        totals = {
            "held": spending.held,
            "charged": spending.charged,
            "uncertain": spending.uncertain,
            "in_doubt": spending.in_doubt,
        }
        assert totals == expected_money(case), case
        assert totals == {
            "held": record.held_amount,
            "charged": record.charged,
            "uncertain": record.uncertain_amount,
            "in_doubt": record.in_doubt_amount,
        }, case


def test_a_comparison_shows_the_same(ledger: Ledger) -> None:
    """The metrics of a candidate contain the money of its jobs."""
    for case in CASES:
        money = compute_metrics([ledger.find_job(case.job)], {}).spending

        assert (money.held, money.charged, money.in_doubt) == (
            case.held,
            case.charged,
            case.in_doubt,
        ), case


def test_a_reconciliation_asks_about_all_that_is_in_doubt(ledger: Ledger) -> None:
    """With an empty list, all money in doubt and every uncertain charge is an open item."""
    charges = ChargeList("a list", 1e9, [])
    for case in CASES:
        result = reconcile([ledger.find_job(case.job)], charges, Assumptions())
        asked = {item.is_earlier_send: item.amount for item in result.open_items}
        last_send = case.in_doubt - case.doubtful
        if not last_send and case.state not in LIVE and not case.certain:
            last_send = case.charged

        assert asked.get(True, 0) == case.doubtful, case
        if case.state != "unknown" or not case.certain:  # no unknown outcome has a certain charge
            assert asked.get(False, 0) == last_send, case


def test_the_sidecar_says_whether_it_is_certain(ledger: Ledger) -> None:
    """`cost` in the sidecar: certain only if nothing else can have been charged."""
    for case in CASES:
        cost = sidecar.cost_to_json(ledger.find_job(case.job))

        assert to_micros(cost["charged"]) == case.charged
        assert cost["certain"] == (case.certain and not case.in_doubt), case
