"""Yahoo's answers in the manifest: rows converted back to raw, corporate actions, and when Yahoo was asked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from ingest.cache.manifest.database import THESE, Database, listed, now
from ingest.cache.manifest.integrity.tables import columns
from ingest.market.corporate_actions import Actions, Dividend, StockSplit

_ASKING = ("ticker", "first", "last", "asked_at", "begins")
_REFUSAL = ("ticker", "first", "last", "reason", "asked_at")
_ACTION = ("ticker", "ex_date", "kind", "value", "close_before", "kept")
_INSTRUMENT = columns("instruments", "ticker", "instrument")
_ROW = ("ticker", "session", "open", "high", "low", "close", "volume")

QuoteRow = tuple[str, date, float | None, float | None, float | None, float | None, float | None]
"""Ticker, session, open, high, low, close (raw), volume (raw, in shares; None if it counts something else)."""


@dataclass(frozen=True, slots=True)
class ActionCoverage:
    """The span for which a ticker's corporate actions are known: ex-dates from `first` to `last`.

    `asked_at` is ISO 8601, UTC. `begins` is the date of Yahoo's first row since `first`.
    """

    first: date
    last: date
    asked_at: str = ""
    begins: date | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Yahoo's answer about a ticker's days from `first`, where the question began, to `last` cannot be used.

    `asked_at` is ISO 8601, UTC.
    """

    first: date
    last: date
    reason: str
    asked_at: str = ""


