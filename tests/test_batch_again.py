"""A batch that is run again: finished videos cost nothing, and the missing ones are made."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from batch_inputs import (
    PRICE,
    accepted_prompts,
    count_states,
    find_videos,
    list_jobs,
    make_items,
    sum_charges,
    write_batch,
)
from PIL import Image as Pil

from veo.batch.match import is_own_file
from veo.ledger import Ledger
from veo.paths import ledger_folder

if TYPE_CHECKING:
    from cli_runner import Veo

    import veo_sandbox

pytest_plugins = ("veo_fixtures",)


def test_finished_items_cost_nothing(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A second run sends nothing, creates no jobs and needs no key."""
    veo("batch", write_batch(*make_items(4)))
    del os.environ["VEO_API_KEY"]
    before = len(service.requests())
    again = veo("batch", write_batch(*make_items(4)))

    assert again.code == 0, again.err
    assert re.search(r"4 skipped in .+ s; charged nothing, \$0.60 in all runs", again.err)
    assert (len(service.requests()), len(list_jobs())) == (before, 4)


def test_only_new_items_are_sent(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """New items before, between and after the finished ones are sent, and no others."""
    veo("batch", write_batch("lion", {"prompt": "tiger"}))
    veo("batch", write_batch("bear", "lion", "wolf", {"prompt": "tiger"}, "fox"))

    assert sorted(accepted_prompts(service)) == ["bear", "fox", "lion", "tiger", "wolf"]


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "a lion", "output": "lion.mp4"},
        {"prompt": "lion", "output": "other.mp4"},
        {"prompt": "lion", "output": "lion.mp4", "model": "veo-3.1"},
    ],
    ids=["prompt", "output", "model"],
)
def test_another_request_is_another_video(
    veo: Veo, service: veo_sandbox.Sandbox, other: dict[str, str]
) -> None:
    """A different request or output is a new item."""
    veo("batch", write_batch("lion"))
    veo("batch", write_batch(other), "--force")

    assert len(accepted_prompts(service)) == 2


