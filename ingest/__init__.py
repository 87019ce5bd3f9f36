"""Bulk ingestion of Massive.com daily flat files.

ingest.run(months=24)   fetch what is new, split it into both tiers
ingest.status()         what the cache holds
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.api import run, status

__all__ = ["run", "status"]


def __getattr__(name: str) -> Any:
    """Import the functions when one is first used: `import ingest` itself costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ingest import api

    return getattr(api, name)
