"""Bulk ingestion of Massive.com daily flat files.

ingest.run(months=24)                                    download what is new, split it into both tiers
ingest.status()                                          what is stored
ingest.get_smart_data("AAPL", data_source="massive")     one ticker, like yfinance (pandas)
ingest.history(["AAPL", "MSFT"], adjust="all")           stored rows of some tickers (polars)
ingest.panel(["AAPL", "MSFT"], "close", adjust="all")    dates × tickers (pandas)
ingest.day("2025-11-11")                                 all tickers of a session (polars)
ingest.chain("SPY", expiry="2025-12-19")                 the contracts of an underlying in a session (polars)
ingest.scan("2025-01-01")                                all stored files, lazily (polars)
ingest.tickers(min_dollar_volume=5e6)                    the stored tickers, and how much they are traded (polars)
ingest.sql("from tickers limit 5")                       SQL over all stored files (DuckDB)
ingest.connect()                                         a DuckDB connection with the same views
ingest.corrections("AAPL")                               what republished files changed (polars)
ingest.export(["AAPL", "MSFT"], "files")                 files for other programs
ingest.findings()                                        what is odd in the stored sessions (polars)
ingest.verify(deep=True)                                 the stored files, compared with the manifest
ingest.check()                                           whether a run has all that it needs
ingest.list_files(months=1)                              the source's files, and which of them are stored (polars)
ingest.list_parts()                                      the stored parts as files or objects (polars)
ingest.move("s3://bucket/prefix")                        the parts to an object store; "local" is back
ingest.track.add("MSFT")                                 follow a ticker; also remove, list
ingest.quarantine.list()                                 refused files; also accept, retry
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.api import quarantine, track
    from ingest.api.downloads import run
    from ingest.api.exports import export
    from ingest.api.prices import get_smart_data, panel
    from ingest.api.queries import connect, sql
    from ingest.api.rows import chain, day, history, scan, tickers
    from ingest.api.source import check, list_files
    from ingest.api.state import corrections, findings, list_parts, move, status, verify

    __version__: str

__all__ = [
    "chain",
    "check",
    "connect",
    "corrections",
    "day",
    "export",
    "findings",
    "get_smart_data",
    "history",
    "list_files",
    "list_parts",
    "move",
    "panel",
    "quarantine",
    "run",
    "scan",
    "sql",
    "status",
    "tickers",
    "track",
    "verify",
]


if not TYPE_CHECKING:  # a checker that saw this would accept any name
    _MODULES = {
        "downloads": ("run",),
        "exports": ("export",),
        "queries": ("connect", "sql"),
        "prices": ("get_smart_data", "panel"),
        "rows": ("chain", "day", "history", "scan", "tickers"),
        "source": ("check", "list_files"),
        "state": ("corrections", "findings", "list_parts", "move", "status", "verify"),
    }

    def __getattr__(name: str) -> Any:
        """Import a function's module when it is first used, so that `import ingest` itself costs nothing."""
        if name == "__version__":
            from importlib.metadata import version

            return version("ingest")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        place = next((module for module, names in _MODULES.items() if name in names), None)
        module = import_module(f"{__name__}.api.{place or name}")
        return getattr(module, name) if place else module


def __dir__() -> list[str]:
    """Names for tab completion."""
    return [*__all__, "__version__"]
