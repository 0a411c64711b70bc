"""`python -m veo_sandbox`: serve until interrupted."""

import argparse
from pathlib import Path
from typing import Any, get_args, get_type_hints

from veo_sandbox.sandbox import Sandbox, serve
from veo_sandbox.state.settings import SettingValues

_HELP = "Serve until Ctrl-C. help(veo_sandbox.Sandbox) explains the options, its arguments."
_KINDS = (str, int, float)  # the first of them in an annotation reads the value


def main() -> None:
    """Parse the options and serve; the home, or else the default, decides those left out."""
    parser = argparse.ArgumentParser(
        prog="veo_sandbox", argument_default=argparse.SUPPRESS, description=_HELP
    )
    parser.add_argument("--home", type=Path, default=Path("veo-sandbox"))
    arguments = get_type_hints(Sandbox.__init__) | get_type_hints(SettingValues)
    for name, annotation in arguments.items():
        if name not in {"home", "settings", "return"}:
            parser.add_argument(f"--{name.replace('_', '-')}", **_parse_options(annotation))
    options = vars(parser.parse_args())
    try:
        serve(options.pop("home"), **options)
    except ValueError as error:
        parser.error(str(error))


def _parse_options(annotation: Any) -> dict[str, Any]:
    """Return how argparse reads an argument, by its annotation."""
    if annotation is bool:
        return {"action": "store_true"}
    kinds = get_args(annotation) or (annotation,)
    return {"type": next((kind for kind in _KINDS if kind in kinds), str)}


if __name__ == "__main__":
    main()
