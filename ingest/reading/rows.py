"""What is stored, read back: raw rows of some tickers, of a whole session, or a lazy scan of both tiers.

Each row names its source. Massive's come from the tracked CSVs if these are up to date, else from the lake as far as it
is, else from the parts; Yahoo's are in the manifest, and are returned only for sessions without a stored file from
Massive. Minutes come only from Massive, never from CSVs.
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial

import numpy as np
import polars as pl

from ingest.cache import csv_files
from ingest.cache.cache import Cache
from ingest.cache.csv_files import CsvFolder
from ingest.cache.layout import PartsOf
from ingest.cache.manifest.records import Projection
from ingest.cache.manifest.yahoo import QuoteRow
from ingest.cache.parts.ahead import read_ahead
from ingest.cache.parts.bars import BARS, all_bars, bars, firsts, schema_of, size_of
from ingest.cache.steady import Read
from ingest.files import opening
from ingest.lake.reading import WantedRows, lake_and_parts
from ingest.market.contracts import CONTRACT, contract_schema, with_contracts
from ingest.market.datasets import Dataset
from ingest.market.row_kinds import DAY_BARS

ROWS = pl.Schema([*BARS.items(), ("source", pl.String())])
"""Ticker, date, raw prices, volume and number of trades (None where unknown), and "massive" or "yahoo"."""

SOURCES = frozenset({"massive", "yahoo"})
"""Where rows can come from."""


def rows_schema(dataset: Dataset) -> pl.Schema:
    """`ROWS` with the dataset's own columns; timed rows have `time`, their start, after the date."""
    own = contract_schema(dataset)
    return pl.Schema([*schema_of(dataset).items(), *own.items(), ("source", pl.String())])


_CSV = pl.Schema({DAY_BARS.index: pl.Date, **{name.capitalize(): pl.Float64 for name in DAY_BARS.numbers}})
IN_CSV = frozenset({"ticker", "date", *DAY_BARS.numbers, *CONTRACT, "source"})
"""Columns that can be read without the parts."""

_THREADS = 2
_MANY = 16
"""More tickers and sessions than this are worth a second thread; with few tickers reads are too short."""


def rows(cache: Cache, tickers: Collection[str], start: date, end: date, trades: bool = False) -> pl.DataFrame:
    """Raw rows of these tickers from `start` to `end`, both inclusive, as `rows_schema`, sorted by ticker and time.

    With `trades` numbers that are not in the CSVs are read, too. Raises CacheError if a part cannot be read.
    """
    wanted = frozenset(tickers)

    def told() -> tuple[list[date], Mapping[str, Projection], pl.DataFrame]:
        held = cache.manifest.sessions.committed(start, end)
        yahoo = _yahoo(cache, cache.manifest.yahoo.rows(tickers, start, end))
        return held, {} if trades else _ready(cache, wanted, held), yahoo

    before = cache.manifest.moment()
    held, ready, yahoo = cache.manifest.at_once(told, start, end)
    found = _massive(cache, wanted, held, ready, trades)
    if ready and cache.manifest.moment() != before:
        # Some rows may come from CSVs as they were, and others from parts that have been replaced since.
        again = cache.manifest.at_once(lambda: _ready(cache, wanted, held), start, end)
        found = found if again == ready else _massive(cache, wanted, held, {}, trades)
    return pl.concat([found, yahoo]).sort(cache.dataset.kind.order) if yahoo.height else found


def sessions(cache: Cache, sources: Collection[str] = SOURCES) -> list[date]:
    """All sessions for which these sources have stored rows, ascending."""
    kept = cache.manifest.yahoo.sessions if "yahoo" in sources else list
    return cache.manifest.at_once(lambda: sorted({*_held(cache, sources), *kept()}))


def on(
    cache: Cache,
    days: Sequence[date],
    tickers: Collection[str] | None,
    sources: Collection[str] = SOURCES,
    columns: Collection[str] | None = None,
) -> pl.DataFrame:
    """Raw rows on these sessions (ascending), of some tickers or of all, sorted by date, ticker and time.

    Only these `columns` need be right; others may be null, which saves reading them.
    """
    if tickers is None:
        return _all_on(cache, days, sources, columns)
    wanted = set(days)

    def told() -> tuple[list[date], pl.DataFrame]:
        held = [day for day in _held(cache, sources, days[0], days[-1]) if day in wanted]
        yahoo = [row for row in cache.manifest.yahoo.rows(tickers, days[0], days[-1]) if row[1] in wanted]
        return held, _yahoo(cache, yahoo, sources)

    held, yahoo = cache.manifest.at_once(told, days[0], days[-1])
    found = pl.concat([_massive(cache, frozenset(tickers), held, {}), yahoo])
    return found.sort("date", *cache.dataset.kind.order)


