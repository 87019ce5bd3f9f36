"""`s5cmd cp` and then polars, the way a competent user would script it.

1. `s5cmd cp --flatten s3://bucket/prefix/* folder/` with its defaults (256 workers) downloads all files into a folder.
2. Day by day: `read_csv` of the compressed file with a full schema; one `filter` for the tracked tickers, one for the
   others; the others are written with `write_csv(compression="gzip", compression_level=1)`.
3. At the end the tracked rows of all days are concatenated, and each ticker's CSV is written once, with the columns
   of ours (Date,Open,High,Low,Close,Volume; for minutes one file per month, with New York's time and its offset).

polars uses all cores as it sees fit; with `--threads` one thread per core works on the days as well. There is no
manifest, no check of the downloads, no fsync, no retry, no index into the archive, and no second run: started again, it
does everything again.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peer import arguments, copy, folders
from benchmarks.schema import schema_of

_NUMBERS = ("Open", "High", "Low", "Close", "Volume")


def main() -> None:
    """Copy, split, write."""
    import polars as pl

    parser = arguments()
    parser.add_argument("--threads", action="store_true")
    chosen = parser.parse_args()
    downloads, archive, tracked = folders(chosen.cache)
    paths = copy(chosen.copy, downloads)
    schema = {name: getattr(pl, kind) for name, kind in schema_of(chosen.columns).items()}
    one = partial(split_day, archive, schema, pl.Series(chosen.tickers.read_text().split()))
    write_tracked(pl.concat(_all_days(one, paths, chosen.threads)), tracked, chosen.sigil, chosen.minutes)


def write_tracked(rows: Any, tracked: Path, sigil: str, minutes: bool) -> None:
    """Write the files of each ticker from the tracked rows of all days, in their order."""
    import polars as pl

    write = _write_minutes if minutes else _write_days
    columns = [pl.col(name.lower()).alias(name) for name in _NUMBERS if name.lower() in rows.columns]
    for (ticker,), frame in rows.partition_by("ticker", as_dict=True).items():
        write(tracked, ticker.removeprefix(sigil), frame, columns)


def _all_days(one: Any, paths: Sequence[Path], threads: bool) -> list[Any]:
    if not threads:
        return [one(path) for path in paths]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, paths))


def _write_days(tracked: Path, name: str, frame: Any, columns: Sequence[Any]) -> None:
    frame.select("Date", *columns).write_csv(tracked / f"{name}_1d_data.csv")


def _write_minutes(tracked: Path, name: str, frame: Any, columns: Sequence[Any]) -> None:
    """A file for each month."""
    import polars as pl

    folder = tracked / f"{name}_1m_data"
    folder.mkdir()
    moment = pl.from_epoch("window_start", time_unit="ns").dt.convert_time_zone("America/New_York")
    stamped = frame.with_columns(Datetime=moment.dt.strftime("%Y-%m-%d %H:%M:%S%:z"))
    month = pl.col("Datetime").str.head(7)
    for (when,), rows in stamped.with_columns(month.alias("month")).partition_by("month", as_dict=True).items():
        rows.select("Datetime", *columns).write_csv(folder / f"{when}.csv")


def split_day(archive: Path, schema: Mapping[str, Any], tickers: Any, path: Path) -> Any:
    """Write one day's archive; returns its tracked rows."""
    import polars as pl

    frame = pl.read_csv(path, schema=schema)
    is_tracked = pl.col("ticker").is_in(tickers.implode())
    frame.filter(~is_tracked).write_csv(archive / path.name, compression="gzip", compression_level=1)
    return frame.filter(is_tracked).with_columns(Date=pl.lit(path.name[:10]))


if __name__ == "__main__":
    main()
