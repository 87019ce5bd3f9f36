"""The commands. Only signatures and help live here: what a command needs is imported when it is called."""

# ruff: noqa: I001 - the order of the help
from ingest.cli.app.root import app
from ingest.cli.app import fetching, state, reading, starting, track, quarantine, config

__all__ = ["app", "config", "fetching", "quarantine", "reading", "starting", "state", "track"]
