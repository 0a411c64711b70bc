"""What the text of a chat means: where the video is, how far it is, what went wrong.

The wire language is Chinese, in English pages translated; both are read. The prompt is echoed
first, so a URL or a percentage in it must never be taken for the answer.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ECHO = re.compile(r"```json[^\S\n]*\n.*?(?:\n```|\Z)", re.DOTALL)
_PROGRESS = re.compile(
    r"(?:进度|progress)\s*[\uff1a:]\s*(\d{1,4}(?:\.\d{1,6})?)\s*%", re.IGNORECASE
)
_SUCCESS = re.compile(r"✅|(?<![未不])成功|(?<!un)success", re.IGNORECASE)
_FAILURE = re.compile(r"❌|失败|\bfailed\b|\berror\b", re.IGNORECASE)

_LINK = re.compile(r"\[[^\[\]\n]*\]\(\s*<?(https?://[^)\s>]+)>?[^)\n]*\)")
_TAG = re.compile(
    r"<(?:video|source)\b[^<>]*?\bsrc\s*=\s*"
    r"(?:\"(https?:[^\"]*)\"|'(https?:[^']*)'|(https?:[^\s>]+))",
    re.IGNORECASE,
)
_BARE = re.compile(r"https?://[^\s<>\"'`()\[\]{}\uff08\uff09\uff0c。、\uff1b]+")
_VIDEO = re.compile(r"https?://[^?#]*\.(?:mp4|mov|m4v|webm|mkv)(?:[?#]|\Z)", re.IGNORECASE)
_PICTURE = re.compile(r"[^?#]*\.(?:png|jpe?g|webp|gif)(?:[?#]|\Z)", re.IGNORECASE)
# Where videos of this upstream and its look-alikes were seen to lie.
_STORAGE = re.compile(
    r"https?://(?:[^/]*\.)?(?:aliyuncs\.com|gptkey\.asia|storage\.googleapis\.com)/"
)
_ENDS = " \t\r\n<>\"')"
_TRAILING = ")]}>\"'`*_~.,;!。\uff0c\uff1b\uff01"


def strip_echo(text: str) -> str:
    """The text without the JSON block that repeats the prompt, also while that is still open."""
    return _ECHO.sub("", text, count=1)


def parse_progress(text: str) -> float | None:
    """The last progress told, 0..1; it never reaches 1, success comes at 31 to 46 %."""
    told = _PROGRESS.findall(strip_echo(text))
    return min(float(told[-1]) / 100, 1.0) if told else None


def find_last_line(text: str) -> str | None:
    """The last line that says something, for a person."""
    lines = (line.strip(" >\t\r") for line in strip_echo(text).splitlines())
    said = [line for line in lines if line and not line.startswith("```")]
    return said[-1][:200] if said else None


def find_video_url(text: str, *, finished: bool = True) -> str | None:
    """Where the video is, or None.

    In this order: a Markdown link in a line that tells success, the last Markdown link, a video
    tag, the last bare URL of a video file, of a line that tells success, or of a known storage
    host. Links in lines that tell a failure are no videos.

    Args:
        text: All that was said.
        finished: Whether it came to its end; else a URL at the very end may be half a URL.
    """
    text = strip_echo(text)
    if not finished:
        text = _strip_partial_url(text)
    lines = [line for line in text.splitlines() if not _reports_failure(line)]
    happy = [line for line in lines if _SUCCESS.search(line)]
    bare = _find_urls(_BARE, lines)
    ways = (
        _find_urls(_LINK, happy),
        _find_urls(_LINK, lines),
        _find_urls(_TAG, ["\n".join(lines)]),
        [url for url in bare if _VIDEO.match(url)],
        _find_urls(_BARE, happy),
        [url for url in bare if _STORAGE.match(url)],
    )
    return next((urls[-1] for urls in ways if urls), None)


def _strip_partial_url(text: str) -> str:
    """The text without a URL that nothing ends."""
    start = 1 + max(text.rfind(end) for end in _ENDS)
    half = text.find("http", start)
    return text if half < 0 else text[:half]


def _reports_failure(line: str) -> bool:
    """A success that mentions what to do if something failed is still a success."""
    return bool(_FAILURE.search(line)) and ("❌" in line or not _SUCCESS.search(line))


def _find_urls(pattern: re.Pattern[str], lines: Iterable[str]) -> list[str]:
    matches = (match for line in lines for match in pattern.finditer(line))
    urls = (next(filter(None, match.groups()), match[0]) for match in matches)
    cleaned = (html.unescape(url).rstrip(_TRAILING) for url in urls)
    return [url for url in cleaned if not _PICTURE.match(url)]
