"""A page as a strict reader of HTML sees it."""

import re
from html.parser import HTMLParser

_VOID = {"meta", "img", "br", "link", "input", "hr"}


class ParsedPage(HTMLParser):
    """Checks that tags are closed in order, and keeps what a test looks for.

    Attributes:
        tags: Every tag that was opened, with its attributes.
        problems: What is wrong with the nesting.
        ids: Every id.
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
        """Remember a tag, and that it has to be closed."""
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that closes itself, as SVG has them."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the last tag, which must be this one."""
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        """Text."""
        if self._open and self._open[-1] not in {"script", "style"}:
            self.text += data

    def count_tags(self, tag: str) -> int:
        """How often a tag was opened."""
        return sum(name == tag for name, _ in self.tags)

    @property
    def external_links(self) -> list[str]:
        """Whatever would make a browser ask somebody else for something."""
        names = {"src", "href", "poster", "data", "srcset", "action", "xlink:href"}
        return [
            value
            for tag, attributes in self.tags
            for name, value in attributes.items()
            if name in names and value and not re.match(r"data:|#", value) and tag != "a"
        ]


def check_page(html: str) -> ParsedPage:
    """The page, after what must hold for every one: whole, and nothing is asked of anybody."""
    page = ParsedPage(html)

    assert page.problems == []
    assert page.external_links == []
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html.replace("url(#", "")
    assert "default-src 'none'" in html
    assert len(page.ids) == len(set(page.ids))
    return page
