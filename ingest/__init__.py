"""Bulk ingestion of Massive.com daily flat files.

ingest.run(months=24)                                    download what is new, split it into both tiers
ingest.status()                                          what is stored
ingest.get_smart_data("AAPL", data_source="massive")     one ticker, like yfinance (pandas)
ingest.history(["AAPL", "MSFT"], adjust="all")           stored rows of some tickers (polars)
ingest.day("2025-11-11")                                 all tickers of a session (polars)
ingest.scan("2025-01-01")                                all stored files, lazily (polars)
ingest.corrections("AAPL")                               what republished files changed (polars)
ingest.findings()                                        what is odd in the stored sessions (polars)
ingest.verify(deep=True)                                 the stored files, compared with the manifest
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.api import corrections, day, findings, get_smart_data, history, run, scan, status, verify

    __version__: str

__all__ = ["corrections", "day", "findings", "get_smart_data", "history", "run", "scan", "status", "verify"]


if not TYPE_CHECKING:  # a checker that saw this would accept any name

    def __getattr__(name: str) -> Any:
        """Import the functions when the first one is used, so that `import ingest` itself costs nothing."""
        if name == "__version__":
            from importlib.metadata import version

            return version("ingest")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ingest import api

        return getattr(api, name)


def __dir__() -> list[str]:
    """Names for tab completion."""
    return [*__all__, "__version__"]
