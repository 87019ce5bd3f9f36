"""Which of the sessions that are called held are not whole, as far as that is known without reading a part."""

from collections.abc import Mapping
from datetime import date

from ingest.cache.cache import Layout
from ingest.cache.manifest import Held
from ingest.market.datasets import TIERS, part_name


def not_whole(layout: Layout, held: Mapping[date, Held]) -> list[date]:
    """Committed sessions of which a part's file is gone, or was found not to be what it should. Raises CacheError."""
    missing = missing_parts(layout, held)
    return [day for day, state in held.items() if day in missing or state.is_doubtful]


def missing_parts(layout: Layout, held: Mapping[date, Held]) -> set[date]:
    """Committed sessions of which a part's file is gone. Raises CacheError."""
    present = {tier: layout.parts.names(tier) for tier in TIERS}
    return {
        day
        for day, state in held.items()
        if state.held == "committed"
        and any(part_name(day) not in present[tier] for tier in (TIERS if state.archive_kept else TIERS[:1]))
    }