@dataclass(frozen=True, slots=True)
class Quotes:
    """Yahoo's part of a manifest. Its rows never replace Massive's: readers take care of that."""

    database: Database

    def asked(self, tickers: Iterable[str]) -> dict[str, ActionCoverage]:
        """Known spans by ticker; tickers that Yahoo has not answered for are left out."""
        query = f"SELECT {', '.join(_ASKING)} FROM askings WHERE dataset = ? AND {THESE}"  # noqa: S608
        found = self.database.typed(columns("askings", *_ASKING), query, listed(tickers))
        return {ticker: ActionCoverage(*asking) for ticker, *asking in found}

    def refusals(self, tickers: Iterable[str]) -> dict[tuple[str, date], Refusal]:
        """Answers that could not be used, by ticker and the first day asked for."""
        query = f"SELECT {', '.join(_REFUSAL)} FROM refusals WHERE dataset = ? AND {THESE}"  # noqa: S608
        found = self.database.typed(columns("refusals", *_REFUSAL), query, listed(tickers))
        return {(ticker, first): Refusal(first, *rest) for ticker, first, *rest in found}

    def actions(self, tickers: Iterable[str]) -> dict[str, Actions]:
        """Corporate actions by ticker, in the order of ex-dates; tickers about which nothing is known are left out."""
        wanted, dataset = listed(tickers), self.database
        events: dict[str, dict[str, list[Any]]] = {}
        query = (
            f"SELECT {', '.join(_ACTION)} FROM actions WHERE dataset = ? AND {THESE} "  # noqa: S608
            "ORDER BY ticker, ex_date"
        )
        for ticker, day, kind, value, before, kept in dataset.typed(columns("actions", *_ACTION), query, wanted):
            event = StockSplit(day, value) if kind == "split" else Dividend(day, value, before, kept)
            events.setdefault(ticker, {}).setdefault(kind, []).append(event)
        query = f"SELECT ticker, instrument FROM instruments WHERE dataset = ? AND {THESE}"  # noqa: S608
        instruments = dict(dataset.typed(_INSTRUMENT, query, wanted))
        return {
            ticker: _actions(events.get(ticker, {}), instruments.get(ticker, ""))
            for ticker in {**events, **instruments}
        }

    def events(self) -> list[tuple[str, date, str, float]]:
        """Every known corporate action: ticker, ex-date, kind and value, by ticker and ex-date."""
        names = ("ticker", "ex_date", "kind", "value")
        query = f"SELECT {', '.join(names)} FROM actions WHERE dataset = ? ORDER BY ticker, ex_date"  # noqa: S608
        return self.database.typed(columns("actions", *names), query)

    def rows(self, tickers: Iterable[str], start: date, end: date) -> list[QuoteRow]:
        """Rows of these tickers from `start` to `end`, both inclusive, by ticker and session."""
        query = (
            f"SELECT {', '.join(_ROW)} FROM yahoo_rows "  # noqa: S608
            f"WHERE dataset = ? AND {THESE} AND session BETWEEN ? AND ? ORDER BY ticker, session"
        )
        span = (start.isoformat(), end.isoformat())
        return self._rows(query, listed(tickers), *span)

    def rows_of(self, session: date) -> list[QuoteRow]:
        """All rows of a session, by ticker."""
        query = (  # without statistics SQLite would scan all rows by the primary key
            f"SELECT {', '.join(_ROW)} FROM yahoo_rows INDEXED BY yahoo_rows_by_session "  # noqa: S608
            "WHERE dataset = ? AND session = ? ORDER BY ticker"
        )
        return self._rows(query, session.isoformat())

    def tickers(self) -> frozenset[str]:
        """Tickers that Yahoo has answered for."""
        query = "SELECT ticker FROM askings WHERE dataset = ?"
        return frozenset(ticker for (ticker,) in self.database.typed(columns("askings", "ticker"), query))

    def _rows(self, query: str, *values: str) -> list[QuoteRow]:
        found = self.database.typed(columns("yahoo_rows", *_ROW), query, *values)
        return [
            (ticker, day, opened, high, low, close, volume) for ticker, day, opened, high, low, close, volume in found
        ]

    def sessions(self) -> list[date]:
        """Sessions that have rows."""
        # Jumps from each session to the next in the index; DISTINCT would read every ticker's row.
        query = (
            "WITH RECURSIVE next(session) AS (SELECT min(session) FROM yahoo_rows WHERE dataset = ? UNION ALL "
            "SELECT (SELECT min(y.session) FROM yahoo_rows y WHERE y.dataset = ? AND y.session > next.session) "
            "FROM next WHERE session IS NOT NULL) SELECT session FROM next WHERE session IS NOT NULL"
        )
        return [day for (day,) in self.database.typed(columns("yahoo_rows", "session"), query, self.database.dataset)]

    def known(self) -> list[str]:
        """Each ticker whose corporate actions Yahoo was asked for, and answered, ascending."""
        query = "SELECT DISTINCT ticker FROM askings WHERE dataset = ? ORDER BY ticker"
        return [ticker for (ticker,) in self.database.typed(columns("askings", "ticker"), query)]

    def known_until(self) -> list[date]:
        """For each ticker that Yahoo has, the last day for which its corporate actions are known."""
        query = "SELECT last FROM askings WHERE dataset = ?"
        return [last for (last,) in self.database.typed(columns("askings", "last"), query)]

    def count(self) -> int:
        """Number of rows."""
        return int(self.database.rows("SELECT count(*) FROM yahoo_rows WHERE dataset = ?")[0][0])

    def keep(
        self,
        ticker: str,
        asking: ActionCoverage,
        actions: Actions,
        rows: Sequence[QuoteRow],
        through: date | None = None,
    ) -> None:
        """Store an answer, in one transaction: its actions replace those stored for the span asked for.

        It may reach a later day, `through`, than the last one for which its actions count as known. Refusals of
        questions that begin in the span are forgotten: they are answered now.
        """
        dataset, at = self.database.dataset, now()
        known = self._joined(ticker, replace(asking, asked_at=at))
        with self.database.transaction() as db:
            db.execute(
                "DELETE FROM actions WHERE dataset = ? AND ticker = ? AND ex_date BETWEEN ? AND ?",
                (dataset, ticker, asking.first.isoformat(), (through or asking.last).isoformat()),
            )
            db.executemany(
                "INSERT OR REPLACE INTO actions (dataset, ticker, kind, ex_date, value, close_before, kept) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(dataset, ticker, *event) for event in _events(actions)],
            )
            if actions.instrument:
                db.execute("INSERT OR REPLACE INTO instruments VALUES (?, ?, ?)", (dataset, ticker, actions.instrument))
            db.execute(
                "INSERT OR REPLACE INTO askings (dataset, ticker, first, last, asked_at, begins) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    dataset,
                    ticker,
                    known.first.isoformat(),
                    known.last.isoformat(),
                    known.asked_at,
                    _iso(known.begins),
                ),
            )
            db.execute(
                "DELETE FROM refusals WHERE dataset = ? AND ticker = ? AND first >= ?",
                (dataset, ticker, asking.first.isoformat()),
            )
            db.executemany(
                "INSERT OR REPLACE INTO yahoo_rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(dataset, row[0], row[1].isoformat(), *row[2:], at) for row in rows],
            )
            # Its CSV may contain such rows.
            if rows:
                db.execute("UPDATE projections SET dirty = 1 WHERE dataset = ? AND ticker = ?", (dataset, ticker))

    def refuse(self, ticker: str, refused: Refusal) -> None:
        """Record that an answer could not be used, replacing earlier refusals; known actions stay."""
        with self.database.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO refusals (dataset, ticker, first, last, reason, asked_at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    self.database.dataset,
                    ticker,
                    refused.first.isoformat(),
                    refused.last.isoformat(),
                    refused.reason,
                    refused.asked_at or now(),
                ),
            )

    def take_back(self, ticker: str, closes: Mapping[date, float], since: date | None = None) -> None:
        """Delete rows with these closes, which are no longer trusted, and forget what is known before `since`."""
        dataset = self.database.dataset
        with self.database.transaction() as db:
            gone = db.executemany(
                "DELETE FROM yahoo_rows WHERE dataset = ? AND ticker = ? AND session = ? AND abs(close / ? - 1) < 1e-3",
                [(dataset, ticker, day.isoformat(), close) for day, close in closes.items()],
            ).rowcount
            if gone > 0:
                db.execute("UPDATE projections SET dirty = 1 WHERE dataset = ? AND ticker = ?", (dataset, ticker))
            if since:
                where = (dataset, ticker, since.isoformat())
                db.execute("DELETE FROM askings WHERE dataset = ? AND ticker = ? AND last < ?", where)
                db.execute(
                    "UPDATE askings SET first = max(first, ?) WHERE dataset = ? AND ticker = ?",
                    (since.isoformat(), dataset, ticker),
                )

    def forget_refusals(self) -> None:
        """Forget all refusals, so that their questions are asked again."""
        with self.database.transaction() as db:
            db.execute("DELETE FROM refusals WHERE dataset = ?", (self.database.dataset,))

    def nothing_new(self, ticker: str, last: date) -> None:
        """Record that nothing happened to a known ticker up to `last`, for instance because it no longer trades."""
        with self.database.transaction() as db:
            db.execute(
                "UPDATE askings SET last = max(last, ?), asked_at = ? WHERE dataset = ? AND ticker = ?",
                (last.isoformat(), now(), self.database.dataset, ticker),
            )

    def _joined(self, ticker: str, asking: ActionCoverage) -> ActionCoverage:
        """The span of an answer, joined with the one known before if the two overlap.

        An answer that begins later says nothing new about the days before it, so the known span, and the time it was
        asked for, stay as they are. Any other answer replaces what was known: if Yahoo's rows began earlier then, they
        may have been another company's.
        """
        before = self.asked([ticker]).get(ticker)
        if before is None or asking.first > before.last or asking.last < before.first:
            return asking
        if asking.first > before.first:
            return before
        return replace(asking, last=max(asking.last, before.last))


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _actions(events: Mapping[str, Sequence[Any]], instrument: str) -> Actions:
    splits, dividends, gains, odd = (tuple(events.get(kind, ())) for kind in ("split", "dividend", "gain", "odd"))
    return Actions(splits, dividends, gains, instrument, odd)


def _events(actions: Actions) -> list[tuple[str, str, float, float | None, float | None]]:
    """Kind, ex-date, value, close before, and the share that is kept, of each corporate action."""
    payouts = (("dividend", actions.dividends), ("gain", actions.gains), ("odd", actions.odd))
    return [
        *(("split", one.ex_date.isoformat(), one.ratio, None, None) for one in actions.splits),
        *(
            (kind, one.ex_date.isoformat(), one.amount, one.close_before, one.kept)
            for kind, paid in payouts
            for one in paid
        ),
    ]
