"""The parts of the stored sessions as files or objects, for other programs that read them by themselves."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from ingest.cache.cache import Cache
from ingest.cache.places.pieces import pieces_of, store_of
from ingest.market.datasets import TIERS, Dataset, Tier
from ingest.settings import Settings

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part of a stored session: what `path`, a file's or a URL, has to contain.

    `dataset` is the full name. `bytes` is its size, None if it is missing; `sha256` the hash that it was stored with.
    """

    dataset: str
    session: date
    tier: Tier
    path: str
    bytes: int | None
    sha256: str


def stored_parts(
    settings: Settings, dataset: Dataset, first: date | None = None, last: date | None = None
) -> list[StoredPart]:
    """The parts of a dataset's stored sessions from `first` to `last`, both inclusive, oldest first.

    Objects take a request for each thousand; no part is read. Raises CacheError, and UsageError as `Cache.read` does.
    """
    with Cache.read(settings, dataset) as cache:
        found = pieces_of(settings, cache.manifest, TIERS, dataset)
    stores = {tier: store_of(settings, dataset, tier) for tier in TIERS}
    inside = [one for one in found if (first or date.min) <= one.key.session <= (last or date.max)]
    parts = [
        StoredPart(
            dataset.name, key.session, key.tier, stores[key.tier].described(key), bytes=one.size, sha256=key.sha256
        )
        for one in inside
        for key in (one.key,)
    ]
    return sorted(parts, key=lambda one: (one.session, TIERS.index(one.tier)))


def parts_frame(parts: list[StoredPart]) -> "pl.DataFrame":
    """The parts as a frame."""
    import polars as pl

    schema = {"date": pl.Date, "tier": pl.String, "path": pl.String, "bytes": pl.Int64, "sha256": pl.String}
    rows = [(one.session, one.tier, one.path, one.bytes, one.sha256) for one in parts]
    return pl.DataFrame(rows, schema=schema, orient="row")
