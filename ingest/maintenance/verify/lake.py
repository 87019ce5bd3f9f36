"""Compares the files of the lake with the manifest and, on request, with the parts."""

from collections.abc import Iterator

import polars as pl

from ingest.cache.cache import Cache
from ingest.files import opening
from ingest.files.hashing import sha256_of
from ingest.lake.folder import LakeFolder
from ingest.lake.frames import frames
from ingest.lake.iceberg.state import TableFlaw, table_flaws
from ingest.lake.partitions import Partition, Standing
from ingest.maintenance.verify.problems import Kind, Problem
from ingest.settings.sections.lake import Lake

AFRESH = "a repair writes it again from the parts"
STRANGE = "it is no file of ingest, and other programs that read the lake count its rows, too: move it away"
DROPPED = "a repair drops the snapshot"
PUT_BACK = "a repair puts it back, or drops the snapshots that need it"


def check_files(standing: Standing) -> Iterator[Problem]:
    """Compare the files with their hashes, objects with a listing; those that are outdated are made again anyway."""
    folder = standing.folder
    yield from _check_local(standing, folder) if isinstance(folder, LakeFolder) else _check_listed(standing)


def _check_listed(standing: Standing) -> Iterator[Problem]:
    current = standing.current()
    if not current:
        return
    looked = standing.folder.look([standing.files[one.name] for one in current])
    for partition in current:
        if partition.name not in looked.found:
            yield _problem("missing", standing, partition, "the object is gone")
        elif partition.name not in looked.intact:
            yield _problem("damaged", standing, partition, "it has been changed since it was written")


def _check_local(standing: Standing, folder: LakeFolder) -> Iterator[Problem]:
    for partition in standing.current():
        try:
            sha256 = sha256_of(folder.file(partition.name))
        except FileNotFoundError:
            yield _problem("missing", standing, partition, "the file is gone")
            continue
        except OSError as error:
            yield _problem("damaged", standing, partition, opening.why_unread(error))
            continue
        if sha256 != standing.files[partition.name].sha256:
            yield _problem("damaged", standing, partition, "it has been changed since it was written")
    for name in folder.foreign():
        yield Problem("orphan", "lake", name, STRANGE)


def compare_rows(cache: Cache, standing: Standing) -> Iterator[Problem]:
    """Compare the rows of each file with those of its parts. Raises CacheError if a part is damaged."""
    for partition in standing.current():
        file, parts = standing.files[partition.name], list(cache.manifest.sessions.parts(partition.sessions))
        try:
            stored = standing.folder.scan([file]).collect()
        except (OSError, pl.exceptions.PolarsError):
            continue  # it has been named
        at = 0
        for frame in frames(cache, parts):
            found = stored.slice(at, frame.height)
            if not found.equals(frame):
                yield _problem("damaged", standing, partition, f"{_where(found, frame)} differs from the parts")
                break
            at += frame.height
        else:
            if at < stored.height:
                yield _problem("damaged", standing, partition, "it has more rows than the parts")


def check_table(cache: Cache, lake: Lake) -> Iterator[Problem]:
    """Compare the files that the table's snapshots need with their hashes. Raises UsageError without the library."""
    for flaw in table_flaws(cache, lake):
        kind: Kind = "missing" if flaw.is_missing else "damaged"
        yield Problem(kind, "lake", flaw.name, f"{flaw.why}; {_remedy(flaw)}")


def _remedy(flaw: TableFlaw) -> str:
    if flaw.kept_by:
        return f"nothing brings it back, and {flaw.kept_by} keeps the snapshot: remove that, and a repair drops it"
    return DROPPED if flaw.snapshot else PUT_BACK


def _where(found: pl.DataFrame, frame: pl.DataFrame) -> str:
    """The first session whose rows differ, in words."""
    for (session,), rows in frame.partition_by("date", as_dict=True).items():
        if found.schema != frame.schema or not found.filter(pl.col("date") == session).equals(rows):
            return f"the session {session}"
    return "a session"


def _problem(kind: Kind, standing: Standing, partition: Partition, why: str) -> Problem:
    return Problem(kind, "lake", standing.folder.described(partition.name), f"{why}; {AFRESH}", period=partition.name)
