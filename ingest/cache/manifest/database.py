"""The SQLite file of the manifest: opened, migrated, used in transactions.

There is one writer, the holder of the cache's lock; readers need no lock (WAL). A change counts once its transaction
has committed. `synchronous=FULL` makes each transaction durable before it returns, so whatever it names must be durable
before it begins.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar
from weakref import WeakSet

from ingest.cache.manifest.file import opening, schema
from ingest.cache.manifest.file.opening import refuse_network
from ingest.cache.manifest.integrity import replacement
from ingest.cache.manifest.integrity.flaws import Flaw, flaws
from ingest.cache.manifest.integrity.kinds import Kinds, Unfit, all_fitted, fitted
from ingest.errors import CacheError, ManifestDamaged
from ingest.files import opening as files
from ingest.files import rights

_LACKS = re.compile(
    r"^no such (table|column|index)|has no column named|already exists$|^unsupported file format$|^malformed JSON$"
)
"""What SQLite says if a table or a column is missing, the version is impossible, or a text is not JSON."""

_WRITE_VERSION = slice(18, 20)
"""In SQLite's header: a file in which either is above 2 can be read but not written."""

_MOST_FLAWS = 1000

THESE = "ticker IN (SELECT value FROM json_each(?))"
"""A condition with `listed` as its value: tickers are looked up in the keys, so one ticker costs only its own rows."""

BETWEEN = "(session BETWEEN ? AND ? OR typeof(session) <> 'text')"
"""An impossible date is in each span, so that it is read and reported as damage."""

_Result = TypeVar("_Result")


