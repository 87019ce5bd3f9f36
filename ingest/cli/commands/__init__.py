"""One module a command: what it does, and what it prints."""
