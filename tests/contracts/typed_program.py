"""A user's program, checked by mypy with the package: it is never run."""

import pandas as pd
import polars as pl

import ingest

version: str = ingest.__version__
closes: pl.DataFrame = ingest.history(["AAPL", "MSFT"], adjust="all", columns=["ticker", "date", "close"])
prices: pd.DataFrame = ingest.get_smart_data("AAPL", "6mo", data_source="massive")
seconds: float = ingest.run(months=6, tickers=["AAPL", "MSFT"]).seconds
wide: pd.DataFrame = ingest.panel(["AAPL", "MSFT"], "close", adjust="all")
pairs: pd.DataFrame = ingest.panel("X:*-USD", ["close", "volume"], interval="1h")
waited: float = ingest.run(wait="6h").seconds
ready: bool = all(one.passed for one in ingest.check())
permitted: pl.Series = ingest.list_files(months=1)["permitted"]
names: list[str] = [one.ticker for one in (*ingest.track.add("MSFT"), *ingest.track.list())]
gone: tuple[str, ...] = ingest.track.remove(["MSFT"])
refused: list[str] = [one.reason for one in ingest.quarantine.list()]
removed: list[int | None] = [one.went for one in ingest.quarantine.accept("2025-11-11")]
again = ingest.quarantine.retry()
code: int = again.exit_code if again else 0
rows: int = sum(one.rows for one in ingest.export("AAPL", "files", format="parquet"))
files = ingest.export([], "files", tracked=True, shape="wide", name="{column}", columns=["close"], overwrite=True)
owner: str | None = files[0].ticker
shown: pd.DataFrame = ingest.panel("AAPL", progress=False)

unknown = ingest.nothing  # type: ignore[attr-defined]
ingest.history(["AAPL"], adjust="everything")  # type: ignore[arg-type]
ingest.export("AAPL", "files", format="xlsx")  # type: ignore[arg-type]
ingest.export("AAPL", "files", shape="tall")  # type: ignore[arg-type]
