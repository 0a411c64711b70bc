"""``veo config``: the settings in force, and where each comes from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veo_commands.options import ConfigOptions
from veo_commands.output import out
from veo_commands.session import load_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TITLES = ("SETTING", "VALUE", "FROM")


def config(
    path: Annotated[
        bool, typer.Option("--path", help="Show which files are looked for, and stop.")
    ] = False,
    init: Annotated[
        bool, typer.Option("--init", help="Write a commented veo.toml here (or --config FILE).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    *,
    place: ConfigOptions,
) -> None:
    """Show the settings in effect, and where each one comes from."""
    if init:
        _write(place.config or Path("veo.toml"), force=force)
    elif path:
        _paths(place)
    else:
        _settings(place)


def _settings(place: ConfigOptions) -> None:
    known = load_config(place)
    rows = [
        {"setting": name, "value": value, "from": known.origins.get(name, "default")}
        for name, value in flat(known.config.model_dump(mode="json"))
    ]
    if out.options.json:
        for row in rows:
            out.print_result(row, None)
    else:
        out.print_table(
            _TITLES, [[row["setting"], _said(row["value"]), row["from"]] for row in rows]
        )


def flat(values: "Mapping[str, Any]", at: str = "") -> "Iterator[tuple[str, Any]]":
    """Nested settings as dotted names and values."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


def _said(value: Any) -> str:
    return "-" if value is None else str(value)


def _paths(place: ConfigOptions) -> None:
    from veo.config import config_files

    for file in config_files(place.config):
        found = file.is_file()
        text = f"{file.absolute()}{'' if found else '  (not there)'}"
        out.print_result({"file": str(file.absolute()), "found": found}, text)


def _write(file: Path, *, force: bool) -> None:
    from importlib import resources

    from veo.errors import OutputError

    text = resources.files("veo_commands").joinpath("template.toml").read_text("utf-8")
    try:
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise OutputError(f"{file} is there already", hint="--force replaces it.") from None
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error
    out.print_result({"file": str(file.absolute()), "written": True}, str(file))