def _all_on(
    cache: Cache, days: Sequence[date], sources: Collection[str], columns: Collection[str] | None
) -> pl.DataFrame:
    """All rows on these sessions (ascending), sorted by date, ticker and time."""
    if cache.parts.ahead == 1 and not cache.manifest.lake.exists():
        frames = [session(cache, day, sources) for day in days]
        return pl.concat([pl.DataFrame(schema=rows_schema(cache.dataset)), *frames])
    wanted = set(days)

    def told() -> tuple[list[date], list[pl.DataFrame]]:
        held = [day for day in _held(cache, sources, days[0], days[-1]) if day in wanted]
        asked = days if "yahoo" in sources else ()
        return held, [_yahoo(cache, cache.manifest.yahoo.rows_of(day), sources) for day in asked]

    held, yahoo = cache.manifest.at_once(told, days[0], days[-1]) if days else ([], [])
    needed = None if columns is None else frozenset(columns).union(cache.dataset.kind.order, ["date"])
    wish = WantedRows(frozenset(held), columns=needed)
    rows, frames = lake_and_parts(cache, wish, lambda parts: pl.concat(_all_bars(cache, parts)))
    stored = pl.concat([*([] if rows is None else [rows]), *frames], how="diagonal")
    found = _from(cache, _by_date(stored), "massive", columns)
    if not any(frame.height for frame in yahoo):
        return found
    return pl.concat([found, *yahoo]).sort("date", *cache.dataset.kind.order)


