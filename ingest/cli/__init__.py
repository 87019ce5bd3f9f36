"""One file a command, and the rendering of events."""
