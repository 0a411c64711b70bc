"""Names of outputs: `-o` means the same everywhere, templates are filled in, takes are numbered."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from cli_runner import Veo
from PIL import Image

import veo_sandbox
from veo.files.atomic import open_atomic
from veo.files.output import choose_output

pytest_plugins = ("veo_fixtures",)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """Until its block has ended the earlier file is there, and a failed one leaves nothing."""
    path = tmp_path / "result.json"
    path.write_bytes(b"earlier")
    with suppress(ZeroDivisionError), open_atomic(path) as file:
        file.write(b"half")
        assert path.read_bytes() == b"earlier"
        raise ZeroDivisionError
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"earlier"]

    with open_atomic(path) as file:
        file.write(b"later")
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"later"]


@pytest.mark.parametrize(
    ("output", "path"),
    [
        (None, "videos/name.mp4"),
        ("lion.mp4", "lion.mp4"),
        ("lion", "lion.mp4"),
        ("v1.2-lion", "v1.2-lion.mp4"),
        ("new/", "new/name.mp4"),
        (".", "name.mp4"),
        ("a.mov", "a.mov"),
    ],
)
def test_what_a_path_means(output: str | None, path: str) -> None:
    """A file, a folder if it exists or ends with a slash, or the configured folder."""
    assert choose_output(output, Path("videos"), "name.mp4") == Path(path).absolute()


@pytest.mark.parametrize("output", ["-", os.devnull])
def test_a_video_is_written_to_files_only(
    veo: Veo, service: veo_sandbox.Sandbox, output: str
) -> None:
    """Not to stdout, nor to a device; a file called ``-.mp4`` would surprise everybody."""
    ran = veo("generate", "a lion", "-o", output)

    assert ran.code == 2
    assert f"error: {output} is not a file" in ran.err
    assert service.tasks() == []


@pytest.mark.parametrize("name", ["lion.mov", "lion.PNG", "lion.json"])
def test_a_suffix_that_lies(veo: Veo, service: veo_sandbox.Sandbox, name: str) -> None:
    """A name of another kind of file is refused before anything is sent."""
    ran = veo("generate", "a lion", "-o", name)

    assert ran.code == 2
    assert "videos are MP4 files" in ran.err
    assert service.tasks() == []


def test_a_folder_is_made(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With a slash at the end the output is a folder, of a batch as of a single video."""
    Path("prompts.txt").write_text("A zebra\n")

    assert Path(veo("generate", "a lion", "-o", "clips/").out.strip()).parent.name == "clips"
    assert veo("batch", "prompts.txt", "-o", "batch/").code == 0
    assert len(list(Path("batch").glob("a-zebra-*.mp4"))) == 1


