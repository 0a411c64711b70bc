"""``veo batch``: all items are checked first, each is made once, and three output modes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_inputs import (
    PRICE,
    accepted_prompts,
    count_states,
    find_videos,
    limit_in_flight,
    list_jobs,
    make_items,
    sum_charges,
    write_batch,
)
from PIL import Image as Pil
from terminal import run_on_terminal, visible_lines

from veo.files import images
from veo.paths import ledger_folder

if TYPE_CHECKING:
    from cli_runner import Veo

    import veo_sandbox

pytest_plugins = ("veo_fixtures",)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", '[{"prompt": "x"},]'), ("a.csv", "name,b\n1,2\n"), ("a.txt", ""), ("a.jsonl", "")],
)
def test_a_problem_of_the_whole_file_names_it(veo: Veo, name: str, text: str) -> None:
    """Without an item to point at, the error begins with the name of the file."""
    Path(name).write_text(text)
    ran = veo("batch", name)

    assert ran.code == 2
    assert f"error: {name}: " in ran.err


def test_every_item_is_made(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Each item is made once; a table and the totals are printed."""
    result = veo("batch", write_batch(*make_items(5)), "--output-dir", "videos")

    rows = result.out.splitlines()[1:]
    assert result.code == 0, result.err
    assert [row.split()[:2] for row in rows] == [[str(number), "done"] for number in range(1, 6)]
    assert find_videos("videos") == {f"{index:03}.mp4" for index in range(5)}
    assert sum_charges(service) == 5 * PRICE
    assert re.search(r"5 done in [\d.]+ s; charged \$0.75", result.err)


