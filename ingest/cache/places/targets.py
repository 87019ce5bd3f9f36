"""The two kinds of place that parts are moved to: folders and object stores.

A part that is put is not part of the cache until the move is committed. After a kill the place has some of them, and
the next attempt finds them there.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from typing import Protocol

from ingest.cache.layout import PartKey
from ingest.cache.manifest.stores.objects import KnownObject
from ingest.cache.manifest.stores.places import KnownPlaces, Place
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.listing import Stored
from ingest.cache.objects.naming import ObjectName, folder_of
from ingest.cache.objects.parts import ObjectParts
from ingest.cache.parts.local import LocalParts
from ingest.cache.parts.store import matches
from ingest.cache.places.pieces import Piece, chunks, size_in, store_of, whole
from ingest.market.datasets import Tier
from ingest.settings import Settings

Put = KnownObject | PartKey | None
"""What came of a part: an object; the key of a staged one; None if it was there already."""


class Target(Protocol):
    """A place that parts are moved to. `put` may be called by many threads, the others by one. All raise CacheError."""

    def prepare(self, pieces: Iterable[Piece]) -> None:
        """Make it ready for these parts, and see what an earlier attempt has left there."""
        ...

    def has(self, piece: Piece) -> bool:
        """Whether an earlier attempt has put this part, as far as that is known without reading it."""
        ...

    def put(self, source: LocalParts | ObjectParts, piece: Piece) -> Put:
        """Copy a part, and compare it with its hash on the way. Raises UnfitPiece if it is not what it should be."""
        ...

    def settle(self, done: Sequence[tuple[Piece, Put]]) -> None:
        """Make these parts durable, and remember that they are there."""
        ...

    def absent(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Those of the parts that are not there, or not as they were put."""
        ...


@dataclass(slots=True)
class ToFolders:
    """Folders: parts are staged, synced and renamed, as for a commit."""

    settings: Settings
    large: int
    """Bytes above which a part is not in memory as a whole."""
    _stores: dict[tuple[str, Tier], LocalParts] = field(default_factory=dict)

    def has(self, piece: Piece) -> bool:
        """See `Target`: only its hash says that, and `put` reads it."""
        return False

    def put(self, source: LocalParts | ObjectParts, piece: Piece) -> PartKey | None:
        """See `Target`."""
        store, key = self._store(piece), piece.key
        if matches(store, key, key.sha256):
            return None
        if (piece.size or 0) <= self.large:
            return store.stage(key.session, key.tier, whole(source, piece))
        with store.staging(key.session, key.tier) as staging:
            for chunk in chunks(source, piece):
                staging.write(chunk)
        return staging.key

    def settle(self, done: Sequence[tuple[Piece, Put]]) -> None:
        """See `Target`."""
        stores = dict[LocalParts, list[PartKey]]()
        for piece, put in done:
            if isinstance(put, PartKey):
                stores.setdefault(self._store(piece), []).append(put)
        for store, staged in stores.items():
            for key in store.sync_staged(staged):
                store.publish(key)
            store.sync()

    def absent(self, pieces: Iterable[Piece]) -> list[Piece]:
        """See `Target`: by their sizes; their bytes have just been written."""
        return [one for one in pieces if size_in(self._store(one), one.key) != one.size]

    def _store(self, piece: Piece) -> LocalParts:
        """The folders of a part's dataset, which exist, and have no rest of an earlier attempt."""
        at = (piece.dataset.name, piece.key.tier)
        if at not in self._stores:
            found = store_of(self.settings, piece.dataset, piece.key.tier)
            if not isinstance(found, LocalParts):
                raise TypeError(f"{found} is no folder")
            self._stores[at] = found
        return self._stores[at]

    def prepare(self, pieces: Iterable[Piece]) -> None:
        """Make the folders of these parts, and remove what an earlier attempt left half written."""
        for store in {self._store(one) for one in pieces}:
            store.create()
            store.sweep()


