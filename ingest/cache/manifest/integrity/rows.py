"""Copies the rows of a damaged manifest that are readable and valid into a new one.

SQLite reads until it meets a damaged page. Rows behind it are looked up by their numbers, or read from the table's end.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.cache.manifest.database import is_damage
from ingest.cache.manifest.integrity.flaws import names_of
from ingest.cache.manifest.integrity.kinds import Unfit, fitted
from ingest.cache.manifest.integrity.tables import TABLES, check_row

_Row = tuple[Any, ...]

_MOST_SKIPPED = 10_000
"""Give up after this many consecutive row numbers that cannot be read."""

_PAGE = 4096
"""Bytes per page: SQLite's choice, which we never change."""

_HALVES = """
DELETE FROM sessions AS s WHERE held = 'committed' AND (
    tracked_set NOT IN (SELECT id FROM tracked_sets)
    OR 1 + archive_kept > (SELECT count(*) FROM members m WHERE (m.dataset, m.session) = (s.dataset, s.session))
)
"""
"""Deletes sessions whose rows in other tables are lost: their parts can restore them completely."""


@dataclass(frozen=True, slots=True)
class Read:
    """Numbers of rows by table: those copied, and those whose values cannot be what was written."""

    kept: Counter[str] = field(default_factory=Counter)
    unfit: Counter[str] = field(default_factory=Counter)


def take(damaged: Path, db: sqlite3.Connection) -> Read:
    """Copy all valid rows of a damaged file into a new manifest, within the caller's transaction.

    Raises sqlite3.DatabaseError if the disk, and not the file's content, is at fault.
    """
    read = Read()
    if damaged.is_file():
        with closing(_readable(damaged)) as old:
            for table in TABLES:
                _take_table(old, table, db, read)
    db.execute(_HALVES)
    return read


def _take_table(old: sqlite3.Connection, table: str, db: sqlite3.Connection, read: Read) -> None:
    names = tuple(name for name in _columns(old, table) if name in TABLES[table])
    for row in _rows(old, table, names) if names else ():
        try:
            check_row(table, names, row)
        except Unfit:
            read.unfit[table] += 1
            _insert(db, table, *_key_of_csv(table, names, row))
        else:
            read.kept[table] += _insert(db, table, names, row)


def _insert(db: sqlite3.Connection, table: str, names: tuple[str, ...], row: _Row) -> int:
    if not names:
        return 0
    values = ", ".join("?" * len(names))
    query = f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({values})"  # noqa: S608 - names from `TABLES`
    return db.execute(query, row).rowcount


def _key_of_csv(table: str, names: tuple[str, ...], row: _Row) -> tuple[tuple[str, ...], _Row]:
    """For a CSV whose state is lost, its key, so that the next run rebuilds it. For other tables, nothing."""
    key = ("dataset", "ticker", "period")
    values = dict(zip(names, row, strict=True))
    try:
        fitted({name: TABLES["projections"][name] for name in key}, [values.get(name) for name in key])
    except Unfit:
        return (), ()
    return ((*key, "active", "dirty"), (*(values[name] for name in key), 1, 1)) if table == "projections" else ((), ())


def _readable(damaged: Path) -> sqlite3.Connection:
    """The file; if no table of it can be read, a copy in memory with a restored header."""
    as_it_is = _prepared(sqlite3.connect(f"{damaged.resolve().as_uri()}?mode=ro", uri=True))
    if any(_columns(as_it_is, table) for table in TABLES):
        return as_it_is
    as_it_is.close()
    copy = _prepared(sqlite3.connect(":memory:"))
    copy.deserialize(_with_header(damaged.read_bytes()))
    return copy


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    db.text_factory = _text
    return db


def _text(data: bytes) -> str | bytes:
    """A text; invalid UTF-8 as bytes, which no column of texts may contain."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _with_header(data: bytes) -> bytes:
    """A database with the header that all our manifests have (sqlite.org/fileformat2.html, 1.3)."""
    pages = len(data) // _PAGE
    told = bytearray(data[:100].ljust(100, b"\0"))
    told[:24] = b"SQLite format 3\0" + _PAGE.to_bytes(2, "big") + bytes((1, 1, 0, 64, 32, 32))
    told[28:40] = pages.to_bytes(4, "big") + bytes(8)
    told[44:48], told[56:60] = (4).to_bytes(4, "big"), (1).to_bytes(4, "big")
    told[72:92], told[92:96] = bytes(20), told[24:28]
    return bytes(told) + data[100 : pages * _PAGE]


def _columns(db: sqlite3.Connection, table: str) -> tuple[str, ...]:
    try:
        return names_of(db, table)
    except sqlite3.DatabaseError as error:
        _refuse(error)
        return ()


def _refuse(error: sqlite3.DatabaseError) -> None:
    """Raise the error again if the file's content is not at fault: readable rows would count as lost."""
    if not is_damage(error):
        raise error


def _rows(db: sqlite3.Connection, table: str, names: tuple[str, ...]) -> Iterator[_Row]:
    if key := _key(db, table):
        return _from_both_ends(db, f"SELECT {', '.join(names)} FROM {table} ORDER BY", key)  # noqa: S608
    return _by_number(db, f"SELECT rowid, {', '.join(names)} FROM {table} WHERE rowid >= ? ORDER BY rowid")  # noqa: S608


def _key(db: sqlite3.Connection, table: str) -> tuple[str, ...]:
    """Columns of the primary key of a table without row numbers; empty for other tables."""
    try:
        db.execute(f"SELECT rowid FROM {table} LIMIT 0")  # noqa: S608
    except sqlite3.DatabaseError:
        query = "SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk"
        return tuple(name for (name,) in db.execute(query, (table,)))
    return ()


def _by_number(db: sqlite3.Connection, query: str) -> Iterator[_Row]:
    at, skipped = -(1 << 63), 0
    while skipped < _MOST_SKIPPED:
        try:
            for number, *row in db.execute(query, (at,)):
                at, skipped = number + 1, 0
                yield tuple(row)
        except sqlite3.DatabaseError as error:
            _refuse(error)
            at, skipped = max(at + 1, 1), skipped + 1
        else:
            return


def _from_both_ends(db: sqlite3.Connection, query: str, key: tuple[str, ...]) -> Iterator[_Row]:
    last: _Row | None = None
    try:
        for last in db.execute(f"{query} {', '.join(key)}"):
            yield last
    except sqlite3.DatabaseError as error:
        _refuse(error)
    else:
        return
    try:
        for row in db.execute(f"{query} {', '.join(f'{name} DESC' for name in key)}"):
            if row == last:
                return
            yield row
    except sqlite3.DatabaseError as error:
        _refuse(error)
