"""``veo cost --reconcile``: the ledger beside a provider's list, and what is settled by it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runner import Veo
from hypothesis import given
from hypothesis import strategies as st

import veo_sandbox
from veo.errors import UsageError
from veo.files.mp4 import find_defect
from veo.ledger import Ledger, Record, State
from veo.ledger.spending import find_untraced
from veo.paths import ledger_folder
from veo.reconcile.charges import ChargeList, ProviderCharge, parse_charges
from veo.reconcile.match import reconcile
from veo.reconcile.result import Assumptions, Reconciliation

pytest_plugins = ("veo_fixtures",)

PRICE = 150_000
NOW = 1_790_000_000.0
TASKLESS = frozenset({"laozhang-sync"})
AT_ONCE = ("--settled-after", "0.001s")

Unanswered = Callable[[str], str]


@pytest.fixture
def bills(service: veo_sandbox.Sandbox) -> str:
    """Where the sandbox lists its charges."""
    return f"{service.url}/sandbox/bills"


@pytest.fixture
def unanswered(veo: Veo, service: veo_sandbox.Sandbox) -> Unanswered:
    """Make a job whose answer never came; after acceptance (paid), or before it (unpaid)."""

    def make(prompt: str) -> str:
        when = "drop_answer" if prompt.startswith("paid") else "http_502_html"
        service.fault(when, on="create", match=prompt)
        (job,) = veo("generate", prompt, "--json").objects
        assert job["state"] == "unknown"
        return str(job["job"])

    return make


def summary(veo: Veo, *args: object) -> dict[str, Any]:
    """The last line of a reconciliation."""
    return veo("cost", "--json", "--reconcile", *args).objects[-1]


def job(name: str) -> Record:
    """A job as the ledger has it."""
    ledger = Ledger(ledger_folder())
    found = ledger.find_job(name)
    ledger.close()
    return found


def test_everything_matches(veo: Veo, service: veo_sandbox.Sandbox, bills: str) -> None:
    """Jobs with tasks are found by them, those of the stream by model, amount and time."""
    for route in ("laozhang-async", "laozhang-sync"):
        for prompt in ("one", "two"):
            veo("generate", prompt, "-p", route)
    ran = veo("cost", "--reconcile", bills)
    told = summary(veo, bills)

    assert ran.code == 0
    assert "4, $0.60 on both sides, 2 of them by model, amount and time" in ran.out
    assert (told["matched"], told["matched_usd"], told["agrees"]) == (4, 0.60, True)


def test_a_paid_job_is_recovered(
    veo: Veo, bills: str, unanswered: Unanswered, service: veo_sandbox.Sandbox
) -> None:
    """The one charge that is nobody else's is the job's: settled, resumed, on disk, paid once."""
    veo("generate", "another")
    name = unanswered("paid lion")
    offered = veo("cost", "--reconcile", bills)
    settled = veo("cost", "--reconcile", bills, "--settle")
    resumed = veo("resume", name, "--json")
    done = job(name)

    assert (offered.code, job(name).submits) == (5, 1)
    assert "--settle records these verdicts in the ledger: 1 paid, 0 unpaid" in offered.err
    assert settled.code == 0
    assert f"`veo resume {name}`" in settled.err
    assert resumed.code == 0
    assert (done.state, done.charged, done.reserved) == (State.DONE, PRICE, 0)
    with Path(done.output).open("rb") as file:
        assert find_defect(file) is None
    assert summary(veo, bills)["agrees"]
    assert "bills: it was charged $0.15" in veo("show", name).out


def test_an_unpaid_job_is_released(veo: Veo, bills: str, unanswered: Unanswered) -> None:
    """A job that no charge can be of has failed, and its money is free; its events say why."""
    veo("generate", "another")
    name = unanswered("unpaid lion")
    veo("cost", "--reconcile", bills, "--settle", *AT_ONCE)
    ledger = Ledger(ledger_folder())
    last = ledger.read_history(job(name).id)[-1]
    lost = find_untraced(ledger)
    ledger.close()

    assert (job(name).state, job(name).charged, job(name).reserved) == (State.FAILED, 0, 0)
    assert (last.kind, last.reserved, last.data["verdict"]) == ("settled", -PRICE, "unpaid")
    assert lost == []


def test_nothing_is_concluded_too_early(veo: Veo, bills: str, unanswered: Unanswered) -> None:
    """A charge may still come, or the list may begin too late: the job stays as it is."""
    name = unanswered("unpaid lion")
    beginning = veo("cost", "--reconcile", bills, "--settle", *AT_ONCE)
    early = veo("cost", "--reconcile", bills, "--settle", "--since", "today")

    assert (beginning.code, early.code) == (5, 5)
    assert "`since` says from when it is complete" in beginning.out
    assert "one may still come" in early.out
    assert job(name).state is State.UNKNOWN
    assert "--unpaid JOB" in early.err


def test_what_is_ambiguous_is_asked(
    veo: Veo, bills: str, unanswered: Unanswered, service: veo_sandbox.Sandbox
) -> None:
    """Two jobs and two charges that are alike: only the user can say which is whose."""
    names = [unanswered("paid lion"), unanswered("paid tiger")]
    tasks = {task["request"]["prompt"]: task["task"] for task in service.tasks()}
    open_ = veo("cost", "--reconcile", bills, "--settle")
    pairs = [f"{name}={tasks[job(name).parse_request().prompt]}" for name in names]
    said = veo("cost", "--reconcile", bills, "--settle", "--task", pairs[0], "--task", pairs[1])
    veo("resume")

    assert open_.code == 5
    assert "2 charges can be its" in open_.out
    assert said.code == 0
    assert {job(name).state for name in names} == {State.DONE}
    assert {job(name).task_id for name in names} == set(tasks.values())


def test_the_user_says_it_was_not_charged(veo: Veo, bills: str, unanswered: Unanswered) -> None:
    """--unpaid needs no list that is old enough."""
    name = unanswered("unpaid lion")
    veo("cost", "--reconcile", bills, "--settle", "--unpaid", name)

    assert job(name).state is State.FAILED


def test_an_uncertain_charge_is_confirmed(
    veo: Veo, bills: str, service: veo_sandbox.Sandbox
) -> None:
    """Documents contradict each other on failed streams; the list ends the doubt."""
    service.change(fail_rate=1.0)
    veo("generate", "a failure", "-p", "laozhang-sync")
    (before,) = veo("jobs", "--json").objects
    told = summary(veo, bills, "--settle")

    assert not before["cost"]["certain"]
    assert told["settled"] == [before["job"]]
    assert job(before["job"]).certain
    assert veo("cost", "--json").objects[-1]["uncertain"] == 0.0


def test_a_failure_that_was_free_after_all(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A failed stream that a complete list does not have was not charged: the money is free."""
    service.change(fail_rate=1.0)
    (failed,) = veo("generate", "a failure", "-p", "laozhang-sync", "--json").objects
    Path("list.csv").write_text("task,amount\n")
    args = ("cost", "--reconcile", "list.csv", "--settle", "--since", "today")
    veo(*args, "--settled-after", "0.001s")
    now = job(failed["job"])

    assert failed["cost"]["charged"] == 0.15
    assert (now.state, now.charged, now.certain) == (State.FAILED, 0, True)


