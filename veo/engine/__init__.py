"""The engine moves many jobs at a time, each by one step after another."""
