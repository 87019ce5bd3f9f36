"""The functions for Python programs. `ingest` exports them, and imports this module when the first one is used.

Shared arguments: `start`, `end` and `session` are dates, datetimes (only the date counts), or text such as
"2025-11-11". `tickers` is one name or several. `dataset` is a short name ("crypto-day") or a full one
("global_crypto/day_aggs_v1"). `config` is the path of a settings file; None means the one that the commands find. All
functions raise UsageError for an invalid argument or setting.
"""

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
    """Download what is new and update the cache, as `ingest run` does; returns the summary.

    `dataset` names what to download (default "stocks-day"). `datasets` names several, which run one after the other;
    the result is then a sequence with one `events.Finished` for each dataset that the keys may list.

    The window is `months` calendar months back from today (default: [run] months), or `start` to `end`, both inclusive,
    or everything that the subscription allows (`all_permitted`). At most `max_files` files and `max_bytes` packed bytes
    are downloaded, oldest first; None means no limit. `tickers`, which may be patterns ("X:*-USD", or "O:SPY" for all
    contracts of a root), are tracked instead of those in the settings. `refresh` downloads stored sessions again.
    `accept` applies republished files even if they remove more than a tenth of the rows. `on_event` gets each event.

    Works in a notebook. Raises IngestError, and whatever `on_event` raises: that ends the run like a kill.
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
    requests = requests_of(flags, chosen, list(dict.fromkeys(map(named, asked))))
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
    """Bars of one ticker for completed sessions, as `yfinance.Ticker(ticker).history` returns them.

    `period` is "max", "ytd", or a number of days, weeks, months or years ("5d", "1wk", "6mo", "2y"); `start` and `end`
    (exclusive) override it. `dataset` names the market (by its day or minute bars); by default the ticker's prefix
    decides: `X:BTC-USD` is crypto, a ticker without a prefix is a stock.

    `data_source="yfinance"` asks only Yahoo, and stores its rows. "massive" returns stored rows first, downloads
    missing daily files into both tiers (at most [fallback] max_implicit_files and 1 GB; none with `fetch=False`), and
    gets the rest from Yahoo. `across_seams` adjusts across a long gap, as one company (see AcrossSeam).

    Columns `Open High Low Close [Adj Close] Volume [Dividends, Stock Splits]`, ascending by time: `Adj Close` without
    `auto_adjust`, the last two with `actions`. Prices are in dollars per share of today: adjusted for all later splits
    and, with `auto_adjust`, for dividends. Volume is in shares of today, rounded half to even. Index `Date`, midnight
    in New York. `attrs["sources"]` says which dates came from where. Yahoo's rows carry the rounding of its float32:
    prices as traded are exact up to two decimals below 65,536, else within 2e-7 of their value.

    An `interval` of 1m, 5m, 15m, 30m or 1h (60m) gives intraday bars with yfinance's edges (see `reading.resample`);
    `prepost` adds extended hours. With "massive" they are built from the market's minute files, each a hundred times as
    large as a daily one; Yahoo is not asked for minutes, so missing sessions give a warning. Index `Datetime`, in New
    York (crypto: UTC, forex: London). Like Yahoo's they are adjusted only for splits, and `Adj Close` is the close.

    Works in a notebook. Raises NotFound if there is no data, ActionsUnknown if prices cannot be adjusted, AcrossSeam,
    and other IngestErrors. Warns (IngestWarning) about missing sessions.
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
            raise UsageError('fetch=False returns only what is stored: it needs data_source="massive"')
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
    """Stored rows of one or many tickers from `start` to `end`, both inclusive; by default all that are stored.

    Columns ticker (String), date (Date), open, high, low, close, volume (Float64), source ("massive" or "yahoo"),
    sorted by ticker and date; `columns` chooses among these and transactions (Int64, null if unknown). Minutes
    (`dataset="stocks-minute"`) also have time, the start of the minute, after the date of the session: Datetime("us")
    in New York (forex and crypto: UTC), including extended hours. Futures also have settlement_price and dollar_volume.
    Volume is null if the dataset has none.

    Prices are in dollars as traded or, with `adjust` "splits" or "all", per share of today; volume is in shares,
    adjusted only for splits. Splits and dividends come from Yahoo, which is asked again if there may be newer ones
    (never with `fetch=False`), one ticker after the other; `on_event` receives an `events.YahooAsked` for each.
    `across_seams` adjusts across a long gap, as one company (see AcrossSeam). `.to_pandas()` and `.to_arrow()` of the
    result need pyarrow (the extra `ingest[arrow]`).

    Patterns ("X:*-USD", and "O:SPY" for all contracts of a root) stand for all matching tickers of these sessions.
    Warns about tickers without data, and suggests similar ones.

    Raises UsageError, CacheError, and AcrossSeam or ActionsUnknown for a ticker that cannot be adjusted; with `errors`
    "skip" such tickers are left out, and a warning names them.
    """
    from ingest.reading import history as stored
    from ingest.reading.adjusting.actions import HistoryQuery

    wanted, kept, (first, last) = arguments.parse_tickers("tickers", tickers), named(dataset), parse_days(start, end)
    names = None if columns is None else parse_names("columns", columns)
    query = HistoryQuery(
        wanted, first, last, adjust=adjust, columns=names, fetch=fetch, across_gaps=across_seams, errors=errors
    )
    return stored.history(settings.load(_file(config)), kept, query, on_event)


