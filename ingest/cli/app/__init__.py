"""The commands. Only signatures and help live here: each command imports what it needs when it is called."""

# ruff: noqa: I001 - `--help` lists the commands in this order
from ingest.cli.app.root import app
from ingest.cli.app import completing
from ingest.cli.app import fetching, state, reading, starting, track, quarantine, lake, schedule, config

__all__ = [
    "app",
    "completing",
    "config",
    "fetching",
    "lake",
    "quarantine",
    "reading",
    "schedule",
    "starting",
    "state",
    "track",
]
