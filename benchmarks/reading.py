"""`python -m benchmarks.reading`: reading stored rows in a warm process, compared with pandas and DuckDB.

Pandas reads the same CSVs, and, like DuckDB, the same `csv.gz` parts with a filter; pandas' archive cases are measured
on a tenth of the sessions and scaled.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl

import ingest
from benchmarks.ours import ingest as run
from benchmarks.stage import TRACKED, Bench, last_sessions, set_up
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.yahoo import ActionCoverage
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.corporate_actions import Actions, Dividend, StockSplit

_SCALED = 10
_CSV = {"Date": pl.Date, **dict.fromkeys(("Open", "High", "Low", "Close", "Volume"), pl.Float64)}
_GOALS = {"tracked": "15 ms", "archived": "60 ms", "day": "30 ms", "many": "2 s", "many, adjusted": "2 s"}


@dataclass(frozen=True, slots=True)
class Case:
    """One question: for each contender a function that answers it with a number of rows, and a scale factor."""

    name: str
    contenders: Mapping[str, tuple[Callable[[], int], int]]


def main() -> None:
    """Fill, ask, print a table of medians and ratios."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.reading", description=__doc__)
    arguments.add_argument("--sessions", type=int, default=504)
    arguments.add_argument("--repeats", type=int, default=5)
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")
    with set_up() as bench, bench.fresh() as cache:
        days = last_sessions(chosen.sessions)
        bench.put(days)
        run(bench, cache, days)
        cases = _cases(cache, bench.folder / f"{cache.name}.toml", bench, days)
        print("\n".join(table(cases, chosen.repeats, _GOALS)))


