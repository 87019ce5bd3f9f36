"""Reads parts while a run may be replacing them: each session is read as it was before, or as it is after.

A run records in the manifest which parts will be replaced (an intent) before it moves a file, and commits afterwards.
So a reader that asks the manifest again after reading knows which files may have changed meanwhile, and reads those
again. A run killed between the two leaves its intent: then hashes show which files exist, and each is read by the
record that belongs to it. Nothing is written here; a crash leaves nothing.

Where a store keeps the versions that were replaced, a part is what the manifest said, whatever a run does; only a
reader that takes longer than they are kept finds one missing, and then asks the manifest again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

import polars as pl

from ingest.cache.cache import Cache
from ingest.cache.layout import PartKey, PartsOf
from ingest.cache.manifest import Manifest
from ingest.cache.parts.store import PartStore, matches
from ingest.errors import CacheError, StoreError
from ingest.market.datasets import Tier

Read = Callable[[Sequence[PartsOf]], pl.DataFrame]

_ROUNDS = 20
"""How many times sessions replaced meanwhile are read again: a run replaces each of them once."""


def steadily(cache: Cache, days: Collection[date], read: Read) -> list[pl.DataFrame]:
    """What `read` makes of the parts of stored sessions: rows with a column `date`, never a mix of two versions.

    Raises CacheError if a part cannot be read although nothing is replacing it, or is replaced too often to be read.
    """
    manifest, found, left = cache.manifest, list[pl.DataFrame](), frozenset(days)
    for number in range(1, _ROUNDS + 1):
        manifest.refresh()
        before = manifest.moment()
        parts, intended = manifest.at_once(partial(_told, cache, left), *_span(left))
        try:
            rows = read([_settled(cache.parts, one, intended.get(one.session)) for one in parts])
        except StoreError:
            raise
        except CacheError:
            cache.refuse_moved()
            is_moving = manifest.moment() != before or not left.isdisjoint(intended)
            if not is_moving or number == _ROUNDS:
                raise
            continue
        is_settled = cache.parts.keeps_versions or manifest.moment() == before
        left = frozenset() if is_settled else _replaced(manifest, parts, intended)
        found.append(rows.filter(~pl.col("date").is_in(sorted(left))) if left else rows)
        if not left:
            return found
    raise CacheError(f"the parts of {min(left)} are replaced faster than they can be read: try again after the run")


def underway(cache: Cache) -> frozenset[date]:
    """Sessions whose parts a run is replacing, or was when it was killed, and whose new parts all exist."""
    intended = _intended(cache)
    return frozenset(session for session, parts in intended.items() if _files(cache.parts, parts))


def _told(cache: Cache, days: Collection[date]) -> tuple[list[PartsOf], Mapping[date, PartsOf]]:
    return list(cache.manifest.sessions.parts(days)), _intended(cache)


def _intended(cache: Cache) -> Mapping[date, PartsOf]:
    """How to read sessions after their replacement, if that changes the files that are there now."""
    return {} if cache.parts.keeps_versions else cache.manifest.sessions.intended()


def _span(days: Collection[date]) -> tuple[date, date]:
    return min(days, default=date.min), max(days, default=date.min)


def _replaced(manifest: Manifest, parts: Sequence[PartsOf], intended: Collection[date]) -> frozenset[date]:
    """Those of the sessions whose files may have been replaced while they were read."""
    if not parts:
        return frozenset()
    manifest.refresh()
    first, last = parts[0].session, parts[-1].session
    versions, moving = manifest.at_once(
        lambda: (manifest.sessions.versions(first, last), manifest.replacements.moving()), first, last
    )
    return frozenset(
        one.session
        for one in parts
        if versions.get(one.session) != one.version or (one.session in moving and one.session not in intended)
    )


def _settled(store: PartStore, held: PartsOf, intended: PartsOf | None) -> PartsOf:
    """The parts to read: the new ones of a replacement if all of them exist, else the stored ones."""
    if intended is None:
        return held
    if files := _files(store, intended):
        return replace(intended, version=held.version, staged=files)
    return replace(held, in_doubt=True)


def _files(store: PartStore, parts: PartsOf) -> Mapping[Tier, PartKey] | None:
    """The key of each part, published or staged; None if one is missing."""
    found: dict[Tier, PartKey] = {}
    for tier, sha256 in parts.sha256.items():
        keys = (PartKey(parts.session, tier, sha256=sha256), *store.staged(parts.session, tier))
        there = next((one for one in keys if matches(store, one, sha256)), None)
        if there is None:
            return None
        found[tier] = there
    return found
