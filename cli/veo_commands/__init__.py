"""The command line: one module per command in ``veo_commands.commands``."""

from veo_commands.entry_point import main

__all__ = ["main"]
