"""Parses batch files that are no JSON: CSV, YAML, and a prompt a line. No I/O."""

from __future__ import annotations

import csv
import io
from importlib import import_module
from typing import TYPE_CHECKING, Any

from veo.batch.columns import convert_cell, find_meant_key
from veo.batch.input import WHOLE_FILE, Parsed, RawItem, parse_text, to_field_name
from veo.batch.item import KNOWN_KEYS
from veo.problems import ItemLocation, ItemProblem
from veo.text.parsing import find_separator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


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
        values = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
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


def _parse_lines(text: str) -> Parsed:
    # Not `splitlines`: it would make two prompts of one with a U+2028, which web pages contain.
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    prompts = [(number, line) for number, line in lines if line and not line.startswith("#")]
    return [
        RawItem(ItemLocation(index, number), {"prompt": prompt})
        for index, (number, prompt) in enumerate(prompts)
    ], []


def _parse_table(text: str) -> Parsed:
    table = csv.reader(io.StringIO(text, newline=""), delimiter=find_separator(text))
    try:
        titles = [to_field_name(title.strip()) for title in next(table, [])]
        rows = [(table.line_num, row) for row in table if any(cell.strip() for cell in row)]
    except csv.Error as error:
        return [], [ItemProblem(ItemLocation(None, table.line_num), f"is not CSV: {error}")]
    if problems := list(_check_titles(titles)):
        return [], problems
    items: list[RawItem] = []
    for index, (line, row) in enumerate(rows):
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
