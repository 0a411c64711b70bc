"""``veo compare``: results and costs of the same request at several providers."""

import re
from pathlib import Path
from typing import Any

import pytest
from cli_runner import CommandResult, Veo
from html_checks import check_page

import veo_sandbox
from veo.compare import report_page, run
from veo.compare.media import read_media, render_poster
from veo.ledger import Ledger
from veo.paths import ledger_folder

pytest_plugins = ("veo_fixtures",)

BOTH = "laozhang-async,laozhang-sync"


def find_candidates(ran: CommandResult) -> dict[str, dict[str, Any]]:
    """Return the lines of --json about candidates, by name."""
    return {line["name"]: line for line in ran.objects if "name" in line}


def test_results_and_charges_of_each_candidate(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The jobs belong to one run; the metrics agree with the ledger and with the sandbox."""
    ran = veo("compare", "a lion", "--on", BOTH, "-n", "2", "--yes", "--json")
    found = find_candidates(ran)
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


def test_files_are_measured(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Size, duration and audio are measured from the file, not copied from a response."""
    found = find_candidates(veo("compare", "a lion", "--on", BOTH, "--yes", "--json"))
    media = found["laozhang-async"]["media"][0]

    assert (media["width"], media["height"]) == (90, 160)
    assert media["seconds"] == pytest.approx(8.0, abs=0.1)
    assert (media["codec"], media["audio"], media["silent"]) == ("h264", "aac", False)
    assert media["bytes"] == found["laozhang-async"]["bytes"]


def test_failures_cost_where_acceptance_is_charged(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A failed job is free at one provider and charged at the other; the command succeeds."""
    service.change(fail_rate=1.0)
    ran = veo("compare", "a lion", "--on", BOTH, "-n", "2", "--yes", "--json")
    found = find_candidates(ran)

    assert ran.code == 0
    assert found["laozhang-async"]["charged_for_failed"] == 0.0
    assert found["laozhang-sync"]["charged_for_failed"] == 0.30
    assert found["laozhang-sync"]["per_video"] is None


def test_text_output(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The terminal shows a column per candidate, and a conclusion in sentences."""
    ran = veo("compare", "a lion", "--on", BOTH, "--yes")

    assert ran.out.split()[:2] == ["laozhang-async", "laozhang-sync"]
    assert re.search(r"cost per video +\$0.15 +\$0.15", ran.out)
    assert "2 requests, $0.30 at most" in ran.err
    assert "laozhang-sync costs the same." in ran.err


def test_a_price_by_usage_is_no_maximum(veo: Veo) -> None:
    """Where a candidate is charged by usage, the sum of the quotes is an estimate."""
    ran = veo("compare", "a lion", "--on", "gemini,laozhang-async", "--dry-run")

    assert re.search(r"2 requests, about \$\d", ran.err)


def test_models_of_one_provider(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """PROVIDER:MODEL or PROVIDER/MODEL lets a provider take part twice."""
    routes = "laozhang-async/veo-3.1-fast,laozhang-async:veo-3.1"
    found = find_candidates(veo("compare", "a lion", "--on", routes, "--yes", "--json"))

    assert {name: each["per_video"] for name, each in found.items()} == {
        "laozhang-async:veo-3.1-fast": 0.15,
        "laozhang-async:veo-3.1": 0.25,
    }


def test_all_candidates_receive_the_same_request(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Options that the request leaves open are those of the first candidate."""
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
        (["a lion", "--on", "gemini/x,gemini:x"], 2, "gemini:x is named twice"),
        (["a lion", "--on", ","], 2, "nothing to compare"),
        (["a lion", "--on", BOTH, "-p", "gemini"], 2, "--on names the providers"),
        (["a lion", "--on", BOTH, "--duration", "5"], 2, "laozhang-sync: "),
        (["a lion", "--on", BOTH, "-n", "0", "--yes"], 2, "--count"),
        (["a lion", "--on", BOTH, "-n", "9", "--yes", "--max-cost", "1"], 4, "--max-cost"),
        (["a lion", "--on", BOTH, "--fail-rate", "0.5"], 2, "requires --simulate"),
        (
            ["a lion", "--on", BOTH, "--report", "no/where/x.html", "--yes"],
            2,
            "cannot write a file",
        ),
        (["--simulate", "--fail-rate", "0.8", "--timeout-rate", "0.3"], 2, "exceed 1 together"),
        (["--simulate", "--on", "nobody"], 2, "there is no provider 'nobody'"),
    ],
)
def test_wrong_usage_sends_nothing(
    veo: Veo, service: veo_sandbox.Sandbox, args: list[str], code: int, says: str
) -> None:
    """A usage error has a clear message and exit code; nothing is sent, reserved or written."""
    ran = veo("compare", *args)

    assert (ran.code, says in ran.err) == (code, True), ran.err
    assert service.requests() == []
    assert veo("jobs").out == ""


def test_dry_run_sends_nothing(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """--dry-run prints the total price, and with --json the plan of each provider."""
    ran = veo("compare", "a lion", "--on", BOTH, "-n", "3", "--dry-run")
    plans = veo("compare", "a lion", "--on", BOTH, "--dry-run", "--json").objects

    assert ran.code == 0
    assert "6 requests, $0.90 at most" in ran.err
    assert [plan["provider"] for plan in plans] == BOTH.split(",")
    assert service.requests() == []


def test_html_page(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The page contains the plots, the metrics and the videos, and needs no network."""
    veo("compare", "a <lion> & more", "--on", BOTH, "--yes", "--report", "out.html")
    page = check_page(Path("out.html").read_text())
    videos = [attributes for tag, attributes in page.tags if tag == "video"]

    assert page.count_tags("svg") == 4
    assert [str(video["src"])[:15] for video in videos] == ["data:video/mp4;"] * 2
    assert all(str(video["poster"]).startswith("data:image/jpeg") for video in videos)
    assert "“a <lion> & more”" in page.text
    assert "as of 2026-11-21" in page.text


def test_large_videos_are_linked(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video above the size limit is replaced by a still image and a relative link."""
    monkeypatch.setattr(report_page, "MAX_EMBEDDED_BYTES", 10)
    veo("compare", "a lion", "--on", BOTH, "--yes", "--report", "out.html")
    page = check_page(Path("out.html").read_text())
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]

    assert (page.count_tags("video"), page.count_tags("img"), page.count_tags("button")) == (
        0,
        2,
        0,
    )
    assert links == [f"compare-a-lion/{name}-1.mp4" for name in BOTH.split(",")]
    assert all(Path(str(link)).is_file() for link in links)


def test_missing_matplotlib_is_found_before_paying(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without matplotlib --report says how to install it, and nothing is sent."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran = veo("compare", "a lion", "--on", BOTH, "--yes", "--report", "out.html")

    assert ran.code == 3
    assert 'pip install "veo-video[report]"' in ran.err
    assert service.requests() == []


@pytest.mark.slow
def test_simulation_agrees_with_the_cost_model_and_the_bills(
    veo: Veo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With faults the ledger equals the bills to the cent, and costs agree with the model."""
    monkeypatch.setattr(run, "MAX_MEASURED_VIDEOS", 1)  # decoding them takes most of the time
    chances = ("--fail-rate", "0.2", "--timeout-rate", "0.05", "--luck", "3", "--speed", "200")
    ran = veo("compare", "--simulate", "-n", "40", "--on", BOTH, *chances, "--json")
    found = find_candidates(ran)
    sync, tasks = found["laozhang-sync"], found["laozhang-async"]

    assert ran.code == 0, ran.err
    assert all(each["charged"] == each["billed"] for each in found.values())
    assert all(each["agrees"] for each in found.values())
    assert sync["charged"] == 6.0
    assert tasks["per_video"] == 0.30
    assert tasks["charged_for_failed"] == 0.0
    assert sync["expected_per_video"] >= 0.15 / 0.75
    assert tasks["made"] + tasks["failed"] + tasks["open"] == 40
    assert not (ledger_folder() / "ledger.db").exists()


def test_html_page_of_a_simulation(veo: Veo) -> None:
    """The page gives the parameters and the sampling error, and says that the ledger agrees."""
    args = ("--on", "laozhang-sync", "-n", "6", "--speed", "400", "--report", "out.html")
    ran = veo("compare", "--simulate", *args)
    page = check_page(Path("out.html").read_text())

    assert ran.code == 0, ran.err
    assert "agree to the cent" in page.text
    assert "The sampling error of a cost is at most $" in page.text
    assert page.count_tags("svg") == 4


def test_no_video_at_all(veo: Veo) -> None:
    """Without a video the table, the JSON and the page give no cost per video."""
    args = ("-n", "3", "--on", BOTH, "--speed", "400", "--fail-rate", "1")
    ran = veo("compare", "--simulate", *args, "--report", "out.html", "--json")
    found = find_candidates(ran)
    page = check_page(Path("out.html").read_text())

    assert ran.code == 0, ran.err
    assert "No provider made a video." in page.text
    assert {name: each["per_video"] for name, each in found.items()} == dict.fromkeys(
        BOTH.split(",")
    )
    assert found["laozhang-sync"]["expected_per_video"] is None
    assert found["laozhang-sync"]["charged_for_failed"] == pytest.approx(0.45)


def test_unreadable_file_has_no_media(tmp_path: Path) -> None:
    """A missing file and a file that is not a video have no properties."""
    (tmp_path / "text.mp4").write_text("no video")

    assert read_media(tmp_path / "gone.mp4") is None
    assert read_media(tmp_path / "text.mp4") is None
    assert render_poster(tmp_path / "text.mp4") is None


def test_the_help_does_not_offer_an_option_that_is_refused(veo: Veo) -> None:
    """--on names the providers, so --provider is not listed."""
    ran = veo("compare", "--help")

    assert "--on PROVIDERS" in ran.out
    assert "--provider" not in ran.out
    assert ran.out.startswith("Usage: veo compare [OPTIONS] [PROMPT]")


@pytest.mark.parametrize("width", [50, 80, 120])
def test_every_provider_at_every_width(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """Providers that do not fit beside each other get a table of their own; zeros are left out."""
    monkeypatch.setattr("veo_commands.output.Output.stdout_width", lambda *_: width)
    ran = veo("compare", "a lion", "--on", BOTH, "--yes")

    assert all(name in ran.out for name in BOTH.split(","))
    assert max(map(len, ran.out.splitlines())) <= width
    assert "charged for failed jobs" not in ran.out
    assert "after a timeout: " in ran.err
