"""Yahoo's rows and corporate actions of one ticker: requested, compared with Massive's prices, and stored.

Yahoo's prices, converted to prices as traded, must match Massive's: a ticker may mean another company there, and
Yahoo sometimes does not have a split. All closes that both have are compared (see `agreement`). Rows after the last
wrong close are trusted; those before are refused, and the same request is refused until another session is over. Rows
that cannot be compared are returned but not stored; rows that look as if a split was not applied (see `unapplied`) are
left out.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
import polars as pl

from ingest.cache import lock
from ingest.cache.cache import Cache
from ingest.cache.commit import for_writing
from ingest.cache.manifest.records import Coverage
from ingest.cache.manifest.yahoo import ActionCoverage, QuoteRow, Refusal
from ingest.errors import CacheError, CacheLocked, Disagreement, NotFound, SourceError, warn
from ingest.finding import NOT_YAHOOS
from ingest.market.calendars import today
from ingest.market.corporate_actions import Actions
from ingest.market.datasets import Dataset
from ingest.reading import rows as reading
from ingest.reading.adjusting.adjusted import days_in
from ingest.reading.adjusting.agreement import Agreement, Flags, agreement_of
from ingest.reading.adjusting.freshness import newest_session
from ingest.reading.adjusting.unapplied import UnappliedSplit, unapplied
from ingest.settings import Settings
from ingest.sources.yahoo import Daily, Yahoo

_MARGIN = timedelta(days=12)
_YEAR = timedelta(days=365)
_LATELY = 5
"""A ticker that is missing from this many of the newest files is no longer traded."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Yahoo's answer for a ticker since `start`: raw rows as `rows_schema`, and corporate actions.

    `compared` says whether its closes were compared with Massive's, `doubts` what is odd about it. `begins` is the date
    of Yahoo's first row since the requested start, or of an earlier one, `ends` that of its last.
    If rows before `start` were left out because they disagree, `refused` says why, else it is empty. `disbelieved` has
    the closes of the rows left out by date, `outliers` the single sessions whose close is not Massive's.
    """

    ticker: str
    start: date
    rows: pl.DataFrame
    actions: Actions
    compared: bool
    begins: date
    ends: date
    doubts: tuple[str, ...] = ()
    refused: str = ""
    disbelieved: Mapping[date, float] = field(default_factory=dict)
    outliers: tuple[date, ...] = ()


def ask(cache: Cache, yahoo: Yahoo, ticker: str, start: date) -> Answer:
    """Request a ticker's rows and corporate actions from a little before `start`, and all stored days, to today.

    So all that is stored is of one moment, and includes actions that Yahoo listed late. Raises NotFound for a ticker
    that Yahoo does not have or whose spelling there is unknown, Disagreement if nothing in the answer can be trusted,
    or another SourceError if Yahoo gives no answer.
    """
    symbol = symbol_of(cache.dataset, ticker)
    covered = cache.manifest.sessions.coverage().of(ticker)
    before = max((day for day in covered if day < start), default=start)
    known = cache.manifest.yahoo.asked([ticker]).get(ticker)
    since = min(before, known.first) if known else before
    begin = min(since, start - _MARGIN)
    found = compared(cache, ticker, yahoo.daily(symbol, begin), begin)
    if _is_late(
        cache, found, [day for day in covered if day >= start]
    ):  # it may have earlier rows, and a gap of some weeks
        earlier = yahoo.daily(symbol, begin - _YEAR).bars["date"][0]
        found = replace(found, begins=min(found.begins, earlier))
    # The margin before does not count as stored: otherwise each request would begin further back than the last.
    return replace(found, start=max(found.start, since), rows=found.rows.filter(pl.col("date") >= since))


def _is_late(cache: Cache, found: Answer, covered: Collection[date]) -> bool:
    """Whether Massive has rows on these days before Yahoo's first one."""
    days = [day for day in covered if day < found.begins]
    return bool(days) and not reading.massive(cache, frozenset([found.ticker]), days).is_empty()


def symbol_of(dataset: Dataset, ticker: str) -> str:
    """How Yahoo spells a ticker. Raises NotFound, with the reason, if Yahoo is not asked for it."""
    symbol = dataset.yahoo_symbol(ticker)
    if symbol is None:
        raise NotFound(unasked(dataset, ticker))
    return symbol


def unasked(dataset: Dataset, ticker: str) -> str:
    """Why Yahoo is not asked for a ticker that has no symbol there, in words."""
    if dataset.spelling is None:
        return f"{ticker} is not looked up at Yahoo, which does not have {dataset.short}"
    return f"{ticker} is not looked up at Yahoo: its symbol there is unknown"


