"""`rclone copy` and then DuckDB over all days at once.

1. `rclone copy` with 32 transfers and 32 checkers instead of its 4 and 8, and `--fast-list`: few listings. It compares
   the size and MD5 of each download with the listing, renames it into place, and retries: its defaults.
2. One `COPY … (FORMAT csv, COMPRESSION gzip, PARTITION_BY (day))` over all files writes the other tickers into a folder
   for each day: `archive/day=2026-01-02/data_0.csv.gz`. The tracked ones are read into a table by a second scan.
3. Each tracked ticker's CSV (for minutes one per month) is written with its own `COPY`, as in `s5cmd_duckdb`.

DuckDB uses all cores across small days, which is faster than day by day, and keeps many days in memory to do so; files
of minutes gain nothing by it. Its gzip level cannot be chosen. There is no manifest, no fsync, no index into the
archive, and no second run: `rclone copy` would download only what is new, but `COPY` refuses a folder that has files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.s5cmd_duckdb import TYPES, run
from benchmarks.schema import schema_of


def main() -> None:
    """Copy, split, write."""
    run(_split)


def _split(db: Any, names: Sequence[str], paths: Sequence[Path], archive: Path) -> None:
    """Write the archive of all days; the tracked rows become the table `tracked`."""
    columns = {name: TYPES[kind] for name, kind in schema_of(names).items()}
    files = f"read_csv({[str(path) for path in paths]}, header = true, columns = {columns}, filename = true)"
    day = "parse_filename(filename)[:10]"
    rest = f"SELECT * EXCLUDE (filename), {day} AS day FROM {files} ANTI JOIN wanted USING (ticker)"
    db.execute(f"COPY ({rest}) TO '{archive}' (FORMAT csv, HEADER, COMPRESSION gzip, PARTITION_BY (day))")
    kept = f'SELECT * EXCLUDE (filename), {day} AS "Date" FROM {files} SEMI JOIN wanted USING (ticker)'
    db.execute(f"CREATE TABLE tracked AS {kept}")


if __name__ == "__main__":
    main()
