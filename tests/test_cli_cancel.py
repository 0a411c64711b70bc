"""``veo cancel``: a job can be cancelled until its request is sent."""

from cli_runner import Veo

import veo_sandbox

pytest_plugins = ("veo_fixtures",)


def test_a_job_that_was_never_sent_is_cancelled(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Its money is released, nothing is sent, and the job cannot be resumed."""
    service.fault("http_429", on="create", retry_after=600)
    waiting = veo("generate", "a lion", "--timeout", "0.5", "--json").objects[0]

    cancelled = veo("cancel", waiting["job"][:4], "--json")

    assert waiting["state"] == "planned"
    assert (cancelled.code, cancelled.objects[0]["state"]) == (0, "failed")
    assert cancelled.objects[0]["error"]["type"] == "WithdrawnError"
    assert "reserved  $0.00" in veo("jobs", "--cost").out
    assert "nothing to resume" in veo("resume").err
    assert service.tasks() == []


def test_a_job_that_was_sent_is_not_cancelled(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """One line says why; the exit code is that of an invalid request."""
    service.fault("never_finishes")
    sent = veo("generate", "a lion", "--timeout", "0.5", "--json").objects[0]
    service.clear_faults()
    done = veo("generate", "a bear", "--json").objects[0]

    ran = veo("cancel", sent["job"], done["job"])

    assert ran.code == 2
    assert f"cannot cancel {sent['job']}: it is {sent['state']}: it was sent" in ran.err
    assert f"cannot cancel {done['job']}: it is done already" in ran.err
