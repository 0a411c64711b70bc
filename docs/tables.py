"""Write the tables of providers and models (README.md, models.md), item keys, and faults.

python docs/tables.py            # rewrite the sections between their markers
python docs/tables.py --check    # exit 1 if a section is out of date
"""  # noqa: INP001 - a script beside the documents

from __future__ import annotations

import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

from veo.provider import GROUP, find_facts
from veo.request import OPTIONS, REQUEST_FIELDS
from veo_sandbox.faults import FAULTS
from veo_sandbox.faults.registry import REQUEST_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from veo.model import Model, ProviderFacts

README = Path(__file__).parent.parent / "README.md"
MODELS = Path(__file__).parent / "models.md"
BATCH = Path(__file__).parent / "batch.md"
SANDBOX = Path(__file__).parent / "sandbox.md"
_OUTPUT = (
    "path below the output folder; the default is a name made of the prompt and a hash of the "
    "request, the same in every run"
)
_IMAGE = (
    "path, URL or `data:` URI of an image; relative paths are looked up in the folder of the file, "
    "then in the current folder"
)
_VALUES = {
    "image": _IMAGE,
    "images": "one such image, or a list of them",
    "text": "text",
    "integer": "whole number",
    "flag": "`true` or `false`",
}


def build_key_table() -> str:
    """Return the table of the keys of a batch item, with a row for each type of value."""
    names: dict[str, list[str]] = {kind: [] for kind in _VALUES}
    for name, row in OPTIONS.items():
        if name != "model":  # shares a row with the provider
            names["text" if row.kind == "name" else row.kind].append(f"`{name}`")
    rows = [
        ("`prompt`", "text, required"),
        ("`output`", _OUTPUT),
        (
            "`provider`, `model`",
            "names; the defaults are those of the command line, then those of the configuration",
        ),
    ]
    rows.append(("`tags`", "a word, or a list of words, to find the job again (`veo jobs --tag`)"))
    rows += [(", ".join(names[kind]), value) for kind, value in _VALUES.items() if names[kind]]
    rows.append(("any other", "a column: a text or a number, see below"))
    return format_table(("key", "value"), rows)


def build_fault_table() -> str:
    """Return the table of what the sandbox can do wrong."""
    rows = [
        (
            f"`{fault.name}`",
            " ".join(fault.on) if fault.on != REQUEST_KINDS else "any",
            " ".join(f"`{name}`" for name in fault.params),
            " ".join(fault.doc.split()),
        )
        for fault in sorted(FAULTS.values(), key=lambda fault: fault.name)
    ]
    return format_table(("fault", "requests", "parameters", "what happens"), rows)


def build_provider_table(facts: Iterable[ProviderFacts]) -> str:
    return format_table(("provider", "service", "billed", "key"), map(_provider_row, facts))


def build_model_table(facts: Iterable[ProviderFacts], *, with_ended: bool) -> str:
    """Return the table of models, with or without those whose end is known."""
    offers: dict[tuple[str, ...], list[str]] = {}
    for provider in facts:
        for model in provider.models.values():
            if with_ended or model.shutdown is None or model.shutdown.earliest:
                offers.setdefault(_model_row(model), []).append(f"`{provider.name}`")
    models = [(row[0], "<br>".join(names), *row[1:]) for row, names in offers.items()]
    titles = ("model", "provider", "ratio", "size", "s", "takes", "USD", "reported end")
    return format_table(titles, models)


def own_providers() -> list[ProviderFacts]:
    """Return the facts of the providers of this distribution, without others installed."""
    points = distribution("veo-video").entry_points.select(group=GROUP)
    return [find_facts(point.name) for point in sorted(points)]


def format_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def replace_section(document: str, name: str, section: str) -> str:
    """Return the document with the text between the markers of a section replaced."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    head, _, rest = document.partition(begin)
    _, _, tail = rest.partition(end)
    return f"{head}{begin}{section}{end}{tail}"


def _provider_row(facts: ProviderFacts) -> tuple[str, ...]:
    billed = sorted({_describe_billing(model) for model in facts.models.values()})
    keys = " or ".join(f"`{name}`" for name in facts.key_env)
    return (
        f"`{facts.name}`",
        facts.title,
        "<br>".join(billed),
        f"{keys}, or credentials of the machine" if facts.key_optional else keys,
    )


def _describe_billing(model: Model) -> str:
    price = model.price
    what = "video" if price.per == "call" else "second of video"
    if model.usage_prices:
        return f"by the tokens that it reports, quoted per {what}"
    when = "when it is made" if price.charged == "on_success" else "as soon as it is accepted"
    return f"per {what}, {when}"


def _model_row(model: Model) -> tuple[str, ...]:
    return (
        f"`{model.name}`",
        " ".join(model.aspect_ratios),
        " ".join(model.resolutions),
        _describe_durations(sorted(model.durations)),
        ", ".join(_feature_names(model)) or "text",
        _describe_price(model),
        _describe_end(model),
    )


def _describe_durations(durations: Sequence[int]) -> str:
    first, last = durations[0], durations[-1]
    is_range = last - first == len(durations) - 1 and len(durations) > 2
    return f"{first} to {last}" if is_range else " ".join(map(str, durations))


def _describe_end(model: Model) -> str:
    if model.shutdown is None:
        return ""
    return f"{model.shutdown.on.isoformat()}{' or later' if model.shutdown.earliest else ''}"


def _feature_names(model: Model) -> Iterable[str]:
    for name, row in REQUEST_FIELDS.items():
        if name in model.features:
            label = row.label or name.replace("_", " ")
            most = model.warn_references or model.max_references
            yield f"{most} {label}s" if row.kind == "images" else label


def _describe_price(model: Model) -> str:
    amounts = list(map(str, model.list_unit_prices()))
    shown = amounts[:1] if len(set(amounts)) == 1 else amounts
    return f"{' / '.join(shown)}{' a video' if model.price.per == 'call' else ' a second'}"


def main() -> int:
    """Write the sections, or only check them; return the exit code."""
    facts = own_providers()
    living = build_model_table(facts, with_ended=False)
    sections = (
        (README, "providers", f"{build_provider_table(facts)}\n{living}"),
        (MODELS, "models", build_model_table(facts, with_ended=True)),
        (BATCH, "keys", build_key_table()),
        (SANDBOX, "faults", build_fault_table()),
    )
    is_outdated = False
    for path, name, section in sections:
        before = path.read_text("utf-8")
        after = replace_section(before, name, section)
        is_outdated |= after != before
        if "--check" not in sys.argv[1:]:
            path.write_text(after, "utf-8")
    return int(is_outdated and "--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
