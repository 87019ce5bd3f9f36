"""What is stored, read back: raw rows of some tickers, of a whole session, or a lazy scan of both tiers.

Each row says its source. Massive's come from the tracked CSVs where these are up to date, else from the parts; Yahoo's
stand in the manifest and are handed out only for sessions of which no file of Massive's is held. Rows within days are
Massive's alone, from the parts.
"""

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

import polars as pl

from ingest.datasets import Dataset
from ingest.errors import CacheError
from ingest.lock import note_of
from ingest.manifest import Manifest
from ingest.manifest.quotes import QuoteRow, Quotes
from ingest.settings import Settings
from ingest.tiers import projection
from ingest.tiers.bars import BARS, all_bars, bars, firsts, order_of, schema_of
from ingest.tiers.layout import PartFolders, csv_folder
from ingest.tiers.projection import CsvFolder, Projection

_Result = TypeVar("_Result")

ROWS = pl.Schema([*BARS.items(), ("source", pl.String())])
"""Ticker, date, raw prices, volume and number of trades (None where unknown), and "massive" or "yahoo"."""


def rows_schema(dataset: Dataset) -> pl.Schema:
    """`ROWS` with the dataset's own numbers; within days with `time`, when a bar begins, after the date."""
    return pl.Schema([*schema_of(dataset).items(), ("source", pl.String())])


_CSV = pl.Schema({"Date": pl.Date, **dict.fromkeys(("Open", "High", "Low", "Close", "Volume"), pl.Float64)})
IN_CSV = frozenset({"ticker", "date", "open", "high", "low", "close", "volume", "source"})
"""Columns that can be had without the parts."""

_THREADS = 2
_WAITS_S = (0.0, 0.05, 0.2, 1.0)
_MANY = 16
"""So many tickers, in so many sessions, are worth a second thread; of few tickers each read is too short for it."""


@dataclass(frozen=True, slots=True)
class Stock:
    """A cache to read from; made by `stock_of`. Readers need no lock: a run may be writing meanwhile."""

    manifest: Manifest
    folders: PartFolders
    csvs: CsvFolder

    @property
    def dataset(self) -> Dataset:
        """Whose rows they are."""
        return self.csvs.dataset

    @property
    def schema(self) -> pl.Schema:
        """Columns of its rows."""
        return rows_schema(self.dataset)

    @property
    def quotes(self) -> Quotes:
        """What is held of Yahoo."""
        return Quotes(self.manifest)


def stock_of(manifest: Manifest, settings: Settings, dataset: Dataset) -> Stock:
    """What the cache that the settings name holds of a dataset, through its open manifest."""
    csvs = CsvFolder(csv_folder(settings, dataset), dataset)
    return Stock(manifest, PartFolders.of(settings, dataset), csvs)


def rows(stock: Stock, tickers: Collection[str], start: date, end: date, trades: bool = False) -> pl.DataFrame:
    """Raw rows of these tickers from `start` to `end`, both inclusive, as `stock.schema`, sorted by ticker and time.

    `trades`: numbers are wanted that the CSVs lack. Raises CacheError where a part can't be read.
    """
    held = [day for day in stock.manifest.committed() if start <= day <= end]
    found = massive(stock, frozenset(tickers), held, trades)
    yahoo = _yahoo(stock, stock.quotes.rows(tickers, start, end))
    return pl.concat([found, yahoo]).sort(order_of(stock.dataset)) if yahoo.height else found


def sessions(stock: Stock) -> list[date]:
    """All sessions of which anything is held, of Massive's or of Yahoo's, ascending."""
    return sorted({*stock.manifest.committed(), *stock.quotes.sessions()})


def on(stock: Stock, days: Sequence[date], tickers: Collection[str] | None) -> pl.DataFrame:
    """Raw rows on these sessions (ascending), of some tickers or of all, sorted by date, ticker and time."""
    if tickers is None:
        frames = [session(stock, day) for day in days]
        return pl.concat([pl.DataFrame(schema=stock.schema), *frames])
    wanted = set(days)
    held = [day for day in stock.manifest.committed() if day in wanted]
    yahoo = [row for row in stock.quotes.rows(tickers, days[0], days[-1]) if row[1] in wanted]
    found = pl.concat([massive(stock, frozenset(tickers), held, trades=True), _yahoo(stock, yahoo)])
    return found.sort("date", *order_of(stock.dataset))


def session(stock: Stock, day: date) -> pl.DataFrame:
    """All rows of a session, sorted by ticker and time; empty where nothing is held of it. Raises CacheError."""
    parts = stock.manifest.parts
    held = _steadily(stock, lambda: [all_bars(stock.folders, one, stock.dataset) for one in parts([day])])
    found = pl.concat([pl.DataFrame(schema=stock.schema), *(_from(stock, one, "massive") for one in held)])
    yahoo = _yahoo(stock, stock.quotes.rows_of(day))
    return pl.concat([found, yahoo]).sort(order_of(stock.dataset)) if yahoo.height else found


