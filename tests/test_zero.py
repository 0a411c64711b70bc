"""A given 0 counts: a cap of $0 holds, and a timeout of 0 s does not wait."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from batch_inputs import make_items, write_batch
from cli_runner import Veo

import veo as library
import veo_sandbox
from veo.config import Config, read_config
from veo.errors import BudgetError, StillRunningError
from veo.key import Key
from veo.ledger import Cap
from veo.ledger.budget import current_caps

pytest_plugins = ("veo_fixtures",)

CONFIGURED = {
    "max_cost = 0": "max_cost = 0\n{config}",
    "budget.daily = 0": "{config}[budget]\ndaily = 0\n",
    "budget.monthly = 0": "{config}[budget]\nmonthly = 0\n",
}


def sent_requests(service: veo_sandbox.Sandbox) -> list[dict[str, Any]]:
    return [request for request in service.requests() if request["method"] == "POST"]


@pytest.mark.parametrize("command", ["batch", "compare"])
def test_max_cost_0_is_a_cap(veo: Veo, service: veo_sandbox.Sandbox, command: str) -> None:
    """No command that pays sends anything under --max-cost 0."""
    what = {
        "batch": (write_batch(*make_items(2)),),
        "compare": ("a lion", "--on", "laozhang-async,laozhang-sync", "--yes"),
    }
    result = veo(command, *what[command], "--max-cost", "0")

    assert result.code == 4
    assert sent_requests(service) == []


@pytest.mark.parametrize("text", CONFIGURED.values(), ids=CONFIGURED)
def test_a_configured_0_is_a_cap(veo: Veo, service: veo_sandbox.Sandbox, text: str) -> None:
    """`max_cost = 0` and a budget of 0 let nothing be sent."""
    file = Path("veo.toml")
    file.write_text(text.format(config=file.read_text()))
    result = veo("generate", "a lion")

    assert result.code == 4
    assert sent_requests(service) == []


def test_0_of_the_environment_is_a_cap() -> None:
    """VEO_MAX_COST=0 is not an empty variable."""
    assert read_config(env={"VEO_MAX_COST": "0"}).config.max_cost == Decimal(0)


def test_a_flag_of_0_overrides_the_configuration() -> None:
    """A given 0 wins over a configured amount, in the configuration and for a run."""
    Path("veo.toml").write_text("max_cost = 5")

    assert read_config(flags={"max_cost": Decimal(0)}).config.max_cost == 0
    assert current_caps(Config(max_cost=Decimal(5)), "run", Decimal(0)) == [
        Cap("max_cost", 0, run="run")
    ]


def test_0_from_python(service: veo_sandbox.Sandbox) -> None:
    """`max_cost=0` sends nothing; `timeout=0` and `result(0)` do not wait."""
    service.change(latency="30")
    endpoint = library.Endpoint(service.url, Key(service.key))
    with library.Client(read_config().config, endpoint=endpoint) as client:
        with pytest.raises(BudgetError):
            client.submit("a lion", max_cost=Decimal(0))
        assert sent_requests(service) == []

        with pytest.raises(StillRunningError):
            client.submit("a lion", timeout=0).result()
        with pytest.raises(StillRunningError):
            client.submit("a lion").result(0)
