"""The account: a hold when a task is accepted, and exactly one charge or refund when it ends.

The price of a running task is subtracted from the balance, but no bill lists it yet. The bills
are brought up to date whenever they are read, so nobody has to poll. A task billed `on_accept` is
charged at once. A refusal that has a price of its own is charged that.
"""

from typing import Any

from veo_sandbox.state.price_list import to_micros, to_usd
from veo_sandbox.state.store import Store
from veo_sandbox.state.tasks import Task, TaskTable

_START_USD = 1_000_000.0


class BalanceError(Exception):
    """The account cannot pay for the task; `balance` is the USD left."""

    def __init__(self, balance: float) -> None:
        self.balance = balance
        super().__init__(f"balance {balance:g} USD")


class Account:
    """The play money of one home."""

    def __init__(self, store: Store, tasks: TaskTable) -> None:
        self._store = store
        self._tasks = tasks
        store.execute("INSERT OR IGNORE INTO settings VALUES ('balance', ?)", to_micros(_START_USD))

    def hold_price(self, task: Task) -> None:
        """Take the price off the balance, in the transaction of the task, or raise BalanceError."""
        balance = self._read_balance()
        if balance < task.spec.amount:
            raise BalanceError(to_usd(balance))
        self._add_to_balance(-task.spec.amount)
        # Kept as a row, but not shown: a held price is no bill yet.
        self._write_bill(task, "held", task.created_at, task.spec.amount)

    def settle_due(self, now: float) -> None:
        # A cheap read first: the write lock would serialise every poll of every process.
        if not self._tasks.list_due(now):
            return
        with self._store.transaction():
            for task in self._tasks.list_due(now):
                self._settle_task(task, task.due_at, task.charge)

    def list_bills(self, now: float) -> list[dict[str, Any]]:
        """Return all charges and refunds so far, oldest first; amounts in USD."""
        self.settle_due(now)
        rows = self._store.fetch_rows(
            "SELECT task, route, model, amount, state, at FROM bills "
            "WHERE state != 'held' ORDER BY at, n"
        )
        names = ("task", "route", "model", "amount", "state", "at")
        return [dict(zip(names, row, strict=True)) | {"amount": to_usd(row[3])} for row in rows]

    def get_balance(self, now: float) -> float:
        """Return the USD left; what running tasks hold is taken off."""
        self.settle_due(now)
        return to_usd(self._read_balance())

    def set_balance(self, usd: float) -> None:
        self._store.execute("UPDATE settings SET value = ? WHERE key = 'balance'", to_micros(usd))

    def cancel_task(self, task: Task, now: float) -> bool:
        """End a running task without a charge; return False if it has ended before.

        Whether Google bills a cancelled one is not known; its response has no usage.
        """
        with self._store.transaction():
            if now >= task.due_at or not self._tasks.add_mark(task, "cancelled", now):
                return False
            self._settle_task(task, now, charge=0)
            return True

    def _settle_task(self, task: Task, at: float, charge: int) -> None:
        state, amount = ("charged", charge) if charge else ("refunded", task.spec.amount)
        if self._write_bill(task, state, at, amount):
            self._add_to_balance(task.spec.amount - charge)
        self._tasks.mark_settled(task)

    def _write_bill(self, task: Task, state: str, at: float, amount: int) -> bool:
        """Write a bill once; return whether this call wrote it."""
        spec = task.spec
        sql = (
            # Processes of one home settle the same task at the same time; one of them writes.
            "INSERT OR IGNORE INTO bills (task, route, model, amount, state, at) "
            "VALUES (?, ?, ?, ?, ?, ?)"
        )
        values = (spec.id, spec.route, spec.model, amount, state, at)
        return self._store.execute(sql, *values) == 1

    def _read_balance(self) -> int:
        return int(self._store.fetch_rows("SELECT value FROM settings WHERE key = 'balance'")[0][0])

    def _add_to_balance(self, amount: int) -> None:
        self._store.execute("UPDATE settings SET value = value + ? WHERE key = 'balance'", amount)
