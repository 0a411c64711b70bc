"""The progress of jobs on stderr."""
