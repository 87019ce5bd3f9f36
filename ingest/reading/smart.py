"""`get_smart_data`: what is stored first, what is lacking in bulk from Massive, and Yahoo where Massive has nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from ingest.cache.cache import Cache
from ingest.errors import (
    ActionsUnknown,
    Disagreement,
    NotFound,
    SourceError,
    UsageError,
)
from ingest.errors import warn as _warn
from ingest.market.calendars import FIRST_SESSION, today
from ingest.market.catalogue import STOCKS_DAY, foreign_tickers
from ingest.market.corporate_actions import Actions
from ingest.market.datasets import Dataset
from ingest.market.patterns import meant, patterns_in
from ingest.market.windows import first_day
from ingest.reading import gaps
from ingest.reading import rows as reading
from ingest.reading.adjusting import adjusted, fallback
from ingest.reading.adjusting.actions import Inquiry, KnownActions, actions_of, check_seams, differences, doubts
from ingest.reading.adjusting.fallback import Answer
from ingest.reading.adjusting.freshness import ASKS_AGAIN, calendar_of, has_rows, newest_session, still_stands
from ingest.reading.frames import daily_frame
from ingest.reading.gaps import Span
from ingest.reading.known import known, meant_by
from ingest.settings import Settings
from ingest.sources.yahoo import Daily, Told, Yahoo, as_traded, shared

if TYPE_CHECKING:
    import pandas as pd


OFF = "Yahoo is not asked ([fallback] enabled = false)"
UNFETCHED = "no source was asked"


@dataclass(frozen=True, slots=True)
class Query:
    """What is wanted of one ticker: sessions from `start` to `end`, both inclusive, that are over."""

    ticker: str
    start: date
    end: date
    auto_adjust: bool
    actions: bool
    fetch: bool
    dataset: Dataset = STOCKS_DAY

    @property
    def asks_yahoo(self) -> bool:
        """Whether Yahoo may have what is lacking."""
        return self.dataset.is_filled_from_yahoo


def listed_sessions(settings: Settings, dataset: Dataset) -> frozenset[date]:
    """Sessions that the source is known to list, by what the cache was told. Raises CacheError."""
    with Cache.read(settings, dataset) as cache:
        return cache.manifest.listed()


def window_of(
    period: str,
    start: date | None,
    end: date | None,
    dataset: Dataset = STOCKS_DAY,
    listed: Collection[date] = (),
) -> tuple[date, date]:
    """First and last day, both inclusive, of a period that ends today, or of `start` to `end` (exclusive).

    `listed` days are sessions, whatever the calendar says. Raises UsageError.
    """
    newest = newest_session(dataset, listed=listed)
    last = newest if end is None or end > newest else end - timedelta(days=min(1, end.toordinal() - 1))
    first = start or first_day(period, today() if end is None else end, last, dataset, listed)
    if first > last:
        raise UsageError(_empty(first, last, newest))
    return first, last


def _empty(first: date, last: date, newest: date) -> str:
    if first > newest:
        return f"no session from {first} on is over yet: the newest that is over is {newest}"
    return f"the window is empty: it begins on {first} and ends on {last}"


@dataclass(frozen=True, slots=True)
class TickerRows:
    """A ticker's rows as traded, as `reading.rows_schema`, its splits and dividends, and the days that are missing."""

    rows: pl.DataFrame
    actions: Actions | None
    missing: Sequence[Span]


def massive_frame(settings: Settings, query: Query, across_seams: bool = False) -> "pd.DataFrame":
    """A ticker's frame with Massive's rows first. Raises IngestError; warns of what could not be had."""
    found = fetch(settings, query, across_seams=across_seams)
    return daily_frame(found.rows, found.actions, query.auto_adjust, query.actions, query.dataset, found.missing)


