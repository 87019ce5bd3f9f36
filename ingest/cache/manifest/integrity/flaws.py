"""What is wrong with a manifest's file: by SQLite's own check, in its tables, and in each value of each row.

SQLite keeps whatever a flipped bit makes of a value, and integrity_check does not notice: so every row is checked.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from ingest.cache.manifest.integrity.kinds import Unfit, day
from ingest.cache.manifest.integrity.tables import TABLES, check_row


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that cannot be what was written: `reason` names table, column and row; `session` is the row's."""

    reason: str
    session: date | None = None


def flaws(db: sqlite3.Connection) -> Iterator[Flaw]:
    """All flaws, as long as SQLite can read the file. Raises sqlite3.DatabaseError if it cannot."""
    # Not quick_check: it does not notice that an index is missing rows, which lookups then do not find.
    (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        yield Flaw(str(found))
    for table in TABLES:
        yield from _of_table(db, table)
    yield from _dangling(db)


def _of_table(db: sqlite3.Connection, table: str) -> Iterator[Flaw]:
    names = names_of(db, table)
    if missing := sorted(TABLES[table].keys() - names):
        yield Flaw(f"{table} has no {', '.join(missing)}" if names else f"table {table} is missing")
        return
    names = tuple(TABLES[table])
    for row in db.execute(f"SELECT {', '.join(names)} FROM {table}"):  # noqa: S608 - names from here
        try:
            check_row(table, names, row)
        except Unfit as error:
            values = dict(zip(names, row, strict=True))
            yield Flaw(f"{error} ({_key(values)})", _session(values))


def names_of(db: sqlite3.Connection, table: str) -> tuple[str, ...]:
    """Columns of a table; empty if the table is missing."""
    return tuple(name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,)))


def _dangling(db: sqlite3.Connection) -> Iterator[Flaw]:
    if not names_of(db, "sessions") or not names_of(db, "tracked_sets"):
        return
    query = (
        "SELECT dataset, session FROM sessions "
        "WHERE held = 'committed' AND tracked_set NOT IN (SELECT id FROM tracked_sets)"
    )
    for dataset, session in db.execute(query):
        values = {"dataset": dataset, "session": session}
        yield Flaw(f"sessions.tracked_set: no such set ({_key(values)})", _session(values))


def _key(values: dict[str, object]) -> str:
    names = ("dataset", "session", "ticker", "period", "ex_date", "tier", "kind", "pattern", "id", "run")
    shown = [str(values[name])[:40] for name in names if values.get(name) not in (None, "")]
    return " ".join(shown)


def _session(values: dict[str, object]) -> date | None:
    try:
        return day(values.get("session"))
    except Unfit:
        return None
