"""Lists of models, which both APIs send in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from veo.errors import ProtocolError
from veo.wire.values import get_path, get_text, parse_json_or_none
from veo_gemini.error_table import google_error

if TYPE_CHECKING:
    from collections.abc import Collection

    from veo.http import ApiClient

PAGE_SIZE = 1000  # the most that the Developer API allows; others send fewer
MAX_PAGES = 50  # a server that repeats its page tokens must not hold the caller for ever


def list_models(http: ApiClient, path: str, key: str) -> list[str]:
    """Return the names of all models of a list, without the collection before each.

    Args:
        http: The client of the API.
        path: The path of the list.
        key: The key of the rows in the response.

    Raises:
        ProtocolError: A response is not a list of models.
    """
    names: list[str] = []
    token = ""
    for _ in range(MAX_PAGES):
        page = _get_page(http, f"{path}?pageSize={PAGE_SIZE}", token)
        rows = page.get(key, [] if names else None)  # an empty page may have no key
        if not isinstance(rows, list):
            raise ProtocolError("the response is not a list of models", hint="Check base_url.")
        names += [get_text(get_path(row, "name")).rpartition("/")[2] for row in rows]
        token = get_text(page.get("nextPageToken"))
        if not token:
            break
    return list(dict.fromkeys(filter(None, names)))


def describe_offer(listed: Collection[str], names: Collection[str]) -> str:
    """Return a line that says which of some models a list of models contains."""
    present = [name for name in names if name in listed]
    missing = [name for name in names if name not in listed]
    parts = (("offered: ", present), ("not offered: ", missing))
    return "the key is valid; " + "; ".join(text + ", ".join(each) for text, each in parts if each)


def _get_page(http: ApiClient, path: str, token: str) -> dict[str, Any]:
    response = http.get(f"{path}&pageToken={quote(token, safe='')}" if token else path)
    if not response.ok:
        raise google_error(response, "ping")
    page = parse_json_or_none(response.text)
    return page if isinstance(page, dict) else {}
