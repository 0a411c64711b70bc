"""``veo compare``: the same request over several routes, what came of it, what it cost."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from cli_runner import CommandResult, Veo
from html_checks import sound

import veo_sandbox
from veo.compare import html as pages
from veo.compare.media import measure, poster
from veo.ledger import Ledger
from veo.paths import ledger_folder

pytest_plugins = ("veo_fixtures",)

BOTH = "laozhang-async,laozhang-sync"


def sides(ran: CommandResult) -> dict[str, dict[str, Any]]:
    """The lines of --json about the routes, by their names."""
    return {line["name"]: line for line in ran.objects if "name" in line}


def test_what_each_route_made_and_charged(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Ordinary jobs of one run; the figures are the ledger's, the bills agree."""
    ran = veo("compare", "a lion", "--on", BOTH, "-n", "2", "--yes", "--json")
    found = sides(ran)
    ledger = Ledger(ledger_folder())
    jobs = ledger.list_jobs()
    ledger.close()

    assert ran.code == 0, ran.err
    assert {name: (each["made"], each["charged"]) for name, each in found.items()} == {
        "laozhang-async": (2, 0.30),
        "laozhang-sync": (2, 0.30),
    }
    assert len(service.bills()) == 4
    assert len({job.run for job in jobs}) == 1
    assert all(Path(job.output).parent.name == "compare-a-lion" for job in jobs)
    assert ran.objects[-1]["break_even"][0]["loss_rate"] == 0.0


