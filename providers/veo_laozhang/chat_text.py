"""Find the progress and the video's URL in the text of a chat.

The service writes Chinese; the vendor's English pages show it translated, and both are understood.
The text begins with an echo of the prompt, in which URLs and percentages must be ignored.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# The echo of the prompt, also while its closing fence has not arrived.
_ECHO = re.compile(r"```json[^\S\n]*\n.*?(?:\n```|\Z)", re.DOTALL)
_PROGRESS = re.compile(
    r"(?:进度|progress)\s*[\uff1a:]\s*(\d{1,4}(?:\.\d{1,6})?)\s*%", re.IGNORECASE
)
_SUCCESS = re.compile(r"✅|(?<![未不])成功|(?<!un)success", re.IGNORECASE)
_FAILURE = re.compile(r"❌|失败|\bfailed\b|\berror\b", re.IGNORECASE)

_MARKDOWN_LINK = re.compile(r"\[[^\[\]\n]*\]\(\s*<?(https?://[^)\s>]+)>?[^)\n]*\)")
_VIDEO_TAG = re.compile(
    r"<(?:video|source)\b[^<>]*?\bsrc\s*=\s*"
    r"(?:\"(https?:[^\"]*)\"|'(https?:[^']*)'|(https?:[^\s>]+))",
    re.IGNORECASE,
)
_BARE_URL = re.compile(r"https?://[^\s<>\"'`()\[\]{}\uff08\uff09\uff0c。、\uff1b]+")
_VIDEO_URL = re.compile(r"https?://[^?#]*\.(?:mp4|mov|m4v|webm|mkv)(?:[?#]|\Z)", re.IGNORECASE)
_IMAGE_URL = re.compile(r"[^?#]*\.(?:png|jpe?g|webp|gif)(?:[?#]|\Z)", re.IGNORECASE)
# Hosts on which videos of this upstream and of its resellers were seen.
_STORAGE_URL = re.compile(
    r"https?://(?:[^/]*\.)?(?:aliyuncs\.com|gptkey\.asia|storage\.googleapis\.com)/"
)
# A URL that one of these follows is complete.
_URL_ENDS = " \t\r\n<>\"')"
# Punctuation and Markdown that belong to the sentence, not to the URL.
_TRAILING = ")]}>\"'`*_~.,;!。\uff0c\uff1b\uff01"


def strip_echo(text: str) -> str:
    """Return the text without the JSON block that echoes the prompt."""
    return _ECHO.sub("", text, count=1)


def parse_progress(text: str) -> float | None:
    """Return the last progress, 0..1.

    It ends far below 1: in the published logs the video follows at 31 to 46 %.
    """
    percents = _PROGRESS.findall(strip_echo(text))
    return min(float(percents[-1]) / 100, 1.0) if percents else None


def find_last_line(text: str) -> str | None:
    """Return the last line that has text, as a message for a person."""
    lines = (line.strip(" >\t\r") for line in strip_echo(text).splitlines())
    messages = [line for line in lines if line and not line.startswith("```")]
    return messages[-1][:200] if messages else None


def find_video_url(text: str, *, finished: bool = True) -> str | None:
    """Return the URL of the video, or None.

    It is the first of these that the text contains: a Markdown link in a line that reports success;
    another Markdown link; a video tag; a bare URL of a video file; a bare URL in a line that
    reports success; a bare URL on a known storage host. Of several of one sort, the last counts.
    Lines that report a failure are ignored.

    Args:
        text: The transcript.
        finished: Whether it is complete; otherwise a URL at its end may be cut off.
    """
    text = strip_echo(text)
    if not finished:
        text = _strip_partial_url(text)
    lines = [line for line in text.splitlines() if not _reports_failure(line)]
    success = [line for line in lines if _SUCCESS.search(line)]
    bare = _find_urls(_BARE_URL, lines)
    candidates = (
        _find_urls(_MARKDOWN_LINK, success),
        _find_urls(_MARKDOWN_LINK, lines),
        _find_urls(_VIDEO_TAG, ["\n".join(lines)]),
        [url for url in bare if _VIDEO_URL.match(url)],
        _find_urls(_BARE_URL, success),
        [url for url in bare if _STORAGE_URL.match(url)],
    )
    return next((urls[-1] for urls in candidates if urls), None)


def _strip_partial_url(text: str) -> str:
    start = 1 + max(text.rfind(end) for end in _URL_ENDS)
    url = text.find("http", start)
    return text if url < 0 else text[:url]


def _reports_failure(line: str) -> bool:
    # A success may mention what to do in case of a failure.
    return bool(_FAILURE.search(line)) and ("❌" in line or not _SUCCESS.search(line))


def _find_urls(pattern: re.Pattern[str], lines: Iterable[str]) -> list[str]:
    matches = (match for line in lines for match in pattern.finditer(line))
    urls = (next(filter(None, match.groups()), match[0]) for match in matches)
    cleaned = (html.unescape(url).rstrip(_TRAILING) for url in urls)
    return [url for url in cleaned if not _IMAGE_URL.match(url)]
