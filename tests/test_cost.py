"""``veo cost``: sums, groups, reports, and that every cent can be traced."""

import csv
import io
import shutil
from pathlib import Path

import pytest
from cli_runner import Veo
from html_checks import check_page
from ledger_rows import find_untraced

import veo_sandbox
from veo.ledger import Ledger
from veo.ledger.spending import JobFilter, group_spending, sum_spending
from veo.paths import ledger_folder

pytest_plugins = ("ledger_databases", "veo_fixtures")

ROUTES = {"laozhang-async": "videos", "laozhang-sync": "chat"}


def sum_charges(service: veo_sandbox.Sandbox, route: str) -> int:
    """Return what the sandbox charged for a route, millionths of a USD."""
    bills = [bill for bill in service.bills() if bill["route"] == route]
    return sum(round(bill["amount"] * 1e6) for bill in bills if bill["state"] == "charged")


@pytest.fixture
def spent_service(veo: Veo, service: veo_sandbox.Sandbox) -> veo_sandbox.Sandbox:
    """Two videos and a failure on each route, and one job of unknown outcome."""
    service.fault("drop_answer", on="create", match="unknown")
    for route in ROUTES:
        for prompt in ("one", "two"):
            assert veo("generate", prompt, "-p", route).code == 0
        service.change(fail_rate=1.0)
        veo("generate", "a failure", "-p", route)
        service.change(fail_rate=0.0)
    veo("generate", "unknown")
    return service


@pytest.fixture(scope="module")
def spent_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first ``spent_ledger`` is copied to."""
    return tmp_path_factory.mktemp("spent") / "home"


@pytest.fixture
def spent_ledger(request: pytest.FixtureRequest, spent_copy: Path) -> None:
    """The ledger of ``spent_service``, which is made once, for tests that only read it."""
    if spent_copy.exists():
        shutil.copytree(spent_copy, ledger_folder(), dirs_exist_ok=True)
    else:
        request.getfixturevalue("spent_service")
        shutil.copytree(ledger_folder(), spent_copy)


@pytest.mark.usefixtures("spent_ledger")
def test_kinds_of_charges_are_separate(veo: Veo) -> None:
    """Charges for videos, charges without a video and possible charges are three columns."""
    lines = veo("cost", "--by", "provider", "--json").objects
    by = {line["group"].get("provider"): line for line in lines}

    assert by["laozhang-async"]["charged"] == 0.30
    assert by["laozhang-async"]["for_nothing"] == 0.0
    assert by["laozhang-async"]["unknown"] == 0.15
    assert by["laozhang-async"]["most"] == 0.45
    assert by["laozhang-sync"]["charged"] == 0.45
    assert by["laozhang-sync"]["for_nothing"] == 0.15
    assert by["laozhang-sync"]["uncertain"] == 0.15
    assert by[None]["charged"] == 0.75
    assert by[None]["jobs"] == 7


def test_the_ledger_agrees_with_the_bills(veo: Veo, spent_service: veo_sandbox.Sandbox) -> None:
    """Each route's charges equal the sandbox's bills, except for the job of unknown outcome."""
    ledger = Ledger(ledger_folder())
    sums = {key[0]: account for key, account in group_spending(ledger, ["provider"]).items()}
    lost = find_untraced(ledger)
    ledger.close()

    assert lost == []
    assert sums["laozhang-sync"].charged == sum_charges(spent_service, "chat")
    assert sums["laozhang-async"].charged + 150_000 == sum_charges(spent_service, "videos")


@pytest.mark.usefixtures("database", "spent_service")
def test_groups_add_up() -> None:
    """The groups of every grouping add up to the total."""
    ledger = Ledger(ledger_folder())
    whole = sum_spending(ledger)
    for by in (["day"], ["provider", "model"], ["batch"], ["outcome"], ["day", "outcome"]):
        groups = group_spending(ledger, by)  # type: ignore[arg-type]

        assert sum((each for each in groups.values()), start=type(whole)()) == whole
    ledger.close()


@pytest.mark.usefixtures("spent_ledger")
def test_the_csv_adds_up(veo: Veo) -> None:
    """--csv prints nothing but a table whose amounts are exact."""
    rows = list(csv.DictReader(io.StringIO(veo("cost", "--csv", "--by", "outcome").out)))

    assert [row["outcome"] for row in rows] == ["done", "failed", "unknown"]
    assert sum(float(row["charged_usd"]) for row in rows) == pytest.approx(0.75)


def test_one_format_at_a_time(veo: Veo) -> None:
    """Else a program that reads lines of JSON gets CSV."""
    ran = veo("cost", "--csv", "--json")

    assert (ran.code, [each["error"]["type"] for each in ran.objects]) == (2, ["UsageError"])


@pytest.mark.usefixtures("spent_ledger")
def test_a_person_reads_a_table(veo: Veo) -> None:
    """The table ends with the total; below it is what is in doubt, and how to settle it."""
    ran = veo("cost")

    assert ran.out.splitlines()[-1].split()[:4] == ["all", "7", "4", "$0.75"]
    assert "at most $0.90" in ran.err
    assert "--reconcile" in ran.err


@pytest.mark.usefixtures("spent_ledger")
def test_scopes(veo: Veo) -> None:
    """--since, --provider and --batch select jobs; a batch is one run."""
    only = veo("cost", "--json", "-p", "laozhang-sync").objects
    later = veo("cost", "--json", "--since", "2099-01-01").objects
    today = veo("cost", "--json", "--since", "today", "--by", "batch").objects
    one = veo("cost", "--json", "--batch", today[0]["group"]["batch"]).objects

    assert only[-1]["jobs"] == 3
    assert later == [{**later[0], "group": {}, "jobs": 0, "charged": 0.0}]
    assert len(today) == 8
    assert one[-1]["jobs"] == 1


def test_an_empty_ledger(veo: Veo) -> None:
    """An empty ledger is not an error."""
    assert (veo("cost").code, veo("cost", "--json").objects[0]["jobs"]) == (0, 0)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--by", "colour"], "'colour' is not a valid value"),
        (["--since", "yesteryear"], "is not a valid date"),
        (["-p", "nobody"], "there is no provider 'nobody'"),
        (["--report", "no/such/folder/x.html"], "cannot write a file there"),
        (["--settle"], "requires --reconcile"),
        (["--reconcile", "x.csv", "--csv"], "cannot be used with --reconcile"),
        (["--reconcile", "missing.csv"], "missing.csv: No such file"),
    ],
)
def test_wrong_usage(veo: Veo, args: list[str], says: str) -> None:
    """One clear line, and exit code 2."""
    ran = veo("cost", *args)

    assert ran.code == 2
    assert says in ran.err


@pytest.mark.usefixtures("spent_ledger")
def test_the_page(veo: Veo) -> None:
    """--report writes one page with plots that loads nothing from the network."""
    veo("cost", "--report", "cost.html")
    page = check_page(Path("cost.html").read_text())

    assert page.count_tags("svg") == 2
    assert page.count_tags("table") == 4
    assert "$0.75" in page.text
    assert "At most, the providers have charged $0.90." in page.text


def test_the_page_needs_an_extra(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the plot library the error says how to install it, and nothing is written."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran = veo("cost", "--report", "cost.html")

    assert ran.code == 3
    assert "veo-video[report]" in ran.err
    assert not Path("cost.html").exists()


@pytest.mark.usefixtures("spent_ledger")
def test_money_line_by_line(veo: Veo) -> None:
    """`veo show` lists each movement of money with its reason, its rule and the price row."""
    (job,) = (
        j for j in veo("jobs", "--json").objects if j["state"] == "failed" and j["cost"]["charged"]
    )
    lines = veo("show", job["job"], "--json").objects[0]["money"]

    assert [(line.get("reserved"), line.get("charged")) for line in lines] == [
        (0.15, None),
        (-0.15, 0.15),
    ]
    assert "as of 2026-11-21" in lines[0]["why"]
    assert "on_accept: charged as soon as the request is accepted" in lines[1]["why"]
    assert "the quote: $0.15 a video" in veo("show", job["job"]).out


def test_prices_are_dated_and_history_is_not_rewritten(
    veo: Veo, service: veo_sandbox.Sandbox
) -> None:
    """The user's price is used and marked; earlier jobs keep the price of their quotes."""
    (before,) = veo("generate", "a lion", "--json").objects
    with Path("veo.toml").open("a") as file:
        file.write(
            '[providers.laozhang-async.models."veo-3.1-fast"]\n'
            'price = { usd = "0.10", as_of = 2026-12-01, source = "my contract" }\n'
        )
    (after,) = veo("generate", "a lion", "--json").objects
    shown = {job["job"]: veo("show", job["job"]).out for job in (before, after)}

    assert (before["cost"]["charged"], after["cost"]["charged"]) == (0.15, 0.10)
    assert "set by your configuration, as of 2026-12-01, my contract" in shown[after["job"]]
    assert "$0.15 a video, as of 2026-11-21" in shown[before["job"]]
    assert veo("cost", "--json").objects[-1]["charged"] == 0.25


