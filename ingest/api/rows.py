"""Stored rows: of tickers, of a session, of all files."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ingest import events, settings
from ingest.api.progress import reported
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.settings import arguments
from ingest.settings.arguments import parse_days, parse_file, parse_names

if TYPE_CHECKING:
    import polars as pl

    from ingest.market.adjust import Adjust
    from ingest.reading.adjusting.actions import Errors


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
    progress: bool | None = None,
) -> "pl.DataFrame":
    """Stored rows of one or many tickers from `start` to `end`, both inclusive; by default all that are stored.

    Columns ticker (String), date (Date), open, high, low, close, volume (Float64), source ("massive" or "yahoo"),
    sorted by ticker and date; `columns` chooses among these and transactions (Int64, null if unknown). Minutes
    (`dataset="stocks-minute"`) also have time, the start of the minute, after the date of the session: Datetime("us")
    in New York (forex and crypto: UTC), including extended hours. Futures also have settlement_price and dollar_volume.
    Rows of options can also have what their tickers say: underlying, right ("C" or "P", String), expiry (Date), strike
    (Float64, in dollars), and dte (Int64), the calendar days from date to expiry; null if a ticker is no contract.
    Volume is null if the dataset has none.

    Prices are in dollars as traded or, with `adjust` "splits" or "all", per share of today; volume is in shares,
    adjusted only for splits. Splits and dividends come from Yahoo, which is asked again if there may be newer ones
    (never with `fetch=False`), one ticker after the other; `on_event` receives an `events.YahooAsked` for each, and
    `progress` is as in `run`.
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
    with reported(on_event, progress) as told:
        return stored.history(settings.load(parse_file(config)), kept, query, told)


def day(
    session: date | str,
    config: Path | str | None = None,
    dataset: str = STOCKS_DAY.short,
    *,
    partial: bool = False,
) -> "pl.DataFrame":
    """All rows of a session's file, as traded, sorted by ticker and time, with all columns that `history` can have.

    `partial` returns whatever is stored for the session, even if only a few tickers are; Yahoo's rows are included for
    sessions without a file and for tickers that were not stored. Raises NotFound if the session's file is not stored
    (with `partial`: if nothing is), UsageError for an unknown dataset, and CacheError. Warns if only tracked tickers
    were stored ([archive] save_others), except with `partial`.
    """
    from ingest.reading import history as stored

    when = arguments.parse_day("session", session)
    return stored.day_rows(settings.load(parse_file(config)), named(dataset), when, partial)


def chain(
    underlying: str,
    on: date | str | None = None,
    expiry: date | str | None = None,
    config: Path | str | None = None,
) -> "pl.DataFrame":
    """The options contracts of one underlying that traded in the session `on`, by default the newest stored one.

    One row a contract, sorted by expiry, strike and right: columns ticker, date, underlying, expiry (Date), dte (Int64,
    calendar days from date to expiry), strike (Float64), right ("C" or "P"), open, high, low, close (Float64), volume
    (Float64, contracts), transactions (Int64). Prices and strikes are in dollars, as traded. With `expiry` only the
    contracts that expire on that day.

    `underlying` is the root of the tickers: "SPY", and "SPY1" for contracts that were adjusted. Raises NotFound if the
    session of options-day is not stored, or if no such contract traded; UsageError, CacheError. Warns if only tracked
    tickers were stored ([archive] save_others).
    """
    from ingest.reading.chains import chain_rows

    (root,) = parse_names("underlying", [underlying])
    when = None if on is None else arguments.parse_day("on", on)
    until = None if expiry is None else arguments.parse_day("expiry", expiry)
    return chain_rows(settings.load(parse_file(config)), root, when, until)


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
    `sources=("massive", "yahoo")` adds the few tickers that are stored for them from Yahoo. Filters on date, ticker
    and underlying limit what is read; filters on time do not. Collecting raises CacheError, and warns about sessions
    stored without wanted tickers ([archive] save_others), unless both sources are named, and if none is stored.
    """
    from ingest.reading import history as stored

    window, who = parse_days(start, end), parse_names("sources", sources)
    return stored.scan(settings.load(parse_file(config)), named(dataset), *window, who)


def tickers(
    dataset: str = STOCKS_DAY.short,
    min_dollar_volume: float | None = None,
    listed_on: date | str | None = None,
    top: int | None = None,
    newest: int | None = None,
    config: Path | str | None = None,
) -> "pl.DataFrame":
    """A row for each ticker of a dataset of daily files, from what is stored; sorted by ticker.

    Columns ticker (String), first and last (Date, sessions with a row of it), sessions (Int64, how many), and
    median_dollar_volume (Float64): the median of close × volume as traded over these, null if the dataset has no
    volume; tracked (Boolean) says whether it has a CSV that runs keep up to date.

    `listed_on` returns the tickers with a row on that session, and then all numbers are those of the sessions up to it:
    so no ticker is missing because it was delisted later, and none was chosen by what came later. `newest` counts only
    the last so many stored sessions (up to `listed_on`). `min_dollar_volume` is in the dataset's money; `top` returns
    the tickers with the highest median, highest first, of equal ones the first by name.

    Warns about sessions of which only tracked tickers were stored. Raises NotFound if the session `listed_on` is not
    stored, UsageError for an unknown dataset or one of minutes, and CacheError.
    """
    from ingest.reading.tickers import TickersQuery
    from ingest.reading.tickers import tickers as found

    day = None if listed_on is None else arguments.parse_day("listed_on", listed_on)
    counts = arguments.parse_count("top", top), arguments.parse_count("newest", newest)
    least = arguments.parse_amount("min_dollar_volume", min_dollar_volume)
    return found(settings.load(parse_file(config)), named(dataset), TickersQuery(least, day, *counts))
