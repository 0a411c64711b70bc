"""Parses batch files that are no JSON: CSV, YAML, and a prompt a line. No I/O."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from veo.batch.columns import convert_cell, find_meant_key
from veo.batch.input import WHOLE_FILE, Parsed, RawItem, parse_text, shorten_key, to_field_name
from veo.batch.item import KNOWN_KEYS
from veo.problems import ItemLocation, ItemProblem
from veo.text.parsing import find_separator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Those of YAML 1.2. PyYAML reads 1.1, where 16:9 is 969, 012 is 10, and no is false.
_YAML_SCALARS = {
    "null": r"|~|null|Null|NULL",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(0|[1-9][0-9]*)",
    "float": r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
    "merge": r"<<",
}


def parse_prompts(data: bytes) -> Parsed:
    """Parse a text file: each line that is not empty is a prompt; ``#`` begins a comment."""
    return parse_text(data, _parse_lines)


def parse_csv(data: bytes) -> Parsed:
    """Parse a table whose first row names the keys of its items, free ones included.

    Empty cells are not set, and ``;`` separates several references.
    """
    return parse_text(data, _parse_table)


def parse_yaml(data: bytes) -> Parsed:
    """Parse a YAML list of items; needs PyYAML."""
    try:
        yaml: Any = import_module("yaml")  # an optional dependency, without types
    except ImportError:
        return [], [ItemProblem(WHOLE_FILE, "needs PyYAML: pip install 'veo-video[yaml]'")]
    try:
        values = yaml.load(data, _make_yaml_loader(yaml))  # a kind of SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        nested = isinstance(error, RecursionError)
        text = "it is nested too deeply" if nested else " ".join(str(error).split())
        return [], [ItemProblem(WHOLE_FILE, f"is not valid YAML: {text}")]
    if not isinstance(values, list) or not values:
        return [], [ItemProblem(WHOLE_FILE, "must be a list of items, each with a prompt")]
    items, problems = [], []
    for index, value in enumerate(values):
        location = ItemLocation(index)
        if isinstance(value, str):
            items.append(RawItem(location, {"prompt": value}))
        elif isinstance(value, dict):
            items.append(RawItem(location, {to_field_name(str(k)): v for k, v in value.items()}))
        else:
            problems.append(ItemProblem(location, "must be a prompt, or keys with their values"))
    return items, problems


PARSERS: Mapping[str, Callable[[bytes], Parsed]] = {
    ".csv": parse_csv,
    ".tsv": parse_csv,
    ".txt": parse_prompts,
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
}


def _make_yaml_loader(yaml: Any) -> Any:
    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            keys = (key.value for key, _ in node.value if key.id == "scalar")
            for name, count in Counter(map(to_field_name, keys)).items():
                if count > 1:
                    text = f"{shorten_key(name)}: is set twice"
                    raise yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)
            return node

    for kind, pattern in _YAML_SCALARS.items():
        tag = f"tag:yaml.org,2002:{kind}"
        Loader.add_implicit_resolver(tag, re.compile(f"({pattern})$"), None)
    return Loader


def _parse_lines(text: str) -> Parsed:
    # Not `splitlines`: it would make two prompts of one with a U+2028, which web pages contain.
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    prompts = [(number, line) for number, line in lines if line and not line.startswith("#")]
    return [
        RawItem(ItemLocation(index, number), {"prompt": prompt})
        for index, (number, prompt) in enumerate(prompts)
    ], []


def _parse_table(text: str) -> Parsed:
    # Strict: else a quotation mark that is not closed makes one cell of the rest of the file.
    lines = io.StringIO(text, newline="")
    table = csv.reader(lines, delimiter=find_separator(text), strict=True)
    line, rows = 1, []
    try:
        for row in table:
            rows.append((table.line_num, row))
            line = table.line_num + 1
    except csv.Error as error:
        return [], [ItemProblem(ItemLocation(None, line), f"is not CSV: {error}")]
    titles = [to_field_name(title.strip()) for title in rows.pop(0)[1]] if rows else []
    if problems := list(_check_titles(titles)):
        return [], problems
    items: list[RawItem] = []
    filled = (each for each in rows if any(cell.strip() for cell in each[1]))
    for index, (line, row) in enumerate(filled):
        location = ItemLocation(index, line)
        if len(row) > len(titles):
            text = f"has {len(row)} cells for {len(titles)} columns"
            problems.append(ItemProblem(location, text))
            continue
        cells = zip(titles, map(str.strip, row), strict=False)
        body = {name: convert_cell(name, cell) if cell else None for name, cell in cells}
        items.append(RawItem(location, body))
    return items, problems


def _check_titles(titles: list[str]) -> list[ItemProblem]:
    problems = []
    if "prompt" not in titles:
        problems.append("the first row must name the columns, one of them prompt")
    for title in titles:
        similar = None if title in KNOWN_KEYS else find_meant_key(title, KNOWN_KEYS)
        if similar:
            problems.append(f"column {title}: did you mean {similar}?")
    problems += [f"column {title}: is there twice" for title in titles if titles.count(title) > 1]
    return [ItemProblem(WHOLE_FILE, text) for text in dict.fromkeys(problems)]
