"""`s5cmd cp` and then DuckDB: the job of `s5cmd_polars`, in SQL, day by day.

1. `s5cmd cp` downloads all files, as there.
2. Day by day: the compressed file is read into a table with a full schema; the other tickers are written with
   `COPY … (FORMAT csv, COMPRESSION gzip)`, the tracked ones are kept in a table.
3. At the end each tracked ticker's CSV (for minutes one per month) is written with its own `COPY`.

DuckDB uses all cores as it sees fit. It omits what polars omits there; its gzip level cannot be chosen.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peer import arguments, copy, folders
from benchmarks.schema import schema_of

TYPES = {"String": "VARCHAR", "Int64": "BIGINT", "Float64": "DOUBLE"}
_NUMBERS = ("Open", "High", "Low", "Close", "Volume")


def main() -> None:
    """Copy, split, write."""
    run(_split)


def run(split: Callable[[Any, Sequence[str], Sequence[Path], Path], None]) -> None:
    """Copy; `split` writes the archive and makes the table `tracked`, whose rows are written then."""
    import duckdb

    chosen = arguments().parse_args()
    downloads, archive, tracked = folders(chosen.cache)
    paths = copy(chosen.copy, downloads)
    with duckdb.connect() as db:
        _name_wanted(db, chosen.tickers.read_text().split())
        split(db, chosen.columns, paths, archive)
        _write_tracked(db, chosen.columns, tracked, len(chosen.sigil), chosen.minutes)


def _name_wanted(db: Any, tickers: Sequence[str]) -> None:
    """The tickers to track become the table `wanted`."""
    db.execute("CREATE TABLE wanted (ticker VARCHAR)")
    db.executemany("INSERT INTO wanted VALUES (?)", [[ticker] for ticker in tickers])


def _split(db: Any, names: Sequence[str], paths: Sequence[Path], archive: Path) -> None:
    """Write the archive of each day; the tracked rows of all days become the table `tracked`."""
    columns = ", ".join(f'"{name}" {TYPES[kind]}' for name, kind in schema_of(names).items())
    db.execute(f'CREATE TABLE tracked ("Date" VARCHAR, {columns})')
    for path in paths:
        db.execute(f"CREATE OR REPLACE TABLE day ({columns})")
        db.execute(f"COPY day FROM '{path}' (FORMAT csv, HEADER, COMPRESSION gzip)")
        rest = "SELECT * FROM day WHERE ticker NOT IN (SELECT ticker FROM wanted)"
        db.execute(f"COPY ({rest}) TO '{archive / path.name}' (FORMAT csv, HEADER, COMPRESSION gzip)")
        db.execute(f"INSERT INTO tracked SELECT '{path.name[:10]}', * FROM day SEMI JOIN wanted USING (ticker)")


def _write_tracked(db: Any, columns: Sequence[str], tracked: Path, sigil: int, minutes: bool) -> None:
    """Write the files of each ticker from the table `tracked`; the first `sigil` characters are not in their names."""
    numbers = ", ".join(f'{name.lower()} AS "{name}"' for name in _NUMBERS if name.lower() in columns)
    write = _write_minutes if minutes else _write_days
    write(db, numbers, tracked, sigil)


def _write_days(db: Any, numbers: str, tracked: Path, sigil: int) -> None:
    """A file for each ticker."""
    for (ticker,) in db.execute("SELECT DISTINCT ticker FROM tracked").fetchall():
        rows = f'SELECT "Date", {numbers} FROM tracked WHERE ticker = \'{ticker}\' ORDER BY "Date"'
        db.execute(f"COPY ({rows}) TO '{tracked}/{ticker[sigil:]}_1d_data.csv' (FORMAT csv, HEADER)")


def _write_minutes(db: Any, numbers: str, tracked: Path, sigil: int) -> None:
    """A file for each month of each ticker."""
    db.execute("SET TimeZone = 'America/New_York'")
    db.execute("CREATE TABLE timed AS SELECT *, make_timestamptz(window_start // 1000)::VARCHAR AS moment FROM tracked")
    for ticker, month in db.execute("SELECT DISTINCT ticker, moment[:7] FROM timed").fetchall():
        folder = tracked / f"{ticker[sigil:]}_1m_data"
        folder.mkdir(exist_ok=True)
        wanted = f"ticker = '{ticker}' AND moment[:7] = '{month}' ORDER BY window_start"
        rows = f'SELECT moment AS "Datetime", {numbers} FROM timed WHERE {wanted}'
        db.execute(f"COPY ({rows}) TO '{folder / month}.csv' (FORMAT csv, HEADER)")


if __name__ == "__main__":
    main()
