"""Brings the lake up to date with the committed sessions: writes what is due, removes what nothing wants any more.

Each file is durable before the manifest knows it. After a kill in between it looks like a changed one, and is written
again.
"""

import time
from collections.abc import Sequence

from ingest.cache.cache import Cache
from ingest.cache.layout import PartsOf
from ingest.cache.manifest.lake import LakeFile
from ingest.cache.parts.ahead import read_ahead
from ingest.errors import CacheError, ManifestDamaged
from ingest.events import LakeWritten
from ingest.lake.partitions import LakeFolder, Partition, Standing

_THREADS = 2


def bring_lake_up_to_date(cache: Cache) -> LakeWritten | None:
    """Make the lake of a dataset equal to its parts; None if there was nothing to do. Requires the lock.

    Raises CacheError; if a part cannot be read, only after all files that do not need it are up to date.
    """
    started, standing = time.monotonic(), Standing.of(cache)
    due, unwanted = standing.due(), standing.unwanted()
    standing.folder.sweep()
    for name in unwanted:
        standing.folder.drop(name)
    cache.manifest.lake.forget(unwanted)
    if not due:
        return LakeWritten(0, len(unwanted), 0, time.monotonic() - started) if unwanted else None
    rows = _written(cache, standing.folder, due)
    return LakeWritten(len(due), len(unwanted), rows, time.monotonic() - started)


def _written(cache: Cache, folder: LakeFolder, due: Sequence[Partition]) -> int:
    """Write the files that are due, two at once; returns their rows. Raises a CacheError once all were tried."""
    from ingest.lake.writing import write  # polars, which a run with nothing to do does not import

    def attempt(partition: Partition, sessions: Sequence[PartsOf]) -> LakeFile | CacheError:
        try:
            return write(cache, folder, partition, sessions)
        except ManifestDamaged:
            raise
        except CacheError as error:  # its file stays as it was, and counts as outdated
            return error

    folder.create()
    rows, failed = 0, list[CacheError]()
    # The manifest is asked by this thread alone.
    tasks = ((partition, list(cache.manifest.sessions.parts(partition.sessions))) for partition in due)
    for done in read_ahead(lambda task: attempt(*task), tasks, _THREADS):
        if isinstance(done, CacheError):
            failed.append(done)
        else:
            cache.manifest.lake.put([done])
            rows += done.rows
    if failed:
        raise failed[0]
    return rows
