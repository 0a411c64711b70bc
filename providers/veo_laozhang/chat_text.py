"""Find the progress and the video's URL in the text of a chat.

The service writes Chinese; the vendor's English pages show it translated, and both are understood.
The text begins with an echo of the prompt, in which URLs and percentages must be ignored.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

# The echo of the prompt, also while its closing fence has not arrived.
_ECHO = re.compile(r"```json[^\S\n]*\n.*?(?:\n```|\Z)", re.DOTALL)
_PROGRESS = re.compile(
    r"(?:进度|progress)\s*[\uff1a:]\s*(\d{1,4}(?:\.\d{1,6})?)\s*%", re.IGNORECASE
)
_SUCCESS = re.compile(r"✅|(?<![未不])成功|(?<!un)success", re.IGNORECASE)
_FAILURE = re.compile(r"❌|失败|\bfailed\b|\berror\b", re.IGNORECASE)

# Every quantifier is possessive, or ends at a character that it cannot match: a text of many
# openings without an end takes time in proportion to its length, not to the cube of it.
_MARKDOWN_LINK = re.compile(
    r"\]\(\s{0,9}(?:<(https?://[^<>\n]++)>|(https?://(?:[^()\n]++|\([^()\n]*+\))*+)\))",
    re.IGNORECASE,
)
_ANGLE_LINK = re.compile(r"<(https?://[^<>\n]++)>", re.IGNORECASE)
_VIDEO_TAG = re.compile(
    r"<(?:video|source)\b[^<>]*?\bsrc\s*=\s*"
    r"(?:\"(https?:[^\"]*)\"|'(https?:[^']*)'|(https?:[^\s>]+))",
    re.IGNORECASE,
)
_BARE_URL = re.compile(
    r"https?://(?:[^\s<>\"'`()\[\]{}\uff08\uff09\uff0c。、\uff1b]++"
    r"|\([^\s()<>]*+\)|\[[^\s\[\]<>]*+\])++",
    re.IGNORECASE,
)
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
    if "%" not in text:  # a search at every letter takes fifty times as long
        return None
    percents = _PROGRESS.findall(strip_echo(text))
    return min(float(percents[-1]) / 100, 1.0) if percents else None


def find_last_line(text: str) -> str | None:
    """Return the last line that has text, as a message for a person."""
    lines = (line.strip(" >\t\r") for line in reversed(strip_echo(text).splitlines()))
    return next((line[:200] for line in lines if line and not line.startswith("```")), None)


def find_video_url(text: str, *, finished: bool = True) -> str | None:
    """Return the URL of the video, or None.

    It is the first of these that the text contains: a Markdown link in a line that reports success;
    another Markdown link; a video tag; a bare URL of a video file; a bare URL in a line that
    reports success; a bare URL on a known storage host. Of several of one sort, the last counts.
    In a line that reports a failure only the URL of a video file counts, and only if there is
    nothing else: "if the download failed, use this link".

    Args:
        text: The transcript.
        finished: Whether it is complete; otherwise a URL at its end may be cut off.
    """
    text = strip_echo(text)
    if not finished:
        text = _strip_partial_url(text)
    failed: list[str] = []
    lines: list[str] = []
    for line in text.splitlines():
        (failed if _reports_failure(line) else lines).append(line)
    success = [line for line in lines if _SUCCESS.search(line)]
    bare = _find_bare_urls(lines)
    candidates = (
        _find_links(success),
        _find_links(lines),
        _find_tags(lines),
        _select_videos(bare),
        _find_bare_urls(success),
        [url for url in bare if _STORAGE_URL.match(url)],
        _select_videos(_find_links(failed) + _find_tags(failed) + _find_bare_urls(failed)),
    )
    return next((urls[-1] for urls in candidates if urls), None)


def find_all_urls(text: str) -> list[str]:
    """Return every address in a text, each once, for a person to choose from."""
    text = text.replace("\\/", "/").replace("\\u0026", "&")  # the escapes of JSON in a raw body
    lines = text.splitlines()
    found = _find_links(lines) + _find_tags(lines) + _find_bare_urls(lines)
    return list(dict.fromkeys(found))


def _strip_partial_url(text: str) -> str:
    start = 1 + max(text.rfind(end) for end in _URL_ENDS)
    url = text.find("http", start)
    return text if url < 0 else text[:url]


def _reports_failure(line: str) -> bool:
    # A success may mention what to do in case of a failure.
    return bool(_FAILURE.search(line)) and ("❌" in line or not _SUCCESS.search(line))


def _find_links(lines: Iterable[str]) -> list[str]:
    """Return the URLs of Markdown links and of URLs between angle brackets."""
    found = [
        _strip_title(match[1] or match[2])
        for line in lines
        for match in (*_MARKDOWN_LINK.finditer(line), *_ANGLE_LINK.finditer(line))
    ]
    return _clean_urls(found)


def _find_tags(lines: Iterable[str]) -> list[str]:
    tags = _VIDEO_TAG.finditer("\n".join(lines))
    return _clean_urls(next(filter(None, tag.groups())) for tag in tags)


def _find_bare_urls(lines: Iterable[str]) -> list[str]:
    return _clean_urls(
        _strip_punctuation(match[0]) for line in lines for match in _BARE_URL.finditer(line)
    )


def _select_videos(urls: Iterable[str]) -> list[str]:
    return [url for url in urls if _VIDEO_URL.match(url)]


def _strip_title(url: str) -> str:
    """Return a link without its title, or without the words that follow it."""
    url = url.strip()
    for quote in "\"'":
        if url.endswith(quote):
            url = url[:-1].rpartition(f" {quote}")[0].rstrip() or url
    first = url.split(maxsplit=1)[0]
    # Some file names contain blanks.
    return url if _VIDEO_URL.match(url) and not _VIDEO_URL.match(first) else first


def _strip_punctuation(url: str) -> str:
    """Return a URL without the punctuation of its sentence; its own brackets stay."""
    stripped = url.rstrip(_TRAILING)
    closing = {"(": ")", "[": "]"}
    is_open = any(stripped.count(each) > stripped.count(end) for each, end in closing.items())
    return url[: len(stripped) + 1] if is_open else stripped


def _clean_urls(urls: Iterable[str]) -> list[str]:
    cleaned = [_unescape(url) for url in urls]
    return [url for url in cleaned if not _IMAGE_URL.match(url)]


def _unescape(url: str) -> str:
    try:
        return html.unescape(url)
    except ValueError:  # a character reference of thousands of digits
        return url
