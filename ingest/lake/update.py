"""Brings the lake up to date with the committed sessions: writes what is due, removes what nothing wants any more.

The manifest forgets each file before it is written, and knows it once it is durable. After a kill in between it is
written again. Files in another place than that of the settings go first: there is one lake.
"""

import time
from collections.abc import Sequence

from ingest.cache.cache import Cache
from ingest.cache.layout import PartsOf
from ingest.cache.manifest.lake import LakeFile
from ingest.cache.parts.ahead import read_ahead
from ingest.errors import CacheError, ManifestDamaged, StoreUnavailable
from ingest.events import LakeWritten
from ingest.lake.elsewhere import claim_lake, leave_other_place
from ingest.lake.folder import LakePlace
from ingest.lake.partitions import Partition, Standing

_THREADS = 2
"""Files of months that are written at once. Larger ones are written one by one: that takes little more time, since
polars has one thread in a run, and a run that has just split large files holds memory, too."""


def bring_lake_up_to_date(cache: Cache) -> LakeWritten | None:
    """Make the lake of a dataset equal to its parts; None if there was nothing to do. Requires the lock.

    Raises CacheError; if a part cannot be read, only after all files that do not need it are up to date.
    """
    started, left = time.monotonic(), leave_other_place(cache)
    standing = Standing.of(cache)
    looked = standing.looked()
    due, removed = looked.due, left + len(looked.unwanted)
    standing.folder.sweep()
    if due or looked.unwanted:
        claim_lake(cache, standing.folder)
        cache.manifest.lake.forget([*looked.unwanted, *(one.name for one in due)])
        standing.folder.drop(looked.unwanted)
    if not due:
        return LakeWritten(0, removed, 0, time.monotonic() - started) if removed else None
    rows = _written(cache, standing.folder, due)
    return LakeWritten(len(due), removed, rows, time.monotonic() - started)


def _written(cache: Cache, folder: LakePlace, due: Sequence[Partition]) -> int:
    """Write the files that are due, some at once; returns their rows. Raises a CacheError once all were tried."""
    from ingest.lake.writing import write  # polars, which a run with nothing to do does not import

    def attempt(partition: Partition, sessions: Sequence[PartsOf]) -> LakeFile | CacheError:
        try:
            return write(cache, folder, partition, sessions)
        except (ManifestDamaged, StoreUnavailable):  # no other file would do better, after another wait
            raise
        except CacheError as error:  # its file stays as it was, and counts as outdated
            return error

    folder.create()
    rows, failed = 0, list[CacheError]()
    # The manifest is asked by this thread alone.
    tasks = ((partition, list(cache.manifest.sessions.parts(partition.sessions))) for partition in due)
    for done in read_ahead(lambda task: attempt(*task), tasks, _THREADS if cache.dataset.by_month else 1):
        if isinstance(done, CacheError):
            failed.append(done)
        else:
            cache.manifest.lake.put([done])
            rows += done.rows
    if failed:
        raise failed[0]
    return rows
