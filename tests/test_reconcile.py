"""``veo cost --reconcile``: compare the ledger with a provider's list, and settle jobs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runner import Veo
from hypothesis import given
from hypothesis import strategies as st
from ledger_rows import find_untraced
from recording_server import RecordingServer, Reply

import veo_sandbox
from veo.errors import UsageError
from veo.files.mp4 import find_defect
from veo.ledger import Ledger, Record, State
from veo.paths import ledger_folder
from veo.reconcile import charges as charges_module
from veo.reconcile.charge_rows import ProviderCharge
from veo.reconcile.charges import ChargeList, load_charges, parse_charges
from veo.reconcile.match import reconcile
from veo.reconcile.result import Assumptions, Reconciliation

pytest_plugins = ("veo_fixtures",)

PRICE = 150_000
NOW = 1_790_000_000.0
TASKLESS = frozenset({"laozhang-sync"})
AT_ONCE = ("--settled-after", "0.001s")

MakeUnknown = Callable[[str], str]


@pytest.fixture
def bills(service: veo_sandbox.Sandbox) -> str:
    """Return the URL of the sandbox's list of charges."""
    return f"{service.url}/sandbox/bills"


@pytest.fixture
def make_unknown(veo: Veo, service: veo_sandbox.Sandbox) -> MakeUnknown:
    """Return a function that makes a job of unknown outcome.

    The response is lost after acceptance if the prompt begins with ``paid``, before it otherwise.
    """

    def make_job(prompt: str) -> str:
        when = "drop_answer" if prompt.startswith("paid") else "http_502_html"
        service.fault(when, on="create", match=prompt)
        (job,) = veo("generate", prompt, "--json").objects
        assert job["state"] == "unknown"
        return str(job["job"])

    return make_job


def read_summary(veo: Veo, *args: object) -> dict[str, Any]:
    """Return the last line of a reconciliation in JSON."""
    return veo("cost", "--json", "--reconcile", *args).objects[-1]


def read_job(name: str) -> Record:
    """Return a job from the ledger."""
    ledger = Ledger(ledger_folder())
    result = ledger.find_job(name)
    ledger.close()
    return result


def test_all_jobs_match(veo: Veo, service: veo_sandbox.Sandbox, bills: str) -> None:
    """Jobs with tasks match by task id, jobs of the sync route by model, amount and time."""
    for route in ("laozhang-async", "laozhang-sync"):
        for prompt in ("one", "two"):
            veo("generate", prompt, "-p", route)
    ran = veo("cost", "--reconcile", bills)
    summary = read_summary(veo, bills)

    assert ran.code == 0
    assert "4, $0.60 on both sides, 2 of them by model, amount and time" in ran.out
    assert (summary["matched"], summary["matched_usd"], summary["agrees"]) == (4, 0.60, True)


def test_paid_job_is_recovered(
    veo: Veo, bills: str, make_unknown: MakeUnknown, service: veo_sandbox.Sandbox
) -> None:
    """A job with exactly one possible charge is settled, resumed and downloaded, and paid once."""
    veo("generate", "another")
    name = make_unknown("paid lion")
    offered = veo("cost", "--reconcile", bills)
    settled = veo("cost", "--reconcile", bills, "--settle")
    resumed = veo("resume", name, "--json")
    done = read_job(name)

    assert (offered.code, read_job(name).submits) == (5, 1)
    assert "--settle records these verdicts in the ledger: 1 paid, 0 unpaid" in offered.err
    assert settled.code == 0
    assert f"`veo resume {name}`" in settled.err
    assert resumed.code == 0
    assert (done.state, done.charged, done.reserved) == (State.DONE, PRICE, 0)
    with Path(done.output).open("rb") as file:
        assert find_defect(file) is None
    assert read_summary(veo, bills)["agrees"]
    assert "bills: it was charged $0.15" in veo("show", name).out


GOOGLE = """
provider = "gemini"
[providers.gemini]
base_url = "{url}"
median_s = 0.2
submits_per_minute = 1000
"""


