"""Jobs that start from a video: extensions and edits, and where their video comes from."""
