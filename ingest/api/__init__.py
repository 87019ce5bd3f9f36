"""The functions for Python programs. `ingest` exports them, and imports this package when the first one is used.

Shared arguments: `start`, `end` and `session` are dates, datetimes (only the date counts), or text such as
"2025-11-11". `tickers` is one name or several. `dataset` is a short name ("crypto-day") or a full one
("global_crypto/day_aggs_v1"). `config` is the path of a settings file; None means the one that the commands find. All
functions raise UsageError for an invalid argument or setting.
"""

from ingest.api.downloads import run
from ingest.api.prices import get_smart_data
from ingest.api.rows import day, history, scan
from ingest.api.state import corrections, findings, status, verify

__all__ = ["corrections", "day", "findings", "get_smart_data", "history", "run", "scan", "status", "verify"]
