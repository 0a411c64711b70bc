"""Record cassettes again: from the sandbox, or with ``--live`` from the services themselves.

python tests/support/cassette_record.py                       all, from the sandbox
python tests/support/cassette_record.py gemini vertex/text    some
python tests/support/cassette_record.py --live gemini         what that would cost
python tests/support/cassette_record.py --live gemini --max-cost 5
"""

from __future__ import annotations

import argparse
import os
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cassette_cases import PROVIDERS, CassetteCase, list_cases
from cassette_folder import (
    FOLDER,
    RECORDING,
    Recording,
    find_unused_bodies,
    list_cassettes,
    read_cassette,
)

from veo.money import format_amount
from veo.provider import find_provider

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TESTS = Path(__file__).parents[1] / "test_cassettes.py"
_NOTHING, _NO_KEY, _TOO_EXPENSIVE = 2, 3, 4  # as the command `veo` exits


class Refusal(Exception):  # noqa: N818 - ends the command, and is not a defect
    """The reason why nothing is recorded."""

    def __init__(self, why: str, code: int) -> None:
        super().__init__(why)
        self.code = code


class Recorder:
    """Passes its instructions to the tests, and deselects the other tests."""

    def __init__(self, chosen: Sequence[CassetteCase], recording: Recording) -> None:
        self._chosen = set(map(str, chosen))
        self._recording = recording

    def pytest_configure(self, config: pytest.Config) -> None:
        """Pass the folder and the keys to the tests."""
        config.stash[RECORDING] = self._recording

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Select the tests of the chosen cassettes."""
        items[:] = [item for item in items if _case_name(item) in self._chosen]


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Record the cassettes that the arguments name, and return the exit code."""
    options = _build_parser().parse_args(arguments)
    try:
        chosen = select_cases(options.what, live=options.live)
        keys = check_cost(chosen, options.max_cost, environment) if options.live else {}
    except Refusal as refusal:
        sys.stdout.write(f"refused: {refusal}\n")
        return refusal.code
    return record_cases(chosen, Recording(options.folder, keys))


def select_cases(what: Sequence[str], *, live: bool) -> list[CassetteCase]:
    """Return the cassettes that are named, by provider or one by one; all without names.

    Raises:
        Refusal: A name is unknown, or the cassette cannot be recorded live.
    """
    known = [case for case in list_cases() if case.is_live or not live]
    names = {name for case in known for name in (case.provider, str(case))}
    if unknown := [name for name in what if name not in names]:
        reason = "cannot be recorded live" if live else "is neither a provider nor a cassette"
        raise Refusal(f"{unknown[0]} {reason}", _NOTHING)
    return [case for case in known if not what or {case.provider, str(case)} & set(what)]


def check_cost(
    chosen: Sequence[CassetteCase], max_cost: Decimal | None, environment: Mapping[str, str]
) -> dict[str, str]:
    """Print the cost, and return the keys of the providers.

    Raises:
        Refusal: A key is missing, or the cost exceeds the limit.
    """
    total = sum((case.cost for case in chosen), Decimal(0))
    sys.stdout.write("".join(map(_format_cost, chosen)))
    sys.stdout.write(f"{'total':25} {format_amount(total):>7}  by the price rows\n")
    keys = {case.provider: _find_key(case.provider, environment) for case in chosen}
    if max_cost is None or max_cost < total:
        raise Refusal(f"to accept this cost, use --max-cost {total}", _TOO_EXPENSIVE)
    return keys


def record_cases(chosen: Sequence[CassetteCase], recording: Recording) -> int:
    """Record the cassettes, then write the README of each folder."""
    options = ["--record-mode=rewrite", "-n0", "-q", "-p", "no:cacheprovider"]
    # veo has a plugin for pytest, and this script imports veo before pytest starts.
    options += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    code = int(pytest.main([str(TESTS), *options], plugins=[Recorder(chosen, recording)]))
    if code:
        return code
    for path in find_unused_bodies(recording.folder):
        path.unlink()
    for provider in {case.provider for case in chosen}:
        (recording.folder / provider / "README.md").write_text(
            build_readme(provider, recording.folder)
        )
    return code


def build_readme(provider: str, folder: Path = FOLDER) -> str:
    """Return the README of a folder, which is derived from the cassettes alone."""
    shows = {str(case): case.shows for case in list_cases()}
    found = {
        name: path
        for name, path in list_cassettes(folder).items()
        if Path(name).parts[0] == provider
    }
    origins = {name: read_cassette(path)["recorded"] for name, path in found.items()}
    rows = [
        f"| `{path.name}` | {shows[name]} | {_describe_origin(origins[name])} |"
        for name, path in found.items()
    ]
    return "\n".join(
        [
            f"# Cassettes of `{provider}`",
            "",
            _describe_origins(each["from"] for each in origins.values()),
            "",
            "| cassette | shows | where it comes from |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _describe_origins(origins: Iterable[str]) -> str:
    if "live" in origins:
        return "Some of these were recorded from the live service; the table says which."
    return (
        "Nothing here was recorded from the live service. The sandbox, which replaces it,\n"
        "is built from published captures and documents; the requests are the real provider's."
    )


def _describe_origin(origin: Mapping[str, str]) -> str:
    kind, _, source = origin["from"].partition(": ")
    if kind == "capture":
        return f"rebuilt {origin['date']} from {source}"
    return (
        f"recorded {origin['date']} from {'the live service' if kind == 'live' else 'the sandbox'}"
    )


def _find_key(provider: str, environment: Mapping[str, str]) -> str:
    names = find_provider(provider).facts.key_env
    for name in names:
        if environment.get(name):
            return environment[name]
    raise Refusal(f"no key for {provider}: set {' or '.join(names)}", _NO_KEY)


def _case_name(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("case")) if callspec else ""


def _format_cost(case: CassetteCase) -> str:
    models = dict.fromkeys(str(request.model) for request in case.requests)
    return f"{case!s:25} {format_amount(case.cost):>7}  {', '.join(models)}\n"


def _parse_usd(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid amount in USD") from None


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cassette_record.py", description="Record cassettes again, from the sandbox."
    )
    text = f"a provider ({', '.join(PROVIDERS)}) or one cassette, such as gemini/text"
    parser.add_argument("what", nargs="*", help=f"{text}; all by default")
    parser.add_argument("--live", action="store_true", help="from the services: this costs money")
    parser.add_argument("--max-cost", type=_parse_usd, metavar="USD", help="accepted cost")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