def fetch(settings: Settings, query: Query, events: bool = True, across_seams: bool = False) -> TickerRows:
    """A ticker's rows, Massive's first.

    Without `events` none are looked for: the rows are not to be adjusted. Raises and warns as `massive_frame`.
    """
    with Cache.read(settings, query.dataset) as cache:
        yahoo = shared() if query.fetch and settings.fallback.enabled and query.asks_yahoo else None
        coverage = cache.manifest.coverage()  # before the rows: what a run commits meanwhile is no gap in them
        filled = _filled(cache, settings, query, yahoo)
        rows = filled.rows
        if rows.is_empty():
            raise NotFound(f"{_nothing(query, yahoo, filled.refused)}{spelling(cache, query)}")
        known = events_of(cache, settings, query, rows, yahoo, filled.answer, filled.refused) if events else None
        rows = _believed(cache, query, filled)
        missing = _gaps(cache, query, replace(filled, rows=rows), yahoo)
        if known and not across_seams:
            for doubt in check_seams(rows, coverage, {query.ticker: known.actions}, {query.ticker: known.begins}):
                _warn(doubt)
        for doubt in doubts(rows, {query.ticker: known.actions}) if known else ():
            _warn(doubt)
    return TickerRows(rows, known.actions if known else None, missing)


def _nothing(query: Query, yahoo: Yahoo | None, refused: str) -> str:
    found = no_data(query)
    if query.fetch and not query.dataset.yahoo_symbol(query.ticker):
        found = f"{found}, and {fallback.unasked(query.dataset, query.ticker)}"
    elif query.fetch:
        found = f"{found}, and {'none at Yahoo' if yahoo else OFF}"
    return f"{found} ({refused})" if refused else found


def no_data(query: Query) -> str:
    """In words, that nothing was found."""
    unfetched = "" if query.fetch else f" ({UNFETCHED})"
    return f"no data for {query.ticker} from {query.start} to {query.end} in {query.dataset.short}{unfetched}"


def spelling(cache: Cache, query: Query) -> str:
    """Who may have been meant by a ticker without data, else how tickers are spelled; nothing of one that is known."""
    if patterns_in(meant([query.ticker])):
        return f"; {query.ticker} is a pattern, and one ticker is asked for here: patterns are for history and export"
    among = known(cache)
    if query.ticker in among:
        return ""
    if words := meant_by(cache, query.ticker, among):
        return f"; {words}"
    if foreign_tickers(query.dataset, [query.ticker]):
        return f"; all tickers of {query.dataset.short} begin with {query.dataset.sigil}"
    return "; tickers are spelled as the vendor does, capitals and all"


@dataclass(frozen=True, slots=True)
class _Filled:
    """Rows stored, with Yahoo's for sessions that are not held.

    `answer` is Yahoo's where it was asked; `refused` says why nothing came of it, now or when it was asked before.
    """

    rows: pl.DataFrame
    lacking: Sequence[date]
    answer: Answer | None = None
    refused: str = ""


def _filled(cache: Cache, settings: Settings, query: Query, yahoo: Yahoo | None) -> _Filled:
    # Before the rows: a session that a run commits meanwhile is asked for in vain, and not missed.
    covered = cache.manifest.coverage().of(query.ticker)
    rows = reading.rows(cache, [query.ticker], query.start, query.end)
    lacking = _untold(cache, query, rows, covered)
    stored = _Filled(rows, lacking)
    if not lacking or yahoo is None:
        return stored
    first = min([lacking[0], *rows["date"].head(1)])
    if has_rows(cache.manifest.yahoo.asked([query.ticker]).get(query.ticker), first, lacking[-1]):
        return stored
    refusal = cache.manifest.yahoo.refusals([query.ticker]).get((query.ticker, first))
    if refusal and still_stands(refusal, query.dataset):
        return replace(stored, refused=f"{refusal.reason} ({ASKS_AGAIN})")
    return _asked(cache, settings, query, yahoo, stored, first)


