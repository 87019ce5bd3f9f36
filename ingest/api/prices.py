"""Prices in pandas: of one ticker as yfinance gives them, of many side by side."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ingest import events, settings
from ingest.api.progress import reported
from ingest.errors import UsageError
from ingest.market.catalogue import bars_of, days_of, named, of_ticker
from ingest.settings import arguments
from ingest.settings.arguments import parse_days, parse_file, parse_names

if TYPE_CHECKING:
    import pandas as pd

    from ingest.market.adjust import Adjust
    from ingest.reading.adjusting.actions import Errors


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
    progress: bool | None = None,
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

    An `interval` of 1wk or 1mo gives weeks (from Monday) or months, made of days that are adjusted already, like
    yfinance's with `repair=True`: `Date` is the first day of the calendar's week or month. They are made of the
    window's sessions, so the last one may be incomplete; a `period` of days, weeks, months or years begins with a whole
    one.

    An `interval` of 1m, 2m, 5m, 15m, 30m, 1h (60m) or 90m gives intraday bars with yfinance's edges (see
    `reading.resample`); `prepost` adds extended hours. With "massive" they are built from the market's minute files,
    each a hundred times as large as a daily one; Yahoo is not asked for minutes, so missing sessions give a warning.
    Index `Datetime`, in New York (crypto: UTC, forex: London). Like Yahoo's they are adjusted only for splits, and `Adj
    Close` is the close. Days, weeks and months are built from minutes, too, if `dataset` names these ("stocks-minute"):
    from regular hours, or from all with `prepost`. They may lack the closing auction.

    A download shows its progress on a terminal or in a notebook, unless `progress` is False (see `run`).

    Works in a notebook. Raises NotFound if there is no data, ActionsUnknown if prices cannot be adjusted, AcrossSeam,
    and other IngestErrors. Warns (IngestWarning) about missing sessions.
    """
    from ingest.reading.smart.massive import massive_frame
    from ingest.reading.smart.query import Query, listed_sessions, window_of
    from ingest.reading.smart.yahoo import yahoo_frame

    ticker = arguments.parse_ticker(ticker)
    first, last = parse_days(start, end)
    chosen = settings.load(parse_file(config))
    market = bars_of(named(dataset), interval) if dataset else of_ticker(ticker, interval)
    listed = listed_sessions(chosen, market) if data_source == "massive" else ()
    begin, final = window_of(period, first, last, market, listed, interval=interval)
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
    with reported(events.ignore, progress) as told:
        bring(chosen, query, told)
    return massive_frame(chosen, query)


def panel(
    tickers: str | Iterable[str],
    columns: str | Iterable[str] = "close",
    start: date | str | None = None,
    end: date | str | None = None,
    adjust: "Adjust" = "none",
    fetch: bool = True,
    across_seams: bool = False,
    config: Path | str | None = None,
    dataset: str | None = None,
    *,
    interval: str | None = None,
    prepost: bool = False,
    errors: "Errors" = "raise",
    on_event: events.Sink = events.ignore,
    progress: bool | None = None,
) -> "pd.DataFrame":
    """Stored rows of many tickers side by side: dates × tickers, for one column or several.

    One column, such as "close", returns a frame with a column for each ticker (`columns.name` is "ticker"). Several, as
    a list, return pairs of (column, ticker), so that `panel(tickers, ["close", "volume"])["close"]` is the first alone.
    Columns are those of `history`: open, high, low, close, volume, transactions, source. Tickers come in the order in
    which you name them, those of a pattern in alphabetical order.

    The index `Date` is without time zone, like that of `yfinance.download`, and ascending; it has each date on which
    one of the tickers has a row. The index `Datetime` of intraday bars is in New York (forex and crypto: UTC). Numbers
    are float64; what has no row is NaN, and so is every value of a ticker without data, which a warning names.

    Prices are in dollars as traded or, with `adjust` "splits" or "all", per share of today, and volume is in shares,
    adjusted only for splits: `adjust`, `fetch`, `across_seams`, `errors`, `on_event` and `progress` are as in
    `history`. `dataset` names the market (by its day or minute bars); by default the tickers' prefixes decide.
    `interval` and `prepost` are as in `export`. Needs no pyarrow. Raises and warns as `history`.
    """
    from ingest.market.catalogue import interval_of
    from ingest.market.row_kinds import made_of
    from ingest.reading.panel import checked_values, panels, side_by_side
    from ingest.reading.selection import Selection, selected_rows

    names = checked_values(parse_names("columns", columns))
    query = Selection(
        arguments.parse_tickers("tickers", tickers),
        *parse_days(start, end),
        adjust=adjust,
        across_gaps=across_seams,
        market=dataset,
        interval=interval_of(dataset, interval),
        prepost=prepost,
        errors=errors,
        fetch=fetch,
        columns=names,
    )
    with reported(on_event, progress) as told:
        rows = selected_rows(settings.load(parse_file(config)), query, told)
    found = panels(rows, query.tickers, made_of(query.interval))
    return found[names[0]] if isinstance(columns, str) else side_by_side(found)
