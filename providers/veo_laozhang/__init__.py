"""Veo at LaoZhang.ai: asynchronous tasks and the streaming chat.

Nothing here was tried against the live service. It is built from the vendor's pages, the three
results that it published in November 2025, the logs of its users, and the public source of the
gateway that its newer route resembles.
"""

from veo_laozhang.async_route import LaoZhangAsync
from veo_laozhang.sync_route import LaoZhangSync

__all__ = ["LaoZhangAsync", "LaoZhangSync"]
