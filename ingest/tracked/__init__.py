"""The CSVs of tracked tickers: lists, patterns, projection."""
