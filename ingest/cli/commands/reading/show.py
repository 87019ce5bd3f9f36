"""`ingest show`: one ticker's rows, where they came from, its volume and volatility, and a chart."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, Self

import polars as pl

from ingest import settings
from ingest.cli.commands.reading.chart import chart, short, stamped
from ingest.cli.commands.reading.measured import currency, measured, percent
from ingest.cli.places import agree_on_place
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted
from ingest.cli.rendering.wrapping import tell
from ingest.cli.report.file import page_place, put, written
from ingest.cli.report.page import chart_page
from ingest.cli.warnings import warnings_told
from ingest.errors import ActionsUnknown, NotFound, UsageError, warn
from ingest.market.adjust import Adjust
from ingest.market.catalogue import bars_of, named, of_ticker
from ingest.market.datasets import Dataset
from ingest.market.row_kinds import OF_DAYS
from ingest.market.windows import span
from ingest.pipeline.bring import bring
from ingest.reading.adjusting import adjusted
from ingest.reading.gaps import Span
from ingest.reading.measures import measures_of
from ingest.reading.resample import bar_size, in_periods
from ingest.reading.smart.frames import MISSING, sources
from ingest.reading.smart.massive import fetch
from ingest.reading.smart.query import Query, TickerRows, listed_sessions, window_of
from ingest.reading.smart.yahoo import yahoo_daily
from ingest.splitting.checks import MOST_VOLUME

DataSource = Literal["massive", "yfinance"]

_WIDTH = 80
_SHOWN = 10
"""Rows of a table unless another number is set."""
_FEW, _LONG = 100, 1e10
"""Volumes of coins outside these bounds are shortened: a coin may cost a fortune or next to nothing."""
_SPANS = 4
_PRICES = ("open", "high", "low", "close")
_WRITTEN = ("date", "time", *_PRICES, "volume", "source")
_ISO = "%Y-%m-%dT%H:%M:%S%:z"
_ADJUSTED = {"none": "as traded", "splits": "adjusted for splits", "all": "adjusted for splits and dividends"}


@dataclass(frozen=True, slots=True)
class ShowQuery:
    """Which rows to show; `start` and `end`, both inclusive, override `period`.

    `market` names a dataset of the market; None takes it from the ticker's prefix. Intraday bars outside regular
    hours are included only with `prepost`. With `or_as_traded`, prices that cannot be adjusted are shown as traded.
    """

    ticker: str
    period: str
    start: date | None
    end: date | None
    data_source: DataSource
    adjust: Adjust
    fetch: bool
    across_seams: bool
    market: str | None = None
    interval: str = "1d"
    prepost: bool = False
    or_as_traded: bool = False

    @property
    def dataset(self) -> Dataset:
        """The dataset whose bars these are built from."""
        if self.market:
            return bars_of(named(self.market), self.interval)
        return of_ticker(self.ticker, self.interval)


@dataclass(frozen=True, slots=True)
class Display:
    """How to show them: the last `rows` rows (0: all; None: all but in a table).

    `plot` None draws a chart only on a terminal. With `html` a file with a chart is written, and nothing else is shown.
    """

    rows: int | None
    plot: bool | None
    csv: bool
    json: bool
    html: Path | None = None

    def of(self, rows: pl.DataFrame, usual: int = 0) -> pl.DataFrame:
        """Those of the rows that are to be printed: the `usual` number unless another one is set."""
        count = usual if self.rows is None else self.rows
        return rows.tail(min(count or rows.height, rows.height))


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows, and for each source the spans of dates that came from it; "missing" has the spans that none has.

    `adjust` says how the prices are adjusted. Measures are made of `sessions`: the rows, or the days of weeks and
    months.
    """

    rows: pl.DataFrame
    sources: Mapping[str, Sequence[tuple[str, str]]]
    adjust: Adjust
    sessions: pl.DataFrame

    @classmethod
    def of(cls, rows: pl.DataFrame, adjust: Adjust, missing: Sequence[Span] = ()) -> Self:
        """Rows, and the days of their window that are missing."""
        return cls(rows, sources(rows, missing), adjust, rows)


