"""Bulk ingestion of Massive.com daily flat files.

ingest.run(months=24)                                    fetch what is new, split it into both tiers
ingest.status()                                          what the cache holds
ingest.get_smart_data("AAPL", data_source="massive")     one ticker as yfinance would give it (pandas)
ingest.history(["AAPL", "MSFT"], adjust="all")           stored rows of some tickers (polars)
ingest.day("2025-11-11")                                 all tickers of a session (polars)
ingest.scan("2025-01-01")                                all files held, lazily (polars)
ingest.corrections("AAPL")                               what republished files have changed (polars)
ingest.findings()                                        what is noteworthy about the sessions held (polars)
ingest.verify(deep=True)                                 the files held against the manifest
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.api import corrections, day, findings, get_smart_data, history, run, scan, status, verify

__all__ = ["corrections", "day", "findings", "get_smart_data", "history", "run", "scan", "status", "verify"]


def __getattr__(name: str) -> Any:
    """Import the functions when one is first used: `import ingest` itself costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ingest import api

    return getattr(api, name)
