"""Every reader of text that others write: only our own errors come out, whatever goes in.

The long form, a million inputs for each reader, is ``benchmarks/fuzz/run.py``.
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks" / "fuzz"))
from mutate import mutate
from readers import READERS, check

MUTATIONS = 150
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
JSON_READERS = (
    *("status", "create", "content", "errors", "operation", "interaction"),
    *("batch", "sidecar", "bills"),
)


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Unknown words are logged, once for each input."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", READERS)
def test_inputs_that_are_almost_sound(name: str) -> None:
    """Sound inputs with a few changes, the same in every run."""
    random = Random(11)
    for _ in range(MUTATIONS):
        check(READERS[name], mutate(READERS[name].seeds, random))


FOUND = [
    ("operation", {"name": "a/operations/b", "done": True, "error": {"code": {}, "message": "x"}}),
    ("operation", {"name": "a/operations/b", "done": True, "error": {"code": [], "message": "x"}}),
    ("bills", [{"task": "t", "amount": {}}]),
    ("bills", [{"task": "t", "amount": []}]),
    ("bills", [{"task": "t", "amount": "1e+3080808"}]),
    ("bills", [{"task": "t", "amount": "-1e-3080808"}]),
    (
        "interaction",
        {
            "id": "v1_a",
            "status": "completed",
            "model": "gemini-omni-1.2-flash",
            "usage": {"total_input_tokens": 10**400},
        },
    ),
]


@pytest.mark.parametrize(("name", "body"), FOUND)
def test_what_was_found_stays_found(name: str, body: object) -> None:
    """Inputs that once raised something else."""
    check(READERS[name], json.dumps(body).encode())


@given(st.binary(max_size=300))
@settings(max_examples=25)
def test_any_bytes(data: bytes) -> None:
    """Bytes that have nothing to do with the reader."""
    for reader in READERS.values():
        check(reader, data)


@given(JSON)
@settings(max_examples=40)
def test_any_json(value: object) -> None:
    """Values of any type in any place."""
    data = json.dumps(value).encode()
    for name in JSON_READERS:
        check(READERS[name], data)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "piece", [b"[", b'{"a":', b"<", b"](", b"\\", b" ", b"0", b'"', b"data: {}\n\n", b"a = [\n"]
)
def test_long_inputs_take_time_in_proportion(name: str, piece: bytes) -> None:
    """Four times the input takes about four times the time, not sixteen times."""
    seconds = []
    for size in (10_000, 40_000):
        start = time.process_time()
        check(READERS[name], piece * (size // len(piece)))
        seconds.append(time.process_time() - start)
    assert seconds[1] < max(seconds[0], 0.02) * 12