def day(
    session: date | str,
    config: Path | str | None = None,
    dataset: str = STOCKS_DAY.short,
    *,
    partial: bool = False,
) -> "pl.DataFrame":
    """All rows of a session's file, as traded, sorted by ticker and time, with all columns that `history` has.

    `partial` returns whatever is stored for the session, even if only a few tickers are; Yahoo's rows are included for
    sessions without a file and for tickers that were not stored. Raises NotFound if the session's file is not stored
    (with `partial`: if nothing is), UsageError for an unknown dataset, and CacheError. Warns if only tracked tickers
    were stored ([archive] save_others), except with `partial`.
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
    """A lazy frame of all stored rows from `start` to `end`, both inclusive, as traded, with the columns of `day`.

    Collecting it returns them sorted by date, ticker and time. Sessions without a file are left out;
    `sources=("massive", "yahoo")` adds the few tickers that are stored for them from Yahoo. Filters on date and ticker
    limit what is read; filters on time do not. Collecting raises CacheError, and warns about sessions stored without
    wanted tickers ([archive] save_others), unless both sources are named.
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
    """What republished files changed, one row per value: for all tickers, for one, or for those that match a pattern.

    Columns date (Date), ticker, column, old, new (text as in the files), kind ("new etag", "same etag", "equal rows")
    and at (when it was applied: text, ISO 8601, UTC), sorted by date. If a whole row was added or removed, `column` is
    null, `new` or `old` is its line, and the other one is null. A file republished with equal rows is one row of kind
    "equal rows" without a ticker, only in the answer for all tickers. Raises UsageError and CacheError.
    """
    from ingest.maintenance.corrections import changed_values, changes_frame

    wanted = None if ticker is None else arguments.parse_ticker(ticker)
    window = parse_days(start, end)
    return changes_frame(changed_values(settings.load(_file(config)), wanted, *window, named(dataset)))


def findings(
    kind: str | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    config: Path | str | None = None,
    *,
    dataset: str = STOCKS_DAY.short,
) -> "pl.DataFrame":
    """What is odd in the stored sessions: findings of one `kind`, or of all, sorted by date and kind.

    The kinds are listed in `ingest.finding`. Columns date (Date), kind (String), count (Int64: rows; tickers for
    repeats, columns for unknown ones) and examples (List(String): at most the first 100 names). Raises UsageError and
    CacheError.
    """
    window = parse_days(start, end)
    return overview.findings_frame(overview.findings(settings.load(_file(config)), kind, *window, named(dataset)))


def verify(deep: bool = False, config: Path | str | None = None, *, dataset: str = STOCKS_DAY.short) -> "Verified":
    """Compare the stored files of a dataset with its manifest, as `ingest verify` does; writes nothing.

    `deep` also unpacks all parts, and rebuilds all CSVs in memory to compare them. Damage raises nothing: it is in the
    result's `problems`. Raises UsageError, and CacheError if the cache cannot be read.
    """
    from ingest.maintenance import verify as verifying

    return verifying.verify(settings.load(_file(config)), deep, named(dataset))


def _file(config: Path | str | None) -> Path | None:
    return Path(config) if config else None


def status(config: Path | str | None = None, *, dataset: str = STOCKS_DAY.short) -> Status:
    """The state of a dataset's cache, as `ingest status` shows it; reads no file of rows.

    The fields are described in `ingest.maintenance.status.Status`. Raises UsageError, and CacheError if the manifest
    cannot be read.
    """
    return overview.status(settings.load(_file(config)), named(dataset))
