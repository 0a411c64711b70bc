"""Every installed provider against the sandbox, through the suite that third parties run too."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib.metadata import distribution
from typing import TYPE_CHECKING

import pytest

from veo.provider import GROUP

pytest.register_assert_rewrite("veo.testing")

from veo.testing import Conformance, Service, Trouble  # noqa: E402 - after it is to be rewritten

if TYPE_CHECKING:
    from collections.abc import Callable

    import veo_sandbox

FAULTS = {
    "busy": {"fault": "http_503_overload", "on": ["create"], "first": 1, "retry_after": 1},
    "lost": {"fault": "drop_answer", "first": 1},
    "failed": {"fault": "failed"},
    "moderated": {"fault": "moderated"},
    "cut": {"fault": "cut", "first": 1},
}


class Sandboxed:
    """The sandbox as the suite drives a service."""

    def __init__(self, sandbox: veo_sandbox.Sandbox) -> None:
        self._sandbox = sandbox
        self.url, self.key = sandbox.url, sandbox.key
        # Omni on the Agent Platform takes no key.
        self.options = {"key_is_access_token": True, "project": "sandbox"}

    def trouble(self, kind: Trouble) -> None:
        """Add the rule that does it."""
        self._sandbox.fault(**FAULTS[kind])

    def wait(self, seconds: float) -> None:
        """Move its clock."""
        self._sandbox.advance(seconds)

    def accepted(self) -> list[str]:
        """Its tasks, each with all that was posted."""
        sent = [one.get("body") for one in self._sandbox.requests() if one["method"] == "POST"]
        posted = json.dumps(sent)
        return [json.dumps(task["request"]) + posted for task in self._sandbox.tasks()]

    def charged(self) -> Decimal:
        """What its bills say."""
        taken = [bill for bill in self._sandbox.bills() if bill["state"] == "charged"]
        return sum((Decimal(str(bill["amount"])) for bill in taken), Decimal(0))


class TestInstalled(Conformance):
    """The providers of this distribution."""

    providers = sorted(distribution("veo-video").entry_points.select(group=GROUP).names)

    @pytest.fixture
    def service(self, sandbox: Callable[..., veo_sandbox.Sandbox]) -> Service:
        """A sandbox of the test's own."""
        return Sandboxed(sandbox(processing_lag=0))
