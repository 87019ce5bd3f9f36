"""The columns of a stocks day file, by name of their polars type."""

SCHEMA = {
    "ticker": "String",
    "volume": "Float64",
    "open": "Float64",
    "close": "Float64",
    "high": "Float64",
    "low": "Float64",
    "window_start": "Int64",
    "transactions": "Int64",
}
