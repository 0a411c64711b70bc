"""A provider's list of charges, read from JSON or CSV, a file or a URL.

Nobody documents the export of a console, so columns are found by their usual names: of a task,
an amount (or a quota: 500000 of it are one USD, as new-api counts), and where there are such, a
time, a model, a label for the route, and a state. The sandbox's ``/sandbox/bills`` is such a list.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo.errors import UsageError
from veo.money import to_micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

QUOTA_PER_USD = 500_000
_NAMES = {
    "task": ("task", "task_id", "taskid", "video_id", "id"),
    "amount": ("amount", "amount_usd", "cost", "cost_usd", "usd", "price", "charge"),
    "quota": ("quota",),
    "at": ("at", "time", "timestamp", "charged_at", "created_at", "created", "date"),
    "model": ("model", "model_name"),
    "label": ("route", "provider", "endpoint", "channel"),
    "state": ("state", "status", "kind", "type"),
}
_BACK = {"refunded", "refund", "returned", "reversed"}
_HELD = {"held", "hold", "pending", "reserved"}
_MILLISECONDS = 1e11
_TIMEOUT_S = 30
_MOST_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class ProviderCharge:
    """What a provider charged for one task, refunds taken off.

    Attributes:
        task: The provider's name for it; the line where the list has none.
        amount: Millionths of a USD; 0 when all was given back.
        at: When, Unix seconds, if the list tells.
        model: Its model, if the list tells.
        label: What the list calls the route, if anything.
        named: Whether the list names the task.
    """

    task: str
    amount: int
    at: float | None = None
    model: str | None = None
    label: str | None = None
    has_task_id: bool = True


@dataclass(frozen=True, slots=True)
class ChargeList:
    """A whole list.

    Attributes:
        source: Where it came from.
        taken_at: When it was made, Unix seconds: now for a URL, a file's time of writing.
        bills: One for each task.
    """

    source: str
    taken_at: float
    charges: list[ProviderCharge]

    @property
    def starts_at(self) -> float | None:
        """The time of its first charge; None when it tells no times."""
        return min((bill.at for bill in self.charges if bill.at is not None), default=None)

    def since(self, moment: float | None) -> ChargeList:
        """The list without what is older than a moment, Unix seconds."""
        kept = [b for b in self.charges if moment is None or b.at is None or b.at >= moment]
        return replace(self, charges=kept)


def load_charges(place: str) -> ChargeList:
    """The list at a path or a URL.

    Raises:
        UsageError: It cannot be read, or is no list of charges; says what is missing.
    """
    if re.match(r"https?://", place):
        text, taken_at = _fetched(place), time.time()
    else:
        text, taken_at = _read(Path(place))
    return ChargeList(place, taken_at, parse_charges(text, place))


def parse_charges(text: str, source: str) -> list[ProviderCharge]:
    """The charges that a text lists, one for each task.

    Raises:
        UsageError: It is no such list; names ``source``, and the line.
    """
    rows = _json(text, source) if text.lstrip()[:1] in {"[", "{"} else _csv(text, source)
    return _merged(_bill(row, f"{source}, {where}", where) for where, row in rows)


def _fetched(url: str) -> str:
    import requests  # noqa: PLC0415 - 90 ms that a file has no use for

    try:
        answer = requests.get(url, timeout=_TIMEOUT_S)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise UsageError(f"{url}: {error}") from None
    return answer.content.decode("utf-8-sig", "replace")


def _read(path: Path) -> tuple[str, float]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} is too large for a list of charges")
        return path.read_text("utf-8-sig"), path.stat().st_mtime
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text: save the list as CSV or JSON, in UTF-8") from None


Located = tuple[str, dict[str, Any]]


def _json(text: str, source: str) -> list[Located]:
    try:
        body = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise UsageError(f"{source} is no JSON: {error}") from None
    while isinstance(body, dict):
        inner = next((body[key] for key in ("data", "items", "bills", "logs") if key in body), None)
        if inner is None:
            raise UsageError(f"{source}: the JSON is no list of charges")
        body = inner
    if not all(isinstance(row, dict) for row in body):
        raise UsageError(f"{source}: the JSON is no list of objects")
    rows = [(f"entry {index + 1}", _known(row)) for index, row in enumerate(body)]
    _check(set().union(*(row for _, row in rows)), [key for row in body for key in row], source)
    return rows


def _csv(text: str, source: str) -> list[Located]:
    try:
        head = text.split("\n", 1)[0]
        delimiter = max(",;\t|", key=head.count)
        reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
        titles = [title for title in reader.fieldnames or () if title]
        _check(set(_known(dict.fromkeys(titles))), titles, source)
        rows = []
        for row in reader:
            values = row if delimiter == "," else {key: _point(row[key]) for key in row}
            rows.append((f"line {reader.line_num}", _known(values)))
    except csv.Error as error:
        raise UsageError(f"{source} is no CSV: {error}") from None
    return rows


def _point(value: Any) -> Any:
    """A number with a decimal comma, as some countries' spreadsheets write it, with a point."""
    return value.replace(",", ".") if re.fullmatch(r"\s*\$?-?\d+,\d+\s*", value or "") else value