def _asked(cache: Cache, settings: Settings, query: Query, yahoo: Yahoo, stored: _Filled, first: date) -> _Filled:
    """Yahoo's answer since `first`, kept, and its rows of sessions that are lacking beside those stored."""
    try:
        answer = fallback.ask(cache, yahoo, query.ticker, first)
    except (NotFound, Disagreement) as error:
        fallback.keep_refusal(settings, query.dataset, query.ticker, first, error)
        return _refused(stored, error)
    except SourceError as error:
        return _refused(stored, error)
    fallback.keep(settings, query.dataset, first, answer)
    for doubt in answer.doubts:
        _warn(doubt)
    rows, lacking = stored.rows, stored.lacking
    theirs = answer.rows.filter(pl.col("date").is_in(lacking) & ~pl.col("date").is_in(rows["date"].to_list()))
    refused = answer.refused if answer.start > first else ""
    return replace(stored, rows=pl.concat([rows, theirs]).sort("date"), answer=answer, refused=refused)


def _believed(cache: Cache, query: Query, filled: _Filled) -> pl.DataFrame:
    """The rows without those of Yahoo's that were read, and that its answer has taken back since. Raises NotFound."""
    kept = {day for _, day, *_ in cache.manifest.yahoo.rows([query.ticker], query.start, query.end)}
    answered = filled.answer.rows["date"].to_list() if filled.answer else []
    rows = filled.rows.filter((pl.col("source") != "yahoo") | pl.col("date").is_in([*kept, *answered]))
    if rows.is_empty():
        raise NotFound(f"{no_data(query)}: what was kept of Yahoo's is not Massive's ({filled.refused})")
    return rows


def _refused(stored: _Filled, error: SourceError) -> _Filled:
    if stored.rows.is_empty():
        _warn(error.message, *error.hints)  # else it is the reason why sessions are missing
    return replace(stored, refused=error.message)


def _untold(cache: Cache, query: Query, rows: pl.DataFrame, covered: Collection[date]) -> Sequence[date]:
    """Sessions of which no file held can tell: all of them for a ticker that Massive does not know."""
    sessions = calendar_of(cache).between(query.start, query.end)
    wanted = frozenset([query.ticker])
    if rows.is_empty() and reading.massive(cache, wanted, cache.manifest.committed()).is_empty():
        return sessions
    return [day for day in sessions if day not in covered]


def _gaps(cache: Cache, query: Query, filled: _Filled, yahoo: Yahoo | None) -> Sequence[Span]:
    """What is missing of the window, by dates, each said with a warning."""
    sessions = calendar_of(cache).between(query.start, query.end)
    days, lacking = frozenset(filled.rows["date"].to_list()), frozenset(filled.lacking)
    gone, newest = gaps.missing_sessions(sessions, days, lacking), max(days)
    if query.start == query.dataset.first_session:
        gone = [day for day in gone if day > min(days)]
    _warn_of_missing([day for day in gone if day < newest], sessions, filled.refused or _why(query, yahoo))
    if newer := [day for day in gone if day > newest]:
        span = (
            f"1 session from {newer[0]} on is" if len(newer) == 1 else f"{len(newer):,} sessions from {newer[0]} on are"
        )
        _warn(f"{span} missing: {filled.refused or _why(query, yahoo, ' yet')}")
    return [*warn_of_ends(query, sessions, days, frozenset(sessions) - lacking), *gaps.spans(gone, sessions)]


def _warn_of_missing(gone: Sequence[date], sessions: Sequence[date], why: str) -> None:
    if gone:
        _warn(f"{gaps.counted(gone)} missing ({gaps.spans_in_words(gaps.spans(gone, sessions))}): {why}")


def _why(query: Query, yahoo: Yahoo | None, yet: str = "") -> str:
    if not query.fetch:
        return f"not stored ({UNFETCHED})"
    if yahoo:
        return f"neither Massive nor Yahoo has them{yet}"
    return f"Massive does not have them{yet}{f', and {OFF}' if query.asks_yahoo else ''}"


