"""The script that `s5cmd_polars` measures: see there what it does and what it leaves out."""

import argparse
import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.schema import SCHEMA


def main() -> None:
    """Copy, split, write."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("cache", type=Path)
    arguments.add_argument("tickers", type=Path)
    arguments.add_argument("--threads", action="store_true")
    arguments.add_argument("copy", nargs="+")
    chosen = arguments.parse_args()
    downloads, archive, tracked = (chosen.cache / name for name in ("downloads", "archive", "tracked"))
    for folder in (downloads, archive, tracked):
        folder.mkdir()
    subprocess.run([*chosen.copy, f"{downloads}/"], check=True)
    split(downloads, archive, tracked, chosen.tickers.read_text().split(), chosen.threads)


def split(downloads: Path, archive: Path, tracked: Path, tickers: Sequence[str], threads: bool) -> None:
    """Split each day, then write the tracked tickers' files."""
    import polars as pl

    paths = sorted(downloads.glob("*.csv.gz"))
    one = partial(split_day, archive, pl.Series(tickers))
    if threads:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            frames = list(pool.map(one, paths))
    else:
        frames = [one(path) for path in paths]
    columns = [pl.col(name.lower()).alias(name) for name in ("Open", "High", "Low", "Close", "Volume")]
    for (ticker,), frame in pl.concat(frames).partition_by("ticker", as_dict=True).items():
        frame.select("Date", *columns).write_csv(tracked / f"{ticker}_1d_data.csv")


def split_day(archive: Path, tickers: Any, path: Path) -> Any:
    """Write one day's archive; returns its tracked rows."""
    import polars as pl

    frame = pl.read_csv(path, schema={name: getattr(pl, kind) for name, kind in SCHEMA.items()})
    is_tracked = pl.col("ticker").is_in(tickers.implode())
    frame.filter(~is_tracked).write_csv(archive / path.name, compression="gzip", compression_level=1)
    return frame.filter(is_tracked).with_columns(Date=pl.lit(path.name[:10]))


if __name__ == "__main__":
    main()