def show_command(wish: ShowQuery, look: Display, config: Path | None) -> int:
    """Show a ticker; returns the exit code. Raises IngestError."""
    if sum((look.csv, look.json, look.html is not None)) > 1:
        raise UsageError("--csv, --json and --html exclude each other")
    chosen, place = settings.load(config), page_place(look.html) if look.html else None
    if wish.fetch and wish.data_source == "massive":
        agree_on_place(chosen, asks=not (look.csv or look.json))
    with warnings_told(look.json):
        found = _rows(chosen, wish)
    rows = found.rows
    if look.csv:
        sys.stdout.write(look.of(rows).select(_written(rows)).write_csv(datetime_format=_ISO))
    elif look.json:
        print_records("prices", [_told(wish, look, found)])
    elif place:
        about = f"{_extent(wish, found)}; {_prices(wish, found)}"
        page = chart_page(rows, wish.ticker, about)
        put(place, page)
        sys.stdout.write(written(place, page))
    else:
        _show(wish, look, found)
    return 0


def _rows(chosen: settings.Settings, wish: ShowQuery) -> _Found:
    """Date, prices, volume, source and dollar volume, ascending by date; None if a number is missing."""
    span(wish.start, wish.end)
    after = wish.end + timedelta(days=1) if wish.end else None
    listed = listed_sessions(chosen, wish.dataset) if wish.data_source == "massive" else ()
    first, last = window_of(wish.period, wish.start, after, wish.dataset, listed, interval=wish.interval)
    found = _reader(wish)(chosen, wish, first, last)
    # JSON has neither infinities nor NaN.
    floats = pl.col(pl.Float64)
    rows = found.rows.with_columns(pl.when(floats.is_finite()).then(floats).name.keep())
    whole = bool(((rows["volume"].fill_null(0) % 1 == 0) & (rows["volume"].fill_null(0).abs() < MOST_VOLUME)).all())
    rows = rows.with_columns(pl.col("volume").cast(pl.Int64)) if whole else rows
    return replace(found, rows=in_periods(rows, bar_size(wish.interval)), sessions=rows)


def _reader(wish: ShowQuery) -> Callable[[settings.Settings, ShowQuery, date, date], _Found]:
    if wish.data_source == "massive":
        return _of_massive
    if wish.interval not in OF_DAYS:
        raise UsageError(f"--interval {wish.interval}: yfinance shows only bars of a day and longer")
    return _of_yahoo


def _of_massive(chosen: settings.Settings, wish: ShowQuery, first: date, last: date) -> _Found:
    adjusts = wish.adjust != "none"
    query = Query(
        wish.ticker,
        first,
        last,
        auto_adjust=adjusts,
        with_actions=False,
        fetch=wish.fetch,
        dataset=wish.dataset,
        interval=wish.interval,
        prepost=wish.prepost,
        across_gaps=wish.across_seams,
    )
    bring(chosen, query)
    try:
        return _adjusted(wish, fetch(chosen, query, adjusts))
    except ActionsUnknown as error:
        if not wish.or_as_traded:
            raise
        warn(f"{error.message}: these are as traded")
    wish = replace(wish, adjust="none")
    return _adjusted(wish, fetch(chosen, replace(query, auto_adjust=False), False))


def _adjusted(wish: ShowQuery, found: TickerRows) -> _Found:
    actions = {wish.ticker: found.actions} if found.actions else {}
    rows = adjusted.apply(_with_dollars(found.rows), actions, wish.adjust)
    return _Found.of(rows, wish.adjust, found.missing)


def _of_yahoo(chosen: settings.Settings, wish: ShowQuery, first: date, last: date) -> _Found:
    if not wish.fetch:
        raise UsageError("--no-fetch shows what is stored: it needs --data-source massive")
    _, daily = yahoo_daily(chosen, wish.ticker, wish.dataset, start=first)
    named = daily.bars.with_columns(ticker=pl.lit(wish.ticker), source=pl.lit("yahoo"))
    rows = adjusted.apply(_with_dollars(named), {wish.ticker: daily.actions}, wish.adjust)
    rows = rows.filter(pl.col("date").is_between(first, last))
    if rows.is_empty():
        raise NotFound(f"Yahoo has no rows for {wish.ticker} from {first} to {last}")
    return _Found.of(rows, wish.adjust)


