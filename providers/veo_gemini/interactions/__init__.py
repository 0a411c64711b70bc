"""The Interactions wire, which Gemini Omni speaks on both of Google's APIs.

No network is used by ``read`` and ``usage``: they convert values.
"""
