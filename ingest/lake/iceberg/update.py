"""Brings a table up to date with the files of the lake, by one snapshot.

Data files are durable before the snapshot that names them, and nothing is noted before that snapshot is there. After a
kill anywhere, the next update finds what is missing by looking, and removes files that no snapshot names.
"""

import time
from dataclasses import replace

from ingest.cache.cache import Cache
from ingest.errors import CacheError
from ingest.events import TableWritten
from ingest.importing import uninterrupted
from ingest.lake.iceberg.naming import Goal, TableFolder
from ingest.lake.iceberg.noting import Noted
from ingest.settings.sections.lake import Lake, require_iceberg

_TRIES = 3


def bring_table_up_to_date(cache: Cache, lake: Lake, look: bool = False) -> TableWritten | None:
    """Make the table of a dataset equal to the clean files of its lake; None if there was nothing to do.

    With `look` the table itself is looked at in any case. Requires the lock. Raises UsageError if the library is not
    installed, and CacheError.
    """
    require_iceberg()
    started, folder, goal = time.monotonic(), TableFolder.of(cache), Goal.of(cache)
    said = folder.make_room()
    noted = Noted.read(folder)
    if not (look or said) and noted.is_up_to_date(folder, goal, lake.catalog):
        return None
    with uninterrupted():
        from ingest.lake.iceberg.attempt import Attempt  # and with it the library

    attempt = Attempt(cache, lake, folder, goal, noted, look=look)
    for _ in range(_TRIES):
        if (done := attempt.make()) is not None:
            notice = "; ".join([*said, *filter(None, [done.notice])])
            done = replace(done, seconds=time.monotonic() - started, notice=notice)
            return done if done.snapshot or done.notice else None
    told = "other programs keep changing the table"
    raise CacheError(f"Iceberg: {told} {folder.table}; the next run, or the next build, updates it")
