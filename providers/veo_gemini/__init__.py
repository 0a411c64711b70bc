"""Gemini Omni and Veo 3.1 on Google's own APIs: the Developer API and the Agent Platform.

Veo goes through google-genai. HTTP libraries are imported on the first request, not for the facts
about models.
"""

from veo_gemini.developer_api import Gemini
from veo_gemini.vertex import Vertex

__all__ = ["Gemini", "Vertex"]
