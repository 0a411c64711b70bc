"""The state of a sandbox without its APIs: time, money, tasks, clips, the request log."""

import json
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from veo_sandbox.shutdown import Shutdown
from veo_sandbox.state.billing import Account
from veo_sandbox.state.clip_store import ClipStore
from veo_sandbox.state.clock import Clock
from veo_sandbox.state.price_list import to_usd
from veo_sandbox.state.settings import Settings, parse_number
from veo_sandbox.state.store import Store
from veo_sandbox.state.tasks import Task, TaskSpec, TaskState, TaskTable, compute_state, create_task
from veo_sandbox.state.uploads import UploadStore

# Bounds the memory of a sandbox that runs for days.
_MAX_LOGGED_REQUESTS = 10_000


_GOOGLE_URL = "https://generativelanguage.googleapis.com"
"""The host in every address of a file. google-genai replaces it by its own base URL, but only in
`https` addresses, and only up to the first character of an id that is neither a lower-case letter
nor a digit."""


class Core:
    """What every route works on. One per process; all processes of a home share one state."""

    def __init__(self, home: Path, *, profile: str, key: str, tiny: bool, clip_bytes: int) -> None:
        self.store = Store(home)
        self.clock = Clock(self.store)
        self.tasks = TaskTable(self.store)
        self.account = Account(self.store, self.tasks)
        # The requests that reached this process, oldest first.
        self.request_log: deque[dict[str, Any]] = deque(maxlen=_MAX_LOGGED_REQUESTS)
        self.clips = ClipStore(home, tiny=tiny, min_bytes=clip_bytes)
        self.uploads = UploadStore(home, self.store)
        self.shutdown = Shutdown()
        self.profile = profile
        self.key = key
        # A second secret, as at the service: the balance is not readable with an API key.
        self.system_token = f"{key}-system"
        self.url = ""
        self.files_url = ""
        self.files_port = 0
        # No data version is negative, so the first refresh reads everything.
        self._seen = -1
        self.refresh()
        self.clips.delete_expired(self._is_file_wanted)
        self.uploads.delete_expired(self.clock.now())

    def set_addresses(self, port: int, files_port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.files_url = f"http://127.0.0.1:{files_port}"
        self.files_port = files_port

    @property
    def google_url(self) -> str:
        """The address of the Developer API that addresses of files begin with."""
        host = self.settings.file_host
        url = {"": _GOOGLE_URL, "self": self.url}.get(host, host.rstrip("/"))
        return f"{url}/v1beta"

    def file_url(self, task: Task) -> str:
        """Return the unsigned address of a task's video (path captured 2025-11-27)."""
        return f"{self.files_url}/flow/{task.file}.mp4"

    def refresh(self) -> None:
        """Read what another process of this home has set; cheap when it has set nothing."""
        version = self.store.data_version()
        if version != self._seen:
            self._seen = version
            self.settings = Settings(**self.store.get_setting("settings", {}))
            self.clock.reload()

    def change_settings(self, values: Mapping[str, Any]) -> None:
        """Change settings, speed or balance; if a name or value is wrong (ValueError), nothing."""
        # Balance and clock are saved apart from the settings: processes change them atomically.
        changes = dict(values)
        own_values = {
            name: parse_number(name, changes.pop(name))
            for name in ("balance", "speed")
            if name in changes
        }
        settings = self.settings.replace_values(changes)
        if "speed" in own_values:
            self.clock.set_speed(own_values["speed"])
        if "balance" in own_values:
            self.account.set_balance(own_values["balance"])
        self.store.put_setting("settings", asdict(settings))
        self.settings = settings

    def accept_task(self, spec: TaskSpec) -> Task:
        return self.accept_tasks([spec])[0]

    def accept_tasks(self, specs: Sequence[TaskSpec]) -> list[Task]:
        """Accept several tasks at one moment, or none of them (BalanceError)."""
        now = self.clock.now()
        # Refunds that are due count for the balance, so they come first.
        self.account.settle_due(now)
        with self.store.transaction():
            tasks = [self._add_task(spec, now) for spec in specs]
        # After the commit: a task that was rolled back must not be rendered.
        for task in tasks:
            # A task that will fail needs no clip.
            if task.outcome.end == "completed":
                self.clips.start_rendering(task)
        return tasks

    def task_state(self, task: Task) -> TaskState:
        """Return a task's state now: completed only when it is due and its file is complete."""
        state = compute_state(task, self.clock.now())
        if task.spec.cancellable and self.tasks.has_mark(task, "cancelled"):
            return TaskState("cancelled", 1.0)
        if state.name == "completed" and not self.clips.is_ready(task):
            self.clips.start_rendering(task)
            # A clip may take longer than its task; rendered again if a killed process left it
            # unfinished.
            return TaskState("running", 0.99)
        return state

    def has_file(self, task: Task) -> bool:
        now = self.clock.now()
        if self.tasks.has_mark(task, "cancelled") or self.tasks.has_mark(task, "file deleted"):
            return False
        if task.outcome.end != "completed" or now < task.done_at:
            return False
        return now < self.tasks.file_expires_at(task) and self.clips.is_ready(task)

    def describe_tasks(self) -> list[dict[str, Any]]:
        answered = self.tasks.responded_ids()
        return [
            {
                "task": task.id,
                "route": task.spec.route,
                "profile": task.spec.profile,
                "model": task.spec.model,
                "state": self.task_state(task).name,
                "answered": task.id in answered,
                "amount": to_usd(task.spec.amount),
                "created_at": task.created_at,
                "done_at": task.done_at,
                "outcome": task.outcome.end,
                "request": task.spec.request,
            }
            for task in self.tasks.list_tasks()
        ]

    def add_leak(self, entry: dict[str, Any]) -> None:
        """Keep a request with a key that came to the files port, where no client may send one."""
        # Unlike the log, leaks are kept in the home: they are defects.
        self.store.execute("INSERT INTO leaks (body) VALUES (?)", json.dumps(entry))

    def list_leaks(self) -> list[dict[str, Any]]:
        rows = self.store.fetch_rows("SELECT body FROM leaks ORDER BY n")
        return [json.loads(body) for (body,) in rows]

    def describe_settings(self) -> dict[str, Any]:
        balance = self.account.get_balance(self.clock.now())
        return asdict(self.settings) | {"speed": self.clock.speed, "balance": balance}

    def new_request_id(self) -> str:
        # new-api prints a time stamp with random letters.
        return f"{int(self.clock.now())}{secrets.token_hex(8)}"

    def _is_file_wanted(self, file: str) -> bool:
        task = self.tasks.find_by_file(file)
        if task is None:
            return False
        # A later task may continue a video whose own address has expired.
        return self.clock.now() < max(self.tasks.file_expires_at(task), task.expires_at)

    def _add_task(self, spec: TaskSpec, now: float) -> Task:
        task = create_task(spec, self.tasks.next_seq(), now, self.settings)
        self.account.hold_price(task)
        self.tasks.add(task)
        return task

    def close(self) -> None:
        self.clips.close()
        self.store.close()
