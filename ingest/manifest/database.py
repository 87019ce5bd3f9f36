"""The SQLite file of the manifest: opened, migrated, in transactions.

One writer, who holds the cache's lock; readers need no lock (WAL). A transaction here is the moment at which something
is done. `synchronous=FULL` makes each one durable before it returns, so whatever it names must be durable before it
begins.
"""

import json
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Self
from weakref import WeakSet

from ingest.errors import CacheError, ManifestDamaged
from ingest.manifest import schema
from ingest.manifest.flaws import Flaw, flaws
from ingest.manifest.kinds import Kinds, Unfit, fitted
from ingest.manifest.location import refuse_network

_LACKS = re.compile(
    r"^no such (table|column|index)|has no column named|already exists$|^unsupported file format$|^malformed JSON$"
)
"""What SQLite says of a manifest that lacks what its version has, whose version is none, or whose texts are no JSON."""

_WRITE_VERSION = slice(18, 20)
"""In SQLite's header: a file in which these are above 2 can be read, and not be written."""

_MOST_FLAWS = 1000

THESE = "ticker IN (SELECT value FROM json_each(?))"
"""A condition whose value is `listed`: tickers are looked up in the keys, so one ticker costs its own rows alone."""


def now() -> str:
    """The time, UTC, as the manifest writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def listed(tickers: Iterable[str]) -> str:
    """Tickers as the value of `THESE`, however many; without those with a NUL, at which SQLite would cut them."""
    return json.dumps(sorted({ticker for ticker in tickers if "\0" not in ticker}))


class Database:
    """The manifest's file, open for one dataset."""

    def __init__(self, connection: sqlite3.Connection, path: Path, dataset: str, writable: bool) -> None:
        self.writable = writable
        self._db = connection
        self.path = path
        self.dataset = dataset
        self._reading: WeakSet[sqlite3.Cursor] = WeakSet()

    @classmethod
    @contextmanager
    def open(cls, path: Path, dataset: str) -> Iterator[Self]:
        """Open for writing; creates what is not there. Raises CacheError."""
        refuse_network(path.parent)
        with ExitStack() as opened:
            # What is raised while it is open is not the manifest's own fault.
            with translated(path):
                connection = opened.enter_context(closing(_connected(path)))
                schema.migrate(connection, path)
            yield opened.enter_context(cls(connection, path, dataset, writable=True)._reads_ended())

    @classmethod
    @contextmanager
    def read(cls, path: Path, dataset: str) -> Iterator[Self]:
        """Open for reading; a cache without a manifest reads as an empty one. Raises CacheError.

        One of an older version is read as a copy in memory that is brought up to date: only a run, which holds the
        lock, changes the file.
        """
        with ExitStack() as opened:
            with translated(path):
                connection = opened.enter_context(closing(_current(path)))
            yield opened.enter_context(cls(connection, path, dataset, writable=False)._reads_ended())

    @contextmanager
    def _reads_ended(self) -> Iterator[Self]:
        """End reads that an error left half-way: SQLite keeps a file open as long as one of its statements is."""
        try:
            yield self
        finally:
            for cursor in list(self._reading):
                cursor.close()

    def flaws(self) -> list[Flaw]:
        """What is in disorder in the whole file, of all datasets; some of it where there is much.

        Raises ManifestDamaged where SQLite cannot even read it.
        """
        with translated(self.path):
            found = list(islice(flaws(self._db), _MOST_FLAWS))
            if self.path.exists() and max(_header(self.path)[_WRITE_VERSION], default=0) > 2:
                found.append(Flaw("its header says that it cannot be written"))
        return found

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and durable before this returns. Raises CacheError."""
        with translated(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back where a disk is full or fails
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query whose first parameter is the dataset. Raises CacheError."""
        with translated(self.path):
            return self._db.execute(query, (self.dataset, *values)).fetchall()

    def typed(self, kinds: Kinds, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The same rows, each value as what its column holds. Raises ManifestDamaged where one is something else."""
        return [self.fitted(kinds, row) for row in self.rows(query, *values)]

    def fitted(self, kinds: Kinds, row: Sequence[Any]) -> tuple[Any, ...]:
        """A row, each value as what its column holds. Raises ManifestDamaged where one is something else."""
        try:
            return fitted(kinds, row)
        except Unfit as error:
            raise ManifestDamaged(self.path, error) from error

    def each(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The same rows, one after the other: not all of them are in memory at once."""
        with translated(self.path):
            cursor = self._db.execute(query, (self.dataset, *values))
            self._reading.add(cursor)
            # `yield from` would close the cursor with the generator, which may be when the database is closed already.
            for row in cursor:  # noqa: UP028
                yield row


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(100)


def _connected(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    # The committer works in a thread; it is the only one that uses the connection while it does.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    with _closed_on_error(connection):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    return connection


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """What stays open keeps the log of the manifest, and whoever comes next from removing it."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _current(path: Path) -> sqlite3.Connection:
    """The file, to be read; or a copy in memory brought up to date, also of one that is not there."""
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    # A run that was killed as it made the file leaves it empty.
    if path.exists() and path.stat().st_size:
        # A lazy scan moves between threads; only one at a time reads.
        where = f"{path.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False, timeout=30)
        with _closed_on_error(connection):
            current = schema.is_current(connection, path)
        if current:
            copy.close()
            return connection
        with closing(connection):
            connection.backup(copy)
    schema.migrate(copy, path)
    return copy


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what SQLite or the system says of a manifest as a CacheError; what means damage as ManifestDamaged."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            raise ManifestDamaged(path, error) from error
        raise CacheError(f"the manifest {path}: {error}") from error
    except UnicodeDecodeError as error:  # SQLite's own message quotes what it could not read
        raise ManifestDamaged(path, error) from error
    except OSError as error:
        raise CacheError(f"the manifest {path}: {error.strerror or error}") from error


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file's content is at fault, and not the disk, its rights, or who else has it open."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return str(error).startswith("Could not decode")  # a text that is none, which Python finds and not SQLite
    if code == sqlite3.SQLITE_ERROR:
        return _LACKS.search(str(error)) is not None
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