def _by_date(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in which each session is sorted, sorted by date: of small numbers, which takes a tenth of a sort of rows."""
    dates = rows["date"]
    if dates.is_sorted():
        return rows
    since = (dates.to_physical() - dates.to_physical().min()).to_numpy()
    return rows.rechunk()[np.argsort(since.astype(np.min_scalar_type(since.max())), kind="stable")]


def session(cache: Cache, day: date, sources: Collection[str] = SOURCES) -> pl.DataFrame:
    """All rows of a session from these sources, sorted by ticker and time; empty if there are none.

    Raises CacheError.
    """

    def told() -> tuple[list[date], pl.DataFrame]:
        return _held(cache, sources, day, day), _yahoo(cache, cache.manifest.yahoo.rows_of(day), sources)

    held, yahoo = cache.manifest.at_once(told, day, day)
    found = _stored(cache, WantedRows(frozenset(held)), lambda parts: pl.concat(_all_bars(cache, parts)))
    massives = _from(cache, found, "massive")
    return pl.concat([massives, yahoo]).sort(cache.dataset.kind.order) if yahoo.height else massives


def _held(cache: Cache, sources: Collection[str], start: date = date.min, end: date = date.max) -> list[date]:
    """Sessions whose files are stored, ascending; none if Massive is not among the sources."""
    return cache.manifest.sessions.committed(start, end) if "massive" in sources else []


def _all_bars(cache: Cache, parts: Sequence[PartsOf]) -> list[pl.DataFrame]:
    empty = pl.DataFrame(schema=schema_of(cache.dataset))
    return [empty, *read_ahead(partial(all_bars, cache.parts, cache.dataset), parts, cache.parts.ahead, size_of)]


def massive(cache: Cache, tickers: frozenset[str], held: Sequence[date], trades: bool = False) -> pl.DataFrame:
    """Rows of these tickers on stored sessions (ascending). Raises CacheError."""
    ready = {} if trades else cache.manifest.at_once(lambda: _ready(cache, tickers, held))
    return _massive(cache, tickers, held, ready, trades)


def _massive(
    cache: Cache, tickers: frozenset[str], held: Sequence[date], ready: Mapping[str, Projection], trades: bool = True
) -> pl.DataFrame:
    """Like `massive`; for tickers in `ready` the CSVs are up to date and are read instead of the parts."""
    if not held:
        return pl.DataFrame(schema=rows_schema(cache.dataset))
    if not ready:
        return _from(cache, _from_parts(cache, tickers, held, trades), "massive")
    frames = [_csv(cache.csvs, state, held) for state in ready.values()]
    found = {ticker: frame for ticker, frame in zip(ready, frames, strict=True) if frame is not None}
    others = tickers - found.keys()
    from_parts = [_from_parts(cache, others, held, trades)] if others else []
    everything = pl.concat([pl.DataFrame(schema=BARS), *found.values(), *from_parts], how="diagonal")
    return _from(cache, everything.sort("ticker", "date"), "massive")


def _ready(cache: Cache, tickers: frozenset[str], held: Sequence[date]) -> dict[str, Projection]:
    """The tickers whose CSV is up to date with the parts; empty for monthly CSVs, which are never read here."""
    if cache.csvs.by_month or not held:
        return {}
    if not (cache.manifest.sessions.pending(held[0], held[-1]) | cache.manifest.replacements.moving()).isdisjoint(held):
        return {}
    states = cache.manifest.csvs.states(tickers)
    return {
        ticker: state
        for ticker, state in states.items()
        if state.active and not state.dirty and csv_files.looks_intact(cache.csvs, state)
    }


def _csv(folder: CsvFolder, state: Projection, held: Sequence[date]) -> pl.DataFrame | None:
    """A CSV's rows; None if a run has just replaced the file."""
    if not state.rows:
        return pl.DataFrame(schema=BARS)
    names = [name for name in _CSV if name != "Volume" or folder.dataset.has_volume]
    try:
        # The bytes, not the path: polars accepts only paths in UTF-8.
        rows = pl.read_csv(opening.read(folder.file(state.ticker)), schema={name: _CSV[name] for name in names})
    except (OSError, pl.exceptions.PolarsError):
        return None
    if rows.height != state.rows or not csv_files.looks_intact(folder, state):
        return None
    told = {"ticker": pl.lit(state.ticker)} | {name.lower(): pl.col(name) for name in names}
    columns = [told.get(name, pl.lit(None, kind)).alias(name) for name, kind in BARS.items()]
    return rows.filter(pl.col("Date").is_in(list(held))).select(columns)


def _from_parts(cache: Cache, tickers: frozenset[str], held: Sequence[date], trades: bool) -> pl.DataFrame:
    """Rows of these tickers; without `trades` the number of them, which takes a tenth of the time, may be null."""
    columns = None if trades else frozenset(schema_of(cache.dataset)) - {"transactions"}
    return _stored(cache, WantedRows(frozenset(held), tickers, columns), lambda parts: _bars(cache, tickers, parts))


def _stored(cache: Cache, wish: WantedRows, read: Read) -> pl.DataFrame:
    """Rows of stored sessions, from the lake as far as it has them, else what `read` returns for their parts."""
    rows, frames = lake_and_parts(cache, wish, read)
    if len(frames) == 1 and rows is None:
        return frames[0]
    return pl.concat([*([] if rows is None else [rows]), *frames], how="diagonal").sort(
        *cache.dataset.kind.order, maintain_order=True
    )


def _bars(cache: Cache, tickers: frozenset[str], parts: Sequence[PartsOf]) -> pl.DataFrame:
    if min(len(parts), len(tickers)) <= _MANY or cache.parts.ahead > 1:  # then they are read in threads anyway
        return bars(cache.parts, cache.dataset, parts, tickers)
    size = -(-len(parts) // _THREADS)
    pieces = [parts[at : at + size] for at in range(0, len(parts), size)]
    with ThreadPoolExecutor(_THREADS) as threads:
        frames = list(threads.map(lambda piece: bars(cache.parts, cache.dataset, piece, tickers), pieces))
    return firsts(pl.concat(frames), cache.dataset)


def _yahoo(cache: Cache, found: Sequence[QuoteRow], sources: Collection[str] = SOURCES) -> pl.DataFrame:
    """Yahoo's rows, except for sessions whose stored file covers the ticker: if it is not in there, it did not trade.

    There are none for datasets that Yahoo does not have.
    """
    if not (found and cache.dataset.kind.at_yahoo and "yahoo" in sources):
        return pl.DataFrame(schema=rows_schema(cache.dataset))
    names = ("ticker", "date", *DAY_BARS.numbers)
    schema = {name: BARS[name] for name in names}
    days = [row[1] for row in found]
    coverage = cache.manifest.sessions.coverage(min(days), max(days))
    rows = [row for row in found if not coverage.has(row[0], row[1])]
    return _from(cache, pl.DataFrame(rows, schema=schema, orient="row"), "yahoo")


def _from(cache: Cache, frame: pl.DataFrame, source: str, columns: Collection[str] | None = None) -> pl.DataFrame:
    """The rows in the dataset's columns; missing columns are null.

    What their tickers say is not read from the lake but found out here: so it is the same wherever rows are from. If
    none of it is among the `columns` that are needed, it is null, too.
    """
    schema = rows_schema(cache.dataset)
    if columns is None or not frozenset(CONTRACT).isdisjoint(columns):
        frame = with_contracts(frame, cache.dataset)
    missing = [pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in frame.columns]
    return frame.with_columns(*missing).with_columns(pl.lit(source).alias("source")).select(schema.names())
