"""The tracked CSVs in the manifest: the state of each, and which patterns of the lists were expanded."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date

from ingest.cache.manifest.database import THESE, Database, listed
from ingest.cache.manifest.integrity.tables import columns
from ingest.cache.manifest.records import FORMAT, Projection

_PATTERN = columns("patterns", "pattern")
_TICKER = columns("projections", "ticker")
_NAMES = tuple(field.name for field in fields(Projection))
_PROJECTION = columns("projections", *_NAMES)


@dataclass(frozen=True, slots=True)
class Csvs:
    """CSVs of tickers that are or were tracked; for minute data one per month, and the sum of a ticker's months."""

    database: Database

    def states(self, tickers: Iterable[str] | None = None) -> dict[str, Projection]:
        """State of every tracked ticker's CSV, past or present, by ticker; for minute data the sum of its months.

        With `tickers`, only theirs.
        """
        if tickers is None:
            return {row.ticker: row for row in self._states("period = ''")}
        return {row.ticker: row for row in self._states(f"period = '' AND {THESE}", listed(tickers))}

    def active(self) -> list[Projection]:
        """State of each ticker that is tracked now."""
        return [row for row in self.states().values() if row.active]

    def months(self) -> dict[tuple[str, str], Projection]:
        """State of every monthly CSV of minute data, past or present, by ticker and month."""
        return {(row.ticker, row.period): row for row in self._states("period <> ''")}

    def outdated(self) -> int:
        """Number of CSVs of active tickers, monthly ones included, whose files have an earlier format."""
        query = "SELECT count(*) FROM projections WHERE dataset = ? AND active AND sha256 IS NOT NULL AND format <> ?"
        return int(self.database.rows(query, FORMAT)[0][0])

    def _states(self, which: str, *values: str) -> Iterator[Projection]:
        query = f"SELECT {', '.join(_NAMES)} FROM projections WHERE dataset = ? AND {which} ORDER BY ticker, period"  # noqa: S608
        for row in self.database.typed(_PROJECTION, query, *values):
            yield Projection(*row)

    def follow(self, tickers: Iterable[str]) -> None:
        """Make exactly these tickers the active ones. A ticker that (re)enters is dirty and will be rebuilt."""
        with self.database.transaction() as db:
            wanted = set(tickers)
            active = "SELECT ticker FROM projections WHERE dataset = ? AND period = '' AND active"
            known = {ticker for (ticker,) in self.database.typed(_TICKER, active)}
            db.executemany(
                "UPDATE projections SET active = 0 WHERE dataset = ? AND ticker = ?",
                [(self.database.dataset, ticker) for ticker in sorted(known - wanted)],
            )
            entering = [(self.database.dataset, ticker) for ticker in sorted(wanted - known)]
            db.executemany(
                "INSERT OR REPLACE INTO projections (dataset, ticker, active, dirty) VALUES (?, ?, 1, 1)", entering
            )
            # Months that were not updated meanwhile are never extended, whatever their format.
            db.executemany(
                "UPDATE projections SET active = 1, dirty = 1, format = iif(sha256 IS NULL, 0, ?) "
                "WHERE dataset = ? AND ticker = ?",
                [(FORMAT, *key) for key in entering],
            )

    def forget(self, csvs: Iterable[tuple[str, str]]) -> None:
        """Mark the CSVs of these tickers, each with its month or '', to be rebuilt, whatever they contain."""
        with self.database.transaction() as db:
            db.executemany(
                "UPDATE projections SET dirty = 1, first = NULL, last = NULL, rows = NULL, sha256 = NULL, size = NULL, "
                "mtime_ns = NULL, format = 0 WHERE dataset = ? AND ticker = ? AND period = ?",
                [(self.database.dataset, *csv) for csv in csvs],
            )

    def forget_all(self) -> None:
        """Like `forget`, for all CSVs: none of their files exists."""
        self.forget([(ticker, "") for ticker in self.states()])
        self.forget(self.months())

    def drop(self, tickers: Iterable[str]) -> None:
        """Forget these tickers and all their CSVs, whose files are gone."""
        with self.database.transaction() as db:
            db.executemany(
                "DELETE FROM projections WHERE dataset = ? AND ticker = ?",
                [(self.database.dataset, ticker) for ticker in tickers],
            )

    def projected(self, projections: Iterable[Projection], sessions: Iterable[date]) -> None:
        """Mark CSVs clean and sessions projected, in one transaction, once the files are durable."""
        values = ("first", "last", "rows", "sha256", "size", "mtime_ns", "yahoo", "format")
        with self.database.transaction() as db:
            db.executemany(
                f"INSERT INTO projections (dataset, ticker, period, active, dirty, {', '.join(values)}) "  # noqa: S608
                f"VALUES (?, ?, ?, ?, 0{', ?' * len(values)}) ON CONFLICT (dataset, ticker, period) DO UPDATE SET "
                f"dirty = 0, {', '.join(f'{name} = excluded.{name}' for name in values)}",
                [
                    (
                        self.database.dataset,
                        row.ticker,
                        row.period,
                        row.active,
                        *(getattr(row, name) for name in values),
                    )
                    for row in projections
                ],
            )
            db.executemany(
                "UPDATE sessions SET projected = 1 WHERE dataset = ? AND session = ?",
                [(self.database.dataset, session.isoformat()) for session in sessions],
            )

    def patterns(self) -> frozenset[str]:
        """Patterns of the lists whose tickers are known for all sessions except those not projected yet."""
        return frozenset(
            one for (one,) in self.database.typed(_PATTERN, "SELECT pattern FROM patterns WHERE dataset = ?")
        )

    def remember_patterns(self, patterns: Collection[str]) -> None:
        """Record exactly these patterns as expanded: one that leaves the lists is new when it returns."""
        dataset = self.database.dataset
        with self.database.transaction() as db:
            db.execute("DELETE FROM patterns WHERE dataset = ?", (dataset,))
            db.executemany("INSERT INTO patterns VALUES (?, ?)", [(dataset, one) for one in sorted(patterns)])
