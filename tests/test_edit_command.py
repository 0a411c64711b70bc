"""``veo edit`` and ``veo extend`` of videos that a provider continues by its own handle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sample_videos import make_video
from studio import TALK, Service, install_studio

from veo import provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli_runner import Veo

pytest_plugins = ("veo_fixtures",)


@pytest.fixture(autouse=True)
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A provider that extends and edits, as the configured one."""
    Path("veo.toml").write_text('provider = "studio"\n')
    yield install_studio(monkeypatch)
    provider.installed_facts.cache_clear()


@pytest.fixture
def lion(veo: Veo) -> str:
    """The job of a finished video, ``lion.mp4``."""
    job: str = veo("generate", "a lion", "-o", "lion.mp4", "--json").objects[0]["job"]
    return job


def test_an_edit_prints_its_path(veo: Veo, lion: str) -> None:
    """The price is on stderr before the job starts."""
    ran = veo("edit", lion, "in the rain", "-o", "rain.mp4")

    assert (ran.code, ran.out) == (0, f"{Path('rain.mp4').absolute()}\n")
    assert ran.err.index("$0.80 on success (8 s at $0.10)") < ran.err.index("done in")


def test_the_plan_of_an_edit_names_the_length_of_its_video(veo: Veo, studio: Service) -> None:
    """Neither the default length nor the default aspect ratio of the model is what is bought."""
    Path("clip.mp4").write_bytes(make_video(frames=72))
    ran = veo("edit", "clip.mp4", "in the rain", "-o", "rain.mp4")

    assert "(studio), 720p, 3.0 s: $0.30 on success" in ran.err


def test_an_edit_as_json(veo: Veo, lion: str) -> None:
    """What was charged by the provider's report stands beside the quote."""
    (edited,) = veo("edit", "lion.mp4", "in the rain", "--json").objects

    assert edited["cost"] == {
        "quoted": 0.8,
        "charged": 0.8104,
        "currency": "USD",
        "certain": True,
    }


def test_a_dry_run_sends_nothing(veo: Veo, lion: str, studio: Service) -> None:
    """It shows what would be changed, and the price."""
    shown = veo("edit", lion, "in the rain", "--dry-run")
    (plan,) = veo("edit", lion, "in the rain", "--dry-run", "--json").objects

    assert f"job {lion}, 8.0 s long" in shown.out
    assert "duration" not in shown.out
    assert plan["edit"] == {"job": lion, "seconds": 8.0}
    assert (plan["quote"]["amount"], len(studio.requests)) == ("0.80", 1)


def test_an_upload_is_announced(veo: Veo, studio: Service) -> None:
    """A file that no job made is uploaded, which is free; the extension has a length of choice."""
    Path("clip.mp4").write_bytes(make_video(frames=72))
    shown = veo("extend", "clip.mp4", "on", "--duration", "7", "--dry-run")
    ran = veo("extend", "clip.mp4", "on", "--duration", "7", "-o", "on.mp4")

    assert "3.0 s become 10.0 s in 1 step, $0.70 in total" in shown.out
    assert "clip.mp4" in shown.out
    assert "free of charge" in shown.out
    assert ran.code == 0
    assert "uploads" in ran.err
    assert studio.list_lengths() == [10.0]


def test_each_problem_is_a_line(veo: Veo, lion: str, studio: Service) -> None:
    """What an edit does not accept is named by its option; nothing is sent."""
    ran = veo("edit", lion, "in the rain", "--duration", "4", "--aspect-ratio", "9:16")

    assert ran.code == 2
    assert [line.split(": ")[1] for line in ran.errors] == ["--duration", "--aspect-ratio"]
    assert len(studio.requests) == 1


def test_what_cannot_be_edited_names_what_can(veo: Veo, studio: Service) -> None:
    """The video of a provider without edits can go to another one as a file."""
    Path("clip.mp4").write_bytes(make_video(frames=72))
    ran = veo("edit", "clip.mp4", "in the rain", "-p", "laozhang-sync")

    assert ran.code == 2
    assert "laozhang-sync cannot edit videos. Possible with: " in ran.err
    assert f"studio/{TALK}" in ran.err


def test_show_draws_the_chain(veo: Veo, lion: str) -> None:
    """From the first job to the last, each below the one whose video it extends or edits."""
    rain = veo("edit", lion, "in the rain", "-o", "rain.mp4", "--json").objects[0]["job"]
    roar = veo("extend", "rain.mp4", "it roars", "--duration", "7", "--json").objects[0]["job"]
    snow = veo("edit", "rain.mp4", "in the snow", "--json").objects[0]["job"]
    other = veo("edit", lion, "at night", "--json").objects[0]["job"]
    shown = veo("show", rain)
    (body,) = veo("show", rain, "--json").objects

    lines = shown.out.splitlines()
    start = lines.index(f"{lion}, done, charged $0.8104: a lion")
    assert lines[start + 1 : start + 4] == [
        f"  {rain} (this job), done, charged $0.8104, edit: in the rain",
        f"    {roar}, done, charged $1.5195, extension: it roars",
        f"    {snow}, done, charged $0.8104, edit: in the snow",
    ]
    links = [(link["job"], link["parent"], link["kind"]) for link in body["chain"]]
    assert links == [
        (lion, None, "generate"),
        (rain, lion, "edit"),
        (roar, rain, "extend"),
        (snow, rain, "edit"),
    ]
    assert (body["parent"], body["chain"][2]["charged"]) == (lion, 1.5195)
    everything = veo("show", lion, "--json").objects[0]["chain"]
    assert [link["job"] for link in everything] == [lion, rain, roar, snow, other]


def test_show_begins_a_chain_with_the_uploaded_file(veo: Veo) -> None:
    """A job of its own has no chain; one of an upload names the file."""
    Path("clip.mp4").write_bytes(make_video(frames=72))
    job = veo("edit", "clip.mp4", "in the rain", "--json").objects[0]["job"]
    plain = veo("generate", "a lion", "--json").objects[0]["job"]

    text, (body,) = veo("show", job).out, veo("show", job, "--json").objects
    assert f"\nclip.mp4\n  {job} (this job), done" in text
    assert body["chain"][0]["file"] == str(Path("clip.mp4").absolute())
    assert "(this job)" not in veo("show", plain).out


def test_the_list_of_jobs_has_parents(veo: Veo, lion: str) -> None:
    """So that a program can draw the chain itself."""
    veo("edit", lion, "in the rain")
    edited, first = veo("jobs", "--json").objects

    assert (edited["parent"], first["parent"]) == (lion, None)


def test_the_help_pages_offer_what_a_video_leaves_open(veo: Veo) -> None:
    """No option that is always refused; those that some model takes stay."""
    edit, extend = veo("edit", "--help").out, veo("extend", "--help").out

    refused = ("--start-frame", "--end-frame", "--reference", "--fit", "--aspect-ratio")
    assert [name for name in refused if name in edit + extend] == []
    assert [name for name in ("--duration", "--resolution", "--seed") if name in edit] == [
        "--resolution",
        "--seed",
    ]
    assert "--duration" in extend
