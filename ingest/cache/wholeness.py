"""Which committed sessions are not whole, as far as that is known without reading a part."""

from collections.abc import Mapping
from datetime import date

from ingest.cache.cache import Layout
from ingest.cache.manifest import Held
from ingest.market.datasets import TIERS, part_name


def not_whole(layout: Layout, held: Mapping[date, Held]) -> list[date]:
    """Committed sessions with a part that is missing, or was found to be damaged. Raises CacheError."""
    missing = missing_parts(layout, held)
    return [day for day, state in held.items() if day in missing or state.is_doubtful]


def missing_parts(layout: Layout, held: Mapping[date, Held]) -> set[date]:
    """Committed sessions with a missing part. Raises CacheError."""
    present = {tier: layout.parts.names(tier) for tier in TIERS}
    return {
        day
        for day, state in held.items()
        if state.held == "committed"
        and any(part_name(day) not in present[tier] for tier in (TIERS if state.archive_kept else TIERS[:1]))
    }
