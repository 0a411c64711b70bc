"""The commands, one file each, and the helpers only they use."""
