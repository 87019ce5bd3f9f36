"""Yahoo's rows and events for one ticker: asked for, held against Massive's prices, and kept.

Yahoo's prices, brought back to what was traded, have to be Massive's where both are at hand: a ticker may mean another
company there, and Yahoo sometimes lacks a split. What disagrees is refused; what cannot be compared is served and not
kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from ingest import lock, reading
from ingest.corporate import Actions
from ingest.datasets import Dataset
from ingest.errors import CacheError, CacheLocked, Disagreement, NotFound, SourceError
from ingest.freshness import newest_session
from ingest.manifest.quotes import Asking, QuoteRow
from ingest.manifest.records import Coverage
from ingest.reading import Stock
from ingest.settings import Settings
from ingest.sources.yahoo import Daily, Yahoo
from ingest.store import Store
from ingest.warned import warn

_SAMPLE = 3
_MARGIN = timedelta(days=12)


@dataclass(frozen=True, slots=True)
class Answer:
    """What Yahoo has of a ticker since `start`: raw rows as `Stock.schema`, and actions; `compared` with Massive's.

    `doubts` says what is odd about it.
    """

    ticker: str
    start: date
    rows: pl.DataFrame
    actions: Actions
    compared: bool
    doubts: tuple[str, ...] = ()


def ask(stock: Stock, yahoo: Yahoo, ticker: str, start: date) -> Answer:
    """Ask for a ticker's rows and events from a little before `start` to today.

    Raises NotFound for a ticker that Yahoo does not have or that has no safe spelling there, Disagreement, or another
    SourceError where Yahoo gives no answer.
    """
    symbol = symbol_of(stock.dataset, ticker)
    begin = _begin(stock, ticker, start)
    return compared(stock, ticker, yahoo.daily(symbol, begin), begin)


def symbol_of(dataset: Dataset, ticker: str) -> str:
    """How Yahoo spells a ticker. Raises NotFound, which says why it is not asked for it."""
    symbol = dataset.yahoo_symbol(ticker)
    if symbol is None:
        raise NotFound(unasked(dataset, ticker))
    return symbol


def unasked(dataset: Dataset, ticker: str) -> str:
    """In words, why Yahoo is not asked for a ticker that has no symbol there."""
    if dataset.spelling is None:
        return f"{ticker} is not asked for at Yahoo, which has nothing of {dataset.short}"
    return f"{ticker} is not asked for at Yahoo: no spelling there is known to mean the same"


def compared(stock: Stock, ticker: str, found: Daily, start: date | None = None) -> Answer:
    """Hold what Yahoo has, asked for from `start` (its first bar) to today, against Massive's. Raises Disagreement.

    Without a `start` there has to be a bar.
    """
    rows = _rows(stock.dataset, ticker, found).filter(pl.col("date") <= newest_session(stock.dataset))
    begin = start or found.bars["date"][0]
    doubts = tuple(f"{ticker}: {doubt}" for doubt in found.doubts)
    return Answer(ticker, begin, rows, found.actions, _compare(stock, ticker, rows, found.actions), doubts)


def _begin(stock: Stock, ticker: str, start: date) -> date:
    """Far enough back that a session which is held is among the answers, if there is one before."""
    earlier = [day for day in stock.manifest.coverage().of(ticker) if day < start]
    return min(start - _MARGIN, max(earlier)) if earlier else start - _MARGIN


def _rows(dataset: Dataset, ticker: str, found: Daily) -> pl.DataFrame:
    """Yahoo's rows as ours; their volume is none where it counts something else: of coins it has dollars."""
    volume = pl.col("volume").fill_nan(None) if dataset.unit == "shares" else pl.lit(None, pl.Float64).alias("volume")
    return found.bars.select(
        pl.lit(ticker).alias("ticker"),
        "date",
        *(pl.col(name).fill_nan(None) for name in ("open", "high", "low", "close")),
        volume,
        pl.lit(None, pl.Int64).alias("transactions"),
        pl.lit("yahoo").alias("source"),
    )


