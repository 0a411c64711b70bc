"""Records cassettes anew: from the sandbox, or with ``--live`` from the services themselves.

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
from cassette_cases import PROVIDERS, Take, takes
from cassette_folder import FOLDER, RECORDING, Recording, cassettes, loose_bodies, read

from veo.money import format_amount
from veo.provider import find_provider

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TESTS = Path(__file__).parents[1] / "test_cassettes.py"
_NOTHING, _NO_KEY, _TOO_DEAR = 2, 3, 4  # as the command `veo` exits


class Refusal(Exception):  # noqa: N818 - an exit, no defect
    """Nothing is recorded, for this reason."""

    def __init__(self, why: str, code: int) -> None:
        super().__init__(why)
        self.code = code


class Recorder:
    """Tells the tests what to record; the others are left out."""

    def __init__(self, chosen: Sequence[Take], recording: Recording) -> None:
        self._chosen = set(map(str, chosen))
        self._recording = recording

    def pytest_configure(self, config: pytest.Config) -> None:
        """Say where, and from what."""
        config.stash[RECORDING] = self._recording

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests of the chosen takes."""
        items[:] = [item for item in items if _take(item) in self._chosen]


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Record what is asked for; the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        chosen = select(asked.what, live=asked.live)
        keys = allowed(chosen, asked.max_cost, environment) if asked.live else {}
    except Refusal as refusal:
        sys.stdout.write(f"refused: {refusal}\n")
        return refusal.code
    return record(chosen, Recording(asked.folder, keys))


def select(what: Sequence[str], *, live: bool) -> list[Take]:
    """The takes that are named, by provider or one by one; all if none is.

    Raises:
        Refusal: Nobody is called so, or no live service would show it.
    """
    known = [take for take in takes() if take.live or not live]
    names = {name for take in known for name in (take.provider, str(take))}
    if strange := [name for name in what if name not in names]:
        told = "cannot be recorded live" if live else "is no provider and no cassette"
        raise Refusal(f"{strange[0]} {told}", _NOTHING)
    return [take for take in known if not what or {take.provider, str(take)} & set(what)]


def allowed(
    chosen: Sequence[Take], most: Decimal | None, environment: Mapping[str, str]
) -> dict[str, str]:
    """The keys to pay with, after the cost was shown.

    Raises:
        Refusal: A key is missing, or the cost was not agreed to.
    """
    total = sum((take.cost for take in chosen), Decimal(0))
    sys.stdout.write("".join(map(_priced, chosen)))
    sys.stdout.write(f"{'in all':25} {format_amount(total):>7}  by the price rows\n")
    keys = {take.provider: _key(take.provider, environment) for take in chosen}
    if most is None or most < total:
        raise Refusal(f"to spend that, say --max-cost {total}", _TOO_DEAR)
    return keys


def record(chosen: Sequence[Take], recording: Recording) -> int:
    """Play the takes for real, then say in each folder what it holds now."""
    options = ["--record-mode=rewrite", "-n0", "-q", "-p", "no:cacheprovider"]
    code = int(pytest.main([str(TESTS), *options], plugins=[Recorder(chosen, recording)]))
    if code:
        return code
    for path in loose_bodies(recording.folder):
        path.unlink()
    for provider in {take.provider for take in chosen}:
        (recording.folder / provider / "README.md").write_text(readme(provider, recording.folder))
    return code


def readme(provider: str, folder: Path = FOLDER) -> str:
    """What a folder of cassettes says of itself: all of it from the cassettes."""
    shows = {str(take): take.shows for take in takes()}
    found = {
        name: path for name, path in cassettes(folder).items() if Path(name).parts[0] == provider
    }
    told = {name: read(path)["recorded"] for name, path in found.items()}
    rows = [
        f"| `{path.name}` | {shows[name]} | {_origin(told[name])} |" for name, path in found.items()
    ]
    return "\n".join(
        [
            f"# Cassettes of `{provider}`",
            "",
            _honesty(one["from"] for one in told.values()),
            "",
            "| cassette | shows | where it comes from |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _honesty(origins: Iterable[str]) -> str:
    if "live" in origins:
        return "Some of these were recorded from the live service; the table says which."
    return (
        "Nothing here was recorded from the live service. The sandbox, which stands in for it,\n"
        "is built from published captures and documents; the requests are the real provider's."
    )


def _origin(told: Mapping[str, str]) -> str:
    kind, _, source = told["from"].partition(": ")
    if kind == "capture":
        return f"rebuilt {told['date']} from {source}"
    return f"recorded {told['date']} from {'the live service' if kind == 'live' else 'the sandbox'}"


def _key(provider: str, environment: Mapping[str, str]) -> str:
    names = find_provider(provider).facts.key_env
    for name in names:
        if environment.get(name):
            return environment[name]
    raise Refusal(f"no key for {provider}: set {' or '.join(names)}", _NO_KEY)


def _take(item: pytest.Item) -> str:
    called = getattr(item, "callspec", None)
    return str(called.params.get("take")) if called else ""


def _priced(take: Take) -> str:
    models = dict.fromkeys(str(request.model) for request in take.requests)
    return f"{take!s:25} {format_amount(take.cost):>7}  {', '.join(models)}\n"


def _usd(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount in USD") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cassette_record.py", description="Record cassettes anew, from the sandbox."
    )
    told = f"a provider ({', '.join(PROVIDERS)}) or one cassette, such as gemini/text"
    parser.add_argument("what", nargs="*", help=f"{told}; all without")
    parser.add_argument("--live", action="store_true", help="from the services: this costs money")
    parser.add_argument("--max-cost", type=_usd, metavar="USD", help="what you agree to pay")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
