"""``veo batch``: checked as a whole, made once each, told of in three ways."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

from veo.paths import ledger_folder

if TYPE_CHECKING:
    import pytest
    from cli_runner import Veo

    import veo_sandbox

pytest_plugins = ("veo_fixtures",)


def test_every_item_becomes_a_video(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Each item is made once; a table and a result file say so."""
    ran = veo("batch", write_batch(*make_items(5)), "--output-dir", "videos")

    rows = ran.out.splitlines()[1:]
    assert ran.code == 0, ran.err
    assert [row.split()[:2] for row in rows] == [[str(index), "done"] for index in range(5)]
    assert find_videos("videos") == {f"{index:03}.mp4" for index in range(5)}
    assert sum_charges(service) == 5 * PRICE
    assert "5 done; charged $0.75" in ran.err


def test_the_result_says_it_all(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """``batch-result.json`` beside the videos has the counts, the money and every item."""
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


def test_json_is_a_line_for_each_item(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --json stdout is one object an item, with its index, and nothing else."""
    items = [*make_items(3)]
    ran = veo("batch", write_batch(*items), "--json")

    assert sorted(job["index"] for job in ran.objects) == [0, 1, 2]
    assert {job["state"] for job in ran.objects} == {"done"}
    assert {job["task_id"] for job in ran.objects} == {task["task"] for task in service.tasks()}
    assert not any(job["skipped"] for job in ran.objects)


def test_quiet_is_a_path_for_each_video(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --quiet stdout is the paths, of what was made before too, and stderr is empty."""
    veo("batch", write_batch("lion"), "--quiet")
    ran = veo("batch", write_batch("lion", "tiger"), "--quiet")

    assert ran.err == ""
    assert {Path(line).name for line in ran.out.splitlines()} == {"lion.mp4", "tiger.mp4"}


def test_errors_are_told_even_when_quiet(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --quiet stderr names what has no video, and nothing else."""
    service.fault("moderated", match="tiger")
    ran = veo("batch", write_batch("lion", "tiger"), "--quiet")

    lines = [line for line in ran.err.splitlines() if not line.startswith("  ")]
    assert ran.code == 1
    assert len(lines) == 1
    assert lines[0].startswith("item[1] ")
    assert [Path(line).name for line in ran.out.splitlines()] == ["lion.mp4"]


def test_nothing_is_sent_if_anything_is_wrong(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Every problem of every item is told with its index, and no request leaves."""
    items = [
        "lion",
        {"prompt": "", "output": "lion.mp4", "aspect_ratio": "1:1"},
        {"prompt": "b", "start_frame": "missing.png", "output": "../b.mp4"},
        {"prompt": "c", "provider": "nobody"},
        {"prompt": "d", "model": "veo-9"},
    ]
    ran = veo("batch", write_batch(*items))

    assert ran.code == 2
    for said in (
        "item[1]: prompt: a video needs a prompt",
        "item[1]: aspect_ratio: ",
        "item[1]: output: lion.mp4 collides with the output of item[0]",
        "item[2]: start_frame: missing.png: no such file",
        "item[2]: output: ../b.mp4 is outside",
        "item[3]: there is no provider 'nobody'",
        "item[4]: there is no model 'veo-9'",
    ):
        assert any(line.startswith(f"error: {said}") for line in ran.errors), said
    assert (service.requests(), list_jobs()) == ([], [])


def test_problems_as_json(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --json each problem is an object that names its item."""
    ran = veo("batch", write_batch("lion", {"prompt": 1}, {}), "--json")

    assert [(told["index"], told["job"]) for told in ran.objects] == [(1, None), (2, None)]
    assert ran.objects[1]["error"]["message"] == "prompt: is missing"


def test_wrong_items_can_be_left_out(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --skip-invalid the others are made; the exit code still says that some are wrong."""
    ran = veo("batch", write_batch("lion", {"prompt": 1}, "tiger"), "--skip-invalid")

    assert ran.code == 2
    assert sorted(accepted_prompts(service)) == ["lion", "tiger"]
    assert "warning: left out: item[1]: prompt: must be text, not 1" in ran.err


def test_a_rehearsal_sends_nothing(veo: Veo) -> None:
    """--dry-run needs no key, prints every item's plan and the quote of all, plans no job."""
    ran = veo("batch", write_batch(*make_items(4)), "--dry-run")

    assert ran.code == 0, ran.err
    assert ran.out.count("to make") == 5
    assert "4 to make; $0.60 to pay" in ran.out
    assert list_jobs() == []
    assert [path.name for path in Path().iterdir()] == ["batch.json"]


def test_a_rehearsal_knows_what_is_made(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """What the ledger has already is no part of the quote."""
    veo("batch", write_batch("lion"))
    ran = veo("batch", write_batch("lion", "tiger"), "--dry-run", "--json")

    assert [plan["plan"] for plan in ran.objects] == ["keep", "make"]
    assert ran.objects[1]["quote"]["amount"] == "0.15"


def test_items_from_stdin(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file - is read from stdin, JSON Lines too."""
    lines = b'{"prompt": "lion"}\n{"prompt": "tiger"}\n'
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    ran = veo("batch", "-")

    assert ran.code == 0, ran.err
    assert sorted(accepted_prompts(service)) == ["lion", "tiger"]


def test_options_hold_for_items_that_say_nothing(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An option of a request on the command line is a default, an item's own word counts."""
    own = {"prompt": "b", "output": "b.mp4", "model": "veo-3.1-landscape"}
    veo("batch", write_batch("a", own), "--model", "veo-3.1")

    assert {task["model"] for task in service.tasks()} == {"veo-3.1", "veo-3.1-landscape"}


def test_frames_are_found_beside_the_file(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Pictures of a batch in another folder are looked up there."""
    Path("there/frames").mkdir(parents=True)
    Pil.new("RGB", (64, 64)).save("there/frames/a.png")
    item = {"prompt": "lion", "start_frame": "frames/a.png", "end_frame": "frames/a.png"}
    ran = veo("batch", write_batch(item, name="there/batch.json"))

    assert ran.code == 0, ran.err
    assert [task["model"] for task in service.tasks()] == ["veo-3.1-fast-fl"]
    assert len(service.tasks()[0]["request"]["images"]) == 2


def test_a_file_that_is_not_there(veo: Veo) -> None:
    """A batch that cannot be read is an error of usage."""
    ran = veo("batch", "missing.json")

    assert ran.code == 2
    assert "missing.json: No such file" in ran.errors[0]


def test_a_file_of_somebody_else_is_not_touched(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An output that is there already stops the batch, unless --force."""
    Path("lion.mp4").write_text("mine")
    refused = veo("batch", write_batch("lion", "tiger"))
    untouched = Path("lion.mp4").read_text()
    forced = veo("batch", write_batch("lion", "tiger"), "--force")

    assert (refused.code, untouched, service.tasks()[:0]) == (2, "mine", [])
    assert "item[0]: output: " in refused.errors[0]
    assert forced.code == 0
    assert find_videos() == {"lion.mp4", "tiger.mp4"}


def test_a_folder_that_cannot_be_written(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The output folder is tried before anything is paid."""
    Path("videos").write_text("a file")
    ran = veo("batch", write_batch("lion"), "--output-dir", "videos")

    assert ran.code == 2, ran.err
    assert accepted_prompts(service) == []


def test_a_failure_does_not_stop_the_others(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """One item that the provider cannot make is told of; the exit code is its."""
    service.fault("moderated", match="tiger")
    ran = veo("batch", write_batch("lion", "tiger", "bear"))

    assert ran.code == 1
    assert count_states() == {"done": 2, "failed": 1}
    assert sum_charges(service) == 2 * PRICE
    assert "item[1]" in ran.err


def test_fail_fast_sends_nothing_new(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """After the first failure what was sent is finished, the rest is not sent, its money free."""
    limit_in_flight(2)
    service.fault("moderated", match="take 0")
    ran = veo("batch", write_batch(*make_items(12)), "--fail-fast", "--json")

    told = {job["index"]: job["state"] for job in ran.objects}
    assert ran.code == 1
    assert told[0] == "failed"
    assert set(told.values()) == {"failed", "done", "not sent"}
    assert len(told) == 12
    assert (
        len(accepted_prompts(service)) == sum(state != "not sent" for state in told.values()) < 12
    )
    assert sum(job.reserved for job in list_jobs()) == 0


def test_a_refused_key_is_not_tried_on_every_item(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with a provider as a whole ends the sending to it."""
    limit_in_flight(2)
    monkeypatch.setenv("VEO_API_KEY", "another-key")
    ran = veo("batch", write_batch(*make_items(200)), "--json")

    assert ran.code == 3
    assert len(service.requests()) <= 4
    assert len(ran.objects) == 200
    assert {job["error"]["type"] for job in ran.objects} == {"AuthError"}
    assert sum(job.reserved for job in list_jobs()) == 0


def test_no_key_is_told_before_anything_is_planned(veo: Veo) -> None:
    """Without a key nothing is planned, and the message says how to get one."""
    ran = veo("batch", write_batch("lion"))

    assert ran.code == 3
    assert "VEO_API_KEY" in ran.errors[0]
    assert list_jobs() == []


def test_detached(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """--detach returns when all are accepted; the batch run again fetches them."""
    service.change(latency="1")
    left = veo("batch", write_batch(*make_items(3)), "--detach", "--json")
    waited = veo("batch", write_batch(*make_items(3)), "--json")

    assert left.code == 0, left.err
    assert len(left.objects) == 3
    assert all(job["task_id"] for job in left.objects)
    assert {job["state"] for job in waited.objects} == {"done"}
    assert len(accepted_prompts(service)) == 3


def test_in_the_sandbox(veo: Veo) -> None:
    """--sandbox runs a batch with no key, on the sandbox's own ledger."""
    Path("veo.toml").write_text('[sandbox]\nclip = "tiny"\nlatency = "0.1"\n')
    ran = veo("batch", write_batch("lion", "tiger"), "--sandbox")

    assert ran.code == 0, ran.err
    assert "play money" in ran.err
    assert find_videos() == {"lion.mp4", "tiger.mp4"}
    assert not (ledger_folder() / "ledger.db").exists()


def test_many_share_one_picture(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that all items name is looked at once and made fit once."""
    counts = {"verify_image": 0, "prepare_image": 0}

    def counting(name: str) -> Any:
        real = getattr(pictures, name)

        def call(*args: Any) -> Any:
            counts[name] += 1
            return real(*args)

        return call

    from veo.files import images as pictures

    for name in counts:
        monkeypatch.setattr(pictures, name, counting(name))
    Pil.new("RGB", (64, 64)).save("a.png")
    frames = {"start_frame": "a.png", "end_frame": "a.png"}
    ran = veo("batch", write_batch(*({**item, **frames} for item in make_items(12))))

    assert ran.code == 0, ran.err
    assert counts == {"verify_image": 1, "prepare_image": 1}


def test_on_a_terminal(in_steps: veo_sandbox.Sandbox) -> None:
    """A bar, counts, money and the moving jobs; in the end a table, and nothing of the rest."""
    in_steps.fault("moderated", match="take 1")
    code, painted = run_on_terminal("batch", str(write_batch(*make_items(4))), "--max-cost", "0.60")

    left = visible_lines(painted)
    assert code == 1
    for shown in ("/4", "running", "reserved $0.60 of $0.60", "left", "#3"):
        assert shown in painted, shown
    assert left[0] == "4 items: 4 to make; $0.60 to pay"
    assert left[1].startswith("item[1] ")
    assert [line.split()[:2] for line in left[3:7]] == [
        ["0", "done"],
        ["1", "failed"],
        ["2", "done"],
        ["3", "done"],
    ]
    assert left[7] == "3 done, 1 failed; charged $0.45"
