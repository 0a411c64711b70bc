"""The state of a sandbox without its wires: time, money, tasks, clips, the request log."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from veo_sandbox.shutdown import Stopping
from veo_sandbox.state.billing import Account
from veo_sandbox.state.clip_store import Studio
from veo_sandbox.state.clock import Clock
from veo_sandbox.state.price_list import dollars
from veo_sandbox.state.request_log import Leaks, Record
from veo_sandbox.state.settings import Settings, number
from veo_sandbox.state.store import Store
from veo_sandbox.state.tasks import Order, State, Task, Tasks, cast, state_of


class Core:
    """What every wire stands on. One for each process; all of a home see the same world."""

    def __init__(self, home: Path, *, profile: str, key: str, tiny: bool, clip_bytes: int) -> None:
        self.store = Store(home)
        self.clock = Clock(self.store)
        self.tasks = Tasks(self.store)
        self.account = Account(self.store, self.tasks)
        self.record = Record()
        self.leaks = Leaks(self.store)
        self.studio = Studio(home, tiny=tiny, min_bytes=clip_bytes)
        self.stopping = Stopping()
        self.profile = profile
        self.key = key
        self.system_token = f"{key}-system"
        self.url = ""
        self.files_url = ""
        self.files_port = 0
        self._seen = -1
        self.refresh()
        self.studio.sweep(self._wanted)

    def serve_at(self, port: int, files_port: int) -> None:
        """Say where the server is."""
        self.url = f"http://127.0.0.1:{port}"
        self.files_url = f"http://127.0.0.1:{files_port}"
        self.files_port = files_port

    def refresh(self) -> None:
        """Take over what another process of this home has set; cheap when nothing was."""
        version = self.store.version()
        if version != self._seen:
            self._seen = version
            self.settings = Settings(**self.store.get("settings", {}))
            self.clock.reload()

    def change(self, given: Mapping[str, Any]) -> None:
        """Change settings, the speed of the clock or the balance.

        Raises:
            ValueError: an unknown name or an impossible value; nothing is changed then.
        """
        plain = {name: value for name, value in given.items() if name not in {"speed", "balance"}}
        settings = self.settings.changed(plain)
        apart = {name: number(name, given[name]) for name in ("balance", "speed") if name in given}
        if "speed" in apart:
            self.clock.run_at(apart["speed"])
        if "balance" in apart:
            self.account.set_balance(apart["balance"])
        self.store.put("settings", settings.as_json())
        self.settings = settings

    def accept(self, order: Order) -> Task:
        """Take an order: fix its fate, hold its price, keep it, and begin its clip.

        Raises:
            BalanceError: the account cannot pay; nothing is kept then.
        """
        return self.accept_all([order])[0]

    def accept_all(self, orders: Sequence[Order]) -> list[Task]:
        """Take several orders at one moment, or none of them.

        Raises:
            BalanceError: the account cannot pay for all; nothing is kept then.
        """
        now = self.clock.now()
        self.account.settle(now)
        with self.store.transaction():
            tasks = [self._keep(order, now) for order in orders]
        for task in tasks:
            if task.outcome.end == "completed":
                self.studio.begin(task)
        return tasks

    def state(self, task: Task) -> State:
        """A task's state now: completed only when its time has passed and its file is there."""
        state = state_of(task, self.clock.now())
        if state.name == "completed" and not self.studio.ready(task):
            self.studio.begin(task)
            return State("running", 0.99)
        return state

    def has_file(self, task: Task) -> bool:
        """Whether the finished video can still be fetched."""
        now = self.clock.now()
        if task.outcome.end != "completed" or now < task.done_at:
            return False
        return now < self.tasks.file_gone_at(task) and self.studio.ready(task)

    def tasks_now(self) -> list[dict[str, Any]]:
        """Every task with its state, for the control endpoint."""
        answered = self.tasks.all_answered()
        return [
            {
                "task": task.id,
                "route": task.order.route,
                "profile": task.order.dress,
                "model": task.order.model,
                "state": self.state(task).name,
                "answered": task.id in answered,
                "amount": dollars(task.order.amount),
                "created_at": task.created_at,
                "done_at": task.done_at,
                "outcome": task.outcome.end,
                "request": task.order.request,
            }
            for task in self.tasks.all()
        ]

    def settings_now(self) -> dict[str, Any]:
        """All settings, for the control endpoint."""
        balance = self.account.balance(self.clock.now())
        return self.settings.as_json() | {"speed": self.clock.speed, "balance": balance}

    def request_id(self) -> str:
        """An id for one exchange, as gateways print it in their errors."""
        return f"{int(self.clock.now())}{secrets.token_hex(8)}"

    def _wanted(self, file: str) -> bool:
        task = self.tasks.of_file(file)
        return task is not None and self.clock.now() < self.tasks.file_gone_at(task)

    def _keep(self, order: Order, now: float) -> Task:
        task = cast(order, self.tasks.next_seq(), now, self.settings)
        self.account.hold(task)
        self.tasks.add(task)
        return task

    def close(self) -> None:
        """Stop the workers and close the store."""
        self.studio.close()
        self.store.close()
