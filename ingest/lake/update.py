"""Brings the lake up to date with the committed sessions: writes what is due, removes what nothing wants any more.

The manifest forgets each file before it is written, and knows it once it is durable. After a kill in between it is
written again. Files in another place than that of the settings go first: there is one lake.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from itertools import groupby
from typing import Self

from ingest.cache.cache import Cache
from ingest.cache.layout import PartsOf
from ingest.cache.manifest.lake import LakeFile
from ingest.cache.parts.ahead import read_ahead
from ingest.cache.parts.handed import HandedRows
from ingest.errors import CacheError, ManifestDamaged, StoreUnavailable
from ingest.events import LakeWritten
from ingest.lake.elsewhere import claim_lake, leave_other_place
from ingest.lake.folder import LakePlace
from ingest.lake.partitions import Partition, Standing, partition_of

_THREADS = 2
"""Files of months that are written at once. Larger ones are written one by one: that takes little more time, since
polars has one thread in a run, and a run that has just split large files holds memory, too."""


def bring_lake_up_to_date(cache: Cache, handed: HandedRows | None = None) -> LakeWritten | None:
    """Make the lake of a dataset equal to its parts; None if there was nothing to do. Requires the lock.

    Rows that were `handed` over are not read from the parts.

    Raises CacheError; if a part cannot be read, only after all files that do not need it are up to date.
    """
    started, left = time.monotonic(), leave_other_place(cache)
    standing = Standing.of(cache)
    looked = standing.looked()
    due, removed = looked.due, left + len(looked.unwanted)
    standing.folder.sweep()
    said = list[str]()
    if due or looked.unwanted:
        claim_lake(cache, standing.folder)
        said = standing.folder.make_room([*looked.unwanted, *(one.name for one in due)])
        cache.manifest.lake.forget([*looked.unwanted, *(one.name for one in due)])
        standing.folder.drop(looked.unwanted)
    if not (due or removed):
        return None
    rows = _written(cache, standing.folder, due, handed) if due else 0
    return LakeWritten(len(due), removed, rows, time.monotonic() - started, "; ".join(said))


class Arriving:
    """A run's sessions on their way into the lake: the file of a month is written once the last of them has ended.

    So the rows of few months are in memory at a time, and none are read from the parts. What cannot be written yet is
    left to `bring_lake_up_to_date`.
    """

    def __init__(self, cache: Cache, planned: Iterable[date]) -> None:
        self._cache, self.rows = cache, HandedRows(cache.dataset)
        self._under_way = Counter(partition_of(cache.dataset, session) for session in planned)
        self._done = LakeWritten(0, 0, 0, 0.0)

    @classmethod
    def of(cls, cache: Cache, planned: Iterable[date]) -> Self | None:
        """None if they do not share files, or if these are not in the cache's folder."""
        is_elsewhere = cache.lake_store is not None or cache.writer is not None
        return cls(cache, planned) if cache.dataset.by_month and not is_elsewhere else None

    def ended(self, sessions: Iterable[date]) -> None:
        """Write the files of months of which these were the last. Requires the lock."""
        for month, ended in groupby(sorted(sessions), lambda session: partition_of(self._cache.dataset, session)):
            days = list(ended)
            self._under_way[month] -= len(days)
            if not self._under_way[month]:
                with suppress(CacheError):  # the last update of the run meets it, too
                    self._write(days[0])

    def _write(self, session: date) -> None:
        started, standing = time.monotonic(), Standing.of(self._cache, session, session)
        due = [one for one in standing.wanted.values() if not standing.is_clean(one) and self._has(one)]
        self._cache.manifest.lake.forget([one.name for one in due])
        rows = _written(self._cache, standing.folder, due, self.rows)
        self.rows.forget(day for one in due for day in one.sessions)
        self._done = self.with_these(LakeWritten(len(due), 0, rows, time.monotonic() - started)) or self._done

    def _has(self, partition: Partition) -> bool:
        return all(map(self.rows.knows, self._cache.manifest.sessions.parts(partition.sessions)))

    def with_these(self, others: LakeWritten | None) -> LakeWritten | None:
        """All that was written, with what another update wrote; None if that is nothing."""
        mine, more = self._done, others or LakeWritten(0, 0, 0, 0.0)
        total = replace(
            more, files=mine.files + more.files, rows=mine.rows + more.rows, seconds=mine.seconds + more.seconds
        )
        return total if total.files or total.removed else None


def _written(cache: Cache, folder: LakePlace, due: Sequence[Partition], handed: HandedRows | None) -> int:
    """Write the files that are due, some at once; returns their rows. Raises a CacheError once all were tried."""
    from ingest.lake.writing import write  # polars, which a run with nothing to do does not import

    def attempt(partition: Partition, sessions: Sequence[PartsOf]) -> LakeFile | CacheError:
        try:
            return write(cache, folder, partition, sessions, handed)
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
