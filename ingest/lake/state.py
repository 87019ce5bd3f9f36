"""What the lake of a dataset has, and what it is missing: the answer to `ingest lake status`."""

from dataclasses import asdict, dataclass
from datetime import date

from ingest.cache import lock
from ingest.cache.cache import Cache
from ingest.cache.commit import for_writing
from ingest.cache.manifest import Manifest
from ingest.cache.rebuild import part_days
from ingest.errors import CacheError
from ingest.events import LakeWritten, TableWritten
from ingest.files import durable, opening
from ingest.hints import call
from ingest.lake.elsewhere import drop_all, other_place
from ingest.lake.iceberg.naming import TableFolder
from ingest.lake.iceberg.state import SnapshotState, drop_table, snapshots_of, table_state
from ingest.lake.keeping import keep_up_to_date
from ingest.lake.partitions import Standing, lake_of
from ingest.market.catalogue import CATALOGUE
from ingest.market.datasets import Dataset
from ingest.notebook import in_html
from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class LakeState:
    """The lake of a dataset: `pattern` matches its files, for tools that read Parquet.

    `files` are clean, with `rows` and `bytes`, and cover `sessions` from `first` to `last` (None without any). `due`
    files are missing or outdated, and cover `due_sessions`; `unwanted` ones are of sessions that are no longer stored.

    With `[lake] iceberg` there is a `table` of a `catalog`: the URL of its `metadata`, the id of its newest `snapshot`,
    as text, and how many `snapshots` can be read; "" and 0 while there is none.
    """

    dataset: str
    pattern: str
    files: int
    rows: int
    bytes: int
    sessions: int
    first: date | None
    last: date | None
    due: int
    due_sessions: int
    unwanted: int
    table: str = ""
    catalog: str = ""
    metadata: str = ""
    snapshot: str = ""
    snapshots: int = 0

    def _repr_html_(self) -> str:
        """A table, for a notebook."""
        return in_html(self)


def lake_state(settings: Settings, dataset: Dataset) -> LakeState:
    """The state of a dataset's lake; nothing is written. Raises CacheError, and UsageError without a needed library."""
    with Cache.read(settings, dataset) as cache:
        standing = Standing.of(cache)
        looked = standing.looked()
        clean, due = looked.clean, looked.due
        days = [day for one in clean for day in one.sessions]
        files = [standing.files[one.name] for one in clean]
        table = table_state(cache, settings.lake) if settings.lake.iceberg else None
        return LakeState(
            dataset=dataset.short,
            pattern=standing.folder.pattern,
            files=len(files),
            rows=sum(one.rows for one in files),
            bytes=sum(one.size for one in files),
            sessions=len(days),
            first=min(days, default=None),
            last=max(days, default=None),
            due=len(due),
            due_sessions=sum(len(one.sessions) for one in due),
            unwanted=len(looked.unwanted),
            **(asdict(table) if table else {}),
        )


def lakes_left(settings: Settings) -> tuple[Dataset, ...]:
    """The datasets that have files of the lake, or a table beside it, even if none of their sessions is stored.

    Raises CacheError.
    """
    with Manifest.read(settings.manifest_path) as manifest:
        known = manifest.lake.datasets()
    return tuple(one for one in CATALOGUE.values() if one.name in known or has_table(settings, one))


def has_table(settings: Settings, dataset: Dataset) -> bool:
    """Whether the table of a dataset is beside the lake. Raises CacheError."""
    folder = TableFolder.beside(settings.manifest_path, dataset).path
    with durable.translated("look for", folder):
        return opening.is_folder(folder)


def lake_snapshots(settings: Settings, dataset: Dataset) -> list[SnapshotState]:
    """The snapshots of a dataset's table, oldest first; none without one.

    Raises UsageError if the library for tables is not installed, and CacheError.
    """
    with Cache.read(settings, dataset) as cache:
        return snapshots_of(cache, settings.lake)


def build_lake(settings: Settings, dataset: Dataset) -> list[LakeWritten | TableWritten]:
    """Write what a dataset's lake is missing, and its table, if the settings want one; nothing if there was none to do.

    Raises CacheError, also if the manifest is lost while there are parts, UsageError if the library for tables is not
    installed, and CacheLocked.
    """
    done = list[LakeWritten | TableWritten]()
    with lock.hold(settings.cache.root), for_writing(settings, dataset) as cache:
        if not cache.manifest.sessions.committed() and (days := part_days(cache.parts)):
            raise CacheError(
                f"the manifest knows no session, and there are parts of {len(days):,}",
                call("verify", "to restore it from them", dataset=dataset.short, repair=True),
            )
        keep_up_to_date(cache, settings.lake, done.append, look=True)
        if cache.writer:
            cache.writer.snapshot(cache.run)
    return done


def drop_lake(settings: Settings, dataset: Dataset) -> int:
    """Remove the files of a dataset's lake, and its table; returns how many files. Raises CacheError, CacheLocked."""
    with lock.hold(settings.cache.root), for_writing(settings, dataset) as cache:
        cache.manifest.lake.forget(cache.manifest.lake.all())  # first: a kill leaves files that nothing reads
        drop_table(cache, settings.lake)
        places = [lake_of(cache), other_place(cache)]
        return sum(drop_all(cache, one) for one in places if one is not None)
