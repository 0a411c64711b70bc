"""Reading of batch files: what an item may hold, and that every problem is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.batch.input import RawItem, parse_items
from veo.batch.item import Item, ItemSchema, expand_takes, read_items
from veo.batch.tables import PARSERS
from veo.problems import ItemLocation
from veo.request import OPTIONS

if TYPE_CHECKING:
    from veo.problems import ItemProblem

SAMPLES = {
    "text": "rain",
    "name": "allow_adult",
    "integer": 7,
    "flag": True,
    "image": "https://example.com/a.png",
    "images": ["c.png", "d.png"],
}
FULL = {
    "prompt": "a lion",
    "provider": "gemini",
    "output": "lion.mp4",
    "tags": ["night"],
    **{name: SAMPLES[row.kind] for name, row in OPTIONS.items()},
}


def read_all(data: bytes, **defaults: Any) -> tuple[list[Item], list[str]]:
    """Return the items of a file, and its problems as they are printed."""
    raws, unread = parse_items(data)
    items, invalid = read_items(raws, defaults)
    return items, [str(problem) for problem in unread + invalid]


def json_list(*values: Any) -> bytes:
    """Return the values as a JSON list."""
    return json.dumps(values).encode()


def test_every_option_of_a_request_is_a_key() -> None:
    """An item can set every field of a request, the provider and the output."""
    (item,), problems = read_all(json_list(FULL))

    body = item.request.to_json()
    images = {key: body.pop(key) for key in ("start_frame", "end_frame", "reference")}
    assert problems == []
    assert (item.provider, item.output) == ("gemini", "lion.mp4")
    assert body == {key: FULL[key] for key in body}
    assert set(body) == set(ItemSchema.model_fields) - {*images, "provider", "output", "tags"}
    assert images["start_frame"]["source"] == "https://example.com/a.png"
    assert [image["source"] for image in images["reference"]] == ["c.png", "d.png"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("negative-prompt", "rain"), ("reference", "c.png"), ("seed", None)],
    ids=["spelled like the option", "one image without a list", "null"],
)
def test_lenient_spellings(key: str, value: Any) -> None:
    """Spellings that can only mean one thing are accepted."""
    (item,), problems = read_all(json_list({"prompt": "a lion", key: value}))

    assert problems == []
    if value:
        assert value in str(item.request.to_json())


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"promptt": 1}, "promptt: is not a known key; did you mean prompt?"),
    "a prompt of null": ({"prompt": None}, "prompt: must be text, not null"),
    "a number as text": ({"seed": "8"}, 'seed: must be a whole number, not "8"'),
    "a fraction": ({"duration": 8.5}, "duration: must be a whole number, not 8.5"),
    "a boolean as a number": ({"seed": True}, "seed: must be a whole number, not true"),
    "a list as text": ({"prompt": ["a"]}, "prompt: must be text, not a list"),
    "an object as an image": ({"start_frame": {}}, "start_frame: must be text, not an object"),
    "a wrong reference": ({"reference": ["b", 3]}, "reference[1]: must be text, not 3"),
    "an empty name": ({"output": ""}, "output: must not be empty"),
    "half a character": ({"prompt": "\ud800"}, "prompt: contains an invalid character"),
    "a NUL": ({"output": "a\0b"}, "output: contains an invalid character"),
    "a broken data URI": ({"end_frame": "data:image/png"}, "end_frame: the data URI has no comma"),
}


@pytest.mark.parametrize(("value", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_names_item_and_key(value: dict[str, Any], message: str) -> None:
    """A problem is reported with the index and key; the other items are read."""
    invalid = {"prompt": "a"} | value
    items, problems = read_all(json_list({"prompt": "fine"}, invalid, {"prompt": "fine too"}))

    assert [item.location.index for item in items] == [0, 2]
    assert len(problems) == 1
    assert problems[0].startswith(f"item 2: {message}")


def test_all_problems_of_an_item_are_reported() -> None:
    """Each invalid or missing key of one item is a problem of its own."""
    _, problems = read_all(json_list({"duration": "long", "seed": "1", "sed": 1}))

    assert len(problems) == 4
    assert "item 1: prompt: is missing" in problems


def test_a_duplicate_key_is_a_problem() -> None:
    """A duplicate key is reported, where a JSON parser silently keeps the last value."""
    _, problems = read_all(
        b'[{"prompt": "a", "prompt": "b", "start-frame": "", "start_frame": ""}]'
    )

    assert problems == ["item 1: prompt: is set twice", "item 1: start_frame: is set twice"]


def test_json_lines_have_line_numbers() -> None:
    """Items of JSON Lines have a line number; empty lines count as lines, not as items."""
    data = b'{"prompt": "a"}\n\n{"prompt": 1}\r\n{"prompt":\n[1]\n{"prompt": "b"}'
    items, problems = read_all(data)

    assert [(item.location.index, item.location.line) for item in items] == [(0, 1), (4, 6)]
    assert [problem.split(":")[0] for problem in problems] == [
        "item 3, line 4",
        "item 4, line 5",
        "item 2, line 3",
    ]


UNREADABLE_FILES = {
    "nothing": (b"", "contains no items"),
    "an empty list": (b" [] ", "contains no items"),
    "half a list": (b'[{"prompt": "a"}', "is not valid JSON: expecting ','"),
    "not text": (b'[{"prompt": "\xff"}]', "line 1: is not UTF-8"),
    "not JSON": (b"[{'prompt': 'a'}]", "is not valid JSON: expecting property name"),
    "not a number": (b'[{"prompt": "a", "seed": NaN}]', "is not valid JSON: NaN is not JSON"),
    "too deeply nested": (b"[" * 100_000, "is not valid JSON: it is nested too deeply"),
}


@pytest.mark.parametrize(("data", "message"), UNREADABLE_FILES.values(), ids=UNREADABLE_FILES)
def test_an_unreadable_file_is_one_problem(data: bytes, message: str) -> None:
    """A problem of the whole file is one problem without an index."""
    items, problems = read_all(data)

    assert items == []
    assert len(problems) == 1
    assert problems[0].startswith(message)


@pytest.mark.parametrize(
    "data",
    [
        b'\xef\xbb\xbf[{"prompt": "a"}]',
        b'{"prompt": "a"}',
        b'{\n  "prompt":\n  "a"\n}\n',
        '{"prompt": "a", "negative_prompt": "\u2028"}\n'.encode(),
    ],
    ids=["byte order mark", "one line", "one object over several lines", "U+2028 in a text"],
)
def test_other_spellings_of_one_item(data: bytes) -> None:
    """One item is read as such however editors and programs lay it out."""
    items, problems = read_all(data)

    assert problems == []
    assert [item.request.prompt for item in items] == ["a"]


def test_defaults_apply_to_unset_keys() -> None:
    """The value of an item takes precedence over a default; null counts as unset."""
    values = json_list({"prompt": "a", "seed": 1}, {"prompt": "b", "seed": None}, {"prompt": "c"})
    items, _ = read_all(values, seed=5, aspect_ratio="9:16")

    assert [item.request.seed for item in items] == [1, 5, 5]
    assert {item.request.aspect_ratio for item in items} == {"9:16"}


def test_a_value_that_json_cannot_hold_is_a_problem() -> None:
    """A mapping from Python may hold any object; one that is not text is reported."""
    _, problems = read_items([RawItem(ItemLocation(0), {"prompt": "a", "model": object()})])

    assert [problem.message for problem in problems] == [
        "model: must be text, not an object of type object"
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.sampled_from([*FULL]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.binary())
def test_any_bytes_are_read(data: bytes) -> None:
    """Any content of a file gives items or problems, never an exception."""
    items, problems = read_all(data)

    assert items or problems


@given(st.lists(JSON))
def test_every_value_is_an_item_or_a_problem(values: list[Any]) -> None:
    """Each index of a list is an item or has a problem."""
    raws, unread = parse_items(json_list(*values))
    items, invalid = read_items(raws)
    problems: list[ItemProblem] = unread + invalid

    indexes = {item.location.index for item in items} | {
        problem.location.index for problem in problems
    }
    assert indexes == (set(range(len(values))) or {None})
    assert all(str(problem).encode() for problem in problems)


ITEMS = st.fixed_dictionaries({"prompt": st.text()}, optional={"seed": st.integers()})


@given(st.lists(ITEMS, min_size=1))
def test_a_list_and_json_lines_are_equivalent(values: list[dict[str, Any]]) -> None:
    """The same objects as a JSON list and as JSON Lines are the same requests."""
    lines = "\n".join(json.dumps(value) for value in values).encode()
    from_list, _ = read_all(json_list(*values))
    from_lines, _ = read_all(lines)

    assert [item.request for item in from_list] == [item.request for item in from_lines]


def read_file(name: str, text: str) -> tuple[list[Any], list[str]]:
    """Return the items and the problems of a file that is no JSON, by its suffix."""
    raws, problems = PARSERS[Path(name).suffix](text.encode())
    items, item_problems = read_items(raws)
    return items, [str(problem) for problem in [*problems, *item_problems]]


def test_a_table_has_keys_and_variables() -> None:
    """Columns are keys of an item; other columns are variables of prompt and output."""
    items, problems = read_file(
        "a.csv",
        "\ufeffprompt,output,duration,seed,reference,animal,start frame\n"
        '"A {{animal}}, big",{{ animal }}.mp4,8s,7,a.png; b.png,lion,\n\n'
        "A {{animal}},,,,,zebra,c.png\n",
    )

    assert problems == []
    assert [item.request.prompt for item in items] == ["A lion, big", "A zebra"]
    assert [item.output for item in items] == ["lion.mp4", None]
    assert (items[0].request.duration, items[0].request.seed) == (8, 7)
    assert [image.source for image in items[0].request.reference] == ["a.png", "b.png"]
    assert items[1].request.start_frame.source == "c.png"
    assert [item.location.line for item in items] == [2, 4]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "promt,output\na,b.mp4\n", "column promt: did you mean prompt?"),
        ("a.csv", "prompt,negative_promt\na,b\n", "did you mean negative_prompt?"),
        ("a.csv", "prompt\nA {{animal}}\n", "item 1, line 2: {{animal}}: there is no such column"),
        ("a.csv", "prompt\na,b\n", "item 1, line 2: has 2 cells for 1 columns"),
        ("a.csv", "prompt,seed\na,x\n", 'seed: must be a whole number, not "x"'),
        ("a.csv", "", "one of them prompt"),
        ("a.csv", 'prompt\na\n"b\nc\nd\n', "line 3: is not CSV: unexpected end of data"),
        ("a.csv", 'prompt\n"a" b\n', "line 2: is not CSV"),
        ("a.txt", "# only this\n", "contains no items"),
        ("a.yaml", "prompt: a", "must be a list of items"),
        ("a.yaml", "- [a]", "item 1: must be a prompt"),
        ("a.yaml", "- {", "is not valid YAML"),
        ("a.yaml", "- {prompt: a, negative-prompt: b, negative_prompt: c}", "is set twice"),
        ("a.yaml", "- !!timestamp 2026-13-45", "is not valid YAML: month must be in 1..12"),
        ("a.yaml", "- " + "[\n" * 9999, "is not valid YAML: it is nested too deeply"),
        ("a.yaml", "- {prompt: a, x: &x [*x]}", "x: must be a text or a number, not a list"),
    ],
)
def test_a_problem_of_a_table(name: str, text: str, problem: str) -> None:
    """Each mistake is named, with its place."""
    _, problems = read_file(name, text)

    assert any(problem in each for each in problems), problems


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "prompt,seed,shot,animal\n{{animal}} {{ shot }},{{shot}},12,lion\n"),
        (
            "a.yaml",
            "- {prompt: '{{animal}} {{shot}}', seed: '{{shot}}', shot: 12, animal: lion}",
        ),
    ],
)
def test_any_other_key_is_a_column(name: str, text: str) -> None:
    """Columns fill in the variables of every key, and stay with the item, in every kind of file."""
    (item,), problems = read_file(name, text)

    assert problems == []
    assert (item.request.prompt, item.request.seed) == ("lion 12", 12)
    assert {key: str(value) for key, value in item.columns.items()} == {
        "shot": "12",
        "animal": "lion",
    }


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"prompt": "a {{animal}}"}, "{{animal}}: there is no such column"),
        ({"prompt": "a", "ratio": "9:16"}, "ratio: is not a known key; did you mean aspect_ratio?"),
        ({"prompt": "a", "mood": "\ud800"}, 'mood: must be a text or a number, not "\\ud800"'),
        ({"prompt": "a", "mood": ["x"]}, "mood: must be a text or a number, not a list"),
        ({"prompt": "a {{x}}", "x": None, "output": ""}, "output: must not be empty"),
    ],
)
def test_a_problem_of_a_column(keys: dict[str, Any], problem: str) -> None:
    """What looks like a mistake is refused; a column that is null is an empty text."""
    items, problems = read_all(json_list(keys))

    assert items == []
    assert [str(each) for each in problems] == [f"item 1: {problem}"]


def test_prompts_and_yaml() -> None:
    """A text has a prompt a line; YAML has the keys of JSON, or plain prompts."""
    lines, _ = read_file("a.txt", "A lion\n\n# a comment\r\nA zebra\u2028at dusk\n")
    listed, problems = read_file("a.yml", "- A lion\n- {prompt: A zebra, negative-prompt: night}\n")

    # A separator within a line, as web pages have it, makes no second prompt.
    assert [item.request.prompt for item in lines] == ["A lion", "A zebra\u2028at dusk"]
    assert [item.request.prompt for item in listed] == ["A lion", "A zebra"]
    assert (listed[1].request.negative_prompt, problems) == ("night", [])


def test_yaml_means_what_is_written() -> None:
    """Scalars are those of YAML 1.2: a ratio, a time, a date and a number with zeros are texts."""
    text = (
        "- &a {prompt: '{{at}} {{on}} {{shot}} {{ok}}', aspect_ratio: 16:9, seed: 7,"
        " at: 12:30, on: 2026-11-28, shot: 012, ok: no}\n"
        "- {<<: *a, ok: 1.50, seed: ~}\n"
    )
    items, problems = read_file("a.yaml", text)

    assert problems == []
    prompts = ["12:30 2026-11-28 012 no", "12:30 2026-11-28 012 1.5"]
    assert [item.request.prompt for item in items] == prompts
    assert [item.request.seed for item in items] == [7, None]
    assert items[0].request.aspect_ratio == "16:9"


def test_takes_are_numbered() -> None:
    """Every item is made as often as there are takes, with outputs and seeds of their own."""
    (item,), _ = read_all(json_list({"prompt": "a", "output": "x/a.mp4", "seed": 7}))
    takes = expand_takes([item], 3)

    assert [take.output for take in takes] == ["x/a-1.mp4", "x/a-2.mp4", "x/a-3.mp4"]
    assert [take.request.seed for take in takes] == [7, 8, 9]
