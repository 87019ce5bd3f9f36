"""The project's functions for Python programs; `ingest` itself offers them, and imports this when one is used."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from ingest import events, settings
from ingest.errors import UsageError
from ingest.maintenance import status as overview
from ingest.maintenance.status import Status
from ingest.market.catalogue import STOCKS_DAY, bars_of, days_of, named, of_ticker
from ingest.market.patterns import meant
from ingest.pipeline import run as runs
from ingest.planning.request import Flags, requests_of
from ingest.settings import arguments
from ingest.settings.arguments import parse_days, parse_names

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from ingest.maintenance.verify import Verified
    from ingest.market.adjust import Adjust
    from ingest.reading.adjusting.actions import Errors


@overload
def run(
    months: int | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    *,
    dataset: str | None = None,
    datasets: None = None,
    tickers: str | Iterable[str] | None = None,
    refresh: bool = False,
    all_permitted: bool = False,
    max_files: int | None = None,
    max_bytes: int | None = None,
    accept: bool = False,
    config: Path | str | None = None,
    on_event: events.Sink = events.ignore,
) -> events.Finished: ...


@overload
def run(
    months: int | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    *,
    dataset: None = None,
    datasets: str | Iterable[str],
    tickers: str | Iterable[str] | None = None,
    refresh: bool = False,
    all_permitted: bool = False,
    max_files: int | None = None,
    max_bytes: int | None = None,
    accept: bool = False,
    config: Path | str | None = None,
    on_event: events.Sink = events.ignore,
) -> Sequence[events.Finished]: ...


def run(
    months: int | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    *,
    dataset: str | None = None,
    datasets: str | Iterable[str] | None = None,
    tickers: str | Iterable[str] | None = None,
    refresh: bool = False,
    all_permitted: bool = False,
    max_files: int | None = None,
    max_bytes: int | None = None,
    accept: bool = False,
    config: Path | str | None = None,
    on_event: events.Sink = events.ignore,
) -> events.Finished | Sequence[events.Finished]:
    """Bring the cache to what is asked for, as `ingest run` does; returns the summary.

    `dataset` names what is fetched ("stocks-day" unless told otherwise); with `datasets` several are, one after the
    other, and the summaries are returned of all that the keys may list. Names are short ("crypto-day") or full
    ("global_crypto/day_aggs_v1").

    `months` calendar months back from today, or `start` to `end`, both inclusive (dates, or text such as
    "2025-11-11"), or all that the keys' plan allows; of that `max_files` files and `max_bytes` packed bytes at most,
    the oldest first. `tickers`, which may be patterns ("X:*-USD", or "O:SPY" for all contracts of a root), are tracked
    in place of those of the settings. `accept` applies republished files even where they take away more than a tenth of
    a session's rows. May be called where an event loop is running (a notebook). Raises IngestError, and what `on_event`
    raises: it ends the run as a kill would, and the next one goes on.
    """
    if dataset is not None and datasets is not None:
        raise UsageError("dataset and datasets: name one dataset or several, not both")
    first, last = parse_days(start, end)
    flags = Flags(
        months=months,
        start=first,
        end=last,
        refresh=refresh,
        all_permitted=all_permitted,
        max_files=arguments.parse_count("max_files", max_files),
        max_bytes=None if max_bytes is None else str(max_bytes),
        accept=accept,
    )
    chosen = settings.load(_file(config), flags.settings())
    asked = [dataset or STOCKS_DAY.short] if datasets is None else parse_names("datasets", datasets)
    kinds = dict.fromkeys(map(named, asked))
    requests = requests_of(flags, chosen, list(kinds))
    if tickers is not None:
        tracked = frozenset(meant(arguments.parse_tickers("tickers", tickers)))
        requests = tuple(replace(one, tracked=tracked) for one in requests)
    done = runs.run_sync(chosen, requests, on_event)
    if done.failures:
        raise done.failures[0]
    return done.finished if datasets is not None else done.finished[0]


def get_smart_data(
    ticker: str,
    period: str = "6mo",
    interval: str = "1d",
    data_source: Literal["yfinance", "massive"] = "yfinance",
    start: date | str | None = None,
    end: date | str | None = None,
    auto_adjust: bool = True,
    actions: bool = False,
    fetch: bool = True,
    *,
    dataset: str | None = None,
    prepost: bool = False,
    across_seams: bool = False,
    config: Path | str | None = None,
) -> "pd.DataFrame":
    """Bars of one ticker as `yfinance.Ticker(ticker).history` gives them, of the sessions that are over.

    `dataset` names the market (by its day or minute bars); else the ticker's sigil tells: `X:BTC-USD` is crypto, one
    without is a stock. With `data_source="massive"` what is stored comes first; daily files that are missing are
    downloaded into both tiers (not with `fetch=False`, no more than [fallback] max_implicit_files, and no more than
    1 GB); for what Massive does not have Yahoo is asked. With "yfinance" Yahoo alone is asked, and its rows are kept.
    `start` and `end` (exclusive) beat `period`.

    Columns `Open High Low Close [Adj Close] Volume [Dividends, Stock Splits]`, prices in dollars for a share of today's
    (all later splits undone; with `auto_adjust` dividends, too), volume in such shares, rounded half to even. Index
    `Date`, midnight in New York. `attrs["sources"]` says which dates came from where. Yahoo's rows carry the rounding
    of its float32: prices as traded come back exactly up to two decimals below 65,536, else within 2e-7 of their value.

    An `interval` of 1m, 5m, 15m, 30m or 1h (60m) gives bars within days, with the edges of yfinance's (see
    `reading.resample`); with `prepost` those of extended hours, too. With "massive" they are made of the market's
    minute files, each a hundred times as large as one of days. Yahoo is not asked for minutes: sessions that are
    missing are warned of. Index `Datetime`, in New York (crypto: UTC, forex: London). As Yahoo's they are adjusted for
    splits alone, and `Adj Close` is the close.

    Raises NotFound where there is nothing, ActionsUnknown where prices cannot be adjusted, AcrossSeam, UsageError, and
    other errors below IngestError; warns (IngestWarning) of what is missing. May be called in a notebook.
    """
    from ingest.reading.smart.massive import massive_frame
    from ingest.reading.smart.query import Query, listed_sessions, window_of
    from ingest.reading.smart.yahoo import yahoo_frame

    ticker = arguments.parse_ticker(ticker)
    first, last = parse_days(start, end)
    chosen = settings.load(_file(config))
    market = bars_of(named(dataset), interval) if dataset else of_ticker(ticker, interval)
    listed = listed_sessions(chosen, market) if data_source == "massive" else ()
    begin, final = window_of(period, first, last, market, listed)
    if data_source == "yfinance":
        if not fetch:
            raise UsageError('fetch=False gives what is stored: it goes with data_source="massive"')
        window = {"start": begin, "end": last} if first or last else {"period": period}
        how = {"interval": interval, "prepost": prepost, **window}
        return yahoo_frame(chosen, ticker, auto_adjust, actions, days_of(market) or market, **how)
    if data_source != "massive":
        raise UsageError(f'data_source {data_source!r}: "massive" or "yfinance"')
    from ingest.pipeline.bring import bring

    query = Query(
        ticker,
        begin,
        final,
        auto_adjust=auto_adjust,
        with_actions=actions,
        fetch=fetch,
        dataset=market,
        interval=interval,
        prepost=prepost,
        across_gaps=across_seams,
    )
    bring(chosen, query)
    return massive_frame(chosen, query)


def history(
    tickers: str | Iterable[str],
    start: date | str | None = None,
    end: date | str | None = None,
    adjust: "Adjust" = "none",
    columns: str | Iterable[str] | None = None,
    fetch: bool = True,
    across_seams: bool = False,
    config: Path | str | None = None,
    dataset: str = STOCKS_DAY.short,
    *,
    errors: "Errors" = "raise",
    on_event: events.Sink = events.ignore,
) -> "pl.DataFrame":
    """Stored rows of one or many tickers from `start` to `end`, both inclusive; all that is held where they are None.

    Columns ticker, date, open, high, low, close, volume, source ("massive" or "yahoo"), sorted by ticker and date;
    `columns` chooses among these and transactions. Of minutes (`dataset="stocks-minute"`) there is time, too, when a
    minute begins, after the date of its session: Datetime("us") in New York, of forex and crypto in UTC; extended hours
    are among them. Volume is null where a dataset has none. Prices in dollars as traded, or with `adjust` "splits" or
    "all" for a share of today's; volume in shares, as float. Splits and dividends are Yahoo's, asked for where they are
    older than the newest that may be in force (never with `fetch=False`): one ticker after the other, and `on_event` is
    told of each (`events.YahooAsked`). `.to_pandas()` and `.to_arrow()` of what is returned need pyarrow: the extra
    `ingest[arrow]`.

    Patterns ("X:*-USD", and "O:SPY" for all contracts of a root) stand for all tickers of these sessions that match.
    Warns of what nothing is held of, with the tickers that may have been meant.

    Raises UsageError, CacheError, and AcrossSeam or ActionsUnknown for a ticker that cannot be adjusted; with `errors`
    "skip" such tickers are left out, and a warning names them.
    """
    from ingest.reading import history as stored
    from ingest.reading.adjusting.actions import HistoryQuery

    wanted, kept, (first, last) = arguments.parse_tickers("tickers", tickers), named(dataset), parse_days(start, end)
    query = HistoryQuery(
        wanted,
        first,
        last,
        adjust=adjust,
        columns=None if columns is None else parse_names("columns", columns),
        fetch=fetch,
        across_gaps=across_seams,
        errors=errors,
    )
    return stored.history(settings.load(_file(config)), kept, query, on_event)


def day(
    session: date | str,
    config: Path | str | None = None,
    dataset: str = STOCKS_DAY.short,
    *,
    partial: bool = False,
) -> "pl.DataFrame":
    """All rows of a session's file, as traded, sorted by ticker and time: columns of `history` and transactions.

    With `partial` all that is stored of the session, be it a few tickers: Yahoo's rows among them, of sessions without
    a file and of tickers that were not kept. Raises NotFound where no file of the session is held (and nothing else, if
    `partial`), UsageError for a dataset that there is not, and CacheError; warns where other tickers than those tracked
    were not kept (`--no-save-others`), but for `partial`.
    """
    from ingest.reading import history as stored

    when = arguments.parse_day("session", session)
    return stored.day_rows(settings.load(_file(config)), named(dataset), when, partial)


def scan(
    start: date | str | None = None,
    end: date | str | None = None,
    config: Path | str | None = None,
    dataset: str = STOCKS_DAY.short,
    *,
    sources: str | Iterable[str] = ("massive",),
) -> "pl.LazyFrame":
    """All rows of the files held from `start` to `end`, both inclusive, as traded and lazily: columns as `day`.

    Sessions without a file are left out: of them Yahoo has rows of a few tickers alone, which `sources=("massive",
    "yahoo")` adds. Filters upon date and ticker are pushed down to what is read, those upon time are not. What is held
    is looked up when it is collected, which warns of sessions that were kept without tickers that are wanted
    (`--no-save-others`), unless both sources are named. Raises UsageError; collecting raises CacheError.
    """
    from ingest.reading import history as stored

    window, who = parse_days(start, end), parse_names("sources", sources)
    return stored.scan(settings.load(_file(config)), named(dataset), *window, who)


def corrections(
    ticker: str | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    config: Path | str | None = None,
    *,
    dataset: str = STOCKS_DAY.short,
) -> "pl.DataFrame":
    """What files that the vendor published again have changed, a row a value.

    Of all tickers, of one, or of all that match a pattern.

    Columns date, ticker, column, old, new (texts as in the files), kind ("new etag", "same etag", "equal rows") and at
    (when it was applied, ISO 8601, UTC). Where a whole row came or went, column is null and the row is its line. Raises
    UsageError and CacheError.
    """
    import polars as pl

    from ingest.maintenance.corrections import changed_values

    wanted = None if ticker is None else arguments.parse_ticker(ticker)
    window = parse_days(start, end)
    found = changed_values(settings.load(_file(config)), wanted, *window, named(dataset))
    rows = [(one.session, one.ticker or None, one.column, one.old, one.new, one.kind, one.at) for one in found]
    texts = [(name, pl.String) for name in ("ticker", "column", "old", "new", "kind", "at")]
    return pl.DataFrame(rows, [("date", pl.Date), *texts], orient="row")


def findings(
    kind: str | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    config: Path | str | None = None,
    *,
    dataset: str = STOCKS_DAY.short,
) -> "pl.DataFrame":
    """What is noteworthy about the sessions held: columns date, kind, count and examples (a list of texts).

    Raises UsageError and CacheError.
    """
    import polars as pl

    window = parse_days(start, end)
    found = overview.findings(settings.load(_file(config)), kind, *window, named(dataset))
    rows = [(session, one.kind, one.count, list(one.examples)) for session, one in found]
    schema: dict[str, pl.DataType] = {
        "date": pl.Date(),
        "kind": pl.String(),
        "count": pl.Int64(),
        "examples": pl.List(pl.String),
    }
    return pl.DataFrame(rows, schema, orient="row")


def verify(deep: bool = False, config: Path | str | None = None, *, dataset: str = STOCKS_DAY.short) -> "Verified":
    """Hold the cache's files of a dataset against its manifest, as `ingest verify` does; nothing is written.

    Raises UsageError and CacheError.
    """
    from ingest.maintenance import verify as verifying

    return verifying.verify(settings.load(_file(config)), deep, named(dataset))


def _file(config: Path | str | None) -> Path | None:
    return Path(config) if config else None


def status(config: Path | str | None = None, *, dataset: str = STOCKS_DAY.short) -> Status:
    """State of a dataset in the cache that the settings name, as `ingest status` shows it. Raises IngestError."""
    return overview.status(settings.load(_file(config)), named(dataset))
