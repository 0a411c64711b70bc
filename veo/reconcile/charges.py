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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from veo.errors import UsageError, os_errors
from veo.reconcile.charge_rows import LocatedRow, ProviderCharge, read_rows
from veo.text.parsing import decode_text, find_separator, parse_json, read_limited

MAX_BYTES = 200_000_000
# For each field the names of columns that may hold it, the most specific first. The Chinese names
# are those of the gateway's console.
_COLUMN_NAMES = {
    "task": ("task", "task_id", "taskid", "video_id", "id"),
    "amount": ("amount", "amount_usd", "cost", "cost_usd", "usd", "price", "charge", "花费"),
    "currency": ("currency", "currency_code", "货币"),
    "quota": ("quota",),
    "at": ("at", "time", "timestamp", "charged_at", "created_at", "created", "date", "时间"),
    "model": ("model", "model_name", "模型"),
    "label": ("route", "provider", "endpoint", "channel", "渠道"),
}
_DETAIL_NAMES = ("other", "details", "content", "详情")  # any of these may name the task
_KIND_NAMES = ("state", "status", "kind", "type", "类型")  # any of these may say what a row is
_PAGE_KEYS = {"page", "page_size", "limit", "offset"}  # beside the number of all rows
_LIST_KEYS = ("data", "items", "bills", "logs")


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
        from veo.http import download_bytes  # noqa: PLC0415 - 90 ms, spared for a file

        text, taken_at = _decode(download_bytes(source, MAX_BYTES, UsageError), source), time.time()
    else:
        text, taken_at = _read_text(Path(source))
    return ChargeList(source, taken_at, parse_charges(text, source))


def parse_charges(text: str, source: str) -> list[ProviderCharge]:
    """Parse a list of charges; charges and refunds of the same task are added up."""
    is_json = text.lstrip()[:1] in {"[", "{"}
    rows = _parse_json(text, source) if is_json else _parse_csv(text, source)
    return read_rows(rows, source)


def _read_text(path: Path) -> tuple[str, float]:
    with os_errors(UsageError, path):
        return _decode(read_limited(path, MAX_BYTES), str(path)), path.stat().st_mtime


def _decode(data: bytes, source: str) -> str:
    try:
        return decode_text(data)
    except UnicodeDecodeError:
        text = f"{source} is not a text file: save the list as CSV or JSON, in UTF-8"
        raise UsageError(text) from None


def _parse_json(text: str, source: str) -> list[LocatedRow]:
    try:
        body = parse_json(text, parse_float=_parse_decimal)
    except ValueError as error:
        raise UsageError(f"{source} is not valid JSON: {error}") from None
    total: Any = None
    # Some APIs wrap the list: {"data": {"items": [...], "total": 120}}.
    while isinstance(body, dict):
        if _PAGE_KEYS & body.keys():
            total = body.get("total")
        body = next((body[key] for key in _LIST_KEYS if key in body), None)
    if not isinstance(body, list):
        raise UsageError(f"{source}: the JSON is not a list of charges")
    if isinstance(total, int) and total > len(body):
        raise UsageError(
            f"{source} holds {len(body)} of {total} rows: nothing can be concluded from a part",
            hint="Export all rows, for example with a larger page size.",
        )
    if not all(isinstance(row, dict) for row in body):
        raise UsageError(f"{source}: the JSON is not a list of objects")
    rows = [(f"entry {index + 1}", _select_columns(row)) for index, row in enumerate(body)]
    fields = set().union(*(row for _, row in rows))
    _check_columns(fields, [key for row in body for key in row], source)
    return rows


def _parse_decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # its exponent is longer than any number needs
        return Decimal("nan")


def _parse_csv(text: str, source: str) -> list[LocatedRow]:
    try:
        delimiter = find_separator(text)
        lines = io.StringIO(text, newline="")
        # Strict: else a quotation mark that is not closed hides the charges behind it.
        reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
        titles = [title for title in reader.fieldnames or () if title]
        _check_columns(set(_select_columns(dict.fromkeys(titles))), titles, source)
        rows = []
        for row in reader:
            beyond: Any = row.get(None)  # the reader's key for cells beyond the titles
            if any(beyond or ()):
                raise UsageError(
                    f"{source}, line {reader.line_num} has more cells than there are titles",
                    hint="A comma within a cell needs quotation marks around the cell.",
                )
            values = {title: row[title] for title in titles}
            if not any((value or "").strip() for value in values.values()):
                continue  # spreadsheets write rows of empty cells
            if delimiter != ",":
                values = {title: _fix_comma(value) for title, value in values.items()}
            rows.append((f"line {reader.line_num}", _select_columns(values)))
    except csv.Error as error:
        raise UsageError(f"{source} is not valid CSV: {error}") from None
    return rows


def _fix_comma(value: Any) -> Any:
    """Replace a decimal comma, as spreadsheets of some countries write it, by a point."""
    return value.replace(",", ".") if re.fullmatch(r"\s*\$?-?\d+,\d+\s*", value or "") else value


def _select_columns(row: Mapping[Any, Any]) -> dict[str, Any]:
    titles = {re.sub(r"\W+", "_", str(key).lower()).strip("_"): key for key in row if key}
    kinds = [row[titles[name]] for name in _KIND_NAMES if name in titles]
    details = [row[titles[name]] for name in _DETAIL_NAMES if name in titles]
    number = row[titles["id"]] if "id" in titles else None
    selected: dict[str, Any] = {"kinds": kinds, "number": number}
    selected |= {"details": details} if details else {}
    for field, names in _COLUMN_NAMES.items():
        name = next((name for name in names if name in titles), None)
        if name:
            selected[field] = row[titles[name]]
    return selected


def _check_columns(fields: set[str], titles: Sequence[str], source: str) -> None:
    if not titles:
        return  # an empty list is valid: nothing was charged
    missing = ["task"] if not fields & {"task", "details"} else []
    missing += ["amount"] if not fields & {"amount", "quota"} else []
    if missing:
        known = "; ".join(f"{name}: {', '.join(_COLUMN_NAMES[name])}" for name in missing)
        present = ", ".join(dict.fromkeys(map(str, titles)))
        raise UsageError(
            f"{source}: cannot find a column for the {' and the '.join(missing)}; "
            f"the columns are: {present}",
            hint=f"Rename a column to one of these. {known}{' or quota' * ('amount' in missing)}.",
        )
