"""What the rows of a list of charges say: a charge, a refund, or something else.

Only a row that can be understood counts. A row number is not a task, a top-up is not a charge, and
a negative amount is a refund only where something says so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from veo.errors import UsageError
from veo.money import to_micros
from veo.text.parsing import parse_json
from veo.wire.values import parse_timestamp

# Where a row is in the list, and its fields.
LocatedRow = tuple[str, dict[str, Any]]

# Gateways of the new-api family, as LaoZhang's, count in quota; 500000 of it are 1 USD.
QUOTA_PER_USD = 500_000
_MAX_NUMBER = 10**12  # USD or quota; the ledger stores millionths of a USD in 64 bits
_CHARGE = "charge billed charged consumption consume usage debit paid payment captured settled done"
_OTHER = "top_up topup recharge deposit credit_purchase manage system error login"
_KINDS = {
    **dict.fromkeys(_CHARGE.split(), "charge"),
    **dict.fromkeys(["complete", "completed", "success", "succeeded", "finished"], "charge"),
    **dict.fromkeys(["refund", "refunded", "returned", "reversed", "reversal"], "refund"),
    **dict.fromkeys(["held", "hold", "pending", "reserved"], "hold"),
    **dict.fromkeys(_OTHER.split(), "other"),
    "消费": "charge",
    "退款": "refund",
    "充值": "other",
    "管理": "other",
    "系统": "other",
    # The log of new-api (model/log.go): top-up, consumption, management, system, error, refund.
    "1": "other",
    "2": "charge",
    "3": "other",
    "4": "other",
    "5": "other",
    "6": "refund",
}
_TASK_IN_DETAILS = re.compile(r"\b(?:task_[0-9A-Za-z]{8,64}|video_[0-9A-Za-z-]{8,64})\b")


@dataclass(frozen=True, slots=True)
class ProviderCharge:
    """The charge for one task, less its refunds."""

    task: str  # the position in the list where the list names no task
    amount: int  # millionths of a USD; 0 after a full refund
    at: float | None = None  # Unix seconds
    model: str | None = None
    label: str | None = None  # what the list calls the provider's route
    has_task_id: bool = True


def read_rows(rows: Iterable[LocatedRow], source: str) -> list[ProviderCharge]:
    """Return one charge per task: the sum of its charges less its refunds, at least 0.

    Raises:
        UsageError: A row cannot be understood.
    """
    by_task: dict[str, list[ProviderCharge]] = defaultdict(list)
    unexplained: dict[str, str] = {}
    for line, row in _drop_repeated(rows):
        location = f"{source}, {line}"
        kind = _read_kind(row, location)
        if kind not in {"charge", "refund"}:
            continue
        charge = _parse_row(row, kind, location, line)
        by_task[charge.task].append(charge)
        if charge.amount < 0 and kind == "charge":
            unexplained[charge.task] = location
    for task, location in unexplained.items():
        # Beside the charge of the same task it is a refund; alone it may be any convention.
        if not any(charge.amount > 0 for charge in by_task[task]):
            raise UsageError(
                f"{location}: the amount is negative, and nothing says that it is a refund",
                hint="Add a column `state` with charged or refunded, or write charges as positive.",
            )
    # A list may begin between a charge and its refund, hence at least 0.
    return [
        replace(charges[0], amount=max(0, sum(each.amount for each in charges)))
        for charges in by_task.values()
    ]


def _drop_repeated(rows: Iterable[LocatedRow]) -> Iterator[LocatedRow]:
    """Leave out rows of a gateway's log that a list has twice, because pages overlap."""
    seen: set[str] = set()
    for line, row in rows:
        number = str(row["number"] or "").strip()
        if not number.isdecimal() or "quota" not in row:
            yield line, row
        elif number not in seen:
            seen.add(number)
            yield line, row


def _parse_row(row: Mapping[str, Any], kind: str, location: str, line: str) -> ProviderCharge:
    amount, task = _parse_amount(row, location), _read_task(row, location)
    return ProviderCharge(
        task=task or line,
        amount=-abs(amount) if kind == "refund" else amount,
        at=_parse_time(row.get("at"), location),
        model=_to_text(row.get("model")) or None,
        label=_to_text(row.get("label")) or None,
        has_task_id=bool(task),
    )


def _read_kind(row: Mapping[str, Any], location: str) -> str:
    """Return what a row is; without a word about it, it is a charge."""
    words = [re.sub(r"[\s-]+", "_", text.lower()) for text in map(_to_text, row["kinds"]) if text]
    kinds = {_KINDS[word] for word in words if word in _KINDS}
    # The same row can be a completed top-up: the word that says more decides.
    found = next((kind for kind in ("other", "refund", "hold", "charge") if kind in kinds), None)
    if found or not words:
        return found or "charge"
    known = ", ".join(name for name in _KINDS if name.isascii() and not name.isdecimal())
    raise UsageError(
        f"{location}: {words[0]!r} does not say whether it is a charge",
        hint=f"Known words: {known}. Or remove that column.",
    )


def _read_task(row: Mapping[str, Any], location: str) -> str:
    """Return the task of a row; empty if it names none."""
    task = str(row.get("task") or "").strip()
    if task and not task.isdecimal():
        return task
    texts = [str(value) for value in row.get("details", ()) if value is not None]
    if found := next(filter(None, map(_find_task, texts)), ""):
        return found
    # The log of a gateway also has rows that are not about tasks.
    if not task or texts:
        return ""
    raise UsageError(
        f"{location}: {task!r} is the number of a row, not a task",
        hint="Export the column with the task ids, or rename the right column to task_id.",
    )


def _find_task(details: str) -> str:
    """Return the task in the details of a gateway's log, which are JSON or a sentence."""
    with suppress(ValueError):
        body = parse_json(details)
        if isinstance(body, dict) and isinstance(body.get("task_id"), str):
            return str(body["task_id"]).strip()
    found = set(_TASK_IN_DETAILS.findall(details))
    return found.pop() if len(found) == 1 else ""


def _parse_amount(row: Mapping[str, Any], location: str) -> int:
    name = "quota" if row.get("amount") in (None, "") else "amount"
    value = row.get(name)
    currency = _to_text(row.get("currency")).upper()
    if currency not in {"", "$", "USD", "US$", "美元"} and name == "amount":
        raise UsageError(
            f"{location}: the amount is in {currency}, not in USD",
            hint="Convert the amounts to USD, and write USD into the column of the currency.",
        )
    text = re.sub(r"[\s$\uff04]|usd", "", _to_text(value), flags=re.IGNORECASE)
    try:
        number = Decimal(_normalize_number(text))
    except InvalidOperation:
        number = Decimal("nan")
    # Not ``abs``, which rounds, and overflows with an exponent of a million.
    if not number.is_finite() or number.copy_abs() > _MAX_NUMBER:
        found = f"{value!r} is not a valid amount" if text else "the amount is missing"
        raise UsageError(f"{location}: {found}")
    return to_micros(number / QUOTA_PER_USD if name == "quota" else number)


def _normalize_number(number: str) -> str:
    """Remove commas between thousands; replace a decimal comma by a point."""
    if re.fullmatch(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", number):
        return number.replace(",", "")
    return number.replace(",", ".") if re.fullmatch(r"-?\d+,\d+", number) else number


def _to_text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _parse_time(value: Any, location: str) -> float | None:
    """Return Unix seconds of seconds, milliseconds, or ISO text; without a zone it is local."""
    text = _to_text(value)
    if not text:
        return None
    seconds = parse_timestamp(text, zone=None)
    if seconds is None:
        raise UsageError(f"{location}: {text!r} is not a valid time")
    return seconds
