"""The columns of files, with the names of their polars types."""

from collections.abc import Sequence

_KINDS = {"ticker": "String", "session_end_date": "String"} | dict.fromkeys(
    ("window_start", "transactions", "exchange"), "Int64"
)


def schema_of(columns: Sequence[str]) -> dict[str, str]:
    """The types of these columns: floats, except for names and counts."""
    return {name: _KINDS.get(name, "Float64") for name in columns}


SCHEMA = schema_of(("ticker", "volume", "open", "close", "high", "low", "window_start", "transactions"))
"""The columns of a stocks day file."""
