"""What moves jobs along: one step at a time, many jobs at once."""
