"""What the parts say of themselves, taken into a manifest that lacks it: so nothing is downloaded that is there.

A tracked part carries the record of its session (`part_record`). It is believed where both parts are, byte for byte,
what it says; the source's listing then tells, by the ETag, whether it still has that very file. What is not in the
parts is lost with a manifest: corrections, what Yahoo said, which files were refused, earlier runs.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import date

from ingest.cache import part_record
from ingest.cache.cache import Cache, Layout
from ingest.cache.commit import commit_restored
from ingest.cache.layout import PartKey
from ingest.cache.manifest import SessionRecord
from ingest.cache.parts.store import PartStore, matches
from ingest.market.datasets import is_part_name, session_of


def rebuild(cache: Cache) -> str | None:
    """Take up the parts of a cache whose manifest knows none; says in words what came of it. Raises CacheError."""
    if cache.manifest.sessions.committed() or not (found := part_days(cache.parts)):
        return None
    taken = take_up(cache, found)
    left = len(found) - len(taken)
    more = f"; {left:,} will be downloaded again" if left else ""
    return f"the manifest was empty: {len(taken):,} sessions were restored from their parts{more}"


def take_up(cache: Cache, days: Collection[date]) -> tuple[date, ...]:
    """Commit those of these sessions whose parts are what their own word says, in one transaction; returns them.

    One record is in memory at a time. Raises CacheError.
    """
    taken = list[date]()

    def records() -> Iterator[SessionRecord]:
        for one in _trusted(cache, sorted(days)):
            taken.append(one.record.session)
            yield replace(one.record, tracked_set=cache.manifest.tracked_sets.number(one.tickers))

    commit_restored(cache, records())
    return tuple(taken)


def part_days(parts: PartStore) -> frozenset[date]:
    """Days of which there is a tracked part. Raises CacheError."""
    return frozenset(day for name in parts.names("tracked") if is_part_name(name) and (day := session_of(name)))


def _trusted(layout: Layout, days: Collection[date]) -> Iterator[part_record.Stamped]:
    for day in days:
        found = _said(layout.parts, PartKey(day, "tracked"))
        if found is None or (found.dataset, found.record.session) != (layout.dataset.name, day):
            continue
        if is_whole(layout.parts, found.record):
            yield found


def is_whole(parts: PartStore, record: SessionRecord) -> bool:
    """Whether both parts are the files of this record."""
    return all(matches(parts, PartKey(record.session, tier), sha256) for tier, sha256 in record.part_sha256.items())


def _said(store: PartStore, part: PartKey) -> part_record.Stamped | None:
    """What a part says of itself; None where it is not there or cannot be read: its day is then fetched again."""
    try:
        with store.open(part) as file:
            return part_record.read_record(file)
    except OSError:
        return None