def test_the_result_file_is_complete(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """``batch-result.json`` beside the videos holds the counts, the money and every item."""
    veo("batch", write_batch("lion", "tiger"), "--output-dir", "videos")

    result = json.loads(Path("videos/batch-result.json").read_text())
    assert result["counts"] == {"done": 2}
    assert result["cost"] == {"reserved": 0, "charged": 0.3, "doubtful": 0, "currency": "USD"}
    assert [item["index"] for item in result["items"]] == [0, 1]
    assert {item["state"] for item in result["items"]} == {"done"}
    assert sorted(path.name for path in Path("videos").iterdir()) == [
        "batch-result.json",
        "lion.mp4",
        "lion.mp4.json",
        "tiger.mp4",
        "tiger.mp4.json",
    ]


def test_json_prints_a_line_for_each_item(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --json stdout is one object an item, with its index, and nothing else."""
    result = veo("batch", write_batch(*make_items(3)), "--json")

    assert sorted(job["index"] for job in result.objects) == [0, 1, 2]
    assert {job["state"] for job in result.objects} == {"done"}
    assert {job["task_id"] for job in result.objects} == {task["task"] for task in service.tasks()}
    assert not any(job["skipped"] for job in result.objects)


def test_quiet_prints_a_path_for_each_video(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --quiet stdout is all paths, those of earlier runs included, and stderr is empty."""
    veo("batch", write_batch("lion"), "--quiet")
    result = veo("batch", write_batch("lion", "tiger"), "--quiet")

    assert result.err == ""
    assert {Path(line).name for line in result.out.splitlines()} == {"lion.mp4", "tiger.mp4"}


def test_quiet_prints_errors(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --quiet stderr names the items without a video, and nothing else."""
    service.fault("moderated", match="tiger")
    result = veo("batch", write_batch("lion", "tiger"), "--quiet")

    lines = [line for line in result.err.splitlines() if not line.startswith("  ")]
    assert result.code == 1
    assert len(lines) == 1
    assert lines[0].startswith("item 2 ")
    assert [Path(line).name for line in result.out.splitlines()] == ["lion.mp4"]


def test_nothing_is_sent_if_an_item_is_invalid(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Every problem of every item is printed with its index, and no request is sent."""
    items = [
        "lion",
        {"prompt": "", "output": "lion.mp4", "aspect_ratio": "1:1"},
        {"prompt": "b", "start_frame": "missing.png", "output": "../b.mp4"},
        {"prompt": "c", "provider": "nobody"},
        {"prompt": "d", "model": "veo-9"},
    ]
    result = veo("batch", write_batch(*items))

    assert result.code == 2
    for text in (
        "item 2: prompt: a video needs a prompt",
        "item 2: aspect_ratio: ",
        "item 2: output: lion.mp4 collides with the output of item 1",
        "item 3: start_frame: missing.png: no such file",
        "item 3: output: ../b.mp4 is outside",
        "item 4: there is no provider 'nobody'",
        "item 5: there is no model 'veo-9'",
    ):
        assert any(line.startswith(f"error: {text}") for line in result.errors), text
    assert (service.requests(), list_jobs()) == ([], [])


def test_problems_are_printed_as_json(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --json each problem is an object with the index of its item."""
    result = veo("batch", write_batch("lion", {"prompt": 1}, {}), "--json")

    assert [(problem["index"], problem["job"]) for problem in result.objects] == [
        (1, None),
        (2, None),
    ]
    assert result.objects[1]["error"]["message"] == "prompt: is missing"


def test_invalid_items_can_be_left_out(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --skip-invalid the other items are made; the exit code reports the invalid ones."""
    result = veo("batch", write_batch("lion", {"prompt": 1}, "tiger"), "--skip-invalid")

    assert result.code == 2
    assert sorted(accepted_prompts(service)) == ["lion", "tiger"]
    assert "warning: left out: item 2: prompt: must be text, not 1" in result.err


def test_a_dry_run_sends_nothing(veo: Veo) -> None:
    """--dry-run needs no key, prints each item's plan and the total price, and plans no job."""
    result = veo("batch", write_batch(*make_items(4)), "--dry-run")

    assert result.code == 0, result.err
    assert result.out.count("to make") == 5
    assert "4 to make; $1.20 to pay" in result.out
    assert list_jobs() == []
    assert [path.name for path in Path().iterdir()] == ["batch.json"]


def test_a_dry_run_knows_finished_items(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The total price leaves out the items that the ledger has already."""
    veo("batch", write_batch("lion"))
    result = veo("batch", write_batch("lion", "tiger"), "--dry-run", "--json")

    assert [plan["plan"] for plan in result.objects] == ["keep", "make"]
    assert result.objects[1]["quote"]["amount"] == "0.15"


def test_items_are_read_from_stdin(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``-`` reads the items from stdin, also as JSON Lines."""
    lines = b'{"prompt": "lion"}\n{"prompt": "tiger"}\n'
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    result = veo("batch", "-")

    assert result.code == 0, result.err
    assert sorted(accepted_prompts(service)) == ["lion", "tiger"]


def test_options_are_defaults_for_items(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A request option on the command line applies to the items that do not set it."""
    own = {"prompt": "b", "output": "b.mp4", "model": "veo-3.1-landscape"}
    veo("batch", write_batch("a", own), "--model", "veo-3.1")

    assert {task["model"] for task in service.tasks()} == {"veo-3.1", "veo-3.1-landscape"}


def test_images_are_found_beside_the_file(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Relative image paths are looked up in the folder of the batch file."""
    Path("there/frames").mkdir(parents=True)
    Pil.new("RGB", (64, 64)).save("there/frames/a.png")
    item = {"prompt": "lion", "start_frame": "frames/a.png", "end_frame": "frames/a.png"}
    result = veo("batch", write_batch(item, name="there/batch.json"))

    assert result.code == 0, result.err
    assert [task["model"] for task in service.tasks()] == ["veo-3.1-fast-fl"]
    assert len(service.tasks()[0]["request"]["images"]) == 2


def test_a_missing_file_is_a_usage_error(veo: Veo) -> None:
    """A batch file that cannot be read ends the command with exit code 2."""
    result = veo("batch", "missing.json")

    assert result.code == 2
    assert "missing.json: No such file" in result.errors[0]


def test_a_foreign_file_is_not_overwritten(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An output that exists already stops the batch, unless --force is given."""
    Path("lion.mp4").write_text("mine")
    refused = veo("batch", write_batch("lion", "tiger"))
    untouched = Path("lion.mp4").read_text()
    forced = veo("batch", write_batch("lion", "tiger"), "--force")

    assert (refused.code, untouched, service.tasks()[:0]) == (2, "mine", [])
    assert "item 1: output: " in refused.errors[0]
    assert forced.code == 0
    assert find_videos() == {"lion.mp4", "tiger.mp4"}


def test_an_unusable_output_folder_is_found_first(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The output folder is tested before anything is paid."""
    Path("videos").write_text("a file")
    result = veo("batch", write_batch("lion"), "--output-dir", "videos")

    assert result.code == 2, result.err
    assert accepted_prompts(service) == []


def test_a_failure_does_not_stop_the_others(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An item that the provider refuses is reported; its exit code is that of the command."""
    service.fault("moderated", match="tiger")
    result = veo("batch", write_batch("lion", "tiger", "bear"))

    assert result.code == 1
    assert count_states() == {"done": 2, "failed": 1}
    assert sum_charges(service) == 2 * PRICE
    assert "item 2" in result.err


def test_fail_fast_sends_nothing_new(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """After a failure the jobs in flight finish; the rest is not sent, and its money is free."""
    limit_in_flight(2)
    service.fault("moderated", match="take 0")
    result = veo("batch", write_batch(*make_items(12)), "--fail-fast", "--json")

    states = {job["index"]: job["state"] for job in result.objects}
    assert result.code == 1
    assert states[0] == "failed"
    assert set(states.values()) == {"failed", "done", "not sent"}
    assert len(states) == 12
    assert (
        len(accepted_prompts(service)) == sum(state != "not sent" for state in states.values()) < 12
    )
    assert sum(job.reserved for job in list_jobs()) == 0


def test_a_refused_key_is_not_tried_for_every_item(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that concerns the whole provider ends the sending to it."""
    limit_in_flight(2)
    service.change(delay=0.5)  # longer than the command takes to react to a response
    monkeypatch.setenv("VEO_API_KEY", "another-key")
    result = veo("batch", write_batch(*make_items(200)), "--json")

    assert result.code == 3
    assert len(service.requests()) <= 4
    assert len(result.objects) == 200
    assert {job["error"]["type"] for job in result.objects} == {"AuthError"}
    assert sum(job.reserved for job in list_jobs()) == 0


def test_a_missing_key_is_found_before_planning(veo: Veo) -> None:
    """Without a key nothing is planned, and the message names the variable to set."""
    result = veo("batch", write_batch("lion"))

    assert result.code == 3
    assert "VEO_API_KEY" in result.errors[0]
    assert list_jobs() == []


def test_detach_returns_when_all_are_accepted(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """--detach returns when all items are accepted; the next run downloads them."""
    service.change(latency="1")
    detached = veo("batch", write_batch(*make_items(3)), "--detach", "--json")
    waited = veo("batch", write_batch(*make_items(3)), "--json")

    assert detached.code == 0, detached.err
    assert len(detached.objects) == 3
    assert all(job["task_id"] for job in detached.objects)
    assert {job["state"] for job in waited.objects} == {"done"}
    assert len(accepted_prompts(service)) == 3


def test_a_batch_runs_in_the_sandbox(veo: Veo) -> None:
    """--sandbox runs a batch without a key, on a ledger of its own."""
    Path("veo.toml").write_text('[sandbox]\nclip = "tiny"\nlatency = "0.1"\n')
    result = veo("batch", write_batch("lion", "tiger"), "--sandbox")

    assert result.code == 0, result.err
    assert "play money" in result.err
    assert find_videos() == {"lion.mp4", "tiger.mp4"}
    assert not (ledger_folder() / "ledger.db").exists()


def test_a_shared_image_is_decoded_once(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that all items use is verified once and fitted once."""
    counts = {"verify_image": 0, "prepare_image": 0}

    def count_calls(name: str) -> Any:
        function = getattr(images, name)

        def count_call(*args: Any) -> Any:
            counts[name] += 1
            return function(*args)

        return count_call

    for name in counts:
        monkeypatch.setattr(images, name, count_calls(name))
    Pil.new("RGB", (64, 64)).save("a.png")
    frames = {"start_frame": "a.png", "end_frame": "a.png"}
    result = veo("batch", write_batch(*({**item, **frames} for item in make_items(12))))

    assert result.code == 0, result.err
    assert counts == {"verify_image": 1, "prepare_image": 1}


def test_the_live_view_on_a_terminal(in_steps: veo_sandbox.Sandbox) -> None:
    """The live view shows a bar, counts, money and jobs, and leaves only the final table."""
    in_steps.fault("moderated", match="take 1")
    code, painted = run_on_terminal("batch", str(write_batch(*make_items(4))), "--max-cost", "0.60")

    left = visible_lines(painted)
    assert code == 1
    for shown in ("/4", "running", "reserved $0.60 of $0.60", "#3"):
        assert shown in painted, shown
    assert left[0] == "4 items: 4 to make; $0.60 to pay"
    assert left[1].startswith("item 2 ")
    table = left[[line[0] for line in left].index("#") + 1 :]
    assert [line.split()[:2] for line in table[:4]] == [
        ["1", "done"],
        ["2", "failed"],
        ["3", "done"],
        ["4", "done"],
    ]
    assert re.fullmatch(r"3 done, 1 failed in [\d.]+ s; charged \$0.45", table[4])