def now() -> str:
    """The current time, UTC, as the manifest stores it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def listed(tickers: Iterable[str]) -> str:
    """Tickers as the value of `THESE`, however many; without those with a NUL, at which SQLite would cut them."""
    return json.dumps(sorted({ticker for ticker in tickers if "\0" not in ticker}))


class Database:
    """The manifest's file, open for one dataset, or for none."""

    def __init__(self, connection: sqlite3.Connection, path: Path, dataset: str, writable: bool) -> None:
        self.writable = writable
        self._db = connection
        self.path = path
        self.dataset = dataset
        self._reading: WeakSet[sqlite3.Cursor] = WeakSet()
        self._view: opening.View | None = None
        self._views = 0

    @classmethod
    @contextmanager
    def open(cls, path: Path, dataset: str = "") -> Iterator[Self]:
        """Open for writing; creates the file if it is missing. Raises CacheError."""
        refuse_network(path.parent)
        replacement.finish(path)
        with ExitStack() as opened:
            # An error of the caller's block is not the manifest's.
            with manifest_errors(path, write=True):
                _refuse_odd(path)
                connection = opened.enter_context(closing(_connected(path)))
                schema.migrate(connection, path)
            yield opened.enter_context(cls(connection, path, dataset, writable=True)._reads_ended())

    @classmethod
    @contextmanager
    def read(cls, path: Path, dataset: str = "") -> Iterator[Self]:
        """Open for reading; a cache without a manifest reads as an empty one. Raises CacheError.

        No write permission is needed (see `opening`). A manifest of an older version is read as a migrated copy in
        memory: only a run, which holds the lock, changes the file.
        """
        with manifest_errors(path):
            _refuse_odd(path)
            view = _current(path)
        database = cls(view.connection, path, dataset, writable=False)
        database._view = view
        try:
            with database._reads_ended():
                yield database
        finally:
            database._db.close()

    @contextmanager
    def _reads_ended(self) -> Iterator[Self]:
        """Close cursors that an error left open: SQLite keeps a file open as long as one of its statements is."""
        try:
            yield self
        finally:
            for cursor in list(self._reading):
                cursor.close()

    def flaws(self) -> list[Flaw]:
        """Flaws in the whole file, of all datasets; only the first ones if there are very many.

        Raises ManifestDamaged if SQLite cannot even read the file.
        """
        with manifest_errors(self.path):
            found = self._settled(lambda: list(islice(flaws(self._db), _MOST_FLAWS)))
            if files.is_there(self.path) and max(_header(self.path)[_WRITE_VERSION], default=0) > 2:
                found.append(Flaw("its header says that it cannot be written"))
        return found

    def copy_to(self, path: Path) -> None:
        """Write the whole file, of all datasets, as it is now to a new one. Raises CacheError."""
        with manifest_errors(self.path), closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and durable before this returns. Raises CacheError."""
        with manifest_errors(self.path, write=True):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back if a disk is full or fails
                    self._db.execute("ROLLBACK")
                raise

    def join_transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """The transaction that is already open, or else a new one. Raises CacheError."""
        return nullcontext(self._db) if self._db.in_transaction else self.transaction()

    def rows(self, query: str, *values: Any, **named: Any) -> list[tuple[Any, ...]]:
        """Rows of a query whose first parameter is the dataset, or whose parameters have names. Raises CacheError.

        Named queries have it as `:dataset`. Numbers (`?1`) work for neither: Python 3.12 warns about them.
        """
        return self.ask(query, {"dataset": self.dataset, **named} if named else (self.dataset, *values))

    def ask(self, query: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Rows of any query. Raises CacheError."""
        with manifest_errors(self.path):
            return self._settled(lambda: self._db.execute(query, values).fetchall())

    def typed(self, kinds: Kinds, query: str, *values: Any, **named: Any) -> list[tuple[Any, ...]]:
        """Like `rows`, with each value converted by its column's kind. Raises ManifestDamaged for an invalid one."""
        rows = self.rows(query, *values, **named)
        try:
            return all_fitted(kinds, rows)
        except Unfit:
            return [self.fitted(kinds, row) for row in rows]  # names the row's column

    def fitted(self, kinds: Kinds, row: Sequence[Any]) -> tuple[Any, ...]:
        """A row, with each value converted by its column's kind. Raises ManifestDamaged for an invalid one."""
        try:
            return fitted(kinds, row)
        except Unfit as error:
            raise ManifestDamaged(self.path, error) from error

    def each(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Like `rows`, one row at a time: they are never all in memory.

        Raises CacheError if the file is read without locks, and changes meanwhile.
        """
        with manifest_errors(self.path):
            cursor = self._db.execute(query, (self.dataset, *values))
            self._reading.add(cursor)
            # `yield from` would close the cursor with the generator, perhaps after the database was closed.
            for row in cursor:
                if self._has_moved:
                    raise opening.changing(self.path)
                yield row

    def moment(self) -> object:
        """A value that stays equal as long as nobody else commits anything."""
        with manifest_errors(self.path):
            if self._view and self._view.seen:
                return self._views, opening.Stamp.of(self._view.path)
            return self._views, self._db.execute("PRAGMA data_version").fetchone()[0]

    def refresh(self) -> None:
        """See what was committed since, if this reads a copy."""
        if self._view and self._view.has_moved:
            with manifest_errors(self.path):
                self._look_again()

    def at_once(self, read: Callable[[], _Result]) -> _Result:
        """What several queries say at one moment, whatever is committed between them. Raises CacheError."""
        for _ in opening.tries():
            views, connection = self._views, self._db
            with self._pinned(connection):
                found = read()
            if self._views == views:
                return found
        raise opening.changing(self.path)

    @contextmanager
    def _pinned(self, connection: sqlite3.Connection) -> Iterator[None]:
        """A transaction that only reads; nothing if one is already open."""
        if connection.in_transaction:
            yield
            return
        with manifest_errors(self.path):
            connection.execute("BEGIN")
        try:
            yield
        finally:
            if self._db is connection:  # otherwise it was closed because the file had changed
                connection.execute("ROLLBACK")

    @property
    def _has_moved(self) -> bool:
        """Whether what was just read without locks may be torn."""
        return self._view is not None and self._view.in_place and self._view.has_moved

    def _settled(self, read: Callable[[], _Result]) -> _Result:
        """Read, and read again if the file changed meanwhile because no lock prevented it."""
        for _ in opening.tries():
            try:
                found = read()
            except sqlite3.DatabaseError:
                if not self._has_moved:
                    raise
            else:
                if not self._has_moved:
                    return found
            self._look_again()
        raise opening.changing(self.path)

    def _look_again(self) -> None:
        view, before = _current(self.path), self._db
        self._view, self._db, self._views = view, view.connection, self._views + 1
        before.close()


def _refuse_odd(path: Path) -> None:
    """Raise ManifestDamaged if a folder or a pipe, say, has the file's name: SQLite would wait for a pipe."""
    if path.exists() and not path.is_file():
        raise ManifestDamaged(path, "it is not a file")
    for companion in (path.with_name(f"{path.name}{end}") for end in ("-journal", "-wal", "-shm")):
        if files.is_no_file(companion):
            raise CacheError(f"the manifest {path}: {companion.name} beside it is not an SQLite file: remove it")


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(100)


def _connected(path: Path) -> sqlite3.Connection:
    # SQLite gives the log and `-shm` the mode of this file: the umask decides who else may use them.
    files.ensure(path)
    # The committer works in a thread; it is the only one that uses the connection while it does.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    with opening.closed_on_error(connection):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    return connection


def _current(path: Path) -> opening.View:
    """A view of the file; if it is missing or of an older version, of a migrated copy in memory."""
    seen = opening.Stamp.of(path)
    found = opening.view(path)
    with opening.closed_on_error(found.connection):
        if schema.is_current(found.connection, path):
            return found
    with closing(found.connection):
        copy = opening.memory()
        with opening.closed_on_error(copy):
            found.connection.backup(copy)
            schema.migrate(copy, path)
    return opening.View(copy, found.path, seen)


@contextmanager
def manifest_errors(path: Path, write: bool = False) -> Iterator[None]:
    """Raise errors of SQLite and the system as CacheError; those that mean damage as ManifestDamaged.

    If the permission to read the manifest, or to `write` it, is missing, the error says which.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise ManifestDamaged(path, error) from error
        raise CacheError(rights.with_missing(f"the manifest {path}: {error}", path, write)) from error
    except UnicodeDecodeError as error:  # SQLite's own message quotes what it could not read
        raise ManifestDamaged(path, error) from error
    except OSError as error:
        said = f"the manifest {path}: {error.strerror or error}"
        raise CacheError(rights.with_missing(said, path, write)) from error


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file's content is at fault, and not the disk, its permissions, or another process."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return str(error).startswith("Could not decode")  # invalid UTF-8, which Python notices and SQLite does not
    if code == sqlite3.SQLITE_ERROR:
        return _LACKS.search(str(error)) is not None
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
