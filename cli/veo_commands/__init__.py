"""The command line: one file a verb, each as short as parse, call, show."""

from veo_commands.entry_point import main

__all__ = ["main"]
