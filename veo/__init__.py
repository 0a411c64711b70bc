"""Veo 3.1 video over interchangeable backends."""
