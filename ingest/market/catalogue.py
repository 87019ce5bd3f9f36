"""The catalogue of datasets: where each is in the bucket, and what its rows contain.

To add a dataset, add an entry: all other code asks the entry. Columns and first dates come from the vendor's pages on
flat files; where these are silent, a comment says what else is known. The source's listing has the last word on which
days exist.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Any

from ingest.errors import UsageError
from ingest.hints import Option
from ingest.market.datasets import PRICES, Dataset
from ingest.market.patterns import prefix_of
from ingest.market.row_kinds import DAY_BARS, MINUTE_BARS, RowKind, made_of
from ingest.market.yahoo.symbols import crypto_symbol, forex_symbol, index_symbol, stock_symbol

_UTC_DAY = timedelta(hours=25)
"""A UTC day has ended, plus one hour."""


def _minutes(day: Dataset, short: str, **more: Any) -> Dataset:
    """The minute bars of a market: like its daily bars, except for what is given."""
    name = f"{day.name.partition('/')[0]}/minute_aggs_v1"
    return replace(day, name=name, short=short, kind=MINUTE_BARS, primary=False, **more)


def _futures(venue: str) -> tuple[Dataset, Dataset]:
    """The session and the minute bars of a venue: their date is that of the session's end, in Chicago.

    A session opens on the evening before, so `window_start` has another date; an example on an older page has it in
    milliseconds. Both kinds of file accept all columns that either page names, since the pages have changed. Spreads
    between contracts have prices of either sign, and oil had a negative price on 2020-04-20.
    """
    own = ("dollar_volume", "session_end_date", "settlement_price", "exchange")
    day = Dataset(
        name=f"us_futures_{venue}/session_aggs_v1",
        short=f"futures-{venue}-day",
        kind=DAY_BARS,
        calendar="CMES",
        zone="America/Chicago",
        clock="America/New_York",
        first_session=date(2017, 4, 3),
        optional=("window_start", "transactions", *own),
        extras=("settlement_price", "dollar_volume"),
        stamp="session_end_date",
        unit="contracts",
        signed=True,
        settled=timedelta(hours=18),
    )
    return day, _minutes(day, f"futures-{venue}-minute", extras=("dollar_volume",))


STOCKS_DAY = Dataset(
    name="us_stocks_sip/day_aggs_v1",
    short="stocks-day",
    kind=DAY_BARS,
    calendar="XNYS",
    zone="America/New_York",
    first_session=date(2003, 9, 10),
    plans=((5, "Starter"), (10, "Developer")),
    spelling=stock_symbol,
    splits=True,
    primary=True,
)


STOCKS_MINUTE = _minutes(STOCKS_DAY, "stocks-minute")


# The exchange adjusts contracts by giving them other names; Yahoo has no history of them.
_OPTIONS_DAY = Dataset(
    name="us_options_opra/day_aggs_v1",
    short="options-day",
    kind=DAY_BARS,
    calendar="XNYS",
    zone="America/New_York",
    first_session=date(2014, 6, 2),
    unit="contracts",
    plans=((2, "Starter"), (4, "Developer")),
    sigil="O:",
    wide=True,
    contracts=True,
)


# Indices of coins and of Asia are among them, and have files only on weekdays: a guess.
_INDICES_DAY = Dataset(
    name="us_indices/day_aggs_v1",
    short="indices-day",
    kind=DAY_BARS,
    calendar="XNYS",
    zone="America/New_York",
    first_session=date(2023, 2, 14),
    required=("ticker", *PRICES),
    optional=("window_start",),
    unit=None,
    sigil="I:",
    spelling=index_symbol,
)


# Bars of quotes: no page says what the volume counts. Listings have a file for each day except Saturdays; that its days
# are UTC days is how others read them. Yahoo's days are London days, an hour off in summer.
_FOREX_DAY = Dataset(
    name="global_forex/day_aggs_v1",
    short="forex-day",
    kind=DAY_BARS,
    calendar="forex",
    zone="UTC",
    first_session=date(2009, 9, 25),
    unit="quotes",
    settled=_UTC_DAY,
    sigil="C:",
    spelling=forex_symbol,
    yahoo_clock="Europe/London",
)


# The vendor's page begins on 2013-11-01, but a listing went back to 2010. Yahoo averages the prices of more exchanges
# than Massive.
_CRYPTO_DAY = Dataset(
    name="global_crypto/day_aggs_v1",
    short="crypto-day",
    kind=DAY_BARS,
    calendar="daily",
    zone="UTC",
    first_session=date(2010, 1, 1),
    unit="coins",
    settled=_UTC_DAY,
    sigil="X:",
    spelling=crypto_symbol,
    tolerance=0.05,
)


_ENTRIES = (
    STOCKS_DAY,
    STOCKS_MINUTE,
    _OPTIONS_DAY,
    _minutes(_OPTIONS_DAY, "options-minute"),
    _INDICES_DAY,
    _minutes(_INDICES_DAY, "indices-minute"),
    _FOREX_DAY,
    _minutes(_FOREX_DAY, "forex-minute"),
    _CRYPTO_DAY,
    _minutes(_CRYPTO_DAY, "crypto-minute"),
    *(dataset for venue in ("cme", "cbot", "comex", "nymex") for dataset in _futures(venue)),
)


CATALOGUE: Mapping[str, Dataset] = {dataset.short: dataset for dataset in _ENTRIES}
"""All datasets by their short names, in display order."""


def named(text: str) -> Dataset:
    """The dataset of a short name (`options-day`) or of a full one (`us_options_opra/day_aggs_v1`).

    Raises UsageError, which names similar ones.
    """
    for dataset in CATALOGUE.values():
        if text in (dataset.short, dataset.name):
            return dataset
    near = get_close_matches(str(text), [*CATALOGUE, *(one.name for one in CATALOGUE.values())], 3)
    advice = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(CATALOGUE)}"
    raise UsageError(f"unknown dataset {str(text)[:60]!r}: {advice}")


_STOCKS = {dataset.kind: dataset for dataset in (STOCKS_DAY, STOCKS_MINUTE)}
"""The dataset of tickers without a sigil, by the kind of its rows."""


def days_of(dataset: Dataset) -> Dataset | None:
    """The daily bars of the same market; None if the catalogue has none."""
    return _of_market(dataset, DAY_BARS)


def _of_market(dataset: Dataset, kind: RowKind) -> Dataset | None:
    if dataset.kind == kind:
        return dataset
    market = f"{dataset.name.partition('/')[0]}/"
    fitting = (one for one in CATALOGUE.values() if one.kind == kind and one.name.startswith(market))
    return next(fitting, None)


def of_ticker(ticker: str, interval: str = "1d") -> Dataset:
    """The dataset that a ticker's sigil names (`X:BTC-USD` is crypto); stocks if it has none.

    A sigil comes before a capital, a digit or a pattern, so a Windows path has none. The daily bars for the interval
    "1d"; for any other the minute bars, from which longer ones are built.
    """
    kind = made_of(interval)
    fitting = [one for one in CATALOGUE.values() if one.sigil and one.kind == kind]
    named_so = (one for one in fitting if re.match(re.escape(one.sigil) + "[A-Z0-9*?]", ticker))
    return next(named_so, _STOCKS[kind])


def of_tickers(tickers: Iterable[str], interval: str = "1d") -> Dataset:
    """The one dataset that these tickers' sigils name. Raises UsageError if they name several."""
    found = {of_ticker(ticker, interval): ticker for ticker in tickers}
    if len(found) > 1:
        told = " and ".join(f"{ticker} belongs to {dataset.short}" for dataset, ticker in found.items())
        raise UsageError(
            f"{told}: request each market separately", Option("dataset", None, "to name one dataset for all")
        )
    return next(iter(found), _STOCKS[made_of(interval)])


def bars_of(dataset: Dataset, interval: str) -> Dataset:
    """The bars of a dataset's market from which those of an interval are built: its days, or its minutes.

    A dataset of minutes can make bars of any interval, and does if it is named. Raises UsageError if the catalogue has
    none.
    """
    if dataset.kind.timed:
        return dataset
    found = _of_market(dataset, made_of(interval))
    if found is None:
        raise UsageError(f"interval {interval!r}: the catalogue has no such bars of the market of {dataset.short}")
    return found


def interval_of(dataset: str | None, interval: str | None) -> str:
    """The given interval, else that of the given dataset, else a day. Raises UsageError."""
    return interval or (named(dataset).interval if dataset else "1d")


def foreign_tickers(dataset: Dataset, names: Iterable[str]) -> list[str]:
    """Tickers and patterns that cannot belong to a dataset, whose tickers all begin with its sigil."""
    return [name for name in names if not _may_begin(prefix_of(name), name, dataset.sigil)]


def _may_begin(prefix: str, name: str, sigil: str) -> bool:
    return prefix.startswith(sigil) or (prefix != name and sigil.startswith(prefix))
