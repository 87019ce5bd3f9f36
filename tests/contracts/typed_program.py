"""A user's program, checked by mypy with the package: it is never run."""

import pandas as pd
import polars as pl

import ingest

version: str = ingest.__version__
closes: pl.DataFrame = ingest.history(["AAPL", "MSFT"], adjust="all", columns=["ticker", "date", "close"])
prices: pd.DataFrame = ingest.get_smart_data("AAPL", "6mo", data_source="massive")
seconds: float = ingest.run(months=6, tickers=["AAPL", "MSFT"]).seconds

unknown = ingest.nothing  # type: ignore[attr-defined]
ingest.history(["AAPL"], adjust="everything")  # type: ignore[arg-type]