def warn_of_ends(
    query: Query, sessions: Sequence[date], days: Collection[date], held: Collection[date]
) -> Sequence[Span]:
    """Say where a ticker's rows begin late or end early though files are held, and what lies before all files."""
    found: list[Span] = []
    if query.start < FIRST_SESSION:
        found.append((query.start, FIRST_SESSION - timedelta(days=1)))
        _warn(gaps.too_early(query.start))
    early = gaps.before(sessions, days, held)
    if early and query.start != query.dataset.first_session:  # else all there is was asked for
        found.append((early[0], early[-1]))
        _warn(
            f"{query.ticker} has no rows from {early[0]} to {early[-1]}, in {len(early):,} sessions whose files are "
            "held: it was not listed yet, or had another ticker"
        )
    if late := gaps.after(sessions, days, held):
        found.append((late[0], late[-1]))
        _warn(
            f"{query.ticker} has no rows from {late[0]} to {late[-1]}, in {len(late):,} sessions whose files are "
            "held: it is not listed any more, or has another ticker"
        )
    return found


def events_of(
    cache: Cache,
    settings: Settings,
    query: Query,
    rows: pl.DataFrame,
    yahoo: Yahoo | None,
    answer: Answer | None = None,
    refused: str = "",
) -> KnownActions | None:
    """Splits and dividends; None where they cannot be had, and raw prices were asked for.

    What was just asked for is not asked again: there is an `answer`, or a reason why it was `refused`.
    """
    if not cache.dataset.splits:
        return KnownActions(Actions())
    first = rows["date"].min()
    if answer and isinstance(first, date) and answer.start <= first:
        return KnownActions(answer.actions, answer.begins)
    try:
        told = {query.ticker: refused} if refused else {}
        known, notices = actions_of(Inquiry(cache, settings, yahoo), rows, told)
    except ActionsUnknown as error:
        if query.auto_adjust:
            raise
        _warn(f"prices are as traded: {error.message}")
        return None
    for notice in notices:
        _warn(notice)
    return known[query.ticker]


def yahoo_frame(
    settings: Settings,
    ticker: str,
    auto_adjust: bool,
    actions: bool,
    dataset: Dataset = STOCKS_DAY,
    **window: Any,
) -> "pd.DataFrame":
    """Yfinance's own frame, of which daily bars of sessions that are over are kept. Raises SourceError.

    `window`: `period`, or `start` and perhaps `end`; `interval`. What is no ticker of stocks is asked for as Yahoo
    spells it. Warns of what is odd about its dividends; raises ActionsUnknown where prices cannot be adjusted for them.
    """
    if window.get("interval", "1d") != "1d":
        whole = _told(ticker, dataset, window).frame
        _look_at_adjusted(ticker, whole, auto_adjust)
        return _as_asked(whole, auto_adjust, actions)
    end = window.pop("end", None)
    told, daily = yahoo_daily(settings, ticker, dataset, **window)
    if auto_adjust and (refused := adjusted.impossible(*_known(ticker, daily))):
        raise ActionsUnknown(f"prices of {ticker} cannot be adjusted for dividends: {refused[ticker]}")
    if auto_adjust:
        _look_at_adjusted(ticker, told.frame, auto_adjust)
    if actions:
        _warn_of_moved(ticker, told, end)
    frame = _as_asked(told.frame, auto_adjust, actions, end)
    if frame.empty:
        raise NotFound(f"Yahoo has no rows of {ticker} before {end}: its first is of {told.frame.index[0].date()}")
    return frame


_ROUNDING = 1e-4
"""More than hundreds of float32 multipliers make of an adjusted close."""


