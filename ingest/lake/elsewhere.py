"""Who may write the lake, and what becomes of files in another place than that of the settings.

The lake is derived, so nothing is moved: its files go from where they are, and the next update writes it where it is to
be.
"""

from ingest.cache.cache import Cache
from ingest.lake.folder import LakeFolder, LakePlace
from ingest.lake.partitions import lake_in, lake_of


def claim_lake(cache: Cache, place: LakePlace) -> None:
    """See that this cache is the writer of the lake's object store, if it is in one. Raises OtherWriter, CacheError."""
    if place.url and cache.writer:
        cache.writer.compare()
        cache.writer.claim()


def other_place(cache: Cache) -> LakePlace | None:
    """Where files of the lake may be besides the place of the settings; the cache is open for writing."""
    if cache.lake_store:
        return LakeFolder.of(cache)
    return lake_in(cache, cache.writer.bucket) if cache.writer else None


def leave_other_place(cache: Cache) -> int:
    """Remove files that are in another place than that of the settings; returns how many. Raises CacheError.

    A store is asked only if the manifest knows of files there. Those that the parts have left are removed with them.
    """
    here, other = lake_of(cache).url, other_place(cache)
    known = [name for name, one in cache.manifest.lake.all().items() if one.place != here]
    count = drop_all(cache, other) if other is not None and (known or not other.url) else 0
    if known:  # only now: a kill leaves files that the next update removes
        cache.manifest.lake.forget(known)
    return count


def drop_all(cache: Cache, place: LakePlace) -> int:
    """Remove all files in a place; returns how many there were. Raises CacheError."""
    if found := sorted(place.look(()).found):
        claim_lake(cache, place)
        place.drop(found)
    place.sweep()
    place.drop_empty()
    return len(found)


def trust_lake(cache: Cache) -> None:
    """Forget the files that are not as a restored manifest says: its former machine may have written later ones.

    Raises CacheError.
    """
    files, place = cache.manifest.lake.all(), lake_of(cache)
    here = [one for one in files.values() if one.place == place.url]
    intact = place.look(here).intact if here else frozenset()
    cache.manifest.lake.forget(files.keys() - intact)
