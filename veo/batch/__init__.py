"""Many requests that are read, checked, planned and run together."""
