"""The files of the lake in the manifest: what each was made of, and how to recognize it.

Nothing marks a file as outdated: it is, once the sessions that it covers are not those that it was made of. So whatever
commits a session, even while the lake is off, cannot forget to.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import date

from ingest.cache.manifest.database import Database
from ingest.cache.manifest.integrity.tables import columns, committed

FORMAT = 2
"""Of the files; since 2, those of options have what tickers say. Files of another format are written again."""


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One file of the lake: its partition, the hash of what it was made of, its rows, and how to recognize it.

    `place` is the URL of the object store that it is in, "" for the cache's folder. A file is recognized by `size` and
    `mtime_ns`, an object by `size` and `etag`; its `mtime_ns` is when it was put, by this computer's clock.
    """

    partition: str
    contents: str
    rows: int
    sha256: str
    size: int
    mtime_ns: int
    format: int = FORMAT
    place: str = ""
    etag: str = ""


_NAMES = tuple(field.name for field in fields(LakeFile))
_FILE = columns("lake", *_NAMES)
_MADE_OF = committed("session", "text_sha256", "tracked_rows", "archive_rows", "archive_kept", "tracked_set")


@dataclass(frozen=True, slots=True)
class LakeFiles:
    """The files of the lake of one dataset."""

    database: Database

    def exists(self) -> bool:
        """Whether there is any file."""
        return bool(self.database.rows("SELECT EXISTS (SELECT 1 FROM lake WHERE dataset = ?)")[0][0])

    def datasets(self) -> frozenset[str]:
        """All datasets that have a file."""
        return frozenset(name for (name,) in self.database.ask("SELECT DISTINCT dataset FROM lake", ()))

    def is_anywhere_but(self, place: str) -> bool:
        """Whether there is a file of any dataset in another place than this: a URL, or "" for the cache's folder."""
        return bool(self.database.ask("SELECT EXISTS (SELECT 1 FROM lake WHERE place <> ?)", (place,))[0][0])

    def all(self) -> dict[str, LakeFile]:
        """Every file, by its partition, ascending."""
        query = f"SELECT {', '.join(_NAMES)} FROM lake WHERE dataset = ? ORDER BY partition"  # noqa: S608 - from here
        return {row[0]: LakeFile(*row) for row in self.database.typed(_FILE, query)}

    def made_of(self, first: date = date.min, last: date = date.max) -> dict[date, str]:
        """What the rows of each committed session depend on, ascending; `first` and `last` are inclusive.

        Two commits of a session with the same value have the same rows. Raises ManifestDamaged, except for a session
        that is hidden: see `Manifest.at_once`.
        """
        query = (
            "SELECT session, text_sha256, tracked_rows, archive_rows, archive_kept, tracked_set FROM sessions "
            "WHERE dataset = ? AND held = 'committed' AND session BETWEEN ? AND ? ORDER BY session"
        )
        rows = self.database.typed(_MADE_OF, query, first.isoformat(), last.isoformat())
        return {
            day: f"{sha256} {tracked + archived}{'' if kept else f' {split_by}'}"
            for day, sha256, tracked, archived, kept, split_by in rows
        }

    def put(self, files: Iterable[LakeFile]) -> None:
        """Record files that are durable."""
        rows = [(self.database.dataset, *astuple(one)) for one in files]
        with self.database.transaction() as db:
            db.executemany(
                f"INSERT OR REPLACE INTO lake (dataset, {', '.join(_NAMES)}) VALUES (?{', ?' * len(_NAMES)})",  # noqa: S608
                rows,
            )

    def forget(self, partitions: Iterable[str]) -> None:
        """Forget the files of these partitions."""
        with self.database.transaction() as db:
            rows = [(self.database.dataset, one) for one in partitions]
            db.executemany("DELETE FROM lake WHERE dataset = ? AND partition = ?", rows)