def _compare(stock: Stock, ticker: str, rows: pl.DataFrame, actions: Actions) -> bool:
    """Whether there was a session to compare; raises Disagreement."""
    covered = stock.manifest.coverage().of(ticker)
    both = [day for day in rows["date"].to_list() if day in covered]
    theirs = reading.massive(stock, frozenset([ticker]), _sample(both, actions))
    joined = theirs.join(rows, on="date", suffix="_yahoo").filter((pl.col("close") > 0) & (pl.col("close_yahoo") > 0))
    off = joined.filter((pl.col("close_yahoo") / pl.col("close") - 1).abs() > stock.dataset.tolerance)
    split = ", or a split that one of the two lacks" if stock.dataset.splits else ""
    for day, mine, yahoos in off.select("date", "close", "close_yahoo").head(1).iter_rows():
        raise Disagreement(
            f"Yahoo's prices of {ticker} are not Massive's: on {day} it has {yahoos:g} as traded, against {mine:g} "
            f"({yahoos / mine:.4g} times); another security{split}"
        )
    return joined.height > 0


def _sample(days: Sequence[date], actions: Actions) -> list[date]:
    """The first, the last, and those around each split."""
    chosen = {*days[:_SAMPLE], *days[-_SAMPLE:]}
    for split in actions.splits:
        chosen.update(
            [day for day in days if day < split.ex_date][-1:] + [day for day in days if day >= split.ex_date][:1]
        )
    return sorted(chosen)


def keep(settings: Settings, dataset: Dataset, answer: Answer) -> None:
    """Keep an answer that was compared; not while a run holds the cache. Warns where it cannot be written."""
    _write(settings, dataset, lambda stock: store(stock, answer))


def keep_refusal(settings: Settings, dataset: Dataset, ticker: str, start: date, error: SourceError) -> None:
    """Remember that Yahoo does not have a ticker, or another one of that name; as `keep` does."""
    _write(settings, dataset, lambda stock: store_refusal(stock, ticker, start, error))


def store(stock: Stock, answer: Answer) -> int:
    """Keep an answer, by who holds the cache; returns the number of rows: of sessions whose files could not tell.

    One that could not be compared is not kept.
    """
    if not answer.compared or answer.rows.is_empty():
        return 0
    rows = _lacking(answer, stock.manifest.coverage())
    last = min(newest_session(stock.dataset), max(answer.rows["date"]))  # newer ones may be had in an hour
    stock.quotes.keep(answer.ticker, Asking(True, answer.start, last), answer.actions, rows)
    return len(rows)


def store_refusal(stock: Stock, ticker: str, start: date, error: SourceError) -> None:
    """Remember a refusal, by who holds the cache. To a ticker that is known no rows mean that nothing happened."""
    quotes, newest = stock.quotes, newest_session(stock.dataset)
    known = quotes.asked([ticker]).get(ticker)
    if isinstance(error, NotFound) and known and known.known:
        quotes.nothing_new(ticker, newest)
    else:
        quotes.refuse(ticker, start, newest, str(error))


def _write(settings: Settings, dataset: Dataset, keep: Callable[[Stock], object]) -> None:
    """Keep something, for the next one who asks: who has only the right to read is answered all the same."""
    try:
        with lock.hold(settings.cache.root), Store.opened(settings, dataset) as store:
            keep(reading.stock_of(store.manifest, settings, dataset))
    except CacheLocked:
        pass  # a run is going on, and asks Yahoo itself
    except CacheError as error:
        warn(f"what Yahoo says is not kept: {error}")


def _lacking(answer: Answer, coverage: Coverage) -> list[QuoteRow]:
    """Those of the rows whose session is not held, or was kept without this ticker."""
    names = ("ticker", "date", "open", "high", "low", "close", "volume")
    covered = coverage.of(answer.ticker)
    return list(answer.rows.filter(~pl.col("date").is_in(list(covered))).select(names).iter_rows())