def test_charges_by_usage_match(
    veo: Veo, serve_as_live: Callable[..., veo_sandbox.Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last token, for jobs with a response and for a lost one that the list finds."""
    server = serve_as_live(GOOGLE, processing_lag=0)
    monkeypatch.setenv("GEMINI_API_KEY", server.key)
    bills = f"{server.url}/sandbox/bills"
    veo("generate", "one", "-o", "one.mp4")
    veo("edit", "one.mp4", "make it rain")
    server.fault("drop_answer", on="create", first=1)
    (lost,) = veo("generate", "paid lion", "--json").objects
    settled = veo("cost", "--reconcile", bills, "--settle")
    resumed = veo("resume", lost["job"], "--json")
    summary = read_summary(veo, bills)

    assert (lost["state"], settled.code, resumed.code) == ("unknown", 0, 0)
    assert (summary["matched"], summary["agrees"]) == (3, True)
    listed = sum(bill["amount"] for bill in server.bills() if bill["state"] == "charged")
    assert summary["matched_usd"] == pytest.approx(listed)


def test_unpaid_job_is_released(veo: Veo, bills: str, make_unknown: MakeUnknown) -> None:
    """A job without a possible charge fails and its reservation is released; an event says why."""
    veo("generate", "another")
    name = make_unknown("unpaid lion")
    veo("cost", "--reconcile", bills, "--settle", *AT_ONCE)
    ledger = Ledger(ledger_folder())
    last = ledger.read_history(read_job(name).id)[-1]
    lost = find_untraced(ledger)
    ledger.close()

    assert (read_job(name).state, read_job(name).charged, read_job(name).reserved) == (
        State.FAILED,
        0,
        0,
    )
    assert (last.kind, last.reserved, last.data["verdict"]) == ("settled", -PRICE, "unpaid")
    assert lost == []


def test_no_verdict_before_the_list_is_complete(
    veo: Veo, bills: str, make_unknown: MakeUnknown
) -> None:
    """While a charge may still come, or the list may begin too late, the job stays unknown."""
    name = make_unknown("unpaid lion")
    beginning = veo("cost", "--reconcile", bills, "--settle", *AT_ONCE)
    early = veo("cost", "--reconcile", bills, "--settle", "--since", "today")

    assert (beginning.code, early.code) == (5, 5)
    assert "`since` says from when it is complete" in beginning.out
    assert "one may still come" in early.out
    assert read_job(name).state is State.UNKNOWN
    assert "--unpaid JOB" in early.err


def test_ambiguous_charges_are_left_to_the_user(
    veo: Veo, bills: str, make_unknown: MakeUnknown, service: veo_sandbox.Sandbox
) -> None:
    """Two jobs and two charges that are alike are settled only if the user assigns them."""
    names = [make_unknown("paid lion"), make_unknown("paid tiger")]
    tasks = {task["request"]["prompt"]: task["task"] for task in service.tasks()}
    open_ = veo("cost", "--reconcile", bills, "--settle")
    pairs = [f"{name}={tasks[read_job(name).parse_request().prompt]}" for name in names]
    said = veo("cost", "--reconcile", bills, "--settle", "--task", pairs[0], "--task", pairs[1])
    veo("resume")

    assert open_.code == 5
    assert "2 charges can belong to it" in open_.out
    assert said.code == 0
    assert {read_job(name).state for name in names} == {State.DONE}
    assert {read_job(name).task_id for name in names} == set(tasks.values())


def test_user_states_that_a_job_was_not_charged(
    veo: Veo, bills: str, make_unknown: MakeUnknown
) -> None:
    """--unpaid settles a job at once, whatever the age of the list."""
    name = make_unknown("unpaid lion")
    veo("cost", "--reconcile", bills, "--settle", "--unpaid", name)

    assert read_job(name).state is State.FAILED


def test_uncertain_charge_is_confirmed(veo: Veo, bills: str, service: veo_sandbox.Sandbox) -> None:
    """The charge of a failed stream is uncertain until the list confirms it."""
    service.change(fail_rate=1.0)
    veo("generate", "a failure", "-p", "laozhang-sync")
    (before,) = veo("jobs", "--json").objects
    summary = read_summary(veo, bills, "--settle")

    assert not before["cost"]["certain"]
    assert summary["settled"] == [before["job"]]
    assert read_job(before["job"]).certain
    assert veo("cost", "--json").objects[-1]["uncertain"] == 0.0


def test_uncertain_charge_is_released(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A failed stream that is missing in a complete list was not charged."""
    service.change(fail_rate=1.0)
    (failed,) = veo("generate", "a failure", "-p", "laozhang-sync", "--json").objects
    Path("list.csv").write_text("task,amount\n")
    args = ("cost", "--reconcile", "list.csv", "--settle", "--since", "today")
    veo(*args, "--settled-after", "0.001s")
    now = read_job(failed["job"])

    assert failed["cost"]["charged"] == 0.15
    assert (now.state, now.charged, now.certain) == (State.FAILED, 0, True)


def test_differences_are_listed(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Different amounts, and charges on one side only, are listed and nothing is changed."""
    (one,) = veo("generate", "one", "--json").objects
    (two,) = veo("generate", "two", "--json").objects
    rows = ["Task ID;Cost (USD)", f"{one['task_id']};0,20", "stranger;$0.15"]
    Path("list.csv").write_text("\n".join(rows))
    result = veo("cost", "--json", "--reconcile", "list.csv").objects
    kinds = {line["kind"]: line for line in result}

    assert (kinds["differing"]["ours"], kinds["differing"]["theirs"]) == (0.15, 0.20)
    assert kinds["ours"]["job"] == two["job"]
    assert kinds["theirs"]["task"] == "stranger"
    assert not kinds["summary"]["agrees"]
    assert read_job(one["job"]).charged == PRICE


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
def test_statements_of_the_user_are_checked(
    veo: Veo, bills: str, make_unknown: MakeUnknown, args: list[str], says: str
) -> None:
    """A statement that contradicts the list or the ledger is an error and settles nothing."""
    (done,) = veo("generate", "done", "--json").objects
    unknown = make_unknown("unpaid lion")
    names = {"done": done["job"], "unknown": unknown, "task": done["task_id"]}
    ran = veo("cost", "--reconcile", bills, "--settle", *(arg.format(**names) for arg in args))

    assert ran.code == 2
    assert says in ran.err
    assert read_job(unknown).state is State.UNKNOWN


# Parsing of lists.


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
def test_formats_of_lists(text: str, amount: int) -> None:
    """Columns are found by their usual names; refunds are subtracted, holds are ignored."""
    assert [(bill.task, bill.amount) for bill in parse_charges(text, "list")] == [("t1", amount)]


@pytest.mark.parametrize(
    ("at", "seconds"),
    [("1790000000", NOW), ("1790000000000", NOW), ("2026-09-21T13:33:20+00:00", 1789997600.0)],
)
def test_formats_of_times(at: str, seconds: float) -> None:
    """Times are given in seconds, in milliseconds, or in ISO format."""
    assert parse_charges(f"task,amount,at\nt,1,{at}\n", "list")[0].at == seconds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "name,colour\na,b\n",
            "cannot find a column for the task and the amount; the columns are: name, colour",
        ),
        ("task,colour\na,b\n", "cannot find a column for the amount"),
        ("task,amount\na,much\n", "line 2: 'much' is not a valid amount"),
        ("task,amount\na,nan\n", "'nan' is not a valid amount"),
        ("task,amount\n,\na,\n", "line 3: the amount is missing"),
        ("task,amount,currency\na,1.05,cny\n", "line 2: the amount is in CNY, not in USD"),
        ('task,amount\na,"1,2,3"\n', "'1,2,3' is not a valid amount"),
        ("task,amount,at\na,1,soon\n", "'soon' is not a valid time"),
        ('{"error": "no"}', "is not a list of charges"),
        ('{"data": 5}', "is not a list of charges"),
        ("[1, 2]", "is not a list of objects"),
        ("[{", "is not valid JSON"),
    ],
)
def test_invalid_list(text: str, says: str) -> None:
    """The message names the file, the line, and the problem."""
    with pytest.raises(UsageError) as caught:
        parse_charges(text, "list.csv")

    assert caught.value.message.startswith("list.csv")
    assert says in caught.value.message


def test_empty_list_is_valid() -> None:
    """An empty list has no charges."""
    assert parse_charges("[]", "list") == parse_charges("task,amount\n", "list") == []


def test_unreachable_url(veo: Veo) -> None:
    """An unreachable URL is a usage error that names the host."""
    ran = veo("cost", "--reconcile", "http://127.0.0.1:9/bills")

    assert ran.code == 2
    assert "127.0.0.1" in ran.err


# The comparison of records and charges.


def make_record(name: str, state: State = State.DONE, **facts: Any) -> Record:
    """Return a job of the sync route, charged $0.15, done one minute after ``NOW``."""
    defaults = {
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
    return Record(id=name, state=state, **defaults | facts)


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


def make_charge(
    task: str, at: float | None = NOW + 1, amount: int = PRICE, **facts: Any
) -> ProviderCharge:
    """Return a charge."""
    return ProviderCharge(task, amount, at, **{"model": "veo-3.1-fast", "label": "chat"} | facts)


def reconcile_all(
    records: list[Record], charges: list[ProviderCharge], **assumptions: Any
) -> Reconciliation:
    """Reconcile with a list that is complete, from long before ``NOW`` to long after."""
    listed = ChargeList("list", NOW + 1e6, charges)
    return reconcile(
        records, listed, Assumptions(since=NOW - 1e6, taskless=TASKLESS, **assumptions)
    )


def test_interchangeable_jobs_are_counted() -> None:
    """Of three interchangeable jobs with two charges, one is in the ledger only."""
    result = reconcile_all(
        [make_record("a"), make_record("b"), make_record("c")],
        [make_charge("x"), make_charge("y", None)],
    )

    assert (len(result.matched), len(result.ledger_only), result.provider_only) == (2, 1, [])


def test_a_note_behind_a_task() -> None:
    """The list of a provider has the id of the task, and nothing that its client added."""
    task = "ChAz#gs://bucket/veo-1"
    result = reconcile_all(
        [make_record("a", provider="vertex", task_id=task)], [make_charge("ChAz")]
    )

    assert [pair.record.id for pair in result.matched] == ["a"]
    assert (result.ledger_only, result.provider_only) == ([], [])


def test_time_and_model_must_match() -> None:
    """A charge of another time or model stays with the provider."""
    result = reconcile_all(
        [make_record("a")], [make_charge("late", NOW + 1e5), make_charge("other", model="veo-3.1")]
    )

    assert [each.task for each in result.provider_only] == ["late", "other"]
    assert [each.id for each in result.ledger_only] == ["a"]


def test_certain_charges_are_matched_first() -> None:
    """If two jobs share one charge, it belongs to the job whose charge is certain."""
    result = reconcile_all(
        [make_record("failed", State.FAILED, certain=False), make_record("done")],
        [make_charge("x")],
    )

    assert [pair.record.id for pair in result.matched] == ["done"]
    assert [(q.record.id, q.verdict, q.amount) for q in result.open_items] == [
        ("failed", "unpaid", PRICE)
    ]


def test_contested_charge_is_not_assigned() -> None:
    """A job with a task is not assigned a charge that may belong to a job of the sync route."""
    unknown = make_record("u", State.UNKNOWN, provider="laozhang-async", reserved=PRICE, charged=0)
    charges = [make_charge("x", label=None), make_charge("y", label=None)]
    (question,) = reconcile_all([make_record("a"), unknown], charges).open_items

    assert question.verdict == "open"
    assert {each.task for each in question.candidates} == {"x", "y"}


@pytest.mark.parametrize(
    ("amount", "verdict"), [(1000, "paid"), (162_000, "paid"), (310_000, "unpaid"), (0, "unpaid")]
)
def test_a_charge_by_usage_differs_from_its_quote(amount: int, verdict: str) -> None:
    """It costs from a few tokens, if it was refused, to more than its quote."""
    quoted = json.dumps(QUOTE | {"by_usage": True})
    facts = {"provider": "laozhang-async", "reserved": PRICE, "charged": 0}
    unknown = make_record("u", State.UNKNOWN, quote=quoted, **facts)
    fixed = make_record("f", State.UNKNOWN, **facts)
    charges = [make_charge("x", amount=amount)]

    (item,) = reconcile_all([unknown], charges).open_items
    assert item.verdict == verdict
    (item,) = reconcile_all([fixed], charges).open_items
    assert item.verdict == "unpaid"


def test_labels_are_learned_from_matches_by_task() -> None:
    """A match by task tells the label of its provider; other labels no longer fit."""
    known = make_record("k", provider="laozhang-async", task_id="t1")
    unknown = make_record("u", State.UNKNOWN, provider="laozhang-async", reserved=PRICE, charged=0)
    charges = [
        make_charge("t1", label="videos"),
        make_charge("x"),
        make_charge("t2", label="videos"),
    ]
    result = reconcile_all([known, make_record("a"), unknown], charges)

    assert [(q.verdict, q.charge and q.charge.task) for q in result.open_items] == [("paid", "t2")]
    assert (result.provider_only, result.ledger_only) == ([], [])


def test_lost_streams_are_paid_only_if_all_are() -> None:
    """If there is a charge for each lost stream, all are paid; with fewer charges all are open."""
    lost = [make_record(name, State.UNKNOWN, charged=PRICE) for name in ("a", "b")]
    both = reconcile_all(lost, [make_charge("x"), make_charge("y")])
    one = reconcile_all(lost, [make_charge("x")])
    none = reconcile_all(lost, [])

    assert [q.verdict for q in both.open_items] == ["paid", "paid"]
    assert [q.verdict for q in one.open_items] == ["open", "open"]
    assert [q.verdict for q in none.open_items] == ["unpaid", "unpaid"]


def test_refunded_charge_is_unpaid() -> None:
    """An unknown job whose only charge was refunded was not paid."""
    unknown = make_record("u", State.UNKNOWN, provider="laozhang-async", reserved=PRICE, charged=0)
    (question,) = reconcile_all([unknown], [make_charge("x", amount=0)]).open_items

    assert (question.verdict, question.charge and question.charge.task) == ("unpaid", "x")


def test_jobs_before_the_list_are_not_a_difference() -> None:
    """Jobs that ended before the list begins are listed separately."""
    old = make_record("old", submitted_at=NOW - 1e7, created_at=NOW - 1e7, ended_at=NOW - 1e7)
    result = reconcile_all([old, make_record("a")], [make_charge("x")])

    assert ([r.id for r in result.before_list], result.ledger_only) == (["old"], [])


def test_earlier_send_is_judged_separately() -> None:
    """If a job was sent twice, one charge matches its task, the other belongs to the first send."""
    twice = make_record("t", provider="laozhang-async", task_id="t2", doubtful=PRICE)
    result = reconcile_all([twice], [make_charge("t1"), make_charge("t2")])

    assert len(result.matched) == 1
    assert [
        (q.is_earlier_send, q.verdict, q.charge and q.charge.task) for q in result.open_items
    ] == [(True, "paid", "t1")]


def test_earlier_send_of_a_grouped_job_is_kept() -> None:
    """A job that is paid as one of a group still has the open item of its earlier send."""
    twice = make_record("u", State.UNKNOWN, reserved=PRICE, charged=0, doubtful=2 * PRICE)
    items = reconcile_all([twice], [make_charge("x")]).open_items

    assert [(item.is_earlier_send, item.verdict) for item in items] == [
        (False, "paid"),
        (True, "unpaid"),
    ]


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
def test_every_charge_is_counted_once(jobs: list[Any], charges: list[Any]) -> None:
    """No charge is lost or assigned twice, and no job is listed twice, for any input."""
    records = [
        make_record(f"j{n}", state, provider=provider, task_id=task, certain=sure, charged=charged)
        for n, (provider, state, task, sure, charged, _) in enumerate(jobs)
    ]
    bills = [make_charge(f"t{n}", at, amount) for n, (amount, at) in enumerate(charges)]
    result = reconcile_all(records, bills)
    pairs = [*result.matched, *result.differing, *result.not_ended]
    used = [pair.charge for pair in pairs] + [q.charge for q in result.open_items if q.charge]
    listed = [pair.record.id for pair in pairs] + [q.record.id for q in result.open_items]
    listed += [record.id for record in (*result.ledger_only, *result.before_list)]

    assert len({each.task for each in used}) == len(used)
    assert sum(b.amount for b in [*used, *result.provider_only]) == sum(b.amount for b in bills)
    assert len(set(listed)) == len(listed)


def test_ten_thousand_jobs_are_reconcile_all() -> None:
    """Each of 10,000 jobs is matched, whatever the order of the list."""
    times = [NOW + number for number in range(10_000)]
    records = [make_record(f"j{at}", submitted_at=at, ended_at=at + 60) for at in times]
    charges = [make_charge(f"t{at}", at + 1) for at in reversed(times)]

    assert len(reconcile_all(records, charges).matched) == 10_000


def export_log(*rows: dict[str, Any], total: int | None = None) -> str:
    """Return the JSON of a gateway's log (new-api), as a console exports it."""
    base = {"id": 812, "created_at": NOW, "type": 2, "model_name": "veo-3.1-fast", "quota": 75_000}
    items = [{**base, "id": 812 + number, **row} for number, row in enumerate(rows)]
    body = {"page": 1, "page_size": 100, "total": total or len(items), "items": items}
    return json.dumps({"success": True, "message": "", "data": body})


def read_list(text: str) -> list[tuple[str, int]]:
    return [(charge.task, charge.amount) for charge in parse_charges(text, "list")]


TASK_1, TASK_2 = ({"other": json.dumps({"task_id": f"task_{name}"})} for name in ("one", "two"))


class TestGatewayLog:
    """The log of new-api: row numbers, codes of types, and tasks inside of details."""

    def test_a_log_is_read(self) -> None:
        """Consumption is a charge, a refund is subtracted, everything else is left out."""
        log = export_log(
            TASK_1,
            {**TASK_2, "quota": 125_000},
            {**TASK_2, "quota": 125_000, "type": 6},
            {"type": 1, "quota": 5_000_000, "content": "top-up", "other": ""},
            *({"type": kind, "quota": 1, "other": ""} for kind in (3, 4, 5)),
        )
        assert read_list(log) == [("task_one", 150_000), ("task_two", 0)]

    @pytest.mark.parametrize("other", ["", "{}", "no JSON", '{"task_id": 7}', "[" * 100_000])
    def test_a_row_number_is_never_a_task(self, other: str) -> None:
        """A row whose details name no task is about another use of the key."""
        (charge,) = parse_charges(export_log({"other": other}), "list")
        assert (charge.task, charge.has_task_id) == ("entry 1", False)

    def test_numbers_alone_are_refused(self) -> None:
        """A column of numbers without details is not one of tasks."""
        with pytest.raises(UsageError, match="'812' is the number of a row, not a task"):
            read_list("id,amount\n812,0.15\n")

    def test_a_charge_without_a_task_settles_no_job_with_tasks(
        self, veo: Veo, make_unknown: MakeUnknown
    ) -> None:
        """It may be that of another use of the key: the job stays open."""
        job = make_unknown("paid one")
        record = read_job(job)
        row = {"model_name": record.model, "created_at": record.submitted_at}
        row["quota"] = record.reserved * 500_000 // 1_000_000
        Path("log.json").write_text(export_log({**row, "other": "{}"}))
        ran = veo("cost", "--reconcile", "log.json", "--settle")
        assert ran.code == 5
        assert "names no task" in ran.out
        assert (read_job(job).state, read_job(job).task_id) == (State.UNKNOWN, None)

    def test_a_task_in_a_sentence(self) -> None:
        """The gateway's own words for a refund."""
        text = "task task_0123456789abcdef failed, refund $0.15"
        assert read_list(export_log({"other": "", "content": text})) == [
            ("task_0123456789abcdef", 150_000)
        ]

    def test_a_row_that_two_pages_have_counts_once(self) -> None:
        """Pages overlap when rows are added meanwhile."""
        assert read_list(export_log({**TASK_1, "id": 5}, {**TASK_1, "id": 5})) == [
            ("task_one", 150_000)
        ]

    def test_a_part_of_a_log_is_refused(self) -> None:
        """What is not on the page would count as unpaid."""
        with pytest.raises(UsageError, match="holds 1 of 120 rows"):
            read_list(export_log(TASK_1, total=120))

    def test_a_chinese_export(self) -> None:
        """The titles and words of the console."""
        text = (
            "\u65f6\u95f4,\u7c7b\u578b,\u6a21\u578b,\u82b1\u8d39,\u8be6\u60c5\n"
            "2026-11-01 10:00:00,\u6d88\u8d39,veo-3.1-fast,\uff040.150000,task_0123456789abcdef\n"
            "2026-11-01 09:00:00,\u5145\u503c,,\uff0410.000000,-\n"
        )
        assert read_list(text) == [("task_0123456789abcdef", 150_000)]


@pytest.mark.parametrize("word", ["top-up", "Top Up", "topup", "recharge", "deposit"])
@pytest.mark.parametrize("column", ["type", "kind", "state", "status"])
def test_a_top_up_is_no_charge(column: str, word: str) -> None:
    """Money that was paid in; also if another column says that it is completed."""
    other = "status" if column != "status" else "type"
    text = f"task,amount,{column},{other}\nt1,0.15,charged,\nt2,20,{word},completed\n"
    assert read_list(text) == [("t1", 150_000)]


def test_a_word_that_is_not_known_is_refused() -> None:
    """A guess would settle jobs by it."""
    with pytest.raises(UsageError, match="'transfer' does not say whether it is a charge"):
        read_list("task,amount,type\nt1,0.15,transfer\n")


@pytest.mark.parametrize(
    "text",
    ["task,amount\nt1,-0.15\n", "task,amount,state\nt1,-0.15,charged\n", "task,quota\nt1,-75000\n"],
)
def test_a_negative_amount_alone_is_refused(text: str) -> None:
    """Some lists write charges as negative numbers; as a refund the job would count as unpaid."""
    with pytest.raises(UsageError, match="negative"):
        read_list(text)


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_refund_may_have_either_sign(sign: str) -> None:
    """Its word says what it is."""
    assert read_list(f"task,amount,state\nt1,0.15,charged\nt1,{sign}0.15,refunded\n") == [("t1", 0)]


def test_a_negative_list_settles_nothing(veo: Veo, make_unknown: MakeUnknown) -> None:
    """The job of unknown outcome stays unknown."""
    job = make_unknown("paid one")
    Path("charges.csv").write_text("task,amount,model\nt1,-0.15,veo-3.1-fast\n")
    ran = veo("cost", "--reconcile", "charges.csv", "--settle")
    assert ran.code == 2
    assert read_job(job).state is State.UNKNOWN


@pytest.mark.parametrize("text", ["task,amount\nt1,0,15\n", "task;amount\nt1;0,15;x\n"])
def test_a_row_with_more_cells_than_titles_is_refused(text: str) -> None:
    """A decimal comma without quotation marks would be read as 0."""
    with pytest.raises(UsageError, match="line 2 has more cells"):
        read_list(text)


def test_a_quotation_mark_that_is_not_closed_is_refused() -> None:
    """Else it hides the charges behind it, and their jobs count as unpaid."""
    with pytest.raises(UsageError, match="is not valid CSV"):
        read_list('task,amount\n"t1,0.15\nt2,0.15\n')


@pytest.mark.parametrize("amount", ["{}", "[]", "true", "null", "1e999999999999999999999"])
def test_an_amount_that_is_no_number_is_refused(amount: str) -> None:
    """The error names the row."""
    with pytest.raises(UsageError, match="entry 1"):
        read_list(f'[{{"task": "t1", "amount": {amount}}}]')


class TestListAtUrl:
    """A list from a server."""

    def test_no_credentials_of_netrc_are_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are for another program."""
        Path(".netrc").write_text("machine 127.0.0.1 login me password secret\n")
        monkeypatch.setenv("NETRC", str(Path(".netrc").absolute()))
        with RecordingServer(Reply([])) as server:
            load_charges(f"{server.url}/bills")
        assert "authorization" not in server.only_request.headers

    def test_a_long_list_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not read to its end."""
        monkeypatch.setattr(charges_module, "MAX_BYTES", 1000)
        rows = b"task,amount\n" + b"t1,0.15\n" * 1000
        too_long = pytest.raises(UsageError, match="larger than")
        with RecordingServer(Reply(rows)) as server, too_long:
            load_charges(f"{server.url}/bills")

    @pytest.mark.parametrize("reply", [Reply(status=404), Reply(silent=True), Reply(b"<html>")])
    def test_a_failure_is_told(self, reply: Reply) -> None:
        """With the address."""
        with RecordingServer(reply) as server, pytest.raises(UsageError) as caught:
            load_charges(f"{server.url}/bills")
        assert server.url in str(caught.value)

    def test_it_leads_to_no_address_inside(self) -> None:
        """A redirect of a public list is not followed into the network."""
        moved = Reply(status=302, headers={"Location": "http://169.254.169.254/latest/"})
        with RecordingServer(moved) as server, pytest.raises(UsageError, match="not public"):
            load_charges(f"{server.url}/bills")
