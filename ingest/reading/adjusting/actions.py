"""Splits and dividends of stored rows: stored, requested again if they are old, and applied.

A result depends on the request and on what is stored, never on earlier requests: Yahoo is always asked for everything
since the ticker's first row, and a refusal counts only for the same request.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Literal

import polars as pl

from ingest import events
from ingest.cache.cache import Cache
from ingest.cache.manifest.records import Coverage
from ingest.cache.manifest.yahoo import ActionCoverage
from ingest.errors import (
    ONE_COMPANY,
    AcrossSeam,
    ActionsUnknown,
    Disagreement,
    NotFound,
    SourceError,
    SourceUnavailable,
)
from ingest.hints import Message, Option
from ingest.market.adjust import Adjust
from ingest.market.calendars import today
from ingest.market.catalogue import days_of
from ingest.market.corporate_actions import Actions
from ingest.market.datasets import Dataset
from ingest.market.patterns import some
from ingest.reading import rows as reading
from ingest.reading.adjusting import adjusted, fallback
from ingest.reading.adjusting.fallback import Answer
from ingest.reading.adjusting.freshness import ASKS_AGAIN, has_events, still_stands
from ingest.reading.adjusting.handover import Sign, signs
from ingest.settings import Settings
from ingest.sources.yahoo import Yahoo

Notices = list[str | Message]
Errors = Literal["raise", "skip"]


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A query for stored rows of some tickers, from `start` to `end`, both inclusive; None means no limit.

    `tickers` may be patterns. `columns` chooses among those of the dataset; None means all but transactions. With
    `fetch` Yahoo is asked again if splits and dividends are old. With `across_gaps` a ticker without rows for months
    counts as one company. `errors` "skip" leaves out tickers that cannot be adjusted.
    """

    tickers: Sequence[str]
    start: date | None = None
    end: date | None = None
    adjust: Adjust = "none"
    columns: Sequence[str] | None = None
    fetch: bool = True
    across_gaps: bool = False
    errors: Errors = "raise"

    def window(self, dataset: Dataset) -> tuple[date, date]:
        """First and last day, both inclusive."""
        return self.start or dataset.first_session, self.end or today()

    @property
    def needs_parts(self) -> bool:
        """Whether one of the named columns is not in the CSVs."""
        return not reading.IN_CSV.issuperset(self.columns or ())


