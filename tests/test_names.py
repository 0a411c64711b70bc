"""Names of files, cells of tables and texts of servers that mean something else elsewhere."""

import csv
import io
import json
from pathlib import Path

import pytest
from cli_runner import Veo

from veo.errors import OutputError
from veo.files.output import prepare_output
from veo.paths import find_name_problem
from veo_commands.commands.cost import _make_cell
from veo_commands.output import out, strip_control

pytest_plugins = ("veo_fixtures",)

BAD_NAMES = [
    "CON",
    "con.mp4",
    "nul.tar.mp4",
    "COM1.mp4",
    "lpt9.mp4",
    "aux",
    "CONIN$",
    "com\u00b9.mp4",
    "PRN .mp4",
    "a.",
    "a.mp4 ",
    "a:b.mp4",
    "a.mp4:stream",
    "a*.mp4",
    "what?.mp4",
    "a\\b.mp4",
    'a"b.mp4',
    "a<b>.mp4",
    "a|b.mp4",
    "a\nb.mp4",
    "a\x1b[31m.mp4",
    "a\x9bb.mp4",
    "gpj\u202e4pm.exe",
    "a\u2066b.mp4",
    "a\u200fb.mp4",
]
GOOD_NAMES = [
    "a.mp4",
    "con-air.mp4",
    "console",
    "com10.mp4",
    "\u72ee\u5b50 \U0001f981.mp4",
    ".mp4",
    "a..b",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_none_elsewhere_is_refused(veo: Veo, tmp_path: Path, name: str) -> None:
    """For one video and in a batch, before anything is sent; the error cannot be misread."""
    with pytest.raises(OutputError) as caught:
        prepare_output(tmp_path / name, force=False)
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()
    for output in (name, f"{name}/a.mp4"):
        Path("batch.json").write_text(json.dumps([{"prompt": "a", "output": output}]))
        ran = veo("batch", "batch.json", "--dry-run")
        assert ran.code == 2, ran.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_other_names_are_accepted(name: str) -> None:
    """Those of any language, too."""
    assert find_name_problem(name) is None


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        " =1",
        "\t=1",
        "\r=1",
        '=A("x","y")',
        "\uff1d1",
    ],
)
def test_a_cell_is_never_a_formula(text: str) -> None:
    """A spreadsheet shows it as text."""
    out_file = io.StringIO()
    csv.writer(out_file).writerow([_make_cell(text)])
    ((cell,),) = csv.reader(io.StringIO(out_file.getvalue()))
    assert cell == f"'{text}"


def test_plain_cells_stay() -> None:
    """Names of providers and models, and days."""
    for text in ("laozhang-async", "veo-3.1", "2026-11-01", ""):
        assert _make_cell(text) == text


ESCAPES = [
    "\x1b[2J",
    "\x9b2J",
    "\x07",
    "\x08",
    "\r",
    "\x7f",
    "\u202e",
    "\u2066",
    "\u200e",
    "\u061c",
]


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_text_controls_the_terminal(capsys: pytest.CaptureFixture[str], escape: str) -> None:
    """In messages, tables and JSON; JSON keeps the characters, as escapes."""
    text = f"a{escape}b"
    assert escape not in strip_control(text)
    out.notice(text)
    out.print_table(("NAME",), [(text,)])
    shown = capsys.readouterr()
    assert escape not in shown.out + shown.err
    out.options = type(out.options)(json=True, quiet=False, debug=False)
    try:
        out.print_result({"text": text}, None)
    finally:
        out.options = type(out.options)(json=False, quiet=False, debug=False)
    printed = capsys.readouterr().out
    assert escape not in printed
    assert json.loads(printed) == {"text": text}