def _look_at_adjusted(ticker: str, frame: "pd.DataFrame", auto_adjust: bool) -> None:
    """Raise ActionsUnknown, or warn, where an adjusted close is no share of its close."""
    kept = frame["Adj Close"] / frame["Close"]
    odd = frame.index[(kept <= 0) | (kept > 1 + _ROUNDING)]
    if len(odd):
        what = f"Yahoo's adjusted close of {ticker} on {odd[0].date()} is {kept[odd[0]]:.4g} of its close"
        if auto_adjust:
            raise ActionsUnknown(f"prices cannot be adjusted for dividends: {what}")
        _warn(what)


def _warn_of_moved(ticker: str, told: Told, end: date | None) -> None:
    """Yfinance's frame has an event whose day has no row at the row before."""
    days = [stamp.date() for stamp in told.frame.index if not end or stamp.date() < end]
    listed = told.listed
    events = {one.ex_date for one in listed.splits} | {one.ex_date for one in (*listed.dividends, *listed.gains)}
    for day in sorted(events.difference(days)):
        if days and days[0] < day < days[-1]:
            before = max(one for one in days if one < day)
            _warn(f"{ticker}: Yahoo has no row of {day}; yfinance shows what happened then at {before}")


def yahoo_daily(settings: Settings, ticker: str, dataset: Dataset = STOCKS_DAY, **window: Any) -> tuple[Told, Daily]:
    """Yahoo's daily bars through today, as told and as traded; those of sessions that are over are kept.

    Raises and warns as `yahoo_frame`.
    """
    if "start" in window:
        window["end"] = today() + timedelta(days=1)  # through today: what is kept has to be free of later splits
    told = _told(ticker, dataset, window)
    daily = as_traded(ticker, told)
    rows, known = _known(ticker, daily)
    refused = [f"{name}: {why}" for name, why in adjusted.impossible(rows, known).items()]
    for doubt in (*(f"{ticker}: {doubt}" for doubt in daily.doubts), *differences(rows, known), *refused):
        _warn(doubt)
    if dataset.yahoo_symbol(ticker) and not daily.bars.is_empty():
        _keep(settings, dataset, ticker, daily)
    return told, daily


def _known(ticker: str, daily: Daily) -> tuple[pl.DataFrame, dict[str, Actions]]:
    return daily.bars.with_columns(ticker=pl.lit(ticker)), {ticker: daily.actions}


def _told(ticker: str, dataset: Dataset, window: dict[str, Any]) -> Told:
    symbol = dataset.yahoo_symbol(ticker) or (ticker if dataset.primary else fallback.symbol_of(dataset, ticker))
    return shared().history(symbol, auto_adjust=False, actions=True, **window)


def _keep(settings: Settings, dataset: Dataset, ticker: str, found: Daily) -> None:
    with Cache.read(settings, dataset) as cache:
        try:
            answer = fallback.compared(cache, ticker, found)
        except Disagreement as error:
            _warn(f"not kept: {error.message}")
            fallback.keep_refusal(settings, dataset, ticker, found.bars["date"][0], error)
            return
    for doubt in answer.doubts[len(found.doubts) :]:  # those before were said
        _warn(f"not kept: {doubt}")
    if answer.refused:
        _warn(f"not kept of the days before {answer.start}: {answer.refused}")
    fallback.keep(settings, dataset, answer.start, answer)


def _as_asked(whole: "pd.DataFrame", auto_adjust: bool, actions: bool, end: date | None = None) -> "pd.DataFrame":
    """The same as yfinance would give of it, without asking again."""
    frame = whole[whole.index.date < end].copy() if end else whole.copy()
    if auto_adjust:
        kept = (frame["Adj Close"] / frame["Close"]).to_numpy()
        frame = frame.assign(**{name: frame[name] * kept for name in ("Open", "High", "Low")}, Close=frame["Adj Close"])
        frame = frame.drop(columns="Adj Close")
    if not actions:
        frame = frame.drop(columns=["Dividends", "Stock Splits", "Capital Gains"], errors="ignore")
    span = [(str(frame.index[0].date()), str(frame.index[-1].date()))] if len(frame) else []
    frame.attrs["sources"] = {"yahoo": span}
    return frame
