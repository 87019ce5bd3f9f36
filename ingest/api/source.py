"""The source, before a run: whether all is ready, and which files there are."""

from collections.abc import Iterable
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ingest import events, settings
from ingest.errors import warn
from ingest.maintenance import check as checking
from ingest.maintenance.checked import Check
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.pipeline.run import in_thread
from ingest.planning import listing
from ingest.planning.request import Flags, datasets_asked, request_of
from ingest.settings.arguments import parse_days, parse_file, parse_names

if TYPE_CHECKING:
    import polars as pl


def check(datasets: str | Iterable[str] = (), config: Path | str | None = None) -> tuple[Check, ...]:
    """Check everything that a run needs, in the order in which it is needed, as `ingest check` does.

    Settings, cache, the object store if [cache] archive names one, keys, connection, clock, listing, subscription, a
    download, and Yahoo; for each of `datasets`, by default those of [run] datasets. Writes nothing, except for an
    object that it puts into that store and removes again. What is wrong raises nothing: it is in the results, each a
    `Check` with `name`, `passed`, `found` and `advice`; a run is ready if all that are `needed` have passed. Raises
    UsageError.

    Works in a notebook.
    """
    chosen, found = settings.load(parse_file(config)), list[Check]()
    asked = datasets_asked(parse_names("datasets", datasets), chosen)
    in_thread(partial(checking.check, chosen, found.append, asked))
    return tuple(found)


def list_files(
    start: date | str | None = None,
    end: date | str | None = None,
    months: int | None = None,
    config: Path | str | None = None,
    *,
    dataset: str = STOCKS_DAY.short,
    all_permitted: bool = False,
) -> "pl.DataFrame":
    """The source's files in a window, oldest first, and which of them are stored, as `ingest list` shows them.

    The window is as in `run`: `months` calendar months back from today (default: [run] months), or `start` to `end`,
    both inclusive, or all since the dataset's first session (`all_permitted`).

    Columns date (Date), bytes (Int64: packed), published (when the file last changed: text, ISO 8601, UTC), held
    (String: "committed" if exactly this version is stored, "replaced" if the file has changed since, "none" if nothing
    is) and permitted (Boolean: whether the subscription allows its download). Sends a few requests, downloads no file,
    and writes nothing. Warns if the source has no file of the dataset at all. Raises UsageError, SourceError and
    CacheError.

    Works in a notebook.
    """
    first, last = parse_days(start, end)
    flags = Flags(months=months, start=first, end=last, all_permitted=all_permitted)
    chosen = settings.load(parse_file(config), flags.settings())
    request = request_of(flags, chosen, events.ignore, named(dataset))
    found = in_thread(partial(listing.list_window, chosen, request, _warned))
    return listing.listed_frame(found.files)


def _warned(event: events.Event) -> None:
    if isinstance(event, events.Notice) and event.level == "warning":
        warn(event.message, *event.hints)
