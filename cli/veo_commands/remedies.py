"""Errors in the terms of the command line: options for fields, commands for remedies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from veo.errors import VeoError

_ARGUMENTS = {"prompt", "extend"}  # request fields that are given without an option


def option_name(field: str) -> str:
    """Return ``--negative-prompt`` for the field ``negative_prompt``."""
    return field if field in _ARGUMENTS else f"--{field.replace('_', '-')}"


def error_lines(error: VeoError) -> list[str]:
    """Return an error's message as lines; problems of a request name options, not fields."""
    from veo.errors import InvalidRequestError

    if isinstance(error, InvalidRequestError):
        return [f"{option_name(each.field)}: {each.explanation}" for each in error.problems]
    return error.message.splitlines() or [type(error).__name__]
