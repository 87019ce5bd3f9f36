"""What a table has, for people and for `verify`, read without a lock and without a write; and how it goes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.cache.cache import Cache
from ingest.errors import CacheError, warn
from ingest.files import durable, opening
from ingest.files.hashing import sha256_of
from ingest.hints import call
from ingest.importing import uninterrupted
from ingest.lake.iceberg.catalog import registered, unregister
from ingest.lake.iceberg.naming import DataName, Goal, TableFolder, is_configured
from ingest.lake.iceberg.noting import Noted
from ingest.settings.sections.lake import Lake, require_iceberg

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True, slots=True)
class TableState:
    """The table of a dataset: its name in a `catalog`, the URL of its `metadata`, its newest snapshot's id, as text.

    `snapshots` counts those that can be read.
    """

    table: str
    catalog: str
    metadata: str
    snapshot: str
    snapshots: int


@dataclass(frozen=True, slots=True)
class SnapshotState:
    """A snapshot of a `table`: its id, as text, when it was made, and whether it is the newest.

    It added, changed or removed rows of `sessions` sessions, from `first` to `last`; None if another program made it,
    or if it removed rows alone. It has `rows` rows in `files` data files.
    """

    table: str
    snapshot: str
    made: datetime
    newest: bool
    sessions: int | None
    first: date | None
    last: date | None
    rows: int
    files: int


def table_state(cache: Cache, lake: Lake) -> TableState | None:
    """The table of a cache's dataset; None if there is none, or, with a warning, if its metadata is lost or damaged.

    Of one that is elsewhere only what is lost is no error. Raises UsageError without the library, and CacheError.
    """
    folder = TableFolder.of(cache)
    try:
        table = _looked_up(cache, lake)
    except CacheError as error:
        if is_configured(lake.catalog) and not isinstance(error.__cause__, FileNotFoundError):
            raise
        registered(folder, lake.catalog)  # which raises again while the catalog is locked
        warn(error.message, *error.hints)
        return None
    if table is None:
        return None
    newest = table.current_snapshot()
    told = str(newest.snapshot_id) if newest else ""
    return TableState(folder.table, lake.catalog, table.metadata_location, told, len(table.metadata.snapshots))


def snapshots_of(cache: Cache, lake: Lake) -> list[SnapshotState]:
    """The snapshots of a dataset's table, oldest first; none if there is no table. Raises UsageError, CacheError."""
    folder = TableFolder.of(cache)
    table = _looked_up(cache, lake)
    if table is None:
        _check_catalog(folder)
        return []
    newest = table.current_snapshot()
    found = []
    for one in sorted(table.metadata.snapshots, key=lambda one: one.sequence_number or 0):
        told = one.summary.additional_properties if one.summary else {}
        count, first, last = _sessions(told)
        found.append(
            SnapshotState(
                table=folder.table,
                snapshot=str(one.snapshot_id),
                made=datetime.fromtimestamp(one.timestamp_ms / 1000, UTC),
                newest=newest is not None and one.snapshot_id == newest.snapshot_id,
                sessions=count,
                first=first,
                last=last,
                rows=int(told.get("total-records", 0)),
                files=int(told.get("total-data-files", 0)),
            )
        )
    return found


def _check_catalog(folder: TableFolder) -> None:
    from ingest.lake.iceberg.tables import is_database

    if opening.is_there(folder.catalog) and not is_database(folder):
        raise CacheError(f"the catalog {folder.catalog} is damaged", call("lake build", "to find its tables again"))


def _sessions(told: Mapping[str, str]) -> tuple[int | None, date | None, date | None]:
    """How many sessions a snapshot says that it changed, the first and the last; none if another program made it."""
    count, first, last = (told.get(f"ingest.{name}") for name in ("sessions", "first", "last"))
    try:
        begin, end = (date.fromisoformat(one) if one else None for one in (first, last))
        return int(count) if count else None, begin, end
    except ValueError:
        return None, None, None


def _looked_up(cache: Cache, lake: Lake) -> "Table | None":
    """The table as the catalog has it; None if it has none. Raises UsageError without the library, CacheError."""
    require_iceberg()
    with uninterrupted():
        from pyiceberg.exceptions import NoSuchTableError
        from pyiceberg.table import StaticTable

        from ingest.lake.iceberg.tables import configured, to_make_again, translated
    folder = TableFolder.of(cache)
    hints = [] if is_configured(lake.catalog) else [call("lake build", "to put it right")]
    lost = [] if hints else [to_make_again(cache.dataset)]
    with translated(f"read the table {folder.table} of the catalog {lake.catalog}", *hints, if_lost=lost):
        if catalog := configured(lake.catalog):
            try:
                return catalog.load_table(folder.table)
            except NoSuchTableError:
                return None
        location = registered(folder, lake.catalog)
        is_here = location is not None and location.startswith(f"{folder.location}/")
        return StaticTable.from_metadata(location) if location and is_here else None


@dataclass(frozen=True, slots=True)
class TableFlaw:
    """A file that a snapshot needs and that is not as it was written, or a table that is not there: why, in words.

    `snapshot` is the id of one whose lists are not whole, or "". `kept_by` is the tag or the branch, in words, that
    keeps an earlier snapshot of which something is lost for ever, or "".
    """

    name: str
    why: str
    is_missing: bool
    file: Path | None = None
    snapshot: str = ""
    kept_by: str = ""