def test_the_files_are_measured(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Size, length and sound are read from the file, not from what a server says."""
    found = sides(veo("compare", "a lion", "--on", BOTH, "--yes", "--json"))
    media = found["laozhang-async"]["media"][0]

    assert (media["width"], media["height"]) == (90, 160)
    assert media["seconds"] == pytest.approx(8.0, abs=0.1)
    assert (media["codec"], media["audio"], media["silent"]) == ("h264", "aac", False)
    assert media["bytes"] == found["laozhang-async"]["bytes"]


def test_failures_cost_where_acceptance_is_charged(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Nothing was made: free on one route, paid for on the other; that is no failed command."""
    service.change(fail_rate=1.0)
    ran = veo("compare", "a lion", "--on", BOTH, "-n", "2", "--yes", "--json")
    found = sides(ran)

    assert ran.code == 0
    assert found["laozhang-async"]["charged_for_failed"] == 0.0
    assert found["laozhang-sync"]["charged_for_failed"] == 0.30
    assert found["laozhang-sync"]["per_video"] is None


def test_a_person_reads_a_table_and_a_verdict(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """One column a route, and what it comes to."""
    ran = veo("compare", "a lion", "--on", BOTH, "--yes")

    assert ran.out.split()[:2] == ["laozhang-async", "laozhang-sync"]
    assert re.search(r"cost per kept video +\$0.15 +\$0.15", ran.out)
    assert "2 requests, $0.30 at most" in ran.err
    assert "laozhang-sync costs the same." in ran.err


def test_models_of_one_route(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """PROVIDER:MODEL lets a provider take part twice."""
    routes = "laozhang-async:veo-3.1-fast,laozhang-async:veo-3.1"
    found = sides(veo("compare", "a lion", "--on", routes, "--yes", "--json"))

    assert {name: each["per_video"] for name, each in found.items()} == {
        "laozhang-async:veo-3.1-fast": 0.15,
        "laozhang-async:veo-3.1": 0.25,
    }


def test_all_are_asked_for_the_same(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """What the request leaves open is what the first route does."""
    on = "laozhang-async:veo-3.1-landscape-fast,laozhang-sync"
    veo("compare", "a lion", "--on", on, "--yes")

    assert {task["model"] for task in service.tasks()} == {"veo-3.1-landscape-fast"}


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["a lion"], 2, "--on is missing"),
        (["--on", BOTH], 2, "PROMPT is missing"),
        (["a lion", "--on", "laozhang-async,nobody"], 2, "there is no provider 'nobody'"),
        (["a lion", "--on", "laozhang-async,laozhang-async"], 2, "is named twice"),
        (["a lion", "--on", ","], 2, "there is nothing to compare"),
        (["a lion", "--on", BOTH, "-p", "gemini"], 2, "--on says which routes"),
        (["a lion", "--on", BOTH, "--duration", "5"], 2, "laozhang-sync: "),
        (["a lion", "--on", BOTH], 2, "nobody can be asked"),
        (["a lion", "--on", BOTH, "-n", "0", "--yes"], 2, "--count"),
        (["a lion", "--on", BOTH, "-n", "9", "--yes", "--max-cost", "1"], 4, "--max-cost"),
        (["a lion", "--on", BOTH, "--fail-rate", "0.5"], 2, "belongs to --simulate"),
        (["a lion", "--on", BOTH, "--report", "no/where/x.html", "--yes"], 2, "no file can be"),
        (["--simulate", "--fail-rate", "0.8", "--timeout-rate", "0.3"], 2, "more than all"),
        (["--simulate", "--on", "nobody"], 2, "there is no provider 'nobody'"),
    ],
)
def test_wrong_usage_sends_nothing(
    veo: Veo, service: veo_sandbox.Sandbox, args: list[str], code: int, says: str
) -> None:
    """A clear line, its exit code, and nothing is sent, reserved or written."""
    ran = veo("compare", *args)

    assert (ran.code, says in ran.err) == (code, True), ran.err
    assert service.requests() == []
    assert veo("jobs").out == ""


def test_a_dry_run_sends_nothing(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """--dry-run tells the price of all of it."""
    ran = veo("compare", "a lion", "--on", BOTH, "-n", "3", "--dry-run")

    assert ran.code == 0
    assert "6 requests, $0.90 at most" in ran.err
    assert service.requests() == []


@pytest.mark.parametrize(("answer", "code", "sent"), [("y\n", 0, 2), ("n\n", 2, 0)])
def test_a_person_is_asked(
    veo: Veo,
    service: veo_sandbox.Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    sent: int,
) -> None:
    """Without --yes nothing is paid before somebody at a terminal has said so."""
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", terminal)
    ran = veo("compare", "a lion", "--on", BOTH)

    assert ran.code == code, ran.err
    assert len(service.tasks()) == sent


def test_the_page(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Plots, figures and the clips are all inside one page, which asks nobody for anything."""
    veo("compare", "a <lion> & more", "--on", BOTH, "--yes", "--report", "out.html")
    page = sound(Path("out.html").read_text())
    videos = [attributes for tag, attributes in page.tags if tag == "video"]

    assert page.count("svg") == 4
    assert [str(video["src"])[:15] for video in videos] == ["data:video/mp4;"] * 2
    assert all(str(video["poster"]).startswith("data:image/jpeg") for video in videos)
    assert "“a <lion> & more”" in page.text
    assert "as of 2026-11-21" in page.text


def test_clips_that_are_too_large_are_linked(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the limit a picture and a relative link take the clip's place."""
    monkeypatch.setattr(pages.render, "__defaults__", (10,))
    veo("compare", "a lion", "--on", BOTH, "--yes", "--report", "out.html")
    page = sound(Path("out.html").read_text())
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]

    assert (page.count("video"), page.count("img"), page.count("button")) == (0, 2, 0)
    assert links == [f"compare-a-lion/{name}-1.mp4" for name in BOTH.split(",")]
    assert all(Path(str(link)).is_file() for link in links)


def test_the_extra_is_asked_for_before_anything_is_paid(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it --report says how to install it, and sends nothing."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran = veo("compare", "a lion", "--on", BOTH, "--yes", "--report", "out.html")

    assert ran.code == 3
    assert 'pip install "veo-video[report]"' in ran.err
    assert service.requests() == []


def test_simulation_agrees_with_theory_and_with_the_bills(veo: Veo) -> None:
    """Failures on purpose: the ledger is the bills to the cent, the cost is the closed form's."""
    chances = ("--fail-rate", "0.2", "--timeout-rate", "0.05", "--luck", "3", "--speed", "400")
    ran = veo("compare", "--simulate", "-n", "40", "--on", BOTH, *chances, "--json")
    found = sides(ran)
    sync, tasks = found["laozhang-sync"], found["laozhang-async"]

    assert ran.code == 0, ran.err
    assert all(each["charged"] == each["billed"] for each in found.values())
    assert all(each["agrees"] for each in found.values())
    assert sync["charged"] == 6.0
    assert tasks["per_video"] == 0.15
    assert tasks["charged_for_failed"] == 0.0
    assert sync["expected_per_video"] >= 0.15 / 0.75
    assert tasks["made"] + tasks["failed"] + tasks["open"] == 40
    assert not (ledger_folder() / "ledger.db").exists()


def test_a_simulation_as_a_page(veo: Veo) -> None:
    """The page says how it was simulated, with its error, and that the books agree."""
    args = ("--on", "laozhang-sync", "-n", "6", "--speed", "400", "--report", "out.html")
    ran = veo("compare", "--simulate", *args)
    page = sound(Path("out.html").read_text())

    assert ran.code == 0, ran.err
    assert "agree to the cent" in page.text
    assert "The sampling error of a cost is $" in page.text
    assert page.count("svg") == 4


def test_where_everything_fails(veo: Veo) -> None:
    """No video, no cost of one: neither the table, the JSON nor the page makes one up."""
    args = ("compare", "--simulate", "-n", "3", "--on", BOTH, "--speed", "2000")
    ran = veo(*args, "--fail-rate", "1", "--report", "out.html")
    found = sides(veo(*args, "--fail-rate", "1", "--json"))
    page = sound(Path("out.html").read_text())

    assert ran.code == 0, ran.err
    assert "No route made a video." in page.text
    assert {name: each["per_video"] for name, each in found.items()} == dict.fromkeys(
        BOTH.split(",")
    )
    assert found["laozhang-sync"]["expected_per_video"] is None
    assert found["laozhang-sync"]["charged_for_failed"] == pytest.approx(0.45)


def test_no_video_is_no_media(tmp_path: Path) -> None:
    """A file that is gone or no video is measured as nothing."""
    (tmp_path / "text.mp4").write_text("no video")

    assert measure(tmp_path / "gone.mp4") is None
    assert measure(tmp_path / "text.mp4") is None
    assert poster(tmp_path / "text.mp4") is None
