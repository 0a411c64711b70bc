"""Live progress on stderr."""