def _with_dollars(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the dollar volume to rows as traded: prices adjusted for dividends would make it too small."""
    return rows.with_columns(dollars=pl.col("close") * pl.col("volume"))


# For programs


def _told(wish: ShowQuery, look: Display, found: _Found) -> Mapping[str, Any]:
    rows, measures = found.rows, measures_of(found.sessions)
    return {
        "ticker": wish.ticker,
        "adjust": found.adjust,
        "interval": wish.interval,
        "rows": look.of(rows).select(_written(rows)).to_dicts(),
        "sources": found.sources,
        "measures": fields_of(measures) if measures else None,
    }


def _written(rows: pl.DataFrame) -> list[str]:
    return [name for name in _WRITTEN if name in rows.columns]


# For people


def _show(wish: ShowQuery, look: Display, found: _Found) -> None:
    console, rows = Answers(), found.rows
    console.print(f"{wish.ticker}: {_extent(wish, found)}", style="bold")
    console.print(_prices(wish, found))
    for source, spans in found.sources.items():
        console.print(f"{source}: {_spans(spans)}" if source == MISSING else f"from {source}: {_spans(spans)}")
    if console.is_terminal if look.plot is None else look.plot:
        _plot(console, wish, rows)
    _print_rows(console, wish.dataset, rows, look)
    if measures := measures_of(found.sessions):
        console.print("" if found.sessions.height == rows.height else "\nby session:")
        console.print_table(("", ""), measured(wish.dataset, wish.ticker, measures).items())


def _prices(wish: ShowQuery, found: _Found) -> str:
    times = f"; times of {wish.dataset.time_zone}" if "time" in found.rows.columns else ""
    adjusted_for = _ADJUSTED[found.adjust if wish.dataset.splits else "none"]
    return f"prices in {currency(wish.dataset, wish.ticker)}, {adjusted_for}{times}"


def _extent(wish: ShowQuery, found: _Found) -> str:
    days = found.sessions["date"]
    sessions, first, last = counted(days.n_unique(), "session"), *days.gather([0, -1]).to_list()
    if wish.interval == "1d":
        return f"{sessions}, {first} to {last}"
    bars = counted(found.rows.height, "bar")
    return f"{bars} of {wish.interval} in {sessions}, {first} to {last}"


def _spans(spans: Sequence[tuple[str, str]]) -> str:
    found = [first if first == last else f"{first} to {last}" for first, last in spans[:_SPANS]]
    more = [f"{len(spans) - _SPANS:,} more spans"] if len(spans) > _SPANS else []
    return ", ".join([*found, *more])


def _plot(console: Answers, wish: ShowQuery, rows: pl.DataFrame) -> None:
    colour = console.is_terminal and not console.no_color
    text = chart(rows, min(_WIDTH, console.width), f"{wish.ticker}, close", colour)
    try:
        text.encode(console.encoding)
    except UnicodeEncodeError:
        tell(f"warning: no chart: {console.encoding} does not have its characters")
    else:
        console.file.write(f"\n{text}\n\n")


def _print_rows(console: Answers, dataset: Dataset, rows: pl.DataFrame, look: Display) -> None:
    shown = look.of(rows.with_columns(change=rows["close"].pct_change()), usual=_SHOWN)
    digits = _digits(dataset, rows)
    stamp = "time" if "time" in rows.columns else "date"
    volumes = ["volume"] if dataset.has_volume else []
    origins = ["source"] if rows["source"].n_unique() > 1 else []  # a single source is named above the table
    told = []
    for row in shown.iter_rows(named=True):
        prices = ["" if row[name] is None else f"{row[name]:,.{digits}f}" for name in _PRICES]
        counted_volumes = ["" if row[name] is None else _volume(row[name], dataset) for name in volumes]
        numbers = (*prices, percent(row["change"]), *counted_volumes)
        told.append((stamped(row[stamp]), *numbers, *(row[name] for name in origins)))
    names = (*_PRICES, "change", *volumes)
    console.print_table((stamp, *names, *origins), told, right=names)


def _volume(count: float, dataset: Dataset) -> str:
    """A volume in full; very large and very small ones of coins are shortened."""
    is_odd = dataset.unit == "coins" and not _FEW <= count < _LONG
    return short(count) if is_odd else f"{count:,.0f}"


def _digits(dataset: Dataset, rows: pl.DataFrame) -> int:
    """Decimals of prices: two for securities, four below a dollar; five significant digits for pairs."""
    if dataset.unit not in ("coins", "quotes"):
        return 4 if (rows["close"] < 1).any() else 2
    least = rows["close"].filter(rows["close"] > 0).min()
    return 2 if least is None else max(2, 4 - math.floor(math.log10(float(least))))  # type: ignore[arg-type]
