"""``veo config``: show the settings in effect."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from veo.errors import OutputError
from veo_commands import exit_codes
from veo_commands.options import ConfigOptions, flag
from veo_commands.output import out
from veo_commands.session import load_config

EXAMPLES = ("veo config", "veo config --init")

_TITLES = ("SETTING", "VALUE", "FROM")


def config(
    path: bool = flag("Show only where configuration files are read from."),
    init: bool = flag("Write a commented veo.toml here, or to --config FILE."),
    force: bool = flag("Overwrite an existing file."),
    *,
    options: ConfigOptions,
) -> int:
    """Show the settings in effect, and where each one comes from."""
    if init:
        write_template(options.config or Path("veo.toml"), force=force)
    elif path:
        _print_paths(options)
    else:
        return _print_settings(options)
    return exit_codes.DONE


def _print_settings(options: ConfigOptions) -> int:
    """Print what is valid, then the problems of the rest; return the exit code."""
    from veo.config import inspect_config
    from veo.runtime.config_check import find_config_problems

    if options.config and not options.config.is_file():
        load_config(options)  # a named file must exist
    loaded = inspect_config(options.config)
    rows = [
        {"setting": name, "value": value, "from": loaded.origins.get(name, "default")}
        for name, value in _flatten(loaded.config.to_json())
    ]
    if out.options.json:
        for row in rows:
            out.print_result(row, None)
    else:
        cells = [
            [row["setting"], "-" if row["value"] is None else row["value"], row["from"]]
            for row in rows
        ]
        out.print_table(_TITLES, cells)
    problems = [*loaded.problems, *find_config_problems(loaded)]
    for problem in problems:
        out.print_result({"problem": problem}, None)
        out.notice(f"error: {problem}", fg="red")
    return exit_codes.SETUP if problems else exit_codes.DONE


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _print_paths(options: ConfigOptions) -> None:
    from veo.config import config_files

    for file in config_files(options.config):
        found = file.is_file()
        text = f"{file.absolute()}{'' if found else '  (not found)'}"
        out.print_result({"file": str(file.absolute()), "found": found}, text)


def write_template(file: Path, *, force: bool, provider: str | None = None) -> None:
    """Write a file in which every setting is explained, with the provider set if one is given."""
    from importlib import resources

    text = resources.files("veo_commands").joinpath("template.toml").read_text("utf-8")
    try:
        if provider:
            text = re.sub(r"(?m)^# provider = \S+", f'provider = "{provider}"', text)
        # Mode "x" also fails if another process has made the file in the meantime.
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise OutputError(f"{file} exists already", hint="--force overwrites it.") from None
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error
    out.print_result({"file": str(file.absolute()), "written": True}, str(file))
