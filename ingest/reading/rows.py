"""What is stored, read back: raw rows of some tickers, of a whole session, or a lazy scan of both tiers.

Each row says its source. Massive's come from the tracked CSVs where these are up to date, else from the parts; Yahoo's
stand in the manifest and are handed out only for sessions of which no file of Massive's is held. Rows within days are
Massive's alone, from the parts.
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import polars as pl

from ingest.cache import csv_files
from ingest.cache.cache import Cache
from ingest.cache.csv_files import CsvFolder
from ingest.cache.layout import PartsOf
from ingest.cache.manifest.records import Projection
from ingest.cache.manifest.yahoo import QuoteRow
from ingest.cache.steady import Read, steadily
from ingest.files import opening
from ingest.market.datasets import Dataset
from ingest.market.row_kinds import DAY_BARS
from ingest.reading.bars import BARS, all_bars, bars, firsts, schema_of

ROWS = pl.Schema([*BARS.items(), ("source", pl.String())])
"""Ticker, date, raw prices, volume and number of trades (None where unknown), and "massive" or "yahoo"."""

SOURCES = frozenset({"massive", "yahoo"})
"""Who rows are of."""


def rows_schema(dataset: Dataset) -> pl.Schema:
    """`ROWS` with the dataset's own numbers; of timed rows with `time`, when one begins, after the date."""
    return pl.Schema([*schema_of(dataset).items(), ("source", pl.String())])


_CSV = pl.Schema({DAY_BARS.index: pl.Date, **{name.capitalize(): pl.Float64 for name in DAY_BARS.numbers}})
IN_CSV = frozenset({"ticker", "date", *DAY_BARS.numbers, "source"})
"""Columns that can be had without the parts."""

_THREADS = 2
_MANY = 16
"""So many tickers, in so many sessions, are worth a second thread; of few tickers each read is too short for it."""


def rows(cache: Cache, tickers: Collection[str], start: date, end: date, trades: bool = False) -> pl.DataFrame:
    """Raw rows of these tickers from `start` to `end`, both inclusive, as `rows_schema`, sorted by ticker and time.

    `trades`: numbers are wanted that the CSVs lack. Raises CacheError where a part can't be read.
    """
    wanted = frozenset(tickers)

    def told() -> tuple[list[date], Mapping[str, Projection], pl.DataFrame]:
        held = cache.manifest.sessions.committed(start, end)
        yahoo = _yahoo(cache, cache.manifest.yahoo.rows(tickers, start, end))
        return held, {} if trades else _ready(cache, wanted, held), yahoo

    before = cache.manifest.moment()
    held, ready, yahoo = cache.manifest.at_once(told, start, end)
    found = _massive(cache, wanted, held, ready)
    if ready and cache.manifest.moment() != before:
        # Some may be of CSVs as they were, and others of parts that were replaced since.
        again = cache.manifest.at_once(lambda: _ready(cache, wanted, held), start, end)
        found = found if again == ready else _massive(cache, wanted, held, {})
    return pl.concat([found, yahoo]).sort(cache.dataset.kind.order) if yahoo.height else found


def sessions(cache: Cache, sources: Collection[str] = SOURCES) -> list[date]:
    """All sessions of which these sources have anything, ascending."""
    kept = cache.manifest.yahoo.sessions if "yahoo" in sources else list
    return cache.manifest.at_once(lambda: sorted({*_held(cache, sources), *kept()}))


def on(
    cache: Cache, days: Sequence[date], tickers: Collection[str] | None, sources: Collection[str] = SOURCES
) -> pl.DataFrame:
    """Raw rows on these sessions (ascending), of some tickers or of all, sorted by date, ticker and time."""
    if tickers is None:
        frames = [session(cache, day, sources) for day in days]
        return pl.concat([pl.DataFrame(schema=rows_schema(cache.dataset)), *frames])
    wanted = set(days)

    def told() -> tuple[list[date], pl.DataFrame]:
        held = [day for day in _held(cache, sources, days[0], days[-1]) if day in wanted]
        yahoo = [row for row in cache.manifest.yahoo.rows(tickers, days[0], days[-1]) if row[1] in wanted]
        return held, _yahoo(cache, yahoo, sources)

    held, yahoo = cache.manifest.at_once(told, days[0], days[-1])
    found = pl.concat([_massive(cache, frozenset(tickers), held, {}), yahoo])
    return found.sort("date", *cache.dataset.kind.order)


def session(cache: Cache, day: date, sources: Collection[str] = SOURCES) -> pl.DataFrame:
    """All rows of a session of these sources, sorted by ticker and time; empty where there are none.

    Raises CacheError.
    """

    def told() -> tuple[list[date], pl.DataFrame]:
        return _held(cache, sources, day, day), _yahoo(cache, cache.manifest.yahoo.rows_of(day), sources)

    held, yahoo = cache.manifest.at_once(told, day, day)
    found = _of_parts(cache, held, lambda parts: pl.concat(_all_bars(cache, parts)))
    massives = _from(cache, found, "massive")
    return pl.concat([massives, yahoo]).sort(cache.dataset.kind.order) if yahoo.height else massives