@dataclass(frozen=True, slots=True)
class KnownActions:
    """A ticker's splits and dividends, and the date of Yahoo's first row in that time, None if unknown."""

    actions: Actions
    begins: date | None = None


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Looks up the corporate actions of some tickers, each since its first row.

    Every ticker ends in `found` or, with the reason, in `unknown`. `old` are those of `found` that could not be
    requested again: the day up to which they are known, and the reason. `heard` are those that Yahoo answered now, and
    `doubts` says what is odd about its answers. If `yahoo` is None no request is sent.
    """

    cache: Cache
    settings: Settings
    yahoo: Yahoo | None
    on_event: events.Sink = events.ignore
    found: dict[str, KnownActions] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    old: dict[str, tuple[date, str]] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)
    doubts: list[str] = field(default_factory=list)

    def ask(self, spans: Mapping[str, date], refused: Mapping[str, str]) -> None:
        """Look up what happened since these dates; `refused` are tickers just refused by Yahoo, with reasons."""
        asked, refusals = self.cache.manifest.yahoo.asked(spans), self.cache.manifest.yahoo.refusals(spans)
        kept, waiting = self.cache.manifest.yahoo.actions(spans), list[str]()
        for ticker, first in spans.items():
            asking, refusal = asked.get(ticker), refusals.get((ticker, first))
            if asking and asking.first <= first:
                self.found[ticker] = KnownActions(kept.get(ticker, Actions()), asking.begins)
            if refusal and still_stands(refusal, self.cache.dataset):
                self._fail(ticker, f"{refusal.reason} ({ASKS_AGAIN})", asking)
            elif has_events(asking, self.cache.dataset, first):
                continue
            elif ticker in refused:
                self._fail(ticker, refused[ticker], asking)
            else:
                waiting.append(ticker)
        silence: SourceError | None = None
        for number, ticker in enumerate(waiting, 1):
            silence = self._one(ticker, spans[ticker], asked.get(ticker), silence)
            self.on_event(events.YahooAsked(ticker, 0, number, len(waiting)))

    def _one(
        self, ticker: str, first: date, asking: ActionCoverage | None, silence: SourceError | None
    ) -> SourceError | None:
        """Look up one ticker; returns the error if Yahoo need not be asked for the others, else None."""
        try:
            if silence:
                raise silence
            answer = self._asked(ticker, first)
        except SourceError as error:
            if isinstance(error, NotFound) and ticker in self.found and self._has_ended(ticker):
                return None
            self._fail(ticker, error.message, asking)
            return error if isinstance(error, SourceUnavailable) else None
        if answer.start > first:
            self.found.pop(ticker, None)  # what was stored for the days before is no longer trusted
            self._fail(ticker, f"{answer.refused} ({ASKS_AGAIN})", asking)
        else:
            self.found[ticker] = KnownActions(answer.actions, answer.begins)
        return None

    def _has_ended(self, ticker: str) -> bool:
        """Whether the ticker is no longer traded, so that Yahoo need not have rows."""
        return self.yahoo is not None and not fallback.is_traded(self.cache, ticker)

    def _asked(self, ticker: str, first: date) -> Answer:
        fallback.symbol_of(self.cache.dataset, ticker)
        if self.yahoo is None:
            raise NotFound("Yahoo is not asked")
        try:
            answer = fallback.ask(self.cache, self.yahoo, ticker, first)
        except (NotFound, Disagreement) as error:
            self.heard.add(ticker)
            fallback.keep_refusal(self.settings, self.cache.dataset, ticker, first, error)
            raise
        self.heard.add(ticker)
        self.doubts.extend(answer.doubts)
        fallback.keep(self.settings, self.cache.dataset, first, answer)
        return answer

    def _fail(self, ticker: str, why: str, asking: ActionCoverage | None) -> None:
        if ticker in self.found and asking:
            self.old[ticker] = (asking.last, why)
        else:
            self.unknown[ticker] = why

    def notices(self) -> list[str]:
        """Warnings about old corporate actions, by the day up to which they are known, and about odd ones."""
        days = sorted({last for last, _ in self.old.values()})
        old = [_old(last, {ticker: why for ticker, (day, why) in self.old.items() if day == last}) for last in days]
        return [*old, *self.doubts]


def actions_of(
    inquiry: Inquiry, rows: pl.DataFrame, refused: Mapping[str, str] | None = None, errors: Errors = "raise"
) -> tuple[Mapping[str, KnownActions], Notices]:
    """Splits and dividends of the tickers of these rows through today, with warnings.

    If they are old and cannot be requested again, the old ones are used, with a warning. Raises ActionsUnknown for
    tickers without any; with `errors` "skip" these are left out, with a warning.
    """
    inquiry.ask(dict(_begins(rows)), refused or {})
    if inquiry.unknown and errors == "raise":
        raise _unknown(inquiry.unknown, rows["ticker"].n_unique() > 1)
    skipped = [_skipped(inquiry.unknown)] if inquiry.unknown else []
    return inquiry.found, [*inquiry.notices(), *skipped]


def _old(last: date, reasons: Mapping[str, str]) -> str:
    """The warning about tickers with old ones; it gives the reason of the first."""
    return f"splits and dividends of {some(list(reasons))} are known only up to {last}: {next(iter(reasons.values()))}"


def _unknown(unknown: Mapping[str, str], are_many: bool) -> ActionsUnknown:
    ticker, cause = next(iter(unknown.items()))
    others = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
    text = f"no splits or dividends are known for {ticker}{others} and they could not be fetched ({cause})"
    hints = [Option("errors", "skip", "to leave such tickers out")] if are_many else []
    return ActionsUnknown(
        f"{text}, so prices cannot be adjusted", *hints, Option("adjust", "none", "for prices as traded")
    )


def _skipped(unknown: Mapping[str, str]) -> str:
    names, cause = sorted(unknown), next(iter(unknown.values()))
    return f"left out because their splits and dividends are unknown: {', '.join(names)} ({cause})"


def _begins(rows: pl.DataFrame) -> Iterable[tuple[str, date]]:
    return rows.group_by("ticker", maintain_order=True).agg(pl.col("date").min()).iter_rows()


@contextmanager
def daily(cache: Cache, settings: Settings) -> Iterator[Cache]:
    """The cache of the market's day bars: splits and dividends are stored there, and compared with its closes."""
    days = days_of(cache.dataset)
    if days is None or days == cache.dataset:
        yield cache
        return
    with Cache.read(settings, days) as of_days:
        yield of_days


def check_seams(
    rows: pl.DataFrame,
    coverage: Coverage,
    actions: Mapping[str, Actions],
    begins: Mapping[str, date | None] = MappingProxyType({}),
    payouts: bool = True,
) -> Notices:
    """Raise AcrossSeam if prices would be adjusted across a seam; returns warnings about doubtful ones.

    `begins` is that of `ingest.reading.adjusting.handover.signs`. Without `payouts` only splits are adjusted for.
    """
    crossed, doubtful = seams_crossed(rows, coverage, actions, begins, payouts)
    for words in crossed.values():
        raise AcrossSeam(words.text, *words.hints)
    return doubtful


def seams_crossed(
    rows: pl.DataFrame,
    coverage: Coverage,
    actions: Mapping[str, Actions],
    begins: Mapping[str, date | None],
    payouts: bool = True,
) -> tuple[dict[str, Message], Notices]:
    """For each ticker, in words, the first seam across which its prices would be adjusted; and doubtful ones."""
    gaps = [Sign(one.ticker, one.before, one.after, str(one), True) for one in adjusted.seams(rows, coverage)]
    crossed: dict[str, Message] = {}
    doubtful: dict[str, Message] = {}
    for sign in (*gaps, *signs(rows, coverage, actions, begins)):
        known = actions.get(sign.ticker, Actions())
        if any(day > sign.before for day in known.ex_dates(payouts)):
            (crossed if sign.is_sure else doubtful).setdefault(sign.ticker, _seam(sign))
    return crossed, [words for ticker, words in doubtful.items() if ticker not in crossed]


def _seam(sign: Sign) -> Message:
    here = f"{sign.words}; the symbol may belong to another company since then"
    if not sign.is_sure:
        return Message(f"{here}. If so, request only one side, from {sign.after} on")
    return Message(f"{here}. Request only one side, from {sign.after} on", (ONE_COMPANY,))