@dataclass(slots=True)
class ToBucket:
    """A place in an object store: what is put is remembered with what the store said of it."""

    bucket: Bucket
    place: Place
    known: KnownPlaces
    large: int
    """Bytes above which a part is not in memory as a whole."""
    _arrived: dict[tuple[str, str], KnownObject] = field(default_factory=dict)
    _listed: dict[str, Stored] = field(default_factory=dict)

    def prepare(self, pieces: Iterable[Piece]) -> None:
        """Ask which objects are there, by a request for each thousand."""
        self._arrived = self.known.arrived(self.place)
        self._listed = {one.name: one for one in self._listing(pieces)}

    def has(self, piece: Piece) -> bool:
        """See `Target`."""
        name = _name(piece)
        return _is_as_known(self._arrived.get((piece.dataset.name, name)), self._listed.get(name))

    def put(self, source: LocalParts | ObjectParts, piece: Piece) -> KnownObject:
        """See `Target`."""
        name = _name(piece)
        if (piece.size or 0) <= self.large:
            stored = self._put(name, whole(source, piece), piece.key.sha256)
        else:
            with _as_file(source, piece) as path:
                stored = self.bucket.put_new(name, path, piece.key.sha256)
        return KnownObject(name, stored.size, stored.etag)

    def _put(self, name: str, data: bytes, sha256: str) -> Stored:
        there = self._listed.get(name)
        # An ETag that is the md5 says that these very bytes are there, and nothing has to be sent.
        if there and (there.size, there.etag) == (len(data), md5(data, usedforsecurity=False).hexdigest()):
            return there
        return self.bucket.put_new(name, data, sha256)

    def settle(self, done: Sequence[tuple[Piece, Put]]) -> None:
        """See `Target`."""
        objects = [(piece.dataset.name, put) for piece, put in done if isinstance(put, KnownObject)]
        self.known.arrive(self.place, objects)
        self._arrived |= {(dataset, one.name): one for dataset, one in objects}

    def absent(self, pieces: Iterable[Piece]) -> list[Piece]:
        """See `Target`: by another listing."""
        wanted = list(pieces)
        self._listed = {one.name: one for one in self._listing(wanted)}
        return [one for one in wanted if not self.has(one)]

    def _listing(self, pieces: Iterable[Piece]) -> Iterator[Stored]:
        for folder in sorted({folder_of(one.key.tier, one.dataset.name) for one in pieces}):
            yield from self.bucket.listing(folder)


def target_at(settings: Settings, place: Place, tier: Tier, known: KnownPlaces) -> ToFolders | ToBucket:
    """The target for a tier of parts that are moved to a place."""
    chosen = place.chosen(settings)
    if tier not in place.tiers_there:
        return ToFolders(chosen, settings.tuning.store_multipart)
    return ToBucket(Bucket.of(chosen), place, known, settings.tuning.store_multipart)


def _is_as_known(known: KnownObject | None, listed: Stored | None) -> bool:
    return known is not None and listed is not None and (known.size, known.etag) == (listed.size, listed.etag)


def _name(piece: Piece) -> str:
    name = ObjectName.of(piece.key.session, piece.key.sha256)
    return f"{folder_of(piece.key.tier, piece.dataset.name)}/{name}"


@contextmanager
def _as_file(source: LocalParts | ObjectParts, piece: Piece) -> Iterator[Path]:
    """A file with the bytes of a large part: its own, or a temporary one. Raises UnfitPiece, CacheError."""
    key = piece.key
    if isinstance(source, LocalParts):
        for _ in chunks(source, piece):
            pass  # compares them with the hash
        yield source.path(key)
        return
    source.create()
    with source.scratch.staging(key.session, key.tier) as staging:
        for chunk in chunks(source, piece):
            staging.write(chunk)
    try:
        yield source.scratch.path(staging.key)
    finally:
        source.scratch.discard(staging.key)
