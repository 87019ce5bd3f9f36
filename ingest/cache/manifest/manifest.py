"""The manifest as facets, each for a few of its tables; all of them use one `Database`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Self, TypeVar

from ingest.cache.manifest.csvs import Csvs
from ingest.cache.manifest.database import Database
from ingest.cache.manifest.findings import KeptFindings
from ingest.cache.manifest.lake import LakeFiles
from ingest.cache.manifest.replacements import Replacements
from ingest.cache.manifest.runs import KnownSource, RunLog
from ingest.cache.manifest.sessions import KnownSessions, TrackedSets
from ingest.cache.manifest.stores.identity import Identity
from ingest.cache.manifest.stores.objects import KnownObjects
from ingest.cache.manifest.stores.places import KnownPlaces
from ingest.cache.manifest.yahoo import Quotes

_Result = TypeVar("_Result")


class Manifest:
    """The manifest of one cache: what is stored, and what a run needs to know of it.

    It is opened for one dataset, or for none: then only what concerns all of them can be asked.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.runs, self.source = RunLog(database), KnownSource(database)
        self.tracked_sets = TrackedSets(database)
        self.sessions = KnownSessions(database, self.tracked_sets)
        self.findings, self.replacements = KeptFindings(database), Replacements(database)
        self.csvs, self.yahoo = Csvs(database), Quotes(database)
        self.lake = LakeFiles(database)
        self.objects, self.identity, self.places = KnownObjects(database), Identity(database), KnownPlaces(database)

    @classmethod
    @contextmanager
    def open(cls, path: Path, dataset: str = "") -> Iterator[Self]:
        """Open for writing, as `Database.open` does."""
        with Database.open(path, dataset) as database:
            yield cls(database)

    @classmethod
    @contextmanager
    def read(cls, path: Path, dataset: str = "") -> Iterator[Self]:
        """Open for reading, as `Database.read` does."""
        with Database.read(path, dataset) as database:
            yield cls(database)

    def at_once(self, read: Callable[[], _Result], first: date = date.min, last: date = date.max) -> _Result:
        """What several queries say at one moment, whatever is committed between them.

        They are about sessions from `first` to `last`. Raises CacheError, and ManifestDamaged for a session with an
        impossible state or date, which those queries would miss.
        """

        def looked() -> _Result:
            self.sessions.none_is_hidden(first, last)
            return read()

        return self.database.at_once(looked)

    def moment(self) -> object:
        """A value that stays equal as long as nobody else commits anything."""
        return self.database.moment()

    def refresh(self) -> None:
        """See what was committed since, if this reads a copy."""
        self.database.refresh()
