"""`python -m benchmarks.lake_minutes`: what the lake costs a run of minutes, and questions about them, beside DuckDB.

The files have the vendor's size, 31 MB and 1.5 million rows a session. DuckDB reads the lake as it is.
"""

import argparse
import warnings
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb

import ingest
from benchmarks.measure import Sample, measure
from benchmarks.ours import command_with
from benchmarks.reading import Case, table
from benchmarks.stage import Bench, last_sessions, set_up
from ingest.demo.files.files import files_of
from ingest.demo.servers import seaweed
from ingest.market.catalogue import STOCKS_MINUTE

GOALS = {"one ticker": "20 ms", "volume by minute of day": "1 s"}

_BY_MINUTE = (
    "SELECT CAST(timezone('America/New_York', time) AS TIME) AS minute, sum(volume) AS volume "
    "FROM (SELECT time, sum(volume) AS volume FROM {} GROUP BY time) GROUP BY minute ORDER BY minute"
)
"""Summed by time first: a zone for each row takes five times as long."""


def main() -> None:
    """Run, ask, print a line and a table."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.lake_minutes", description=__doc__)
    arguments.add_argument("--sessions", type=int, default=20)
    arguments.add_argument("--repeats", type=int, default=7)
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")
    with set_up() as bench:
        days = last_sessions(chosen.sessions)
        files = files_of(STOCKS_MINUTE)
        seaweed.fill(bench.server, bench.admin, files.objects(days))
        for flag in ("--no-lake", "--lake"):
            with bench.fresh() as cache:
                sample = _run(bench, cache, days, files.always(days[-1]), flag)
                print(f"{flag}: {sample.wall_s:.1f} s, CPU {sample.cpu_s:.1f} s, {sample.rss_mb:.0f} MB", flush=True)
                if flag == "--lake":
                    print("\n".join(table(_cases(bench, cache, days), chosen.repeats, GOALS)))


def _run(bench: Bench, cache: Path, days: Sequence[date], tracked: Sequence[str], flag: str) -> Sample:
    flags = ("--dataset", STOCKS_MINUTE.short, "--quiet", "--yes", flag)
    server = bench.server.endpoint_url
    command = command_with(bench.folder, cache, days, *flags, tickers=tracked, endpoint_url=server)
    return measure(command, {"AWS_SHARED_CREDENTIALS_FILE": str(bench.keys)})


def _cases(bench: Bench, cache: Path, days: Sequence[date]) -> list[Case]:
    config, name = bench.folder / f"{cache.name}.toml", STOCKS_MINUTE.short
    names = ingest.day(days[-1], config=config, dataset=name)["ticker"].unique().sort()
    one = names[len(names) // 2]
    files = f"read_parquet('{cache / 'lake' / name / '**' / '*.parquet'}')"

    def ours() -> int:
        return ingest.history(one, fetch=False, config=config, dataset=name).height

    def ask(query: str) -> int:
        return len(next(iter(duckdb.execute(query).fetchnumpy().values())))

    return [
        Case(
            "one ticker",
            {
                "ours": (ours, 1),
                "DuckDB on the lake": (lambda: ask(f"SELECT * FROM {files} WHERE ticker = '{one}'"), 1),
            },
        ),
        Case(
            "volume by minute of day",
            {
                "ours": (lambda: ingest.sql(_BY_MINUTE.format("stocks_minute"), config).height, 1),
                "DuckDB on the lake": (lambda: ask(_BY_MINUTE.format(files)), 1),
            },
        ),
    ]


if __name__ == "__main__":
    main()
