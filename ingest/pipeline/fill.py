"""Fills gaps of a run's tracked tickers from Yahoo, and keeps their splits and dividends up to date."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import anyio

from ingest import events
from ingest.cache.cache import Cache
from ingest.errors import Disagreement, NotFound, SourceError, SourceUnavailable
from ingest.finding import NOT_YAHOOS, Finding
from ingest.market.datasets import Dataset
from ingest.market.patterns import some
from ingest.reading.adjusting.freshness import ASKS_AGAIN, calendar_of, due, newest_session
from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class Filling:
    """One run's questions to Yahoo, one ticker after the other; the caller holds the cache's lock."""

    cache: Cache
    settings: Settings
    sink: events.Sink

    @property
    def dataset(self) -> Dataset:
        """The dataset of the tickers."""
        return self.cache.dataset

    async def fill(
        self, tickers: Collection[str], start: date, end: date, stop: anyio.Event, refresh: bool = False
    ) -> None:
        """Ask about each ticker that is due, until `stop` is set or Yahoo no longer answers.

        A ticker is due if its corporate actions are older than the newest completed session of the window, or if the
        window reaches further back than what was asked for. In a dataset without splits it is due only if sessions are
        missing. With `refresh` all tickers are due, and all refusals are forgotten, also of tickers that are not
        tracked.
        """
        last = min(end, newest_session(self.dataset))
        waiting = self._waiting(tickers, start, last, refresh)
        if waiting and (unmapped := sorted(ticker for ticker in tickers if self.dataset.yahoo_symbol(ticker) is None)):
            self.sink(events.Notice(f"not looked up at Yahoo, symbol unknown there: {some(unmapped)}"))
        began, tuning = time.monotonic(), self.settings.tuning
        for number, ticker in enumerate(waiting, 1):
            if stop.is_set():
                return
            if time.monotonic() - began > tuning.yahoo_s + tuning.yahoo_ticker_s * (number - 1):
                self._give_up(waiting[number - 1 :], SourceUnavailable("it takes too long to answer"))
                return
            try:
                rows = await anyio.to_thread.run_sync(self._one, ticker, start)
            except SourceUnavailable as error:
                self._give_up(waiting[number - 1 :], error)
                return
            except SourceError as error:  # concerns this ticker alone: ask for the others
                why = error.message.removeprefix(f"Yahoo, {ticker}: ")
                self.sink(events.Notice(f"no answer about {ticker}: {why}; the next run asks again", "warning"))
                continue
            self.sink(events.YahooAsked(ticker, rows, number, len(waiting)))

    def _waiting(self, tickers: Collection[str], start: date, last: date, refresh: bool) -> list[str]:
        quotes, wanted = self.cache.manifest.yahoo, self._with_questions(tickers, start, last)
        if not refresh:
            return due(quotes, self.dataset, wanted, start, last)
        quotes.forget_refusals()
        return sorted(ticker for ticker in wanted if self.dataset.yahoo_symbol(ticker))

    def _with_questions(self, tickers: Collection[str], start: date, end: date) -> Collection[str]:
        if self.dataset.splits:
            return tickers
        sessions = calendar_of(self.cache).between(start, end)
        coverage = self.cache.manifest.sessions.coverage()
        return [ticker for ticker in tickers if not coverage.of(ticker).issuperset(sessions)]

    def _one(self, ticker: str, start: date) -> int:
        """Number of rows stored of one ticker; what Yahoo does not have, or has differently, is stored and reported."""
        from ingest.market.yahoo.multipliers import unfollowed  # polars, yfinance: only a run that asks needs them
        from ingest.reading.adjusting import fallback
        from ingest.sources.yahoo import shared

        cache, yahoo = self.cache, shared()
        try:
            answer = fallback.ask(cache, yahoo, ticker, start)
        except (NotFound, Disagreement) as error:
            fallback.store_refusal(cache, ticker, start, error)
            self._say(error)
            return 0
        if answer.refused and answer.start > start:
            self._say(Disagreement(f"{answer.refused}. What it has since {answer.start} is believed"))
        odd = unfollowed(answer.actions.odd)
        for doubt in (*answer.doubts, *([f"{ticker}: {odd}"] if odd else [])):
            self.sink(events.Notice(doubt, "warning"))
        for session in answer.outliers if answer.compared else ():
            self.sink(events.Found(session, (Finding(NOT_YAHOOS, 1, (ticker,)),)))
        return fallback.store(cache, start, answer)

    def _say(self, error: SourceError) -> None:
        words = f"{error.message}; {ASKS_AGAIN}"
        self.sink(events.Notice(words, "warning" if isinstance(error, Disagreement) else "info"))

    def _give_up(self, left: Sequence[str], error: SourceError) -> None:
        message = f"Yahoo was not asked for {some(left)}: {error}; the next run asks again"
        self.sink(events.Notice(message, "warning"))
