"""Run ``veo`` as ``python -m veo_commands``."""

from veo_commands import main

main()