def test_differences_are_listed(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Another amount, a charge that only one side knows: each is named, none is changed."""
    (one,) = veo("generate", "one", "--json").objects
    (two,) = veo("generate", "two", "--json").objects
    rows = ["Task ID;Cost (USD)", f"{one['task_id']};0,20", "stranger;$0.15"]
    Path("list.csv").write_text("\n".join(rows))
    found = veo("cost", "--json", "--reconcile", "list.csv").objects
    kinds = {line["kind"]: line for line in found}

    assert (kinds["differing"]["ours"], kinds["differing"]["theirs"]) == (0.15, 0.20)
    assert kinds["ours"]["job"] == two["job"]
    assert kinds["theirs"]["task"] == "stranger"
    assert not kinds["summary"]["agrees"]
    assert job(one["job"]).charged == PRICE


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--task", "nothing"], "write JOB=TASK"),
        (["--task", "{done}=x"], "nothing to settle"),
        (["--task", "{unknown}=x"], "the list has no task 'x'"),
        (["--task", "{unknown}={task}"], "is the task of job"),
        (["--unpaid", "nobody"], "there is no job 'nobody'"),
        (["--unpaid", "{done}"], "nothing to settle"),
    ],
)
def test_what_the_user_says_is_checked(
    veo: Veo, bills: str, unanswered: Unanswered, args: list[str], says: str
) -> None:
    """A word that cannot be true settles nothing."""
    (done,) = veo("generate", "done", "--json").objects
    unknown = unanswered("unpaid lion")
    names = {"done": done["job"], "unknown": unknown, "task": done["task_id"]}
    ran = veo("cost", "--reconcile", bills, "--settle", *(arg.format(**names) for arg in args))

    assert ran.code == 2
    assert says in ran.err
    assert job(unknown).state is State.UNKNOWN


# The reader of lists.


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("task,amount\nt1,0.15\n", 150_000),
        ("id,usd\nt1,$0.15\n", 150_000),
        ("Task-ID\tQuota\nt1\t75000\n", 150_000),
        ("task_id;cost\nt1;0,15\n", 150_000),
        ('task,amount\nt1,"0,150"\n', 150_000),
        ('task,amount\nt1,"$1,234.50"\n', 1_234_500_000),
        ("task,amount\nt1,0.15\nt1,-0.15\n", 0),
        ("task,amount,type\nt1,0.15,charged\nt1,0.15,refunded\n", 0),
        ("task,amount,state\nt1,0.15,held\nt1,0.15,charged\n", 150_000),
        ('[{"task": "t1", "amount": 0.15}]', 150_000),
        ('{"data": {"items": [{"task_id": "t1", "quota": 75000}]}}', 150_000),
    ],
)
def test_lists_of_many_forms(text: str, amount: int) -> None:
    """Columns go by their usual names; refunds are taken off, holds are no charges."""
    assert [(bill.task, bill.amount) for bill in parse_charges(text, "list")] == [("t1", amount)]


@pytest.mark.parametrize(
    ("at", "seconds"),
    [("1790000000", NOW), ("1790000000000", NOW), ("2026-09-21T13:33:20+00:00", 1789997600.0)],
)
def test_times_of_many_forms(at: str, seconds: float) -> None:
    """Seconds, milliseconds, ISO."""
    assert parse_charges(f"task,amount,at\nt,1,{at}\n", "list")[0].at == seconds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,colour\na,b\n", "no column tells the task nor the amount; there are: name, colour"),
        ("task,colour\na,b\n", "no column tells the amount"),
        ("task,amount\na,much\n", "line 2: 'much' is no amount"),
        ("task,amount\na,nan\n", "'nan' is no amount"),
        ('task,amount\na,"1,2,3"\n', "'1,2,3' is no amount"),
        ("task,amount,at\na,1,soon\n", "'soon' is no time"),
        ('{"error": "no"}', "no list of charges"),
        ("[1, 2]", "no list of objects"),
        ("[{", "is no JSON"),
    ],
)
def test_what_is_no_list_is_told(text: str, says: str) -> None:
    """The message names the file, the line, and what is missing."""
    with pytest.raises(UsageError) as caught:
        parse_charges(text, "list.csv")

    assert caught.value.message.startswith("list.csv")
    assert says in caught.value.message


def test_an_empty_list_is_a_list() -> None:
    """Nothing was charged."""
    assert parse_charges("[]", "list") == parse_charges("task,amount\n", "list") == []


def test_a_url_that_does_not_answer(veo: Veo) -> None:
    """One line, exit code 2."""
    ran = veo("cost", "--reconcile", "http://127.0.0.1:9/bills")

    assert ran.code == 2
    assert "127.0.0.1" in ran.err


# The comparison itself, on rows.


def row(name: str, state: State = State.DONE, **facts: Any) -> Record:
    """A job of the stream, charged 0.15, done within a minute from ``NOW`` on."""
    usual = {
        "run": name,
        "provider": "laozhang-sync",
        "model": "veo-3.1-fast",
        "version": 1,
        "owner": None,
        "request": "{}",
        "fingerprint": name,
        "output": name,
        "force": False,
        "quote": json.dumps(QUOTE),
        "reserved": 0,
        "charged": PRICE,
        "created_at": NOW,
        "submitted_at": NOW,
        "ended_at": NOW + 60,
    }
    return Record(id=name, state=state, **usual | facts)


QUOTE = {
    "amount": "0.15",
    "charged": "on_accept",
    "per": "call",
    "unit": "0.15",
    "quantity": 1,
    "as_of": "2026-11-21",
    "source": "a test",
    "overridden": False,
}


def bill(
    task: str, at: float | None = NOW + 1, amount: int = PRICE, **facts: Any
) -> ProviderCharge:
    """A charge."""
    return ProviderCharge(task, amount, at, **{"model": "veo-3.1-fast", "label": "chat"} | facts)


def compared(records: list[Record], bills: list[ProviderCharge], **terms: Any) -> Reconciliation:
    """A list made long after everything, complete from long before on."""
    listed = ChargeList("list", NOW + 1e6, bills)
    return reconcile(records, listed, Assumptions(since=NOW - 1e6, taskless=TASKLESS, **terms))


def test_jobs_that_are_alike_are_counted() -> None:
    """Three jobs of the stream, two charges in their time: one is ours only, whichever it is."""
    found = compared([row("a"), row("b"), row("c")], [bill("x"), bill("y", None)])

    assert (len(found.matched), len(found.ledger_only), found.provider_only) == (2, 1, [])


def test_charges_of_another_time_or_model_are_not_taken() -> None:
    """What a job cannot have caused stays theirs."""
    found = compared([row("a")], [bill("late", NOW + 1e5), bill("other", model="veo-3.1")])

    assert [each.task for each in found.provider_only] == ["late", "other"]
    assert [each.id for each in found.ledger_only] == ["a"]


def test_a_certain_charge_is_matched_before_a_doubtful_one() -> None:
    """With one charge for two jobs, the failed one is the one that was not charged."""
    found = compared([row("failed", State.FAILED, certain=False), row("done")], [bill("x")])

    assert [pair.record.id for pair in found.matched] == ["done"]
    assert [(q.record.id, q.verdict, q.amount) for q in found.open_items] == [
        ("failed", "unpaid", PRICE)
    ]


def test_a_charge_that_a_like_job_may_have_is_not_given_away() -> None:
    """A job with a task never takes a charge that may be one of the stream's."""
    unknown = row("u", State.UNKNOWN, provider="laozhang-async", reserved=PRICE, charged=0)
    charges = [bill("x", label=None), bill("y", label=None)]
    (question,) = compared([row("a"), unknown], charges).open_items

    assert question.verdict == "open"
    assert {each.task for each in question.candidates} == {"x", "y"}


def test_labels_are_learned_from_tasks() -> None:
    """Once a job's task tells what the list calls its route, other routes' charges are not its."""
    known = row("k", provider="laozhang-async", task_id="t1")
    unknown = row("u", State.UNKNOWN, provider="laozhang-async", reserved=PRICE, charged=0)
    charges = [bill("t1", label="videos"), bill("x"), bill("t2", label="videos")]
    found = compared([known, row("a"), unknown], charges)

    assert [(q.verdict, q.charge and q.charge.task) for q in found.open_items] == [("paid", "t2")]
    assert (found.provider_only, found.ledger_only) == ([], [])


def test_streams_that_were_lost_are_all_paid_or_none_is_said() -> None:
    """As many charges as lost streams: all paid. Fewer: which one is open."""
    lost = [row(name, State.UNKNOWN, charged=PRICE) for name in ("a", "b")]
    all_ = compared(lost, [bill("x"), bill("y")])
    one = compared(lost, [bill("x")])
    none = compared(lost, [])

    assert [q.verdict for q in all_.open_items] == ["paid", "paid"]
    assert [q.verdict for q in one.open_items] == ["open", "open"]
    assert [q.verdict for q in none.open_items] == ["unpaid", "unpaid"]


def test_a_refund_is_no_charge() -> None:
    """An unknown job whose one charge was given back was not paid."""
    unknown = row("u", State.UNKNOWN, provider="laozhang-async", reserved=PRICE, charged=0)
    (question,) = compared([unknown], [bill("x", amount=0)]).open_items

    assert (question.verdict, question.charge and question.charge.task) == ("unpaid", "x")


def test_jobs_of_before_the_list_are_no_difference() -> None:
    """A list of this month says nothing about the last."""
    old = row("old", submitted_at=NOW - 1e7, created_at=NOW - 1e7, ended_at=NOW - 1e7)
    found = compared([old, row("a")], [bill("x")])

    assert ([r.id for r in found.before_list], found.ledger_only) == (["old"], [])


def test_an_earlier_send_is_a_question_of_its_own() -> None:
    """A job sent twice: its own task is matched, the other charge can only be the first send's."""
    twice = row("t", provider="laozhang-async", task_id="t2", doubtful=PRICE)
    found = compared([twice], [bill("t1"), bill("t2")])

    assert len(found.matched) == 1
    assert [
        (q.is_earlier_send, q.verdict, q.charge and q.charge.task) for q in found.open_items
    ] == [(True, "paid", "t1")]


_moments = st.floats(NOW - 1e5, NOW + 2e5)
_jobs = st.lists(
    st.tuples(
        st.sampled_from(["laozhang-sync", "laozhang-async"]),
        st.sampled_from([State.DONE, State.FAILED, State.UNKNOWN, State.RUNNING]),
        st.sampled_from([None, "t1", "t2"]),
        st.booleans(),
        st.sampled_from([0, PRICE]),
        _moments,
    ),
    max_size=8,
)
_charges = st.lists(
    st.tuples(st.sampled_from([0, PRICE, 2 * PRICE]), st.none() | _moments), max_size=8
)


@given(_jobs, _charges)
def test_every_bill_is_counted_once(jobs: list[Any], charges: list[Any]) -> None:
    """Whatever is compared: no bill is lost, none is given to two jobs, no job asked twice."""
    records = [
        row(f"j{n}", state, provider=provider, task_id=task, certain=sure, charged=charged)
        for n, (provider, state, task, sure, charged, _) in enumerate(jobs)
    ]
    bills = [bill(f"t{n}", at, amount) for n, (amount, at) in enumerate(charges)]
    found = compared(records, bills)
    pairs = [*found.matched, *found.differing, *found.not_ended]
    used = [pair.charge for pair in pairs] + [q.charge for q in found.open_items if q.charge]
    told = [pair.record.id for pair in pairs] + [q.record.id for q in found.open_items]
    told += [record.id for record in (*found.ledger_only, *found.before_list)]

    assert len({each.task for each in used}) == len(used)
    assert sum(b.amount for b in [*used, *found.provider_only]) == sum(b.amount for b in bills)
    assert len(set(told)) == len(told)


def test_ten_thousand_jobs_are_compared() -> None:
    """Each finds its charge, whatever the order of the list."""
    times = [NOW + number for number in range(10_000)]
    records = [row(f"j{at}", submitted_at=at, ended_at=at + 60) for at in times]
    charges = [bill(f"t{at}", at + 1) for at in reversed(times)]

    assert len(compared(records, charges).matched) == 10_000
