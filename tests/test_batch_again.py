"""The same batch run again: what is made costs nothing, what is not is made."""

from __future__ import annotations

import os
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


def test_what_is_made_costs_nothing(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A second run sends nothing, changes nothing, and needs no key."""
    veo("batch", write_batch(*make_items(4)))
    del os.environ["VEO_API_KEY"]
    before = len(service.requests())
    again = veo("batch", write_batch(*make_items(4)))

    assert again.code == 0, again.err
    assert "4 skipped; charged nothing, $0.60 in all runs" in again.err
    assert (len(service.requests()), len(list_jobs())) == (before, 4)


def test_only_what_is_new_is_made(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Items put before, between and after the made ones are the only ones that are sent."""
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
    """A change of what is asked for, or where it goes, is a new item."""
    veo("batch", write_batch("lion"))
    veo("batch", write_batch(other), "--force")

    assert len(accepted_prompts(service)) == 2


def test_frames_count_by_content(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A renamed picture is the same request, a repainted one is another."""
    item = {"prompt": "lion", "output": "lion.mp4"}
    Pil.new("RGB", (64, 64), "red").save("a.png")
    veo("batch", write_batch({**item, "start_frame": "a.png"}))
    shutil.copy("a.png", "b.png")
    same = veo("batch", write_batch({**item, "start_frame": "b.png"}), "--json")
    Pil.new("RGB", (64, 64), "blue").save("b.png")
    other = veo("batch", write_batch({**item, "start_frame": "b.png"}), "--force", "--json")

    assert [job["skipped"] for job in same.objects + other.objects] == [True, False]
    assert len(accepted_prompts(service)) == 2


def test_what_another_command_made_is_recognised(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A video of ``veo generate`` under the same name is the item's."""
    veo("generate", "lion", "-o", "lion.mp4")
    ran = veo("batch", write_batch("lion"))

    assert ran.code == 0, ran.err
    assert accepted_prompts(service) == ["lion"]


def test_a_failed_item_gets_a_new_try(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """What failed is sent again by the next run, once, as a new job."""
    service.change(fail_rate=1.0)
    first = veo("batch", write_batch("lion", "tiger"))
    service.change(fail_rate=0.0)
    second = veo("batch", write_batch("lion", "tiger"))

    assert (first.code, second.code) == (1, 0)
    assert count_states() == {"failed": 2, "done": 2}
    assert sum_charges(service) == 2 * PRICE


def test_an_unknown_item_waits_for_a_decision(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An answer that was lost is not asked for again; --resubmit-unknown does, and may pay."""
    service.fault("drop_answer", first=1)
    first = veo("batch", write_batch("lion"))
    second = veo("batch", write_batch("lion"))
    sent = len(accepted_prompts(service))
    third = veo("batch", write_batch("lion"), "--resubmit-unknown")

    (job,) = list_jobs()
    assert [first.code, second.code, third.code] == [5, 5, 0]
    assert "--resubmit-unknown" in second.err
    assert (sent, len(accepted_prompts(service))) == (1, 2)
    assert (job.charged, job.doubtful) == (PRICE, PRICE)


def test_a_lost_file_is_fetched_again(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A video that is gone from the disk is fetched from the provider, for nothing."""
    veo("batch", write_batch("lion", "tiger"))
    Path("lion.mp4").unlink()
    again = veo("batch", write_batch("lion", "tiger"))

    assert again.code == 0, again.err
    assert "1 made already, to be downloaded again" in again.err
    assert find_videos() == {"lion.mp4", "tiger.mp4"}
    assert (len(accepted_prompts(service)), sum_charges(service)) == (2, 2 * PRICE)


def test_a_video_gone_everywhere_is_paid_again_only_on_request(
    veo: Veo, service: veo_sandbox.Sandbox
) -> None:
    """Gone here and at the provider: told of in every run, made anew with --remake alone."""
    veo("batch", write_batch("lion", "tiger"))
    Path("lion.mp4").unlink()
    service.advance(3 * 86400)
    first = veo("batch", write_batch("lion", "tiger"))
    second = veo("batch", write_batch("lion", "tiger"))
    sent = len(accepted_prompts(service))
    third = veo("batch", write_batch("lion", "tiger"), "--remake")

    assert [first.code, second.code, third.code] == [1, 1, 0]
    assert "--remake makes it again" in second.err
    assert (sent, len(accepted_prompts(service))) == (2, 3)
    assert find_videos() == {"lion.mp4", "tiger.mp4"}


def test_remake_asks_the_provider_first(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --remake, too, what the provider still has is fetched and not paid for."""
    veo("batch", write_batch("lion"))
    Path("lion.mp4").unlink()
    veo("batch", write_batch("lion"), "--remake")

    assert accepted_prompts(service) == ["lion"]


def test_remake_in_one_go(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """What turns out to be gone is made anew in the same run."""
    veo("batch", write_batch("lion"))
    Path("lion.mp4").unlink()
    service.advance(3 * 86400)
    ran = veo("batch", write_batch("lion"), "--remake")

    assert ran.code == 0, ran.err
    assert accepted_prompts(service) == ["lion", "lion"]


def test_a_changed_file_is_kept(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A video that was worked on since is not replaced, unless --force wants the original."""
    veo("batch", write_batch("lion"))
    original = Path("lion.mp4").read_bytes()
    Path("lion.mp4").write_bytes(b"edited")
    kept = veo("batch", write_batch("lion"))
    edited = Path("lion.mp4").read_bytes()
    forced = veo("batch", write_batch("lion"), "--force")

    assert (kept.code, forced.code, edited) == (0, 0, b"edited")
    assert "was changed after the download" in kept.err
    assert Path("lion.mp4").read_bytes() == original
    assert accepted_prompts(service) == ["lion"]


def test_a_folder_that_was_moved(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Videos that lie where the batch wants them are recognised by their content."""
    veo("batch", write_batch("lion", "tiger"), "--output-dir", "here")
    Path("here").rename("there")
    ran = veo("batch", write_batch("lion", "tiger"), "--output-dir", "there")

    assert ran.code == 0, ran.err
    assert "2 skipped" in ran.err
    assert sorted(accepted_prompts(service)) == ["lion", "tiger"]


def test_a_file_touched_is_read(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """One that was written to since is judged by its content, whatever its length."""
    veo("batch", write_batch("lion"))
    (job,) = list_jobs()
    path = Path(job.output)
    data = path.read_bytes()
    same = is_own_file(job)
    path.write_bytes(data)
    copied = is_own_file(job)
    path.write_bytes(bytes(len(data)))

    assert (same, copied, is_own_file(job)) == (True, True, False)


def test_what_an_edited_file_does_not_ask_for_is_given_up(
    veo: Veo, service: veo_sandbox.Sandbox
) -> None:
    """Jobs that an earlier run planned and never sent hold no money once they are not wanted."""
    veo("batch", write_batch("lion"))
    ledger = Ledger(ledger_folder())
    (done,) = ledger.list_jobs()
    with ledger.database.write() as connection:  # as a process that was killed leaves them
        connection.exec_driver_sql(
            "UPDATE jobs SET state = 'planned', charged = 0, reserved = 150000, version = 9"
        )
    ran = veo("batch", write_batch("tiger"))
    left = ledger.find_job(done.id)
    ledger.close()

    assert ran.code == 0, ran.err
    assert (left.state, left.reserved) == ("failed", 0)
    assert sorted(accepted_prompts(service)) == ["lion", "tiger"]


def test_planned_jobs_of_a_dead_process_are_carried_on_with(
    veo: Veo, service: veo_sandbox.Sandbox
) -> None:
    """A job that was planned and not sent when its process died is sent by the next run."""
    service.change(latency="3")
    veo("batch", write_batch("lion"), "--detach")
    service.change(latency="0")
    ledger = Ledger(ledger_folder())
    with ledger.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE jobs SET state = 'planned', task_id = NULL, owner = 'dead-1', version = 9"
        )
    ledger.close()
    ran = veo("batch", write_batch("lion"))

    assert ran.code == 0, ran.err
    assert "1 in progress" in ran.err
    assert count_states() == {"done": 1}