def compared(cache: Cache, ticker: str, found: Daily, start: date | None = None) -> Answer:
    """Compare Yahoo's bars from `start` to today with Massive's. Raises Disagreement.

    Without a `start` they begin with the first bar, which must exist.
    """
    rows = _rows(cache.dataset, ticker, found).filter(pl.col("date") <= newest_session(cache.dataset))
    asked: date = start or found.bars["date"][0]
    days = rows["date"].to_list() or [asked]
    doubts = tuple(f"{ticker}: {doubt}" for doubt in found.doubts)
    whole = Answer(ticker, asked, rows, found.actions, compared=False, begins=days[0], ends=days[-1], doubts=doubts)
    closes = _closes(cache, ticker, rows)
    believed = _believed(cache.dataset, whole, closes) if closes.height else whole
    return _likely(believed, closes["date"].to_list())


def _rows(dataset: Dataset, ticker: str, found: Daily) -> pl.DataFrame:
    """Yahoo's rows in our columns; volume is null if Yahoo counts something else, such as dollars for coins."""
    volume = pl.col("volume").fill_nan(None) if dataset.unit == "shares" else pl.lit(None, pl.Float64).alias("volume")
    return found.bars.select(
        pl.lit(ticker).alias("ticker"),
        "date",
        *(pl.col(name).fill_nan(None) for name in ("open", "high", "low", "close")),
        volume,
        pl.lit(None, pl.Int64).alias("transactions"),
        pl.lit("yahoo").alias("source"),
    )


