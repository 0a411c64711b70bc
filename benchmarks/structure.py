"""Measure the structure of the code: sizes, comments, names, and import cycles.

Run ``python benchmarks/structure.py [-v] [FOLDER ...]`` in the root of the project.
The script parses Python files and runs none of them. It counts imports at module level, inside
functions and under ``TYPE_CHECKING``; ``-v`` lists the modules of every cycle.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import tokenize
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from table import Table, Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parent.parent
# Every package of this repository, also a provider that is new.
SOURCES = (
    "veo",
    *(str(each.parent.relative_to(ROOT)) for each in ROOT.glob("*/veo_*/__init__.py")),
)
# Irregular participles that read as values when they name a function; regular ones end in "ed".
PARTICIPLES = re.compile(
    r"[a-z]+ed|told|kept|said|given|known|made|sent|lost|found|held|taken|worn|spoken|heard|read|"
    r"written|shown|seen|begun|done|gone"
)
Graph = dict[str, set[str]]


@dataclass
class Structure:
    """Measurements of one or more packages.

    Attributes:
        files: Lines of each file.
        functions: Lines of each function, without its docstring.
        names: Names of the functions, without leading underscores.
        comments: Number of comments.
        root_modules: Modules directly in the package, ``__init__`` not counted.
        imports: Imported modules by module name.
    """

    files: list[int] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    comments: int = 0
    root_modules: int = 0
    imports: Graph = field(default_factory=dict)

    @property
    def one_word_share(self) -> float:
        """Percentage of function names that are a single word."""
        return 100 * sum("_" not in name for name in self.names) / len(self.names)

    @property
    def participle_share(self) -> float:
        """Percentage of function names that are a bare participle."""
        return 100 * sum(map(_is_participle, self.names)) / len(self.names)

    @property
    def comment_density(self) -> float:
        """Comments per 100 lines."""
        return 100 * self.comments / sum(self.files)


def measure_package(root: Path, known: dict[str, Path]) -> Structure:
    """Measure one package; ``known`` has the modules of all packages, by dotted name."""
    result = Structure()
    for name, path in find_modules(root).items():
        text = path.read_text("utf-8")
        tree = ast.parse(text)
        result.files.append(text.count("\n"))
        result.comments += _count_comments(text)
        result.root_modules += path.parent == root and path.name != "__init__.py"
        result.imports[name] = find_imports(name, path, tree, known)
        for function in _functions(tree):
            result.functions.append(_count_body_lines(function))
            result.names.append(function.name.strip("_"))
    return result


def find_modules(root: Path) -> dict[str, Path]:
    """Return every module of a package by its dotted name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def find_imports(name: str, path: Path, tree: ast.Module, known: dict[str, Path]) -> set[str]:
    """Return the known modules that a module imports anywhere in its text."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom):
            base = _resolve_base(node, name, is_package=path.name == "__init__.py")
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found |= {full} if full in known else {base} & set(known)
    return found - {name}


def find_cycles(imports: Graph) -> list[list[str]]:
    """Return import cycles, one for each group of modules that import each other."""
    graph, cycles = dict(imports), []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            cycle = error.args[1][:-1]
            cycles.append(sorted(cycle))
            # Without these modules the next round finds the next cycle.
            graph = {key: graph[key] - set(cycle) for key in graph if key not in cycle}
        else:
            return cycles


def _resolve_base(node: ast.ImportFrom, name: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    package = name.split(".") if is_package else name.split(".")[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method except magic methods, whose names are not chosen."""
    for node in ast.walk(tree):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and not node.name.startswith("__"):
            yield node


def _count_body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    end = function.end_lineno or function.lineno
    docstring = function.body[0] if ast.get_docstring(function, clean=False) is not None else None
    lines = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return end - function.lineno + 1 - lines


def _count_comments(text: str) -> int:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(token.type == tokenize.COMMENT for token in tokens)


def _is_participle(name: str) -> bool:
    return PARTICIPLES.fullmatch(name) is not None


def _percentile_90(values: Sequence[int]) -> int:
    return sorted(values)[round(0.9 * (len(values) - 1))]


def _spread(values: Sequence[int]) -> str:
    return f"{median(values):.0f} / {_percentile_90(values)} / {max(values)}"


def measure(repeat: int, folders: Sequence[str] = SOURCES) -> Table:
    """Measure every package; ``repeat`` is ignored, the numbers do not vary."""
    del repeat
    roots = [Path(folder) for folder in folders]
    known = {name: path for root in roots for name, path in find_modules(root).items()}
    columns = (
        "package",
        "files",
        "lines",
        "file median / p90 / max",
        "function median / p90 / max",
        "comments per 100 lines",
        "modules at the root",
        "one-word names, %",
        "participles, %",
    )
    table = Table("Structure of the code", columns)
    results = {root.name: measure_package(root, known) for root in roots}
    for name, result in results.items():
        table.rows.append((name, *_cells(result), result.root_modules, *_shares(result)))
    total = _merge(list(results.values()))
    table.rows.append(("all", *_cells(total), "", *_shares(total)))
    table.targets += _targets(total, results.get("veo", total).root_modules)
    return table


def _cells(result: Structure) -> tuple[str | float, ...]:
    sizes = (len(result.files), sum(result.files), _spread(result.files), _spread(result.functions))
    return (*sizes, result.comment_density)


def _shares(result: Structure) -> tuple[float, float]:
    return result.one_word_share, result.participle_share


def _merge(results: Sequence[Structure]) -> Structure:
    total = Structure()
    for result in results:
        total.files += result.files
        total.functions += result.functions
        total.names += result.names
        total.comments += result.comments
        total.imports |= result.imports
    return total


def _targets(total: Structure, root_modules: int) -> list[Target]:
    return [
        Target("import cycles", len(find_cycles(total.imports)), 0),
        Target("modules at the root of veo", root_modules, 18),
        Target("lines of the median function", median(total.functions), 8),
        Target("lines of a function, p90", _percentile_90(total.functions), 20),
        Target("comments per 100 lines", total.comment_density, 2.5, is_minimum=True),
        Target("bare participles, % of function names", total.participle_share, 2),
        Target("one-word names, % of function names", total.one_word_share, 50),
    ]


def main() -> None:
    """Print the table, and with ``-v`` the modules of every cycle."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="*", default=SOURCES, metavar="FOLDER")
    parser.add_argument("-v", "--verbose", action="store_true", help="list the cycles")
    arguments = parser.parse_args()
    print(measure(1, arguments.folders))
    if arguments.verbose:
        roots = [Path(folder) for folder in arguments.folders]
        known = {name: path for root in roots for name, path in find_modules(root).items()}
        packages = [measure_package(root, known) for root in roots]
        for cycle in find_cycles(_merge(packages).imports):
            print("cycle: " + " ".join(cycle))


if __name__ == "__main__":
    main()
