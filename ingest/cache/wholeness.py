"""Which committed sessions are not whole, as far as that is known without reading a part."""

from collections.abc import Collection, Mapping
from datetime import date

from ingest.cache.cache import Cache
from ingest.cache.manifest import Held
from ingest.market.datasets import TIERS, Tier, part_name


def not_whole(
    cache: Cache, held: Mapping[date, Held], present: Mapping[Tier, Collection[str]] | None = None
) -> list[date]:
    """Committed sessions with a part that is missing, or was found to be damaged; `present` as in `missing_parts`."""
    missing = missing_parts(cache, held, present)
    return [day for day, state in held.items() if day in missing or state.is_doubtful]


def present_names(cache: Cache) -> Mapping[Tier, frozenset[str]]:
    """The names in both tiers, as `PartStore.names` says. Raises CacheError."""
    return {tier: cache.parts.names(tier) for tier in TIERS}


def missing_parts(
    cache: Cache, held: Mapping[date, Held], present: Mapping[Tier, Collection[str]] | None = None
) -> set[date]:
    """Committed sessions with a missing part; `present` are the names if they were just listed. Raises CacheError."""
    present = present or present_names(cache)
    if cache.parts.by_content:
        return _missing_versions(cache, held, present)
    return {
        day
        for day, state in held.items()
        if state.held == "committed"
        and any(part_name(day) not in present[tier] for tier in (TIERS if state.archive_kept else TIERS[:1]))
    }


def _missing_versions(cache: Cache, held: Mapping[date, Held], present: Mapping[Tier, Collection[str]]) -> set[date]:
    """Committed sessions with a part whose committed version is missing, whatever others exist."""
    committed = [day for day, state in held.items() if state.held == "committed"]
    return {
        parts.session
        for parts in cache.manifest.sessions.parts(committed)
        if any(cache.parts.name(parts.key(tier)) not in present[tier] for tier in parts.sha256)
    }
