"""`python -m benchmarks.lake`: what the lake costs a run, and questions answered from it, beside DuckDB and polars.

Both read the lake as it is, the same rows as one Parquet file that is not sorted by ticker, as people make it by hand,
and (DuckDB) the `csv.gz` parts. Runs alternate, with the lake and without it; `cpu` is that of the whole process.
"""

import argparse
import statistics
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

import ingest
from benchmarks.measure import Sample
from benchmarks.ours import ingest as run
from benchmarks.reading import Case, duckdb_mean, duckdb_rows, store_events, table
from benchmarks.stage import TRACKED, Bench, last_sessions, set_up

GOALS = {"one archived ticker": "30 ms", "mean close by ticker": "100 ms", "500 tickers, adjusted": "300 ms"}


def main() -> None:
    """Run, ask, print tables."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.lake", description=__doc__)
    arguments.add_argument("--sessions", type=int, default=504)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--pairs", type=int, default=5)
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")
    with set_up() as bench:
        days = last_sessions(chosen.sessions)
        bench.put(days)
        print("\n".join(_runs(bench, days, chosen.pairs)))
        with bench.fresh() as cache:
            run(bench, cache, days, "--quiet", "--lake")
            print("\n".join(table(_cases(cache, bench, days), chosen.repeats, GOALS)))


def _runs(bench: Bench, days: Sequence[date], pairs: int) -> list[str]:
    """All sessions, and the newest one alone, with the lake and without it."""
    kinds = {"all sessions": days, "one more session": days[-1:]}
    lines = ["| run | lake | wall | cpu | memory | ratio of walls |", "|---|---|---|---|---|---|"]
    found: dict[tuple[str, bool], list[Sample]] = {(kind, lake): [] for kind in kinds for lake in (False, True)}
    for number in range(pairs):
        for lake in (False, True) if number % 2 else (True, False):
            flags = ("--quiet", "--lake" if lake else "--no-lake")
            with bench.fresh() as cache:
                found["all sessions", lake].append(run(bench, cache, days, *flags))
            with bench.fresh() as cache:
                run(bench, cache, days[:-1], *flags)
                found["one more session", lake].append(run(bench, cache, days, *flags))
    for (kind, lake), samples in found.items():
        wall, cpu = (statistics.median(getattr(one, name) for one in samples) for name in ("wall_s", "cpu_s"))
        ratio = wall / statistics.median(one.wall_s for one in found[kind, False])
        told = (
            kind,
            "on" if lake else "off",
            f"{wall:.2f} s",
            f"{cpu:.2f} s",
            f"{_peak(samples):.0f} MB",
            f"{ratio:.2f}",
        )
        lines.append(f"| {' | '.join(told)} |")
    return [*lines, ""]


def _peak(samples: Sequence[Sample]) -> float:
    return max(one.rss_mb for one in samples)


def _cases(cache: Path, bench: Bench, days: Sequence[date]) -> list[Case]:
    config = bench.folder / f"{cache.name}.toml"
    names = [name for name in ingest.day(days[-5], config=config)["ticker"].to_list() if name not in TRACKED]
    one, many = names[len(names) // 2], [*TRACKED, *names[:: max(1, len(names) // (500 - len(TRACKED)))]][:500]
    store_events(cache, many, days)
    by_hand = bench.folder / "market.parquet"
    ingest.scan(config=config).sink_parquet(by_hand)
    parts = [*(cache / "massive_cache").glob("*.csv.gz"), *(cache / "data_cache" / "sessions").glob("*.csv.gz")]
    lake = str(cache / "lake" / "stocks-day" / "**" / "*.parquet")

    def history(tickers: Sequence[str] | str, adjust: str = "none") -> Callable[[], int]:
        return lambda: ingest.history(tickers, adjust=adjust, fetch=False, config=config).height  # type: ignore[arg-type]

    mean = "SELECT ticker, avg(close) AS close FROM {} GROUP BY ticker"
    found = f"SELECT * FROM {{}} WHERE ticker = '{one}'"
    return [
        Case(
            "one archived ticker",
            {"ours": (history(one), 1), **_others(found, lake, by_hand)}
            | {"DuckDB on the parts": (lambda: duckdb_rows(parts, [one]), 1)},
        ),
        Case(
            "mean close by ticker",
            {
                "ours": (lambda: ingest.sql(mean.format("stocks_day"), config).height, 1),
                "ours, scan": (lambda: _mean(ingest.scan(config=config)), 1),
                **_others(mean, lake, by_hand),
                "polars on the lake": (lambda: _mean(pl.scan_parquet(lake)), 1),
                "DuckDB on the parts": (lambda: duckdb_mean(parts), 1),
            },
        ),
        Case("500 tickers", {"ours": (history(many), 1)}),
        Case("500 tickers, adjusted", {"ours": (history(many, "all"), 1)}),
    ]


def _others(query: str, lake: str, by_hand: Path) -> dict[str, tuple[Callable[[], int], int]]:
    """DuckDB on the lake, and on one file made by hand."""
    return {
        "DuckDB on the lake": (lambda: _ask(query, lake), 1),
        "DuckDB on one Parquet file": (lambda: _ask(query, str(by_hand)), 1),
    }


def _ask(query: str, path: str) -> int:
    return len(duckdb.execute(query.format(f"read_parquet('{path}')")).fetchnumpy()["ticker"])


def _mean(lazy: pl.LazyFrame) -> int:
    return lazy.group_by("ticker").agg(pl.col("close").mean()).collect().height


if __name__ == "__main__":
    main()
