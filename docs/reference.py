"""Write docs/reference.md: commands, configuration, variables, exit codes, JSON, errors.

python docs/reference.py            # write the file
python docs/reference.py --check    # exit 1 if it is out of date
"""  # noqa: INP001 - a script beside the documents

from __future__ import annotations

import inspect
import os
import re
import sys
from dataclasses import MISSING, fields
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from veo import errors
from veo.config import ENVIRONMENT_KEYS, Config, ProviderConfig
from veo.row import Row, is_row
from veo_commands.app import COMMANDS
from veo_commands.entry_point import run
from veo_commands.environment import VARIABLES
from veo_commands.exit_codes import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FILE = Path(__file__).parent / "reference.md"
_WIDTH = "100"
_JSON_KEYS = (
    ("`job`", "id in the ledger"),
    ("`provider`, `model`", "names"),
    (
        "`state`",
        (
            "planned, submitting, submitted, running, ready, downloading, done, failed, "
            "expired or unknown"
        ),
    ),
    ("`task_id`", "the provider's own id; null before it is accepted"),
    ("`parent`", "the job whose video this one extends or edits"),
    ("`output`, `bytes`, `sha256`", "the file; null before it is complete"),
    (
        "`clip`",
        (
            "as measured: `width`, `height`, `seconds`, `has_sound`, and `differences` from "
            "the request"
        ),
    ),
    ("`tags`", "the words that the user gave the job"),
    ("`columns`", "the free keys of its batch item, with their values"),
    ("`seconds`", "`queued`, `generating`, `downloading`; null for a phase that has not ended"),
    ("`polls`", "how often the task was queried"),
    ("`cost`", "`quoted` and `charged` in `currency`; `certain` is false if more may be charged"),
    (
        "`error`",
        (
            "null, or `type`, `message` (a provider's own words), `hint`, `retryable`, "
            "`charged` (true, false, or null if unknown) and `request_id`"
        ),
    ),
)


def build_reference() -> str:
    """Return the whole document."""
    return "\n".join(
        (
            "# Reference",
            "",
            "Written by `python docs/reference.py` from the program itself.",
            "",
            "## Commands",
            "",
            *_describe_commands(),
            "## Exit codes",
            "",
            "For several jobs, the highest one.",
            "",
            _format_table(("code", "meaning"), ((str(c), text) for c, text in MEANINGS.items())),
            "## Environment variables",
            "",
            "Options override variables, and variables override `veo.toml`.",
            "",
            _format_table(("variable", "meaning"), ((f"`{n}`", t) for n, t in VARIABLES.items())),
            "## Configuration",
            "",
            (
                "`veo.toml` is looked for in the current folder and, inside a repository, in the "
                "folders above. It overrides `config.toml` in the user's configuration folder "
                "(`veo config --path` shows both). `veo config` shows the settings in effect."
            ),
            "",
            _format_table(("setting", "type", "default", "variable"), _list_settings()),
            "```toml",
            resources.files("veo_commands").joinpath("template.toml").read_text("utf-8").rstrip(),
            "```",
            "",
            "## JSON",
            "",
            (
                "With `--json` every job is one object on a line; the sidecar beside a video adds "
                "`request` and `quote`. Without a job, `job` is null and `error` says why."
            ),
            "",
            _format_table(("key", "value"), _JSON_KEYS),
            "## Errors",
            "",
            "Classes of `veo.errors`, as `error.type` in JSON.",
            "",
            _format_table(
                ("class", "what it means", "exit code", "try again", "charged"), _list_errors()
            ),
        )
    )


def _describe_commands() -> Iterator[str]:
    for name, summary in COMMANDS.items():
        yield f"### veo {name}\n\n{summary}\n\n```text\n{_read_help(name)}\n```\n"


def _read_help(name: str) -> str:
    # Typer asks the terminal for its width, which must not decide about a document.
    os.environ["COLUMNS"] = _WIDTH
    from contextlib import redirect_stdout  # noqa: PLC0415
    from io import StringIO  # noqa: PLC0415

    with redirect_stdout(StringIO()) as page:
        run([name, "--help"])
    return "\n".join(line.rstrip() for line in page.getvalue().rstrip().splitlines())


def _list_settings() -> Iterator[tuple[str, ...]]:
    variables = {key: name for name, key in ENVIRONMENT_KEYS.items()}
    for name, kind, default in _walk(Config):
        yield f"`{name}`", kind, default, f"`{variables[name]}`" if name in variables else ""
    for name, kind, default in _walk(ProviderConfig, "providers.NAME."):
        yield f"`{name}`", kind, default, ""


def _walk(row: type[Row], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    kinds = get_type_hints(row)
    for field in fields(row):
        name, kind = field.name, kinds[field.name]
        if is_row(kind):
            yield from _walk(kind, f"{prefix}{name}.")
        elif name not in {"providers", "models"}:
            yield f"{prefix}{name}", _describe_type(kind), _describe_default(field.default)


def _describe_type(kind: Any) -> str:
    text = str(kind) if not inspect.isclass(kind) else kind.__name__
    if "Literal" in text:
        return " or ".join(re.findall(r"'(\w+)'", text))
    for part, word in (("Decimal", "USD"), ("int", "whole number"), ("float", "number")):
        if re.search(rf"\b{part}\b", text):
            return word
    return "path" if "Path" in text else "text"


def _describe_default(value: Any) -> str:
    return "" if value is None or value is MISSING else f"`{value}`"


def _list_errors() -> Iterator[tuple[str, ...]]:
    for cls in vars(errors).values():
        if inspect.isclass(cls) and issubclass(cls, errors.VeoError):
            charged = {True: "yes", False: "no", None: "unknown"}[cls.charged]
            summary = (cls.__doc__ or "").partition("\n")[0].rstrip(".")
            again = "yes" if cls.retryable else "no"
            yield f"`{cls.__name__}`", summary, str(cls.exit_code), again, charged


def _format_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(check: bool) -> int:
    """Write the document, or compare it."""
    text = build_reference()
    if check:
        return int(FILE.read_text("utf-8") != text)
    FILE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
