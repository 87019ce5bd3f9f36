"""The lake and its tables together: what a run, a build and a repair bring up to date."""

from collections.abc import Callable

from ingest.cache.cache import Cache
from ingest.errors import CacheError
from ingest.events import LakeWritten, TableWritten
from ingest.lake.update import Arriving, bring_lake_up_to_date
from ingest.settings.sections.lake import Lake

Report = Callable[[LakeWritten | TableWritten], None]


def keep_up_to_date(
    cache: Cache, lake: Lake, report: Report, look: bool = False, arriving: Arriving | None = None
) -> None:
    """Bring the files of a dataset's lake up to date, then its table, if the settings want one; report what is new.

    A file that cannot be written does not keep the others from the table. With `look` the table is looked at even if
    it seems to be up to date. What is `arriving` need not be read from the parts. Requires the lock. Raises
    CacheError, and UsageError without the library for tables.
    """
    failed = _files(cache, report, arriving)
    if lake.iceberg:
        from ingest.lake.iceberg.update import bring_table_up_to_date  # most lakes have no table

        if done := bring_table_up_to_date(cache, lake, look):
            report(done)
    if failed:
        raise failed


def _files(cache: Cache, report: Report, arriving: Arriving | None) -> CacheError | None:
    try:
        done = bring_lake_up_to_date(cache, arriving.rows if arriving else None)
    except CacheError as error:
        return error
    if all_done := arriving.with_these(done) if arriving else done:
        report(all_done)
    return None