def massive(stock: Stock, tickers: frozenset[str], held: Sequence[date], trades: bool = False) -> pl.DataFrame:
    """Rows of these tickers on sessions (ascending) that are held. Raises CacheError."""
    if not held:
        return pl.DataFrame(schema=stock.schema)
    if stock.dataset.is_intraday:
        return _from(stock, _from_parts(stock, tickers, held), "massive")
    ready = {} if trades else _ready(stock, tickers, held)
    frames = [_csv(stock.csvs, state, held) for state in ready.values()]
    found = {ticker: frame for ticker, frame in zip(ready, frames, strict=True) if frame is not None}
    others = tickers - found.keys()
    from_parts = [_from_parts(stock, others, held)] if others else []
    everything = pl.concat([pl.DataFrame(schema=BARS), *found.values(), *from_parts], how="diagonal")
    return _from(stock, everything.sort("ticker", "date"), "massive")


def _ready(stock: Stock, tickers: frozenset[str], held: Sequence[date]) -> dict[str, Projection]:
    """Those tickers whose CSV says what the parts say; minutes are read from the parts."""
    if stock.dataset.is_intraday or stock.manifest.pending() & set(held):
        return {}
    states = stock.manifest.projections(tickers)
    return {
        ticker: state
        for ticker, state in states.items()
        if state.active and not state.dirty and projection.looks_intact(stock.csvs, state)
    }


def _csv(folder: CsvFolder, state: Projection, held: Sequence[date]) -> pl.DataFrame | None:
    """A CSV's rows; None where it is not what it was a moment ago, since a run has just replaced it."""
    if not state.rows:
        return pl.DataFrame(schema=BARS)
    names = [name for name in _CSV if name != "Volume" or folder.dataset.has_volume]
    try:
        rows = pl.read_csv(folder.file(state.ticker), schema={name: _CSV[name] for name in names})
    except (OSError, pl.exceptions.PolarsError):
        return None
    told = {"ticker": pl.lit(state.ticker)} | {name.lower(): pl.col(name) for name in names}
    columns = [told.get(name, pl.lit(None, kind)).alias(name) for name, kind in BARS.items()]
    return rows.filter(pl.col("Date").is_in(list(held))).select(columns)


def _steadily(stock: Stock, read: Callable[[], _Result]) -> _Result:
    """Read parts; where one cannot be read, again by what the manifest says then.

    A run puts a replacement in its place a moment before the manifest has its index. Raises CacheError where that is
    not the reason.
    """
    for wait_s in _WAITS_S:
        try:
            return read()
        except CacheError:
            if wait_s and not note_of(stock.manifest.path.parent):
                raise
            time.sleep(wait_s)
    return read()


def _from_parts(stock: Stock, tickers: frozenset[str], held: Sequence[date]) -> pl.DataFrame:
    return _steadily(stock, lambda: _bars(stock, tickers, held))


def _bars(stock: Stock, tickers: frozenset[str], held: Sequence[date]) -> pl.DataFrame:
    parts = list(stock.manifest.parts(held))
    if min(len(parts), len(tickers)) <= _MANY:
        return bars(stock.folders, parts, tickers, stock.dataset)
    size = -(-len(parts) // _THREADS)
    pieces = [parts[at : at + size] for at in range(0, len(parts), size)]
    with ThreadPoolExecutor(_THREADS) as threads:
        frames = list(threads.map(lambda piece: bars(stock.folders, piece, tickers, stock.dataset), pieces))
    return firsts(pl.concat(frames), stock.dataset)


def _yahoo(stock: Stock, found: Sequence[QuoteRow]) -> pl.DataFrame:
    """Yahoo's rows, but for sessions of which a file of Massive's could tell: who is not in that did not trade.

    It is asked for daily bars alone.
    """
    if stock.dataset.is_intraday:
        return pl.DataFrame(schema=stock.schema)
    names = ("ticker", "date", "open", "high", "low", "close", "volume")
    schema = {name: BARS[name] for name in names}
    days = [row[1] for row in found]
    coverage = stock.manifest.coverage(min(days), max(days)) if found else None
    rows = [row for row in found if coverage and not coverage.has(row[0], row[1])]
    return _from(stock, pl.DataFrame(rows, schema=schema, orient="row"), "yahoo")


def _from(stock: Stock, frame: pl.DataFrame, source: str) -> pl.DataFrame:
    """The rows in the dataset's columns; those that they lack are None."""
    lacking = [pl.lit(None, kind).alias(name) for name, kind in stock.schema.items() if name not in frame.columns]
    return frame.with_columns(*lacking).with_columns(pl.lit(source).alias("source")).select(stock.schema.names())
