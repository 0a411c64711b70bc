"""How a function becomes a command: its groups of options spread out, its help in sections."""

import inspect
from collections.abc import Callable
from copy import copy
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature
from typing import Annotated, Any, get_args

from typer.core import TyperCommand

from veo_commands.options import OutputOptions
from veo_commands.output import out


def build_callback(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """The function as Typer wants it: every group of options as its single options.

    A parameter annotated with one of the dataclasses of ``veo_commands.options`` is such a group.
    Every command takes those of ``Show`` besides: what it prints is settled before it is called.
    """
    groups: dict[str, type] = {}
    spread: list[Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation):
            groups[name] = parameter.annotation
            spread += _options(parameter.annotation)
        else:
            spread.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
    spread += _options(OutputOptions)

    @wraps(function)
    def call(**given: Any) -> int | None:
        out.set_mode(_group(OutputOptions, given))
        try:
            return function(**{name: _group(groups[name], given) for name in groups} | given)
        except BrokenPipeError:  # Typer has an ending of its own for it, with another code
            return out.broken_pipe()

    call.__signature__ = Signature(spread)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in spread}
    return call


class Command(TyperCommand):
    """A command whose help shows its options under the headings of their groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section a heading, in the order in which they first appear."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                named = getattr(parameter, "rich_help_panel", None)
                usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
                sections.setdefault(named or usual, []).append(record)
        for heading in sorted(sections, key=_RANK.index):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])


_RANK = ("Arguments", "Options", "Request", "Run", "Simulation", "Reconciliation", "General")


def _options(group: type) -> list[Parameter]:
    return [
        Parameter(
            item.name,
            Parameter.KEYWORD_ONLY,
            default=item.default,
            annotation=_under(group.panel, item.type),  # type: ignore[attr-defined]
        )
        for item in fields(group)
    ]


def _group(group: type, given: dict[str, Any]) -> Any:
    """The group, its options taken out of what was given."""
    return group(**{item.name: given.pop(item.name) for item in fields(group)})


def _under(panel: str, annotation: Any) -> Any:
    kind, option = get_args(annotation)
    option = copy(option)
    option.rich_help_panel = panel
    return Annotated[kind, option]
