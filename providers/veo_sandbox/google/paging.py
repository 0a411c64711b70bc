"""Lists in pages: `pageSize` and `pageToken`, as all of Google's lists take them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from veo_sandbox.google.errors import google_error

Item = TypeVar("Item")


def cut_page(
    query: Mapping[str, str], items: Sequence[Item], *, default_size: int, max_size: int
) -> tuple[Sequence[Item], dict[str, Any]]:
    """Return the requested page, and the token of the next one if there is more."""
    size, token = query.get("pageSize", "0"), query.get("pageToken", "0") or "0"
    if not size.isdecimal() or not token.isdecimal():
        raise google_error("bad_page")
    start = int(token)
    # A page may be smaller than asked for; 0 stands for the default.
    end = start + min(int(size) or default_size, max_size)
    return items[start:end], {"nextPageToken": str(end)} if end < len(items) else {}
