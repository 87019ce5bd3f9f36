"""What is stored, read back: raw rows of some tickers, of a whole session, or a lazy scan of both tiers.

Each row says its source. Massive's come from the tracked CSVs where these are up to date, else from the parts; Yahoo's
stand in the manifest and are handed out only for sessions of which no file of Massive's is held. Rows within days are
Massive's alone, from the parts.
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import polars as pl

from ingest.cache import csv_files
from ingest.cache.csv_files import CsvFolder
from ingest.cache.layout import PartFolders, PartsOf, csv_folder
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.records import Projection
from ingest.cache.manifest.yahoo import QuoteRow, Quotes
from ingest.cache.steady import Read, steadily
from ingest.files import opening
from ingest.market.datasets import Dataset
from ingest.reading.bars import BARS, all_bars, bars, firsts, order_of, schema_of
from ingest.settings import Settings

ROWS = pl.Schema([*BARS.items(), ("source", pl.String())])
"""Ticker, date, raw prices, volume and number of trades (None where unknown), and "massive" or "yahoo"."""

SOURCES = frozenset({"massive", "yahoo"})
"""Who rows are of."""


def rows_schema(dataset: Dataset) -> pl.Schema:
    """`ROWS` with the dataset's own numbers; within days with `time`, when a bar begins, after the date."""
    return pl.Schema([*schema_of(dataset).items(), ("source", pl.String())])


_CSV = pl.Schema({"Date": pl.Date, **dict.fromkeys(("Open", "High", "Low", "Close", "Volume"), pl.Float64)})
IN_CSV = frozenset({"ticker", "date", "open", "high", "low", "close", "volume", "source"})
"""Columns that can be had without the parts."""

_THREADS = 2
_MANY = 16
"""So many tickers, in so many sessions, are worth a second thread; of few tickers each read is too short for it."""


@dataclass(frozen=True, slots=True)
class Stock:
    """A cache to read from, rows of these `sources`; made by `stock_of`.

    Readers need no lock: a run may be writing meanwhile.
    """

    manifest: Manifest
    folders: PartFolders
    csvs: CsvFolder
    sources: Collection[str] = SOURCES

    @property
    def dataset(self) -> Dataset:
        """Whose rows they are."""
        return self.csvs.dataset

    @property
    def schema(self) -> pl.Schema:
        """Columns of its rows."""
        return rows_schema(self.dataset)

    def held(self, start: date = date.min, end: date = date.max) -> list[date]:
        """Sessions whose files are held, ascending; none where Massive is no source."""
        return self.manifest.committed(start, end) if "massive" in self.sources else []

    @property
    def quotes(self) -> Quotes:
        """What is held of Yahoo."""
        return Quotes(self.manifest)


def stock_of(manifest: Manifest, settings: Settings, dataset: Dataset, sources: Collection[str] = SOURCES) -> Stock:
    """What the cache that the settings name holds of a dataset, through its open manifest."""
    csvs = CsvFolder(csv_folder(settings, dataset), dataset)
    return Stock(manifest, PartFolders.of(settings, dataset), csvs, sources)


def rows(stock: Stock, tickers: Collection[str], start: date, end: date, trades: bool = False) -> pl.DataFrame:
    """Raw rows of these tickers from `start` to `end`, both inclusive, as `stock.schema`, sorted by ticker and time.

    `trades`: numbers are wanted that the CSVs lack. Raises CacheError where a part can't be read.
    """
    wanted = frozenset(tickers)

    def told() -> tuple[list[date], Mapping[str, Projection], pl.DataFrame]:
        held = stock.held(start, end)
        yahoo = _yahoo(stock, stock.quotes.rows(tickers, start, end))
        return held, {} if trades else _ready(stock, wanted, held), yahoo

    before = stock.manifest.moment()
    held, ready, yahoo = stock.manifest.at_once(told, start, end)
    found = _massive(stock, wanted, held, ready)
    if ready and stock.manifest.moment() != before:
        # Some may be of CSVs as they were, and others of parts that were replaced since.
        again = stock.manifest.at_once(lambda: _ready(stock, wanted, held), start, end)
        found = found if again == ready else _massive(stock, wanted, held, {})
    return pl.concat([found, yahoo]).sort(order_of(stock.dataset)) if yahoo.height else found


def sessions(stock: Stock) -> list[date]:
    """All sessions of which the stock's sources have anything, ascending."""
    kept = stock.quotes.sessions if "yahoo" in stock.sources else list
    return stock.manifest.at_once(lambda: sorted({*stock.held(), *kept()}))


