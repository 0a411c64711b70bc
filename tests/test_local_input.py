"""Odd files and names on this machine: an error in one line, never a traceback or a hang."""

import json
import os
from pathlib import Path

import pytest
from cli_runner import CommandResult, Veo
from PIL import Image as Pil

from veo.text.parsing import MAX_DEPTH, decode_text, parse_json, parse_toml

pytest_plugins = ("veo_fixtures",)

ROW = '[providers.laozhang-async.models."veo-3.1"]\n'
PRICE = (
    'price = { usd = "%s", per = "call", charged = "on_success", as_of = 2026-01-01, source = "x" }'
)
NOT_UTF8 = os.fsdecode(b"caf\xe9")


def check_refused(ran: CommandResult, *codes: int) -> None:
    """Check that a command has ended with an error that a user can act on."""
    assert ran.code in codes, ran.err
    assert ran.errors
    assert "bug in veo" not in ran.err
    assert len(ran.err) < 2000


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000 + "]" * 5000,
        "a = " + "{b = " * 5000 + "1" + "}" * 5000,
        "a" + ".a" * 500 + " = 1",
        "timeout = " + "9" * 5000,
        "timeout = nan",
        "max_cost = 1e30",
        'max_cost = "1e999999999"',
        "[budget]\ndaily = 1e30",
        "[providers.laozhang-async]\nmax_in_flight = 99999999999999999999999",
        "[providers.laozhang-async]\nmedian_s = 1e-300",
        "[providers.laozhang-async]\nmedian_s = 1e300",
        ROW + PRICE % "1e30",
        ROW + PRICE % "1e9999",
        ROW + PRICE % "nan",
        ROW + PRICE % "-1",
        ROW + "durations = []",
        ROW + "durations = [0]",
        ROW + "durations = [1000000000000000000000000]",
        ROW + "resolutions = []",
        ROW + "aspect_ratios = []",
        ROW + "retention_s = 1e400",
        'output_dir = "a\\u0000b"',
    ],
)
def test_an_odd_configuration_is_refused(veo: Veo, text: str) -> None:
    """Nested too deeply, numbers out of range, empty lists."""
    Path("veo.toml").write_text(text)
    check_refused(
        veo("generate", "a lion", "-m", "veo-3.1", "-p", "laozhang-async", "--dry-run"), 3
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_breaks_no_file(veo: Veo, encoding: str) -> None:
    """Windows editors write one into the configuration, batches and lists of charges."""
    Path("veo.toml").write_text("timeout = 7\n", encoding)
    Path("batch.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n', encoding)
    Path("batch.csv").write_text("prompt\na\nb\n", encoding)
    Path("prompts.txt").write_text("a\nb\n", encoding)
    Path("charges.csv").write_text("task,amount\ntask-1,0.15\n", encoding)
    assert veo("config", "--json").code == 0
    for batch in ("batch.jsonl", "batch.csv", "prompts.txt"):
        assert "2 to make" in veo("batch", batch, "--dry-run").out
    assert veo("cost", "--reconcile", "charges.csv", "--json").objects[-1]["theirs"] == 1


def test_joined_files_have_marks_within() -> None:
    """One at the beginning of each part."""
    assert decode_text("\ufeffa\n\ufeffb".encode()) == "a\nb"


@pytest.mark.parametrize(
    "text",
    [
        '[{"prompt": "a", "\\ud800": 1}]',
        '[{"prompt": "a\\ud800"}]',
        '[{"prompt": "a", "output": "\\udc80.mp4"}]',
        '[{"prompt": ' + "[" * 900 + "]" * 900 + "}]",
        '[{"prompt": "a", "reference_images": ' + "[" * 900 + "]" * 900 + "}]",
        '[{"prompt": ' + '{"a":' * 900 + "1" + "}" * 900 + "}]",
        "[" * 100_000,
        '[{"prompt": "a", "seed": ' + "9" * 5000 + "}]",
        '[{"prompt": "a", "duration": 1e400}]',
        '[{"prompt": "a", "' + "k" * 100_000 + '": 1}]',
        '[{"prompt": "a", "' + "k" * 100_000 + '": 1, "' + "k" * 100_000 + '": 1}]',
        "\0" * 1000,
    ],
)
def test_an_odd_batch_is_refused(veo: Veo, text: str) -> None:
    """Half surrogates, deep nesting, endless numbers and keys."""
    Path("batch.json").write_text(text)
    check_refused(veo("batch", "batch.json", "--dry-run"), 2)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"data":' * 100_000,
        '[{"task": "a", "amount": ' + "9" * 5000 + "}]",
        '[{"task": "a", "amount": 1e400}]',
        '[{"task": "a", "amount": 1, "at": 1e300}]',
        "task,amount\na,1e300\n",
        "task,amount\na,nan\n",
        "task,amount,at\na,1,99999-01-01\n",
        'task,amount\n"' + "a" * 200_000 + '",1\n',
    ],
)
def test_an_odd_list_of_charges_is_refused(veo: Veo, text: str) -> None:
    """Nothing is concluded from it."""
    Path("charges").write_text(text)
    check_refused(veo("cost", "--reconcile", "charges"), 2)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"job": ' + "9" * 5000 + "}", "\0", "\ud800"])
