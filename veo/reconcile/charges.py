"""Read a provider's list of charges from CSV or JSON, from a file or a URL.

The providers' export formats are not documented, so columns are found by their usual names: a
task, an amount in USD (or a quota), and optionally a time, a model, a label for the route, and a
state. The sandbox's ``/sandbox/bills`` is such a list.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo.errors import UsageError
from veo.money import to_micros
from veo.parsing import decode_text, parse_json, read_limited
from veo.wire.values import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Gateways of the new-api family, as LaoZhang's, count in quota; 500000 of it are 1 USD.
QUOTA_PER_USD = 500_000
MAX_BYTES = 200_000_000
_TIMEOUT_S = 30
_MAX_NUMBER = 10**12  # USD or quota; the ledger stores millionths of a USD in 64 bits
# For each field the names of columns that may hold it, the most specific first.
_COLUMN_NAMES = {
    "task": ("task", "task_id", "taskid", "video_id", "id"),
    "amount": ("amount", "amount_usd", "cost", "cost_usd", "usd", "price", "charge"),
    "quota": ("quota",),
    "at": ("at", "time", "timestamp", "charged_at", "created_at", "created", "date"),
    "model": ("model", "model_name"),
    "label": ("route", "provider", "endpoint", "channel"),
    "state": ("state", "status", "kind", "type"),
}
_REFUND_STATES = {"refunded", "refund", "returned", "reversed"}
_HOLD_STATES = {"held", "hold", "pending", "reserved"}
_LIST_KEYS = ("data", "items", "bills", "logs")


@dataclass(frozen=True, slots=True)
class ProviderCharge:
    """The charge for one task, less its refunds."""

    task: str  # the position in the list where the list names no task
    amount: int  # millionths of a USD; 0 after a full refund
    at: float | None = None  # Unix seconds
    model: str | None = None
    label: str | None = None  # what the list calls the provider's route
    has_task_id: bool = True


@dataclass(frozen=True, slots=True)
class ChargeList:
    source: str  # path or URL
    taken_at: float  # Unix seconds of the file's last change, or of the download
    charges: list[ProviderCharge]  # one for each task

    @property
    def starts_at(self) -> float | None:
        """The time of the first charge, Unix seconds; None if the list has no times."""
        return min((charge.at for charge in self.charges if charge.at is not None), default=None)

    def since(self, moment: float | None) -> ChargeList:
        """Return the list without the charges before a moment, Unix seconds."""
        if moment is None:
            return self
        charges = [each for each in self.charges if each.at is None or each.at >= moment]
        return replace(self, charges=charges)


def load_charges(source: str) -> ChargeList:
    """Read the list at a path or a URL; raise a UsageError if it is not a list of charges."""
    if re.match(r"https?://", source):
        text, taken_at = _download_text(source), time.time()
    else:
        text, taken_at = _read_text(Path(source))
    return ChargeList(source, taken_at, parse_charges(text, source))


def parse_charges(text: str, source: str) -> list[ProviderCharge]:
    """Parse a list of charges; charges and refunds of the same task are added up."""
    is_json = text.lstrip()[:1] in {"[", "{"}
    rows = _parse_json(text, source) if is_json else _parse_csv(text, source)
    return _merge_by_task(_parse_row(row, f"{source}, {line}", line) for line, row in rows)


def _download_text(url: str) -> str:
    import requests  # noqa: PLC0415 - takes 90 ms, which a file does not need

    from veo.http.environment import (  # noqa: PLC0415 - as above
        MissingCertificatesError,
        find_certificates,
    )

    try:
        response = requests.get(url, timeout=_TIMEOUT_S, verify=str(find_certificates()))
        response.raise_for_status()
    except (requests.RequestException, MissingCertificatesError) as error:
        raise UsageError(f"{url}: {error}") from None
    return decode_text(response.content)


def _read_text(path: Path) -> tuple[str, float]:
    try:
        return decode_text(read_limited(path, MAX_BYTES)), path.stat().st_mtime
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(
            f"{path} is not a text file: save the list as CSV or JSON, in UTF-8"
        ) from None


LocatedRow = tuple[str, dict[str, Any]]


def _parse_json(text: str, source: str) -> list[LocatedRow]:
    try:
        body = parse_json(text, parse_float=Decimal)
    except ValueError as error:
        raise UsageError(f"{source} is not valid JSON: {error}") from None
    # Some APIs wrap the list: {"data": {"items": [...]}}.
    while isinstance(body, dict):
        body = next((body[key] for key in _LIST_KEYS if key in body), None)
    if not isinstance(body, list):
        raise UsageError(f"{source}: the JSON is not a list of charges")
    if not all(isinstance(row, dict) for row in body):
        raise UsageError(f"{source}: the JSON is not a list of objects")
    rows = [(f"entry {index + 1}", _select_columns(row)) for index, row in enumerate(body)]
    fields = set().union(*(row for _, row in rows))
    _check_columns(fields, [key for row in body for key in row], source)
    return rows


def _parse_csv(text: str, source: str) -> list[LocatedRow]:
    try:
        head = text.split("\n", 1)[0]
        # Spreadsheets of some countries separate by semicolons, as the comma is decimal.
        delimiter = max(",;\t|", key=head.count)
        reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
        titles = [title for title in reader.fieldnames or () if title]
        _check_columns(set(_select_columns(dict.fromkeys(titles))), titles, source)
        rows = []
        for row in reader:
            values = row if delimiter == "," else {key: _fix_comma(row[key]) for key in row}
            rows.append((f"line {reader.line_num}", _select_columns(values)))
    except csv.Error as error:
        raise UsageError(f"{source} is not valid CSV: {error}") from None
    return rows


def _fix_comma(value: Any) -> Any:
    """Replace a decimal comma, as spreadsheets of some countries write it, by a point."""
    return value.replace(",", ".") if re.fullmatch(r"\s*\$?-?\d+,\d+\s*", value or "") else value


def _select_columns(row: Mapping[Any, Any]) -> dict[str, Any]:
    titles = {re.sub(r"[^a-z0-9]+", "_", str(key).lower()).strip("_"): key for key in row if key}
    selected = {}
    for field, names in _COLUMN_NAMES.items():
        name = next((name for name in names if name in titles), None)
        if name:
            selected[field] = row[titles[name]]
    return selected


def _check_columns(fields: set[str], titles: Sequence[str], source: str) -> None:
    if not titles:
        return  # an empty list is valid: nothing was charged
    missing = ["task"] if "task" not in fields else []
    missing += ["amount"] if not fields & {"amount", "quota"} else []
    if missing:
        known = "; ".join(f"{name}: {', '.join(_COLUMN_NAMES[name])}" for name in missing)
        present = ", ".join(dict.fromkeys(map(str, titles)))
        raise UsageError(
            f"{source}: cannot find a column for the {' and the '.join(missing)}; "
            f"the columns are: {present}",
            hint=f"Rename a column to one of these. {known}{' or quota' * ('amount' in missing)}.",
        )


def _parse_row(row: Mapping[str, Any], location: str, line: str) -> ProviderCharge | None:
    task = str(row.get("task") or "").strip()
    state = str(row.get("state") or "").strip().lower()
    if state in _HOLD_STATES:
        return None
    amount = _parse_amount(row, location)
    if state in _REFUND_STATES:
        amount = -abs(amount)
    return ProviderCharge(
        task=task or line,
        amount=amount,
        at=_parse_time(row.get("at"), location),
        model=str(row.get("model") or "").strip() or None,
        label=str(row.get("label") or "").strip() or None,
        has_task_id=bool(task),
    )


def _parse_amount(row: Mapping[str, Any], location: str) -> int:
    name = "amount" if row.get("amount") not in {None, ""} else "quota"
    value = row.get(name)
    text = re.sub(r"[\s$]|usd", "", str(value if value is not None else ""), flags=re.IGNORECASE)
    try:
        number = Decimal(_normalize_number(text))
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or abs(number) > _MAX_NUMBER:
        raise UsageError(f"{location}: {value!r} is not a valid amount")
    return to_micros(number / QUOTA_PER_USD if name == "quota" else number)


def _normalize_number(number: str) -> str:
    """Remove commas between thousands; replace a decimal comma by a point."""
    if re.fullmatch(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", number):
        return number.replace(",", "")
    return number.replace(",", ".") if re.fullmatch(r"-?\d+,\d+", number) else number


def _parse_time(value: Any, location: str) -> float | None:
    """Return Unix seconds of seconds, milliseconds, or ISO text; without a zone it is local."""
    text = str(value if value is not None else "").strip()
    if not text:
        return None
    seconds = parse_timestamp(text, zone=None)
    if seconds is None:
        raise UsageError(f"{location}: {text!r} is not a valid time")
    return seconds


def _merge_by_task(rows: Iterable[ProviderCharge | None]) -> list[ProviderCharge]:
    """Return one charge per task: the sum of its charges less its refunds, at least 0."""
    by_task: dict[str, list[ProviderCharge]] = defaultdict(list)
    for row in rows:
        if row:
            by_task[row.task].append(row)
    # A list may begin between a charge and its refund, hence at least 0.
    return [
        replace(charges[0], amount=max(0, sum(each.amount for each in charges)))
        for charges in by_task.values()
    ]