def table_flaws(cache: Cache, lake: Lake) -> Iterator[TableFlaw]:
    """What is wrong with the table of a cache's dataset, as far as its files are beside the lake: each is read.

    Raises UsageError without the library.
    """
    folder = TableFolder.of(cache)
    try:
        table = _looked_up(cache, lake)
        needs = _needs(table, folder) if table else []
    except CacheError as error:
        yield TableFlaw(folder.table, error.message, is_missing=False)
        return
    if table is None and opening.is_there(folder.noted):
        yield TableFlaw(folder.table, f"the catalog {lake.catalog} has no such table", is_missing=True)
    yield from _unlisted(needs, folder)
    yield from _damaged(needs, folder)


@dataclass(frozen=True, slots=True)
class _Need:
    """What a snapshot needs: its data files, with sizes in bytes; None if its lists are not whole."""

    snapshot: str
    data: Mapping[str, int] | None
    is_newest: bool
    kept_by: str


def _needs(table: "Table", folder: TableFolder) -> list[_Need]:
    from ingest.lake.iceberg.snapshots import needed_data
    from ingest.lake.iceberg.tables import translated

    newest = table.metadata.current_snapshot_id
    names = {ref.snapshot_id: f"the {ref.snapshot_ref_type} {name}" for name, ref in table.metadata.refs.items()}
    with translated(f"read the snapshots of the table {folder.table}"):
        found = needed_data(table, table.metadata.snapshots)
    return [
        _Need(str(one), data, is_newest=one == newest, kept_by=names.get(one, "") if one != newest else "")
        for one, data in found.items()
    ]


def _unlisted(needs: Iterable[_Need], folder: TableFolder) -> Iterator[TableFlaw]:
    for one in needs:
        if one.data is None:
            name, why = f"{folder.table}, snapshot {one.snapshot}", "the lists of its data files are gone or damaged"
            yield TableFlaw(name, why, is_missing=False, snapshot=one.snapshot, kept_by=one.kept_by)


def _damaged(needs: Sequence[_Need], folder: TableFolder) -> Iterator[TableFlaw]:
    """Data files that are not as they were written. The lake has those of the newest snapshot, and no others."""
    again = {url for one in needs if one.is_newest for url in one.data or ()}
    kept = {url: one.kept_by for one in needs if one.kept_by for url in one.data or ()}
    for url, size in {url: size for one in needs for url, size in (one.data or {}).items()}.items():
        file = folder.local(url)
        if file is not None and (why := _wrong_with(file, size)):
            name = file.relative_to(folder.root.parent.parent).as_posix()
            yield TableFlaw(name, *why, file, kept_by="" if url in again else kept.get(url, ""))


def _wrong_with(file: Path, size: int) -> tuple[str, bool] | None:
    name = DataName.parse(file.name)
    try:
        if opening.size(file) == size and (name is None or sha256_of(file).startswith(name.own)):
            return None
    except FileNotFoundError:
        return "the file is gone", True
    except OSError as error:
        return opening.why_unread(error), False
    return "it has been changed since it was written", False


def is_behind(cache: Cache, lake: Lake) -> bool:
    """Whether the table was not brought up to date with the clean files of the lake, as far as that was noted."""
    goal = Goal.of(cache)
    return Noted.read(TableFolder.of(cache)).contents != goal.contents and bool(goal.versions)


def drop_table(cache: Cache, lake: Lake) -> bool:
    """Remove the table of a dataset with all its snapshots; False if there is none. Requires the lock.

    One in a catalog that is elsewhere is removed even while Iceberg is off, if an update has left it there. Raises
    UsageError without the library, which one beside the lake does not need, and CacheError.
    """
    folder = TableFolder.of(cache)
    was_there = (lake.iceberg or _is_elsewhere(folder, lake)) and _purged(folder, lake)
    durable.remove_file(folder.noted)
    unregister(folder)
    was_there |= opening.is_folder(folder.path)
    for inside in (folder.path / "data", folder.path / "metadata"):
        for name in opening.inside(inside):
            durable.remove_file(inside / name)
        durable.remove_empty(inside)
    durable.remove_empty(folder.path)
    if opening.inside(folder.root) == [folder.catalog.name]:
        durable.remove_file(folder.catalog)
    durable.remove_empty(folder.root)
    return was_there


def _is_elsewhere(folder: TableFolder, lake: Lake) -> bool:
    left = Noted.read(folder).metadata
    return is_configured(lake.catalog) and bool(left) and folder.local(left) is None


def _purged(folder: TableFolder, lake: Lake) -> bool:
    """Remove the table from a catalog that is elsewhere, with its files."""
    require_iceberg()
    from pyiceberg.exceptions import NoSuchTableError

    from ingest.lake.iceberg.tables import configured, translated

    with translated(f"drop the table {folder.table} of the catalog {lake.catalog}"):
        catalog = configured(lake.catalog)
        if catalog is None:
            return False
        try:
            if not catalog.table_exists(folder.table):
                return False
            catalog.purge_table(folder.table)
        except FileNotFoundError:  # a file that names others is gone: they stay, and the table goes
            with suppress(NoSuchTableError):
                catalog.drop_table(folder.table)
    return True
