"""One file at a time with boto3 and pandas, like most scripts on the web.

For each day: `get_object`, `read_csv(compression="gzip")`; for each tracked ticker: read its CSV, append the row, write
it again; the others go to `to_csv(compression="gzip")`.
"""

import argparse
import io
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.measure import Sample, measure, python
from ingest.market.catalogue import STOCKS_DAY

COLUMNS = {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"}


def boto3_pandas(
    endpoint_url: str, bucket: str, keys: Path, tickers: Path, cache: Path, days: Sequence[date]
) -> tuple[Sample, float]:
    """Measure it over some days, into an empty folder; also returns the seconds of its loop, without startup."""
    sample = measure(
        python("benchmarks.boto3_pandas", endpoint_url, bucket, tickers, cache, *days),
        {"AWS_SHARED_CREDENTIALS_FILE": str(keys), "AWS_PROFILE": "massive", "AWS_REGION": "us-east-1"},
    )
    return sample, float(sample.output.splitlines()[-1])


def main() -> None:
    """Work through the days and print how many seconds they took."""
    import boto3
    import pandas  # noqa: F401 - part of the startup

    arguments = argparse.ArgumentParser()
    arguments.add_argument("endpoint_url")
    arguments.add_argument("bucket")
    arguments.add_argument("tickers", type=Path)
    arguments.add_argument("cache", type=Path)
    arguments.add_argument("days", nargs="+")
    chosen = arguments.parse_args()
    client = boto3.client("s3", endpoint_url=chosen.endpoint_url, region_name="us-east-1")
    tickers = chosen.tickers.read_text().split()
    (chosen.cache / "archive").mkdir()
    (chosen.cache / "tracked").mkdir()
    started = time.perf_counter()
    for day in chosen.days:
        key = STOCKS_DAY.key(date.fromisoformat(day))
        body = client.get_object(Bucket=chosen.bucket, Key=key)["Body"].read()
        one_day(day, body, tickers, chosen.cache)
    print(time.perf_counter() - started)


def one_day(day: str, body: bytes, tickers: Sequence[str], cache: Path) -> None:
    """Split one day into both tiers."""
    import pandas as pd

    # Strings as they are: the ticker NA is not a missing value.
    frame = pd.read_csv(io.BytesIO(body), compression="gzip", keep_default_na=False, dtype={"ticker": str})
    is_tracked = frame["ticker"].isin(tickers)
    for ticker, rows in frame[is_tracked].groupby("ticker"):
        _append(cache / "tracked" / f"{ticker}_1d_data.csv", day, rows)
    frame[~is_tracked].to_csv(cache / "archive" / f"{day}.csv.gz", index=False, compression="gzip")


def _append(path: Path, day: str, rows: Any) -> None:
    import pandas as pd

    new = rows[list(COLUMNS)].rename(columns=COLUMNS)
    new.insert(0, "Date", day)
    whole = pd.concat([pd.read_csv(path), new]) if path.exists() else new
    whole.to_csv(path, index=False)


if __name__ == "__main__":
    main()
