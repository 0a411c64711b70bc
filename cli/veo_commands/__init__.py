"""The command line: one module per command in ``veo_commands.commands``."""

from __future__ import annotations

import gc

from veo_commands import signals

TYPE_CHECKING = False  # without `typing`, whose import nothing here needs
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

# The imports of a command make a hundred thousand objects that stay: to look through them again
# and again takes a tenth of the time of `veo jobs`.
_COLLECT_AFTER = 100_000


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, and exit with one of the codes that ``veo --help`` lists."""
    signals.exit_on_interrupt()
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
    from veo_commands import entry_point  # its imports are those objects

    entry_point.main(args)