def _held(cache: Cache, sources: Collection[str], start: date = date.min, end: date = date.max) -> list[date]:
    """Sessions whose files are held, ascending; none where Massive is no source."""
    return cache.manifest.sessions.committed(start, end) if "massive" in sources else []


def _all_bars(cache: Cache, parts: Sequence[PartsOf]) -> list[pl.DataFrame]:
    empty = pl.DataFrame(schema=schema_of(cache.dataset))
    return [empty, *(all_bars(cache, one) for one in parts)]


def massive(cache: Cache, tickers: frozenset[str], held: Sequence[date], trades: bool = False) -> pl.DataFrame:
    """Rows of these tickers on sessions (ascending) that are held. Raises CacheError."""
    ready = {} if trades else cache.manifest.at_once(lambda: _ready(cache, tickers, held))
    return _massive(cache, tickers, held, ready)


def _massive(
    cache: Cache, tickers: frozenset[str], held: Sequence[date], ready: Mapping[str, Projection]
) -> pl.DataFrame:
    """The same; the CSVs of those that are `ready` say what the parts say."""
    if not held:
        return pl.DataFrame(schema=rows_schema(cache.dataset))
    if not ready:
        return _from(cache, _from_parts(cache, tickers, held), "massive")
    frames = [_csv(cache.csvs, state, held) for state in ready.values()]
    found = {ticker: frame for ticker, frame in zip(ready, frames, strict=True) if frame is not None}
    others = tickers - found.keys()
    from_parts = [_from_parts(cache, others, held)] if others else []
    everything = pl.concat([pl.DataFrame(schema=BARS), *found.values(), *from_parts], how="diagonal")
    return _from(cache, everything.sort("ticker", "date"), "massive")


def _ready(cache: Cache, tickers: frozenset[str], held: Sequence[date]) -> dict[str, Projection]:
    """Those tickers whose CSV says what the parts say; of those by months none is read, but the parts."""
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
    """A CSV's rows; None where it is not what it was a moment ago, since a run has just replaced it."""
    if not state.rows:
        return pl.DataFrame(schema=BARS)
    names = [name for name in _CSV if name != "Volume" or folder.dataset.has_volume]
    try:
        # Its bytes: polars takes no path that is no UTF-8.
        rows = pl.read_csv(opening.read(folder.file(state.ticker)), schema={name: _CSV[name] for name in names})
    except (OSError, pl.exceptions.PolarsError):
        return None
    if rows.height != state.rows or not csv_files.looks_intact(folder, state):
        return None
    told = {"ticker": pl.lit(state.ticker)} | {name.lower(): pl.col(name) for name in names}
    columns = [told.get(name, pl.lit(None, kind)).alias(name) for name, kind in BARS.items()]
    return rows.filter(pl.col("Date").is_in(list(held))).select(columns)


def _from_parts(cache: Cache, tickers: frozenset[str], held: Sequence[date]) -> pl.DataFrame:
    return _of_parts(cache, held, lambda parts: _bars(cache, tickers, parts))


def _of_parts(cache: Cache, held: Collection[date], read: Read) -> pl.DataFrame:
    """What is read of the parts of sessions that are held, while a run may be replacing them."""
    frames = steadily(cache, held, read)
    return frames[0] if len(frames) == 1 else firsts(pl.concat(frames), cache.dataset)


def _bars(cache: Cache, tickers: frozenset[str], parts: Sequence[PartsOf]) -> pl.DataFrame:
    if min(len(parts), len(tickers)) <= _MANY:
        return bars(cache, parts, tickers)
    size = -(-len(parts) // _THREADS)
    pieces = [parts[at : at + size] for at in range(0, len(parts), size)]
    with ThreadPoolExecutor(_THREADS) as threads:
        frames = list(threads.map(lambda piece: bars(cache, piece, tickers), pieces))
    return firsts(pl.concat(frames), cache.dataset)


def _yahoo(cache: Cache, found: Sequence[QuoteRow], sources: Collection[str] = SOURCES) -> pl.DataFrame:
    """Yahoo's rows, but for sessions of which a file of Massive's could tell: who is not in that did not trade.

    It is asked for rows alone that it has.
    """
    if not cache.dataset.kind.at_yahoo or "yahoo" not in sources:
        return pl.DataFrame(schema=rows_schema(cache.dataset))
    names = ("ticker", "date", *DAY_BARS.numbers)
    schema = {name: BARS[name] for name in names}
    days = [row[1] for row in found]
    coverage = cache.manifest.sessions.coverage(min(days), max(days)) if found else None
    rows = [row for row in found if coverage and not coverage.has(row[0], row[1])]
    return _from(cache, pl.DataFrame(rows, schema=schema, orient="row"), "yahoo")


def _from(cache: Cache, frame: pl.DataFrame, source: str) -> pl.DataFrame:
    """The rows in the dataset's columns; those that they lack are None."""
    schema = rows_schema(cache.dataset)
    lacking = [pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in frame.columns]
    return frame.with_columns(*lacking).with_columns(pl.lit(source).alias("source")).select(schema.names())