def on(stock: Stock, days: Sequence[date], tickers: Collection[str] | None) -> pl.DataFrame:
    """Raw rows on these sessions (ascending), of some tickers or of all, sorted by date, ticker and time."""
    if tickers is None:
        frames = [session(stock, day) for day in days]
        return pl.concat([pl.DataFrame(schema=stock.schema), *frames])
    wanted = set(days)

    def told() -> tuple[list[date], pl.DataFrame]:
        held = [day for day in stock.held(days[0], days[-1]) if day in wanted]
        yahoo = [row for row in stock.quotes.rows(tickers, days[0], days[-1]) if row[1] in wanted]
        return held, _yahoo(stock, yahoo)

    held, yahoo = stock.manifest.at_once(told, days[0], days[-1])
    found = pl.concat([_massive(stock, frozenset(tickers), held, {}), yahoo])
    return found.sort("date", *order_of(stock.dataset))


def session(stock: Stock, day: date) -> pl.DataFrame:
    """All rows of a session, sorted by ticker and time; empty where nothing is held of it. Raises CacheError."""

    def told() -> tuple[list[date], pl.DataFrame]:
        return stock.held(day, day), _yahoo(stock, stock.quotes.rows_of(day))

    held, yahoo = stock.manifest.at_once(told, day, day)
    found = _of_parts(stock, held, lambda parts: pl.concat(_all_bars(stock, parts)))
    massives = _from(stock, found, "massive")
    return pl.concat([massives, yahoo]).sort(order_of(stock.dataset)) if yahoo.height else massives


def _all_bars(stock: Stock, parts: Sequence[PartsOf]) -> list[pl.DataFrame]:
    empty = pl.DataFrame(schema=schema_of(stock.dataset))
    return [empty, *(all_bars(stock.folders, one, stock.dataset) for one in parts)]


def massive(stock: Stock, tickers: frozenset[str], held: Sequence[date], trades: bool = False) -> pl.DataFrame:
    """Rows of these tickers on sessions (ascending) that are held. Raises CacheError."""
    ready = {} if trades else stock.manifest.at_once(lambda: _ready(stock, tickers, held))
    return _massive(stock, tickers, held, ready)


def _massive(
    stock: Stock, tickers: frozenset[str], held: Sequence[date], ready: Mapping[str, Projection]
) -> pl.DataFrame:
    """The same; the CSVs of those that are `ready` say what the parts say."""
    if not held:
        return pl.DataFrame(schema=stock.schema)
    if stock.dataset.is_intraday:
        return _from(stock, _from_parts(stock, tickers, held), "massive")
    frames = [_csv(stock.csvs, state, held) for state in ready.values()]
    found = {ticker: frame for ticker, frame in zip(ready, frames, strict=True) if frame is not None}
    others = tickers - found.keys()
    from_parts = [_from_parts(stock, others, held)] if others else []
    everything = pl.concat([pl.DataFrame(schema=BARS), *found.values(), *from_parts], how="diagonal")
    return _from(stock, everything.sort("ticker", "date"), "massive")


def _ready(stock: Stock, tickers: frozenset[str], held: Sequence[date]) -> dict[str, Projection]:
    """Those tickers whose CSV says what the parts say; minutes are read from the parts."""
    if stock.dataset.is_intraday or not held:
        return {}
    if not (stock.manifest.pending(held[0], held[-1]) | stock.manifest.moving()).isdisjoint(held):
        return {}
    states = stock.manifest.projections(tickers)
    return {
        ticker: state
        for ticker, state in states.items()
        if state.active and not state.dirty and csv_files.looks_intact(stock.csvs, state)
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


def _from_parts(stock: Stock, tickers: frozenset[str], held: Sequence[date]) -> pl.DataFrame:
    return _of_parts(stock, held, lambda parts: _bars(stock, tickers, parts))


def _of_parts(stock: Stock, held: Collection[date], read: Read) -> pl.DataFrame:
    """What is read of the parts of sessions that are held, while a run may be replacing them."""
    frames = steadily(stock.manifest, stock.folders, held, read)
    return frames[0] if len(frames) == 1 else firsts(pl.concat(frames), stock.dataset)


def _bars(stock: Stock, tickers: frozenset[str], parts: Sequence[PartsOf]) -> pl.DataFrame:
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
    if stock.dataset.is_intraday or "yahoo" not in stock.sources:
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
