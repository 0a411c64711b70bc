"""Checks of generated HTML pages: nesting, ids, and no external resources."""

import re
from html.parser import HTMLParser

_VOID_TAGS = {"meta", "img", "br", "link", "input", "hr"}


class ParsedPage(HTMLParser):
    """A parsed page: checks the nesting of its tags, and collects what tests look for.

    Attributes:
        tags: All opened tags with their attributes.
        problems: Errors of the nesting.
        ids: All ids.
        text: All text outside of scripts and styles.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.problems: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.problems += [f"<{tag}> is not closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in _VOID_TAGS:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # SVG has tags that close themselves.
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"script", "style"}:
            self.text += data

    def count_tags(self, tag: str) -> int:
        """Return how often a tag was opened."""
        return sum(name == tag for name, _ in self.tags)

    @property
    def external_links(self) -> list[str]:
        """All links that would make a browser load something from elsewhere."""
        names = {"src", "href", "poster", "data", "srcset", "action", "xlink:href"}
        return [
            value
            for tag, attributes in self.tags
            for name, value in attributes.items()
            if name in names and value and not re.match(r"data:|#", value) and tag != "a"
        ]


def check_page(html: str) -> ParsedPage:
    """Parse a page, and check that it is well-formed and loads nothing from elsewhere."""
    page = ParsedPage(html)

    assert page.problems == []
    assert page.external_links == []
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html.replace("url(#", "")
    assert "default-src 'none'" in html
    assert len(page.ids) == len(set(page.ids))
    return page
