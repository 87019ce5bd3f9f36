"""The command line: one file per command, and the rendering of events."""
