"""What a store says of its objects: one by one, and in listings, whose pages may be asked for again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ingest.cache.objects.client import Access, client
from ingest.settings.sections.store import place_of

if TYPE_CHECKING:
    from obstore import ObjectMeta

PAGE = 1000
"""Objects that one request lists, or removes."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: its name below the bucket's prefix, its bytes, and what the store says of its version.

    `etag` is without quotes; only of an object that was put in one request, and not encrypted by a key service, it is
    the md5. `modified` is by the store's clock; of what was just put, by that of this computer.
    """

    name: str
    size: int
    etag: str
    modified: datetime


class Pages:
    """The pages of a listing, one after the other; one that fails may be asked for again."""

    def __init__(self, access: Access, folder: str) -> None:
        self._access, self._folder = access, folder
        self._pages: Iterator[Sequence[ObjectMeta]] | None = None
        self._last = ""
        self._seen: set[str] = set()

    def following(self) -> list[Stored]:
        """The next objects; none at the end."""
        if self._pages is None:
            self._pages = self._opened()
        fresh: list[Stored] = []
        try:
            while not fresh and (page := next(self._pages, None)) is not None:
                fresh = [stored_as(meta) for meta in page if meta["path"] not in self._seen]
        except Exception:
            self._pages = None
            raise
        self._seen.update(one.name for one in fresh)
        self._last = fresh[-1].name if fresh else self._last
        return fresh

    def _opened(self) -> "Iterator[Sequence[ObjectMeta]]":
        # Azure has no such offset: there the library would leave out by name what comes in another order.
        behind = self._last if place_of(self._access.url).scheme != "az" else ""
        return client(self._access).list(self._folder or None, offset=behind or None, chunk_size=PAGE)


def stored_as(meta: "ObjectMeta") -> Stored:
    """An object by what the library says of it."""
    return Stored(meta["path"], meta["size"], bare(meta["e_tag"]), meta["last_modified"])


def bare(etag: str | None) -> str:
    """An ETag without quotes; "" for none."""
    return (etag or "").removeprefix("W/").strip('"')
