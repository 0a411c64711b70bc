"""Batch files read: what an item may be, and that every problem of every item is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.batch.input import parse_items
from veo.batch.item import Item, ItemSchema, read_items

if TYPE_CHECKING:
    from veo.problems import ItemProblem

FULL = {
    "prompt": "a lion",
    "provider": "gemini",
    "model": "veo-3.1",
    "output": "lion.mp4",
    "start_frame": "a.png",
    "end_frame": "https://example.com/b.png",
    "reference": ["c.png", "d.png"],
    "negative_prompt": "rain",
    "aspect_ratio": "16:9",
    "resolution": "720p",
    "duration": 8,
    "seed": 7,
    "person_generation": "allow_adult",
}


def read_all(data: bytes, **defaults: Any) -> tuple[list[Item], list[str]]:
    """The items of a file, and its problems as they are printed."""
    raws, unread = parse_items(data)
    items, wrong = read_items(raws, defaults)
    return items, [str(problem) for problem in unread + wrong]


def json_list(*values: Any) -> bytes:
    """A JSON list."""
    return json.dumps(values).encode()


def test_every_option_of_a_request_is_a_key() -> None:
    """An item says all that a request can say, and where its video goes."""
    (item,), problems = read_all(json_list(FULL))

    said = item.request.to_json()
    pictures = {key: said.pop(key) for key in ("start_frame", "end_frame", "reference")}
    assert problems == []
    assert (item.provider, item.output) == ("gemini", "lion.mp4")
    assert said == {key: FULL[key] for key in said}
    assert set(said) == set(ItemSchema.model_fields) - {*pictures, "provider", "output"}
    assert pictures["start_frame"]["source"] == "a.png"
    assert [picture["source"] for picture in pictures["reference"]] == ["c.png", "d.png"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("negative-prompt", "rain"), ("reference", "c.png"), ("seed", None)],
    ids=["as the option is spelt", "one picture without a list", "null"],
)
def test_what_is_as_good(key: str, value: Any) -> None:
    """Spellings that can only mean one thing are taken."""
    (item,), problems = read_all(json_list({"prompt": "a lion", key: value}))

    assert problems == []
    if value:
        assert value in str(item.request.to_json())


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"promptt": 1}, "promptt: there is no such key; did you mean prompt?"),
    "a prompt of null": ({"prompt": None}, "prompt: must be text, not null"),
    "a number as text": ({"duration": "8"}, 'duration: must be a whole number, not "8"'),
    "a fraction": ({"duration": 8.5}, "duration: must be a whole number, not 8.5"),
    "a truth as a number": ({"seed": True}, "seed: must be a whole number, not true"),
    "a list as text": ({"prompt": ["a"]}, "prompt: must be text, not a list"),
    "an object as a picture": ({"start_frame": {}}, "start_frame: must be text, not an object"),
    "a wrong reference": ({"reference": ["b", 3]}, "reference[1]: must be text, not 3"),
    "an empty name": ({"output": ""}, "output: must not be empty"),
    "half a character": ({"prompt": "\ud800"}, "prompt: holds a character that is none"),
    "a NUL": ({"output": "a\0b"}, "output: holds a character that is none"),
    "a broken data URI": ({"end_frame": "data:image/png"}, "end_frame: the data URI has no comma"),
}


@pytest.mark.parametrize(("value", "said"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_is_wrong_is_told_with_its_place(value: dict[str, Any], said: str) -> None:
    """A wrong item is told of with its index and key; the others are read all the same."""
    wrong = {"prompt": "a"} | value
    items, problems = read_all(json_list({"prompt": "fine"}, wrong, {"prompt": "fine too"}))

    assert [item.location.index for item in items] == [0, 2]
    assert len(problems) == 1
    assert problems[0].startswith(f"item[1]: {said}")


def test_all_problems_of_an_item_at_once() -> None:
    """One item with three mistakes has three problems."""
    _, problems = read_all(json_list({"duration": "8", "seed": "1", "x": 1}))

    assert len(problems) == 4
    assert "item[0]: prompt: is missing" in problems


def test_a_key_that_is_said_twice() -> None:
    """JSON would keep the last of two prompts and say nothing."""
    _, problems = read_all(
        b'[{"prompt": "a", "prompt": "b", "start-frame": "", "start_frame": ""}]'
    )

    assert problems == ["item[0]: prompt: is set twice", "item[0]: start_frame: is set twice"]


def test_json_lines_have_line_numbers() -> None:
    """One object a line, empty lines do not count as items but as lines."""
    data = b'{"prompt": "a"}\n\n{"prompt": 1}\r\n{"prompt":\n[1]\n{"prompt": "b"}'
    items, problems = read_all(data)

    assert [(item.location.index, item.location.line) for item in items] == [(0, 1), (4, 6)]
    assert [problem.split(":")[0] for problem in problems] == [
        "item[2], line 4",
        "item[3], line 5",
        "item[1], line 3",
    ]


WHOLES = {
    "nothing": (b"", "contains no items"),
    "an empty list": (b" [] ", "contains no items"),
    "half a list": (b'[{"prompt": "a"}', "is not valid JSON: expecting ','"),
    "not text": (b'[{"prompt": "\xff"}]', "line 1: is not UTF-8"),
    "not JSON": (b"[{'prompt': 'a'}]", "is not valid JSON: expecting property name"),
    "no number": (b'[{"prompt": "a", "seed": NaN}]', "is not valid JSON: NaN is not JSON"),
    "a deep pit": (b"[" * 100_000, "is not valid JSON: it is nested too deeply"),
}


@pytest.mark.parametrize(("data", "said"), WHOLES.values(), ids=WHOLES)
def test_a_file_that_cannot_be_read(data: bytes, said: str) -> None:
    """What is wrong with the whole file is one problem without an index."""
    items, problems = read_all(data)

    assert items == []
    assert len(problems) == 1
    assert problems[0].startswith(said)


@pytest.mark.parametrize(
    "data",
    [
        b'\xef\xbb\xbf[{"prompt": "a"}]',
        b'{"prompt": "a"}',
        b'{\n  "prompt":\n  "a"\n}\n',
        '{"prompt": "a", "negative_prompt": "\u2028"}\n'.encode(),
    ],
    ids=["a byte order mark", "one line", "one object over lines", "an odd line separator"],
)
def test_other_ways_to_write_one_item(data: bytes) -> None:
    """What editors and programs make of one item is read as one item."""
    items, problems = read_all(data)

    assert problems == []
    assert [item.request.prompt for item in items] == ["a"]


def test_defaults_hold_for_what_is_not_said() -> None:
    """What an item says counts more than a default; null says nothing."""
    values = json_list({"prompt": "a", "seed": 1}, {"prompt": "b", "seed": None}, {"prompt": "c"})
    items, _ = read_all(values, seed=5, aspect_ratio="9:16")

    assert [item.request.seed for item in items] == [1, 5, 5]
    assert {item.request.aspect_ratio for item in items} == {"9:16"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from([*FULL]), inner),
    max_leaves=8,
)


@given(st.binary())
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """Whatever a file holds, it becomes items and problems."""
    items, problems = read_all(data)

    assert items or problems


@given(st.lists(JSON))
def test_every_value_is_an_item_or_a_problem(values: list[Any]) -> None:
    """Nothing of a list is lost: each index is read, or told of."""
    raws, unread = parse_items(json_list(*values))
    items, wrong = read_items(raws)
    told: list[ItemProblem] = unread + wrong

    indexes = {item.location.index for item in items} | {problem.location.index for problem in told}
    assert indexes == (set(range(len(values))) or {None})
    assert all(str(problem).encode() for problem in told)


ITEMS = st.fixed_dictionaries({"prompt": st.text()}, optional={"seed": st.integers()})


@given(st.lists(ITEMS, min_size=1))
def test_a_list_and_lines_say_the_same(values: list[dict[str, Any]]) -> None:
    """The same objects as a JSON list and as JSON Lines are the same requests."""
    lines = "\n".join(json.dumps(value) for value in values).encode()
    whole, parts = read_all(json_list(*values)), read_all(lines)

    assert [item.request for item in whole[0]] == [item.request for item in parts[0]]
