"""``python -m veo_commands`` is ``veo``."""

from veo_commands import main

main()