def _cases(cache: Path, config: Path, bench: Bench, days: Sequence[date]) -> list[Case]:
    day = days[-5]
    names = [name for name in ingest.day(day, config=config)["ticker"].to_list() if name not in TRACKED]
    archived = names[len(names) // 2]
    many = [*TRACKED, *names[:: max(1, len(names) // (500 - len(TRACKED)))]][:500]
    store_events(cache, many, days)
    archive = sorted((cache / "massive_cache").glob("*.csv.gz"))
    both = [*archive, *sorted((cache / "data_cache" / "sessions").glob("*.csv.gz"))]
    few = archive[::_SCALED], both[::_SCALED]

    def ours(tickers: Sequence[str] | str, adjust: str = "none") -> Callable[[], int]:
        return lambda: ingest.history(tickers, adjust=adjust, fetch=False, config=config).height  # type: ignore[arg-type]

    return [
        Case(
            "tracked",
            {
                "ours": (ours(TRACKED[0]), 1),
                "pandas on the CSV": (lambda: _pandas_csv(cache, TRACKED[0]), 1),
                "polars on the CSV": (lambda: pl.read_csv(_csv(cache, TRACKED[0]), schema=_CSV).height, 1),
            },
        ),
        Case(
            "archived",
            {
                "ours": (ours(archived), 1),
                "DuckDB": (lambda: duckdb_rows(archive, [archived]), 1),
                "pandas": (lambda: _pandas(few[0], {archived}), _SCALED),
            },
        ),
        Case(
            "day",
            {
                "ours": (lambda: ingest.day(day, config=config).height, 1),
                "DuckDB": (lambda: duckdb_rows([path for path in both if str(day) in path.name], None), 1),
                "pandas": (lambda: _pandas([path for path in both if str(day) in path.name], None), 1),
            },
        ),
        Case(
            "many",
            {
                "ours": (ours(many), 1),
                "DuckDB": (lambda: duckdb_rows(both, many), 1),
                "pandas": (lambda: _pandas(few[1], set(many)), _SCALED),
            },
        ),
        Case("many, adjusted", {"ours": (ours(many, "all"), 1)}),
        Case(
            "scan of one month, mean close by ticker",
            {
                "ours": (lambda: _mean(ingest.scan(days[-21], days[-1], config=config)), 1),
                "DuckDB": (lambda: duckdb_mean([path for path in both if path.name[:10] >= str(days[-21])]), 1),
            },
        ),
    ]


def store_events(cache: Path, tickers: Sequence[str], days: Sequence[date]) -> None:
    """Store two splits and eight dividends for each ticker, as if they came from Yahoo."""
    at = [days[len(days) * n // 9] for n in range(1, 9)]
    actions = Actions((StockSplit(at[2], 2.0), StockSplit(at[5], 0.1)), tuple(Dividend(day, 0.2, 100.0) for day in at))
    with Manifest.open(cache / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        for ticker in tickers:
            manifest.yahoo.keep(ticker, ActionCoverage(days[0], days[-1]), actions, [])


def _csv(cache: Path, ticker: str) -> Path:
    return cache / "data_cache" / str(STOCKS_DAY.csv_name(ticker))


def _pandas_csv(cache: Path, ticker: str) -> int:
    return len(pd.read_csv(_csv(cache, ticker), index_col=0, parse_dates=True))


def _pandas(paths: Sequence[Path], tickers: set[str] | None) -> int:
    frames = [pd.read_csv(path, keep_default_na=False, dtype={"ticker": str}) for path in paths]
    return sum(len(frame if tickers is None else frame[frame["ticker"].isin(tickers)]) for frame in frames)


def duckdb_rows(paths: Sequence[Path], tickers: Sequence[str] | None) -> int:
    """The number of rows of these tickers (None: of all) that DuckDB finds in parts."""
    where = "" if tickers is None else "WHERE ticker IN (SELECT unnest($tickers))"
    query = f"SELECT * FROM {_source()} {where}"
    parameters = {"paths": list(map(str, paths)), **({} if tickers is None else {"tickers": list(tickers)})}
    return len(duckdb.execute(query, parameters).fetchnumpy()["ticker"])


def duckdb_mean(paths: Sequence[Path]) -> int:
    """The number of tickers whose mean close DuckDB computes from parts."""
    query = f"SELECT ticker, avg(close) FROM {_source()} GROUP BY ticker"
    return len(duckdb.execute(query, {"paths": list(map(str, paths))}).fetchnumpy()["ticker"])


def _source() -> str:
    return (
        "read_csv($paths, header = true, columns = {'ticker': 'VARCHAR', 'volume': 'DOUBLE', 'open': 'DOUBLE', "
        "'close': 'DOUBLE', 'high': 'DOUBLE', 'low': 'DOUBLE', 'window_start': 'BIGINT', 'transactions': 'BIGINT'})"
    )


def _mean(lazy: pl.LazyFrame) -> int:
    return lazy.group_by("ticker").agg(pl.col("close").mean()).collect().height


def table(cases: Sequence[Case], repeats: int, goals: Mapping[str, str]) -> list[str]:
    """A row for each contender of each case, asked in turns."""
    lines = ["| question | contender | median | spread | rows | ours is | goal |", "|---|---|---|---|---|---|---|"]
    for case in cases:
        rows = {name: ask() for name, (ask, _) in case.contenders.items()}  # once each, to warm up
        samples: dict[str, list[float]] = {name: [] for name in case.contenders}
        for _ in range(repeats):
            for name, (ask, scale) in case.contenders.items():
                began = time.perf_counter()
                ask()
                samples[name].append((time.perf_counter() - began) * 1e3 * scale)
        mine = statistics.median(samples["ours"])
        for name, times in samples.items():
            middle = statistics.median(times)
            ratio = "" if name == "ours" else f"{middle / mine:.1f} × faster"
            scaled = " (scaled)" if case.contenders[name][1] > 1 else ""
            goal = goals.get(case.name, "") if name == "ours" else ""
            lines.append(
                f"| {case.name} | {name}{scaled} | {middle:.1f} ms | {min(times):.1f} to {max(times):.1f} "
                f"| {rows[name]:,} | {ratio} | {goal} |"
            )
    return lines


if __name__ == "__main__":
    main()
