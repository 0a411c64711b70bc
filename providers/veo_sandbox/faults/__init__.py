"""Faults: the table of them, and the rules that say when they strike."""