def _known(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row by the names used here; of several columns that fit, the most telling one."""
    plain = {re.sub(r"[^a-z0-9]+", "_", str(key).lower()).strip("_"): key for key in row if key}
    found = {}
    for ours, names in _NAMES.items():
        name = next((name for name in names if name in plain), None)
        if name:
            found[ours] = row[plain[name]]
    return found


def _check(found: set[str], titles: Sequence[str], source: str) -> None:
    if not titles:
        return  # an empty list is a list: nothing was charged
    missing = ["task"] if "task" not in found else []
    missing += ["amount"] if not found & {"amount", "quota"} else []
    if missing:
        wanted = "; ".join(f"{name}: {', '.join(_NAMES[name])}" for name in missing)
        has = ", ".join(dict.fromkeys(map(str, titles)))
        raise UsageError(
            f"{source}: no column tells the {' nor the '.join(missing)}; there are: {has}",
            hint=f"Rename a column to one of these. {wanted}{' or quota' * ('amount' in missing)}.",
        )


def _bill(row: Mapping[str, Any], place: str, where: str) -> ProviderCharge | None:
    """One entry; what is only held is no charge."""
    task = str(row.get("task") or "").strip()
    state = str(row.get("state") or "").strip().lower()
    if state in _HELD:
        return None
    amount = _amount(row, place)
    if state in _BACK:
        amount = -abs(amount)
    return ProviderCharge(
        task=task or where,
        amount=amount,
        at=_moment(row.get("at"), place),
        model=str(row.get("model") or "").strip() or None,
        label=str(row.get("label") or "").strip() or None,
        has_task_id=bool(task),
    )


def _amount(row: Mapping[str, Any], place: str) -> int:
    name = "amount" if row.get("amount") not in {None, ""} else "quota"
    said = row.get(name)
    text = re.sub(r"[\s$]|usd", "", str(said if said is not None else ""), flags=re.IGNORECASE)
    try:
        value = Decimal(_plain(text))
    except InvalidOperation:
        raise UsageError(f"{place}: {said!r} is no amount") from None
    if not value.is_finite():
        raise UsageError(f"{place}: {said!r} is no amount")
    return to_micros(value / QUOTA_PER_USD if name == "quota" else value)


def _plain(number: str) -> str:
    """A number without commas between thousands; a comma before decimals becomes a point."""
    if re.fullmatch(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", number):
        return number.replace(",", "")
    return number.replace(",", ".") if re.fullmatch(r"-?\d+,\d+", number) else number


def _moment(said: Any, place: str) -> float | None:
    """A time in seconds, milliseconds, or ISO form; without a zone it is local."""
    text = str(said if said is not None else "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            raise UsageError(f"{place}: {text!r} is no time") from None
    return number / 1000 if number > _MILLISECONDS else number


def _merged(bills: Iterable[ProviderCharge | None]) -> list[ProviderCharge]:
    """One bill a task: what was charged, less what was given back."""
    same: dict[str, list[ProviderCharge]] = defaultdict(list)
    for bill in bills:
        if bill:
            same[bill.task].append(bill)
    return [
        replace(several[0], amount=max(0, sum(bill.amount for bill in several)))
        for several in same.values()
    ]
