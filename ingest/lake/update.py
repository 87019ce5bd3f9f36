"""Brings the lake up to date with the committed sessions: writes what is due, removes what nothing wants any more.

Each file is durable before the manifest knows it. After a kill in between it looks like a changed one, and is written
again.
"""

import time

from ingest.cache.cache import Cache
from ingest.errors import CacheError, ManifestDamaged
from ingest.events import LakeWritten
from ingest.lake.partitions import Standing


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
    from ingest.lake.writing import write  # polars, which a run with nothing to do does not import

    standing.folder.create()
    rows, failed = 0, None
    for partition in due:
        try:
            file = write(cache, standing.folder, partition)
        except ManifestDamaged:
            raise
        except CacheError as error:  # its file stays as it was, and counts as outdated
            failed = failed or error
            continue
        cache.manifest.lake.put([file])
        rows += file.rows
    if failed:
        raise failed
    return LakeWritten(len(due), len(unwanted), rows, time.monotonic() - started)
