"""Restores sessions from their parts if the manifest has lost them, so that stored files are not downloaded again.

A tracked part carries the record of its session (`part_record`). The record is trusted only if both parts match it,
byte for byte; the source's listing then shows, by the ETag, whether the source still has that very file. What is not in
the parts is lost with a manifest: corrections, Yahoo's answers, which files were refused, earlier runs.
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


def rebuild(cache: Cache) -> str | None:
    """Restore sessions from their parts if the manifest has none; returns the outcome in words. Raises CacheError."""
    if cache.manifest.sessions.committed() or not (found := part_days(cache.parts)):
        return None
    taken = take_up(cache, found)
    left = len(found) - len(taken)
    more = f"; {left:,} will be downloaded again" if left else ""
    return f"the manifest was empty: {len(taken):,} sessions were restored from their parts{more}"


def take_up(cache: Cache, days: Collection[date]) -> tuple[date, ...]:
    """Commit, in one transaction, those of these sessions whose parts match their record; returns them.

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
    """Days that have a tracked part. Raises CacheError."""
    return frozenset(parts.versions("tracked"))


def _trusted(layout: Layout, days: Collection[date]) -> Iterator[part_record.Stamped]:
    versions = layout.parts.versions("tracked")
    for day in days:
        whole = (found for part in versions.get(day, ()) if (found := _trusted_part(layout, part)))
        if newest := next(whole, None):
            yield newest


def _trusted_part(layout: Layout, part: PartKey) -> part_record.Stamped | None:
    """What a tracked part says of its session, if it is about that session, and both parts are what it says."""
    found = _said(layout.parts, part)
    if found is None or (found.dataset, found.record.session) != (layout.dataset.name, part.session):
        return None
    return found if is_whole(layout.parts, found.record) else None


def is_whole(parts: PartStore, record: SessionRecord) -> bool:
    """Whether both parts are the files that this record describes."""
    return all(matches(parts, record.part(tier), sha256) for tier, sha256 in record.part_sha256.items())


def _said(store: PartStore, part: PartKey) -> part_record.Stamped | None:
    """The record in a part; None if the part is missing or unreadable: its day is then downloaded again."""
    try:
        with store.open(part) as file:
            return part_record.read_record(file)
    except OSError:
        return None