def test_prices_side_by_side(veo: Veo) -> None:
    """`veo models --prices` compares prices by a clip of 8 s in 720p."""
    rows = {
        (row["provider"], row["model"]): row for row in veo("models", "--prices", "--json").objects
    }
    call = rows["laozhang-async", "veo-3.1-fast"]
    second = rows["gemini", "veo-3.1-fast-generate-preview"]
    table = veo("models", "--prices").out

    assert (call["clip_usd"], call["per"], call["charged"]) == (0.15, "call", "on_success")
    assert (second["clip_usd"], second["per"]) == (0.80, "second")
    assert rows["laozhang-sync", "veo-3.1-fast"]["charged"] == "on_accept"
    assert call["as_of"] == "2026-11-21"
    assert "8 S OF 720P" in table.splitlines()[0]


def test_prices_of_models_that_have_ended_come_last(veo: Veo) -> None:
    """The first price is one that can be paid."""
    names = [row["model"] for row in veo("models", "--prices", "--json").objects]
    assert names.index("muse-video-60s") < names.index("veo-3.1-fast")


@pytest.mark.usefixtures("spent_ledger")
def test_a_day_is_a_local_day() -> None:
    """Jobs count on the local day they were planned on; `until` ends a filter."""
    ledger = Ledger(ledger_folder())
    days = group_spending(ledger, ["day"])
    none = sum_spending(ledger, JobFilter(until=1.0))
    ledger.close()

    assert sum(account.jobs for account in days.values()) == 7
    assert all(len(day) == 10 and day.count("-") == 2 for (day,) in days)
    assert none.jobs == 0