def test_a_template(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A template names files by their facts, in an option and in the configuration."""
    named = veo("generate", "a lion roars", "-o", "{date}-{prompt:.6}-{model}-{job}.{ext}")
    Path("veo.toml").write_text(
        f'output_name = "{{provider}}-{{job}}.mp4"\n{Path("veo.toml").read_text()}'
    )
    configured = veo("generate", "a lion roars")

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d-a-lion-veo-3.1-fast-\w{10}\.mp4", Path(named.out.strip()).name
    )
    assert Path(configured.out.strip()).name.startswith("laozhang-async-")


def test_takes(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """`--takes` makes numbered files, and a contact sheet of them."""
    ran = veo("generate", "a lion", "--takes", "3", "-o", "lion.mp4", "--max-cost", "0.45")

    assert ran.code == 0, ran.err
    assert "3 takes, $0.45 in total" in ran.err
    assert sorted(path.name for path in Path().glob("*.mp4")) == [
        "lion-1.mp4",
        "lion-2.mp4",
        "lion-3.mp4",
    ]
    with Image.open("lion-takes.jpg") as sheet:
        assert sheet.width > 100


def test_takes_in_a_folder(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With a folder as the output all takes and their contact sheet are in it."""
    ran = veo("generate", "a lion", "--takes", "2", "-o", "takes/", "--max-cost", "0.30")

    assert ran.code == 0, ran.err
    assert len(list(Path("takes").glob("a-lion-*.mp4"))) == 2
    assert len(list(Path("takes").glob("*-takes.jpg"))) == 1


def test_takes_of_a_batch(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Each item has its own contact sheet; a run that makes nothing writes none."""
    Path("items.csv").write_text("prompt,output\na lion,lion.mp4\na zebra,\n")
    first = veo("batch", "items.csv", "--takes", "2")
    sheets = sorted(Path().glob("*-takes.jpg"))
    for sheet in sheets:
        sheet.unlink()

    assert (first.code, veo("batch", "items.csv", "--takes", "2").code) == (0, 0), first.err
    assert [sheet.name.rpartition("-")[0][:7] for sheet in sheets] == ["a-zebra", "lion"]
    assert list(Path().glob("*-takes.jpg")) == []
    assert len(service.bills()) == 4


def test_columns(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """`--column` keeps a value with a job; a batch adds those of its items."""
    single = veo("generate", "a lion", "--column", "scene=3", "--column", "take = 1", "--json")
    Path("items.csv").write_text("prompt,scene\na bear,4\n")
    item = veo("batch", "items.csv", "--column", "scene=3", "--column", "day=2", "--json")
    wrong = veo("generate", "a lion", "--column", "scene")

    assert single.objects[-1]["columns"] == {"scene": "3", "take": " 1"}
    assert item.objects[0]["columns"] == {"scene": "4", "day": "2"}
    assert (wrong.code, "NAME=VALUE" in wrong.err) == (2, True)


def test_jobs_are_found_again(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """By their file, and by text, provider, model and time."""
    veo("generate", "Ein Löwe erwacht", "-o", "lion.mp4")
    veo("generate", "a zebra", "-o", "zebra.mp4", "-p", "laozhang-sync")
    shown = veo("show", "lion.mp4", "--json").objects[0]

    def find(*args: str) -> list[str]:
        return [Path(job["output"]).name for job in veo("jobs", "--json", *args).objects]

    assert shown["request"]["prompt"] == "Ein Löwe erwacht"
    assert veo("resume", "lion.mp4").code == 0
    assert find("--search", "löwe") == find("--search", "LION.MP4") == ["lion.mp4"]
    assert find("--provider", "laozhang-sync") == ["zebra.mp4"]
    assert find("--model", "veo-3.1") == []
    assert len(find("--since", "yesterday")) == 2
    assert find("--search", "100%") == []
    veo("generate", "a tiger", "-o", "tiger.mp4", "--tag", "trip", "--tag", "Größe")
    Path("items.csv").write_text("prompt,output,tags\na bear,bear.mp4,trip; night\n")
    veo("batch", "items.csv", "--tag", "all")
    assert find("--tag", "trip") == ["bear.mp4", "tiger.mp4"]
    assert find("--tag", "trip", "--tag", "all") == ["bear.mp4"]
    assert find("--tag", "Größe") == ["tiger.mp4"]
    assert find("--tag", "tri") == []
    assert "tags" in veo("show", "tiger.mp4").out
    Path("items.json").write_text(
        '[{"prompt": "a {{pet}}", "output": "{{pet}}.mp4", "pet": "cat", "shot": 12}]'
    )
    ran = veo("batch", "items.json", "--json")
    assert "columns: pet, shot" in ran.err
    assert ran.objects[0]["columns"] == {"pet": "cat", "shot": 12}
    assert json.loads(Path("cat.mp4.json").read_text())["columns"] == {"pet": "cat", "shot": 12}
    assert "shot: 12" in veo("show", "cat.mp4").out
    assert find("--search", '"shot": 12') == ["cat.mp4"]
    assert veo("show", "veo.toml").code == 2
