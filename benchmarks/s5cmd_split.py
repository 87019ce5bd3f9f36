"""The script that `s5cmd_polars` measures; its docstring says what this does and what it omits."""

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
    frames = pl.concat(_all_days(one, paths, chosen.threads))
    write = _write_minutes if chosen.minutes else _write_days
    columns = [pl.col(name.lower()).alias(name) for name in _NUMBERS if name.lower() in schema]
    for (ticker,), frame in frames.partition_by("ticker", as_dict=True).items():
        write(tracked, ticker.removeprefix(chosen.sigil), frame, columns)


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