@pytest.mark.usefixtures("service")
def test_an_odd_sidecar_is_not_one(veo: Veo, text: str) -> None:
    """It belongs to the user, and is not replaced."""
    data = text.encode("utf-8", "surrogatepass")
    Path("a.mp4.json").write_bytes(data)
    assert veo("generate", "a lion", "-o", "a.mp4", "--quiet").code == 0
    assert Path("a.mp4.json").read_bytes() == data


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate", "a lion", "--start-frame", "FILE", "--dry-run"),
        ("batch", "FILE", "--dry-run"),
        ("cost", "--reconcile", "FILE"),
        ("config", "--config", "FILE"),
    ],
)
def test_a_device_without_an_end_is_refused(veo: Veo, arguments: tuple[str, ...]) -> None:
    """Nothing is read for ever."""
    args = [argument.replace("FILE", "/dev/zero") for argument in arguments]
    ran = veo(*args)
    check_refused(ran, 2, 3)
    assert "longer than" in ran.err or "is a device" in ran.err


def test_a_name_that_is_not_utf8_is_refused_before_anything_is_sent(veo: Veo) -> None:
    """The ledger cannot store it; the error says which name."""
    ran = veo("generate", "a lion", "--sandbox", "-o", f"{NOT_UTF8}.mp4")
    check_refused(ran, 2)
    assert "caf\\udce9.mp4 contains bytes that are not UTF-8" in ran.err
    Path(NOT_UTF8).mkdir()
    check_refused(veo("generate", "a lion", "--sandbox", "-o", f"{NOT_UTF8}/a.mp4"), 2)
    Path("batch.json").write_text('[{"prompt": "a"}]')
    check_refused(veo("batch", "batch.json", "--sandbox", "-o", NOT_UTF8), 2)
    assert veo("jobs", "--sandbox", "--json").objects == []


@pytest.mark.parametrize("arguments", [("show",), ("resume",), ("cost", "--batch"), ("cancel",)])
def test_an_argument_that_is_not_utf8_is_refused(veo: Veo, arguments: tuple[str, ...]) -> None:
    """No job has such a name."""
    ran = veo(*arguments, NOT_UTF8)
    assert "bug in veo" not in ran.err


@pytest.mark.usefixtures("service")
def test_an_image_whose_name_is_not_utf8_is_stored_by_value(veo: Veo) -> None:
    """Its name is not needed later."""
    Pil.new("RGB", (64, 64)).save("a.png")
    Path("a.png").rename(f"{NOT_UTF8}.png")
    options = ("-o", "a.mp4", "--quiet", "--yes")
    ran = veo("generate", "a lion", "--start-frame", f"{NOT_UTF8}.png", *options)
    assert ran.code == 0, ran.err


def test_files_with_names_that_are_not_utf8_can_be_read(veo: Veo) -> None:
    """A batch, a list of charges, and the folder of the ledger."""
    Path(f"{NOT_UTF8}.json").write_text('[{"prompt": "a"}]')
    assert veo("batch", f"{NOT_UTF8}.json", "--dry-run").code == 0
    Path(f"{NOT_UTF8}.csv").write_text("task,amount\na,1\n")
    assert veo("cost", "--reconcile", f"{NOT_UTF8}.csv").code == 0


@pytest.mark.parametrize("parse", [parse_json, parse_toml])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 50_000])
def test_nesting_has_a_limit(parse: object, depth: int) -> None:
    """Whatever reads the values later may call itself for each level."""
    text = "[" * depth + "]" * depth
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(text) if parse is parse_json else parse_toml(f"a = {text}")


def test_plain_files_are_read() -> None:
    """As the standard library reads them."""
    value = {"a": [1, {"b": [[]]}], "c": "d"}
    assert parse_json(json.dumps(value)) == value
    assert parse_toml("a = [1, [2]]\n[b.c]\nd = 1") == {"a": [1, [2]], "b": {"c": {"d": 1}}}
