"""What the sandbox charges, seen from outside."""

import threading

import pytest
import requests
from sandbox_api import Api, StartSandbox


class TestMoney:
    """What is charged."""

    def test_completed_is_charged_without_a_poll(self, sandbox: StartSandbox) -> None:
        """The bill follows the clock, not the client."""
        box = sandbox(latency=100)
        task = Api(box).create_from_text("veo-3.1")
        during = box.bills()
        box.advance(101)
        [bill] = requests.get(f"{box.url}/sandbox/bills", timeout=10).json()

        assert during == []
        assert {"task", "route", "model", "amount", "state", "at"} == bill.keys()
        assert (task, "videos", "veo-3.1", 0.25, "charged") == tuple(
            bill[name] for name in ("task", "route", "model", "amount", "state")
        )

    def test_the_balance_dips_while_a_task_runs(self, sandbox: StartSandbox) -> None:
        """Held at create, refunded on failure; shown as quota to the system token only."""
        box = sandbox(latency=100, balance=2, fail_rate=1.0)
        Api(box).create_from_text("veo-3.1")

        def quota(token: str) -> requests.Response:
            headers = {"Authorization": token}
            return requests.get(f"{box.url}/api/user/self", headers=headers, timeout=10)

        held = quota(box.system_token)
        box.advance(101)
        back = quota(box.system_token)

        assert held.json()["data"]["quota"] == 875_000
        assert back.json()["data"]["quota"] == 1_000_000
        assert held.headers["content-encoding"] == "gzip"
        assert quota(box.key).status_code == 401

    @pytest.mark.parametrize(
        ("profile", "model", "status", "expected_text"),
        [
            ("capture-2025-11", "veo-3.1", 403, "insufficient_user_quota"),
            ("docs", "veo-3.1", 402, "insufficient_balance"),
            ("official", "veo-3.1-generate-preview", 403, "insufficient_user_quota"),
            ("openai", "sora-2", 429, "insufficient_quota"),
        ],
    )
    def test_an_empty_account_is_refused(
        self, sandbox: StartSandbox, profile: str, model: str, status: int, expected_text: str
    ) -> None:
        """Each profile has its own error; nothing is made."""
        box = sandbox(profile=profile, balance=0.05)
        response = Api(box).post({"model": model, "prompt": "lion"})

        assert status == response.status_code
        assert expected_text in response.text
        assert box.tasks() == []

    def test_many_at_once_are_each_paid_once(self, sandbox: StartSandbox) -> None:
        """Concurrent creates neither share an id nor lose a bill."""
        box = sandbox(balance=1000)
        threads = [threading.Thread(target=Api(box).create_from_text) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len({bill["task"] for bill in box.bills()}) == 12
        assert pytest.approx(box.balance()) == 1000 - 12 * 0.15
