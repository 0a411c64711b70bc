"""Turn a function into a Typer command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import fields, is_dataclass
from functools import cache, partial, wraps
from importlib import import_module
from inspect import Parameter, Signature
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand
from typer.main import get_command

from veo.errors import UsageError
from veo_commands import signals
from veo_commands.log_handler import attach_handler
from veo_commands.output import OutputOptions, out

_PANELS = ("Arguments", "Options", "Request", "Run", "Simulation", "Reconciliation", "General")


@cache
def load_command(name: str) -> Any:
    """Import the module of a command: the function of its name, and its ``EXAMPLES``."""
    module = import_module(f"veo_commands.commands.{name}")
    # Typer keeps the line breaks of a paragraph that begins with a backspace.
    epilog = "\n  ".join(("\b\nExamples:", *module.EXAMPLES))
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=Command, epilog=epilog)(build_callback(getattr(module, name)))
    return get_command(app)


def build_callback(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Return the function with each group of options replaced by its single options.

    A group is a parameter whose type is a dataclass of options, as in ``veo_commands.options``.
    Every command also takes ``OutputOptions``; they are applied before it is called.
    """
    groups: dict[str, type] = {}
    parameters: list[Parameter] = []
    hints = get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if is_dataclass(hints[name]):
            groups[name] = hints[name]
            parameters += _group_parameters(hints[name])
        else:
            parameters.append(_make_parameter(name, hints[name], parameter.default))
    parameters += _group_parameters(OutputOptions)

    @wraps(function)
    def call(**values: Any) -> int | None:
        out.options, out.sandbox = _take_group(OutputOptions, values), False
        attach_handler()
        signals.raise_interrupts()
        try:
            return function(**{name: _take_group(groups[name], values) for name in groups} | values)
        except BrokenPipeError:  # Typer would exit with 1, where 141 is documented
            return out.broken_pipe()

    # Typer reads the signature for parameters, and the annotations for their types.
    call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


class LightParameters:
    """A mixin for commands, whose parameters keep their defaults without a conversion.

    Typer would import pydantic and build an adapter for each option, even for one that is not
    given: as much work as all the rest of ``veo jobs``.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            parameter.process_value = partial(_convert_given, parameter)
        return parameters


def _convert_given(parameter: Any, context: Any, value: Any) -> Any:
    if value is not parameter.default or parameter.required:
        return type(parameter).process_value(parameter, context, value)
    is_list = parameter.multiple or parameter.nargs == -1
    value = () if value is None and is_list else value
    return parameter.callback(context, parameter, value) if parameter.callback else value


class Command(LightParameters, TyperCommand):
    """A command whose help page has one section for each panel."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; an error names the command, whose help page explains it."""
        words = list(args)  # the parser consumes the list
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "ctx", ctx) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            if word := getattr(error, "option_name", "").strip("-"):
                # A word of a name, or its beginning, is a better match than similar letters.
                options = [name for each in self.params for name in each.opts]
                names = [each for each in options if f"-{word}-" in f"{each}-"]
                names = names or [each for each in options if each.startswith(f"--{word}")]
                error.possibilities = names or error.possibilities  # type: ignore[attr-defined]
            if "unexpected extra argument" in str(error) and self._takes_prompt():
                raise _unquoted_prompt_error(words) from None
            raise

    def _takes_prompt(self) -> bool:
        arguments = [each for each in self.params if each.param_type_name == "argument"]
        return bool(arguments) and arguments[-1].metavar == "PROMPT"

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line, without the braces of required arguments."""
        pieces = super().collect_usage_pieces(ctx)
        return [piece.replace("{", "").replace("}", "") for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections in the order of ``_PANELS``; others come last."""
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in _PANELS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                name, text = record
                panel, default = getattr(parameter, "rich_help_panel", None), "Options"
                if parameter.param_type_name == "argument":
                    # Typer adds the Python type, ``JOB <list[str]>``, which helps no user.
                    name, default = name.partition(" <")[0], "Arguments"
                sections.setdefault(panel or default, []).append((name, text))
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def _unquoted_prompt_error(args: Sequence[str]) -> UsageError:
    """Return that a shell has split a prompt into words; most users forget the quotes once."""
    option = next((number for number, each in enumerate(args) if each.startswith("-")), len(args))
    words = args[:option] or [each for each in args if not each.startswith("-")]
    return UsageError(
        "the prompt is several arguments, because it has no quotes around it",
        hint=f'Write it as one: "{" ".join(words)}"',
    )


def _group_parameters(group: type) -> list[Parameter]:
    hints = get_type_hints(group)
    panel = group.panel  # type: ignore[attr-defined]
    parameters = [
        _make_parameter(field.name, hints[field.name], field.default, panel)
        for field in fields(group)
    ]
    for parameter in parameters:
        parameter.default.hidden |= parameter.name in getattr(group, "hidden", ())
    return parameters


def _make_parameter(name: str, kind: Any, option: Any, panel: str | None = None) -> Parameter:
    option = copy(option)  # another group may have inherited it, in a panel of its own
    option.rich_help_panel = panel or option.rich_help_panel
    if kind is bool and not option.param_decls:
        # Without a name, Typer would also make a ``--no-`` option.
        option.param_decls = (f"--{name.replace('_', '-')}",)
    return Parameter(name, Parameter.KEYWORD_ONLY, default=option, annotation=kind)


def _take_group(group: type, values: dict[str, Any]) -> Any:
    return group(**{field.name: values.pop(field.name) for field in fields(group)})