def test_images_are_compared_by_content(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The same image under another name is the same request; other content is another one."""
    item = {"prompt": "lion", "output": "lion.mp4"}
    Pil.new("RGB", (64, 64), "red").save("a.png")
    veo("batch", write_batch({**item, "start_frame": "a.png"}))
    shutil.copy("a.png", "b.png")
    same = veo("batch", write_batch({**item, "start_frame": "b.png"}), "--json")
    Pil.new("RGB", (64, 64), "blue").save("b.png")
    other = veo("batch", write_batch({**item, "start_frame": "b.png"}), "--force", "--json")

    assert [job["skipped"] for job in same.objects + other.objects] == [True, False]
    assert len(accepted_prompts(service)) == 2


def test_a_video_of_another_command_is_recognised(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A video that ``veo generate`` made at the same path is not made again."""
    veo("generate", "lion", "-o", "lion.mp4")
    result = veo("batch", write_batch("lion"))

    assert result.code == 0, result.err
    assert accepted_prompts(service) == ["lion"]


def test_a_failed_item_is_retried(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The next run sends a failed item once more, as a new job."""
    service.change(fail_rate=1.0)
    first = veo("batch", write_batch("lion", "tiger"))
    service.change(fail_rate=0.0)
    second = veo("batch", write_batch("lion", "tiger"))

    assert (first.code, second.code) == (1, 0)
    assert count_states() == {"failed": 2, "done": 2}
    assert sum_charges(service) == 2 * PRICE


def test_an_unknown_item_waits_for_a_decision(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An item of unknown outcome is sent again with --resubmit-unknown only, and may pay twice."""
    service.fault("drop_answer", first=1)
    first = veo("batch", write_batch("lion"))
    second = veo("batch", write_batch("lion"))
    sent_before = len(accepted_prompts(service))
    third = veo("batch", write_batch("lion"), "--resubmit-unknown")

    (job,) = list_jobs()
    assert [first.code, second.code, third.code] == [5, 5, 0]
    assert "--resubmit-unknown" in second.err
    assert (sent_before, len(accepted_prompts(service))) == (1, 2)
    assert (job.charged, job.doubtful) == (PRICE, PRICE)


def test_a_deleted_file_is_downloaded_again(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A video that was deleted is downloaded from the provider, at no cost."""
    veo("batch", write_batch("lion", "tiger"))
    Path("lion.mp4").unlink()
    again = veo("batch", write_batch("lion", "tiger"))

    assert again.code == 0, again.err
    assert "1 made already, to be downloaded again" in again.err
    assert find_videos() == {"lion.mp4", "tiger.mp4"}
    assert (len(accepted_prompts(service)), sum_charges(service)) == (2, 2 * PRICE)


def test_a_lost_video_is_paid_again_only_on_request(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A video that no longer exists anywhere is reported, and made again with --remake only."""
    veo("batch", write_batch("lion", "tiger"))
    Path("lion.mp4").unlink()
    service.advance(3 * 86400)
    first = veo("batch", write_batch("lion", "tiger"))
    second = veo("batch", write_batch("lion", "tiger"))
    sent_before = len(accepted_prompts(service))
    third = veo("batch", write_batch("lion", "tiger"), "--remake")

    # Only the provider's clock was set: for this machine the video should still be there.
    assert [first.code, second.code, third.code] == [7, 7, 0]
    assert "--remake makes it again" in second.err
    assert (sent_before, len(accepted_prompts(service))) == (2, 3)
    assert find_videos() == {"lion.mp4", "tiger.mp4"}


def test_remake_downloads_what_the_provider_still_has(
    veo: Veo, service: veo_sandbox.Sandbox
) -> None:
    """--remake pays for a new video only if the old one cannot be downloaded."""
    veo("batch", write_batch("lion"))
    Path("lion.mp4").unlink()
    veo("batch", write_batch("lion"), "--remake")

    assert accepted_prompts(service) == ["lion"]


def test_remake_needs_one_run(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A video that turns out to be lost is made again in the same run."""
    veo("batch", write_batch("lion"))
    Path("lion.mp4").unlink()
    service.advance(3 * 86400)
    result = veo("batch", write_batch("lion"), "--remake")

    assert result.code == 0, result.err
    assert accepted_prompts(service) == ["lion", "lion"]


def test_a_changed_file_is_kept(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A video that was edited is replaced by the original with --force only."""
    veo("batch", write_batch("lion"))
    original = Path("lion.mp4").read_bytes()
    Path("lion.mp4").write_bytes(b"edited")
    unforced = veo("batch", write_batch("lion"))
    edited = Path("lion.mp4").read_bytes()
    forced = veo("batch", write_batch("lion"), "--force")

    assert (unforced.code, forced.code, edited) == (0, 0, b"edited")
    assert "was changed after the download" in unforced.err
    assert Path("lion.mp4").read_bytes() == original
    assert accepted_prompts(service) == ["lion"]


def test_a_moved_folder_is_recognised(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Videos at the expected path are recognised by content, whichever path they were made at."""
    veo("batch", write_batch("lion", "tiger"), "--output-dir", "here")
    Path("here").rename("there")
    result = veo("batch", write_batch("lion", "tiger"), "--output-dir", "there")

    assert result.code == 0, result.err
    assert "2 skipped" in result.err
    assert sorted(accepted_prompts(service)) == ["lion", "tiger"]


def test_a_file_written_to_since_is_compared_by_content(
    veo: Veo, service: veo_sandbox.Sandbox
) -> None:
    """Equal length is not enough for a file that was written to after the job ended."""
    veo("batch", write_batch("lion"))
    (job,) = list_jobs()
    path = Path(job.output)
    data = path.read_bytes()
    same = is_own_file(job)
    path.write_bytes(data)
    copied = is_own_file(job)
    path.write_bytes(bytes(len(data)))

    assert (same, copied, is_own_file(job)) == (True, True, False)


def test_planned_jobs_of_removed_items_are_withdrawn(
    veo: Veo, service: veo_sandbox.Sandbox
) -> None:
    """Unsent jobs of an earlier run release their money when the file no longer has the item."""
    veo("batch", write_batch("lion"))
    ledger = Ledger(ledger_folder())
    (done,) = ledger.list_jobs()
    with ledger.database.write() as connection:  # the state after a kill
        connection.exec_driver_sql(
            "UPDATE jobs SET state = 'planned', charged = 0, reserved = 150000, version = 9"
        )
    result = veo("batch", write_batch("tiger"))
    left = ledger.find_job(done.id)
    ledger.close()

    assert result.code == 0, result.err
    assert (left.state, left.reserved) == ("failed", 0)
    assert sorted(accepted_prompts(service)) == ["lion", "tiger"]


def test_planned_jobs_of_a_dead_process_are_sent(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The next run sends a job that was planned, but not sent, when its process died."""
    service.change(latency="3")
    veo("batch", write_batch("lion"), "--detach")
    service.change(latency="0")
    ledger = Ledger(ledger_folder())
    with ledger.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE jobs SET state = 'planned', task_id = NULL, owner = 'dead-1', version = 9"
        )
    ledger.close()
    result = veo("batch", write_batch("lion"))

    assert result.code == 0, result.err
    assert "1 in progress" in result.err
    assert count_states() == {"done": 1}
