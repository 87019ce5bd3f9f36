"""`s5cmd cp` and then one lazy polars query: the job of `s5cmd_polars` for the streaming engine.

1. `s5cmd cp` downloads all files, as there.
2. One `scan_csv` over all files, with a full schema and each row's path. The other tickers go to `sink_csv`, which
   partitions them by path with gzip at level 1: an archive file for each day, named as the download. The tracked rows
   are collected. `collect_all` runs both at once, so that each file is read once.
3. Each tracked ticker's CSV (for minutes one per month) is written from what was collected, as there.

polars uses all cores as it sees fit, across the days, and keeps many days in memory to do so. It omits what
`s5cmd_polars` omits. `PartitionBy` is marked unstable in polars 2.1.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peer import arguments, copy, folders
from benchmarks.s5cmd_polars import write_tracked
from benchmarks.schema import schema_of


def main() -> None:
    """Copy, split, write."""
    import polars as pl

    chosen = arguments().parse_args()
    downloads, archive, tracked = folders(chosen.cache)
    paths = copy(chosen.copy, downloads)
    schema = {name: getattr(pl, kind) for name, kind in schema_of(chosen.columns).items()}
    rows = _split(paths, schema, pl.Series(chosen.tickers.read_text().split()), archive)
    write_tracked(rows, tracked, chosen.sigil, chosen.minutes)


def _split(paths: Sequence[Path], schema: Mapping[str, Any], tickers: Any, archive: Path) -> Any:
    """Write the archive of all days; returns the tracked rows."""
    import polars as pl

    rows = pl.scan_csv(paths, schema=schema, include_file_paths="path")
    is_tracked = pl.col("ticker").is_in(tickers.implode())
    days = pl.PartitionBy(archive, key="path", include_key=False, file_path_provider=_name)
    rest = rows.filter(~is_tracked).sink_csv(days, compression="gzip", compression_level=1, lazy=True)
    day = pl.col("path").str.tail(len("2026-01-02.csv.gz")).str.head(len("2026-01-02"))
    _, kept = pl.collect_all([rest, rows.filter(is_tracked).with_columns(Date=day)], engine="streaming")
    return kept


def _name(partition: Any) -> str:
    return Path(partition.partition_keys.item()).name


if __name__ == "__main__":
    main()
