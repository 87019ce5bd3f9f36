"""The commands. Only signatures and help live here: what a command needs is imported when it is called."""

# ruff: noqa: I001 - the order of the help
from ingest.commands.app.root import app
from ingest.commands.app import fetching, state, rows, starting, track, quarantine, config

__all__ = ["app", "config", "fetching", "quarantine", "rows", "starting", "state", "track"]