def _closes(cache: Cache, ticker: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Both closes of sessions that both have, by date; `alone` where the rows on both sides in `rows` are such, too."""
    held = cache.manifest.sessions.coverage().of(ticker)
    days = [day for day in rows["date"].to_list() if day in held]
    theirs = reading.massive(cache, frozenset([ticker]), days).select("date", mine="close")
    joined = rows.select("date", yahoos="close").join(theirs, on="date", how="left").sort("date")
    both = ((pl.col("mine") > 0) & (pl.col("yahoos") > 0)).fill_null(value=False)
    beside = both.shift(1, fill_value=False) & both.shift(-1, fill_value=False)
    return joined.with_columns(alone=beside, both=both).filter(pl.col("both"))


def _believed(dataset: Dataset, whole: Answer, closes: pl.DataFrame) -> Answer:
    """The part of an answer that can be trusted: from the first agreeing close after the last wrong one.

    Raises Disagreement if there is none.
    """
    logs = np.log(closes["yahoos"].to_numpy() / closes["mine"].to_numpy())
    found = agreement_of(logs, closes["alone"].to_numpy(), dataset.tolerance)
    days = closes["date"].to_list()
    outliers = tuple(days[at] for at in np.flatnonzero(found.outlier))
    if not found.factor.any():
        return replace(whole, compared=True, outliers=outliers)
    words = _disagreement(dataset, whole.ticker, closes, found.factor)
    first = _first_agreeing(found)
    if first is None:
        raise Disagreement(words, _by_date(whole.rows))
    start, actions = days[first], whole.actions
    return replace(
        whole,
        start=start,
        rows=whole.rows.filter(pl.col("date") >= start),
        actions=actions.since(start),
        compared=True,
        refused=words,
        disbelieved=_by_date(whole.rows.filter(pl.col("date") < start)),
        outliers=tuple(day for day in outliers if day >= start),
    )


def _likely(answer: Answer, compared: Collection[date]) -> Answer:
    """The answer without rows that look as if a split was not applied to them, unless their closes were compared."""
    rows = answer.rows.filter(pl.col("close") > 0)
    days = rows["date"].to_list()
    found = unapplied(days_in(rows), rows["close"].to_numpy(), answer.actions.splits) if answer.actions.splits else []
    odd = [one for one in found if frozenset(compared).isdisjoint(days[one.rows])]
    if not odd:
        return answer
    gone = [day for one in odd for day in days[one.rows]]
    return replace(
        answer,
        rows=answer.rows.filter(~pl.col("date").is_in(gone)),
        disbelieved={**answer.disbelieved, **_by_date(rows.filter(pl.col("date").is_in(gone)))},
        doubts=(*answer.doubts, *(_unlikely(answer.ticker, days[one.rows], one) for one in odd)),
    )


def _unlikely(ticker: str, days: Sequence[date], stretch: UnappliedSplit) -> str:
    ratio, ex_date = stretch.split.ratio, stretch.split.ex_date
    return (
        f"Yahoo's prices of {ticker} from {days[0]} to {days[-1]} are {stretch.times:.3g} times those around them, as "
        f"if its {ratio:g}-for-1 split on {ex_date} was not applied, or applied twice: they are left out"
    )


def _by_date(rows: pl.DataFrame) -> Mapping[date, float]:
    return dict(rows.select("date", "close").iter_rows())


def _first_agreeing(found: Agreement) -> int | None:
    last_wrong = int(np.flatnonzero(found.factor)[-1])
    after = np.flatnonzero(found.agrees[last_wrong + 1 :])
    return last_wrong + 1 + int(after[0]) if len(after) else None


def _disagreement(dataset: Dataset, ticker: str, closes: pl.DataFrame, wrong: Flags) -> str:
    """The last wrong close, and how many there are, in words."""
    day, yahoos, mine = closes.filter(wrong).select("date", "yahoos", "mine").row(-1)
    first, others = closes.filter(wrong)["date"][0], int(wrong.sum()) - 1
    more = f", {others:,} more since {first}" if others else ""
    split = ", or a split that one of them does not have" if dataset.splits else ""
    return (
        f"Yahoo's prices of {ticker} disagree with Massive: on {day} it has {yahoos:g} as traded, against {mine:g} "
        f"({yahoos / mine:.4g} times){more}; another security{split}"
    )


def keep(settings: Settings, dataset: Dataset, start: date, answer: Answer) -> None:
    """Store an answer that was compared, unless a run holds the cache. Warns if it cannot be written."""
    _write(settings, dataset, lambda cache: store(cache, start, answer))


def keep_refusal(settings: Settings, dataset: Dataset, ticker: str, start: date, error: SourceError) -> None:
    """Store, as `keep` does, that Yahoo does not have a ticker, or has another security under that name."""
    _write(settings, dataset, lambda cache: store_refusal(cache, ticker, start, error))


def store(cache: Cache, start: date, answer: Answer) -> int:
    """Store an answer to a request from `start` on; the caller holds the lock. Returns the number of stored rows.

    Only rows of sessions whose files do not cover the ticker are stored, and nothing of an answer that could not be
    compared. Rows that were stored before and are not trusted now are removed: then there may have been nothing to
    compare them with.
    """
    if not answer.compared:
        return 0
    rows = _missing(answer, cache.manifest.sessions.coverage())
    if answer.disbelieved:
        cache.manifest.yahoo.take_back(answer.ticker, answer.disbelieved, answer.start if answer.refused else None)
    newest = newest_session(cache.dataset)
    asking = ActionCoverage(answer.start, min(newest, answer.ends), begins=answer.begins)
    cache.manifest.yahoo.keep(answer.ticker, asking, answer.actions, rows, through=today())
    cache.manifest.findings.add(NOT_YAHOOS, answer.ticker, answer.outliers)
    if answer.refused and answer.start > start:
        cache.manifest.yahoo.refuse(answer.ticker, Refusal(start, answer.start - timedelta(days=1), answer.refused))
    return len(rows)


def store_refusal(cache: Cache, ticker: str, start: date, error: SourceError) -> None:
    """Store a refusal, and remove stored rows that are not trusted now; the caller holds the lock.

    If Yahoo has no rows of a known ticker that is no longer in Massive's files either, nothing has happened to it.
    """
    newest = newest_session(cache.dataset)
    if isinstance(error, Disagreement):
        cache.manifest.yahoo.take_back(ticker, error.closes)
    asking = cache.manifest.yahoo.asked([ticker]).get(ticker)
    if isinstance(error, NotFound) and asking and asking.first <= start and not is_traded(cache, ticker):
        cache.manifest.yahoo.nothing_new(ticker, newest)
    else:
        cache.manifest.yahoo.refuse(ticker, Refusal(start, newest, error.message))


def is_traded(cache: Cache, ticker: str) -> bool:
    """Whether one of the newest files that cover the ticker contains it."""
    newest = sorted(cache.manifest.sessions.coverage().of(ticker))[-_LATELY:]
    return not reading.massive(cache, frozenset([ticker]), newest).is_empty()


def _write(settings: Settings, dataset: Dataset, keep: Callable[[Cache], object]) -> None:
    """Store something for later requests; if that fails, the caller still gets its data."""
    try:
        with lock.hold(settings.cache.root), for_writing(settings, dataset) as cache:
            keep(cache)
    except (CacheError, CacheLocked) as error:
        if type(error) is not CacheLocked:  # a run is in progress, and asks Yahoo itself
            warn(f"Yahoo's answer was not stored: {error.message}")


def _missing(answer: Answer, coverage: Coverage) -> list[QuoteRow]:
    """The rows of sessions that are not stored, or were stored without this ticker."""
    names = ("ticker", "date", "open", "high", "low", "close", "volume")
    covered = coverage.of(answer.ticker)
    return list(answer.rows.filter(~pl.col("date").is_in(list(covered))).select(names).iter_rows())
