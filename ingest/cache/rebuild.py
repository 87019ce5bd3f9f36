"""Restores sessions from their parts if the manifest has lost them, so that stored files are not downloaded again.

A tracked part carries the record of its session (`part_record`). The record is trusted only if both parts match it,
byte for byte; the source's listing then shows, by the ETag, whether the source still has that very file. What is not in
the parts is lost with a manifest: corrections, Yahoo's answers, which files were refused, earlier runs.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import partial

from ingest.cache import part_record
from ingest.cache.cache import Cache, Layout
from ingest.cache.commit import commit_restored
from ingest.cache.layout import PartKey
from ingest.cache.manifest import SessionRecord
from ingest.cache.parts.ahead import MOST_PACKED, read_ahead
from ingest.cache.parts.store import PartStore, matches
from ingest.market.datasets import TIERS

_Check = Callable[[SessionRecord], bool]


def rebuild(cache: Cache) -> str | None:
    """Restore sessions from their parts if the manifest has none; returns the outcome in words. Raises CacheError.

    Sessions that were pruned, and whose parts could not be removed yet, are not taken for lost ones.
    """
    if cache.manifest.sessions.committed():
        return None
    pruned = cache.manifest.replacements.pruning()
    found = [day for day in part_days(cache.parts) if not (pruned and day < pruned)]
    if not found:
        return None
    taken = take_up(cache, found)
    left = len(found) - len(taken)
    more = f"; {left:,} will be downloaded again" if left else ""
    return f"the manifest was empty: {len(taken):,} sessions were restored from their parts{more}"


def take_up(cache: Cache, days: Collection[date], by_name: bool = False) -> tuple[date, ...]:
    """Commit, in one transaction, those of these sessions whose parts match their record; returns them.

    `by_name` is for stores that name parts by their content: parts with the right names are believed without reading
    them whole. Only as many records are in memory as are read at a time. Raises CacheError.
    """
    taken = list[date]()
    is_right = _named(cache.parts) if by_name else partial(is_whole, cache.parts)

    def records() -> Iterator[SessionRecord]:
        for one in _trusted(cache, sorted(days), is_right):
            taken.append(one.record.session)
            yield replace(one.record, tracked_set=cache.manifest.tracked_sets.number(one.tickers))

    commit_restored(cache, records())
    return tuple(taken)


def part_days(parts: PartStore) -> frozenset[date]:
    """Days that have a tracked part. Raises CacheError."""
    return frozenset(parts.versions("tracked"))


def _trusted(layout: Layout, days: Collection[date], is_right: _Check) -> Iterator[part_record.Stamped]:
    versions = layout.parts.versions("tracked")

    def newest(day: date) -> part_record.Stamped | None:
        whole = (found for part in versions.get(day, ()) if (found := _trusted_part(layout, part, is_right)))
        return next(whole, None)

    sizes = _sizes(layout.parts)
    read = read_ahead(newest, days, layout.parts.ahead, lambda day: sizes.get(day, 0), MOST_PACKED)
    yield from filter(None, read)


def _sizes(parts: PartStore) -> Mapping[date, int]:
    """Bytes of the largest part of each session, where listings say so."""
    tiers = [parts.versions(tier) for tier in TIERS] if parts.by_content else []
    days = {day for tier in tiers for day in tier}
    return {day: max(part.size for tier in tiers for part in tier.get(day, ())) for day in days}


def _trusted_part(layout: Layout, part: PartKey, is_right: _Check) -> part_record.Stamped | None:
    """What a tracked part says of its session, if it is about that session, and both parts are what it says."""
    found = _said(layout.parts, part)
    if found is None or (found.dataset, found.record.session) != (layout.dataset.name, part.session):
        return None
    return found if is_right(found.record) else None


def _named(parts: PartStore) -> _Check:
    """Whether both parts of a record are there, by a listing of their names, which are made from their hashes."""
    names = {tier: parts.names(tier) for tier in TIERS}
    return lambda record: all(parts.name(record.part(tier)) in names[tier] for tier in record.part_sha256)


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
