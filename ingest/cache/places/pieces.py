"""The parts of the stored sessions in the place where they are: which, how large, their bytes."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby

from ingest.cache.cache import Layout
from ingest.cache.layout import PartKey
from ingest.cache.manifest import Manifest
from ingest.cache.objects.naming import folder_of
from ingest.cache.objects.parts import ObjectParts
from ingest.cache.objects.tiered import ArchiveInBucket
from ingest.cache.parts.local import LocalParts
from ingest.cache.parts.store import PartStore
from ingest.errors import CacheError
from ingest.market.catalogue import CATALOGUE
from ingest.market.datasets import Dataset, Tier
from ingest.settings import Settings

_CHUNK = 8 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a stored session, in its place: `size` in bytes, None if it is missing.

    `in_doubt` says that it was found not to be what was written.
    """

    dataset: Dataset
    key: PartKey
    size: int | None
    in_doubt: bool = False


class UnfitPiece(Exception):
    """A part that is missing or damaged; the text says which of them."""


def store_of(settings: Settings, dataset: Dataset, tier: Tier) -> LocalParts | ObjectParts:
    """Where the settings have the parts of a tier."""
    parts = Layout.of(settings, dataset).parts
    one = parts.of(tier) if isinstance(parts, ArchiveInBucket) else parts
    if not isinstance(one, LocalParts | ObjectParts):
        raise TypeError(f"{one} is not a place that parts are moved to")
    return one


def pieces_of(
    settings: Settings, manifest: Manifest, tiers: Collection[Tier], only: Dataset | None = None
) -> list[Piece]:
    """The parts of these tiers, of all stored sessions of all datasets, or of one, in the place of the settings.

    Oldest first. Raises CacheError.
    """
    found = list[Piece]()
    stored = [one for one in manifest.places.parts() if only is None or one.dataset == only.name]
    for name, parts in groupby(stored, key=lambda one: one.dataset):
        dataset, of_it = _dataset(name), list(parts)
        for tier in tiers:
            keys = {one.key: one.in_doubt for one in of_it if one.key.tier == tier}
            sizes = _sizes(store_of(settings, dataset, tier), keys, tier)
            found += [Piece(dataset, key, sizes.get(key), doubt) for key, doubt in keys.items()]
    return found


def _dataset(name: str) -> Dataset:
    for dataset in CATALOGUE.values():
        if dataset.name == name:
            return dataset
    raise CacheError(f"sessions of {name} are stored, which this version of ingest does not know: update ingest")


def _sizes(store: LocalParts | ObjectParts, keys: Collection[PartKey], tier: Tier) -> Mapping[PartKey, int]:
    """The size of each part that is there; of objects by one request for each thousand."""
    if isinstance(store, ObjectParts):
        folder = f"{folder_of(tier, store.dataset)}/"
        listed = {one.name.removeprefix(folder): one.size for one in store.listing(tier)} if keys else {}
        return {key: listed[name] for key in keys if (name := store.name(key)) in listed}
    return {key: size for key in keys if (size := size_in(store, key)) is not None}


def size_in(store: PartStore, key: PartKey) -> int | None:
    """Size of a part, in bytes; None if there is none, or if it cannot be looked at."""
    try:
        return store.size(key)
    except OSError:
        return None


def whole(store: PartStore, piece: Piece) -> bytes:
    """The bytes of a part. Raises UnfitPiece, CacheError."""
    return b"".join(chunks(store, piece, piece.size or 1))


def chunks(store: PartStore, piece: Piece, chunk: int = _CHUNK) -> Iterator[bytes]:
    """The bytes of a part, one chunk at a time. Raises UnfitPiece, at the end for a damaged one; CacheError."""
    if piece.size is None:
        raise UnfitPiece("missing")
    hashed = sha256()
    for begin in range(0, piece.size, chunk):
        data = _range(store, piece, begin, min(begin + chunk, piece.size))
        hashed.update(data)
        yield data
    if hashed.hexdigest() != piece.key.sha256:
        raise UnfitPiece("damaged")


def _range(store: PartStore, piece: Piece, begin: int, end: int) -> bytes:
    try:
        return store.read_ranges(piece.key, [(begin, end)])[0]
    except CacheError:
        raise
    except FileNotFoundError:
        raise UnfitPiece("missing") from None
    except OSError as error:
        raise UnfitPiece(f"cannot be read: {error.strerror or error}") from error
