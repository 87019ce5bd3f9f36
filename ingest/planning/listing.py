"""The answer to `ingest list`: the source's files in a window, and which of them are stored and allowed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import anyio

from ingest import events
from ingest.cache.cache import Cache
from ingest.cache.manifest.records import HeldState
from ingest.cache.provenance import refuse_other
from ingest.planning.probing import current
from ingest.planning.request import Request
from ingest.planning.survey import asking, fetch_listing, nothing_of, published_of, within
from ingest.settings import Settings
from ingest.sources.base import same_etag

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Listed:
    """One listed file. `bytes` is its packed size; `published` its last change, ISO 8601, UTC.

    `held` is "committed" if exactly this version is stored, "replaced" if the file has changed since.
    """

    session: date
    bytes: int
    published: str
    held: HeldState | str
    permitted: bool


@dataclass(frozen=True, slots=True)
class ListedWindow:
    """All files listed for a window, oldest first. `is_bare`: the source has no file of the dataset for any year."""

    files: Sequence[Listed]
    is_bare: bool


async def list_window(settings: Settings, request: Request, sink: events.Sink) -> ListedWindow:
    """What the source lists for the window of a request.

    Probes the edges of the allowed span, and searches for them if they are unknown. Writes nothing. Raises SourceError.
    """
    window = request.window
    with Cache.read(settings, request.dataset) as cache:
        refuse_other(cache.manifest, settings.source)
        held, known = cache.manifest.sessions.all(), cache.manifest.source.permission()
    async with asking(settings, sink, anyio.Event()) as source:
        years = await fetch_listing(source, request.dataset, window.start, window.end)
        is_bare = not years and (await published_of(source, request, years)).first is None
        listing = within(years, window.start, window.end)
        known = await current(source, listing, known, any(known.allows(day) is None for day in listing))
    if is_bare:
        sink(nothing_of(request.dataset))
    files = [
        Listed(
            session=day,
            bytes=item.size,
            published=item.last_modified,
            held=_held(held[day].held, same_etag(held[day].etag, item.etag)) if day in held else "none",
            permitted=known.allows(day) is True,
        )
        for day, item in listing.items()
    ]
    return ListedWindow(files, is_bare)


def _held(state: HeldState, same: bool) -> str:
    return "replaced" if state == "committed" and not same else state


def listed_frame(files: Sequence[Listed]) -> "pl.DataFrame":
    """Files as rows: date, bytes, published, held, permitted."""
    import polars as pl  # `ingest list` needs none

    rows = [(one.session, one.bytes, one.published, one.held, one.permitted) for one in files]
    kinds = {"bytes": pl.Int64(), "published": pl.String(), "held": pl.String(), "permitted": pl.Boolean()}
    return pl.DataFrame(rows, {"date": pl.Date(), **kinds}, orient="row")
