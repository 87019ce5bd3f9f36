"""Moves the parts of a cache to an object store, to another one, or back to local folders.

A kill leaves the parts where they were, or where they are to be; the same command, given again, ends what was begun.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ingest.cache import lock
from ingest.cache.commit import for_writing
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.stores.places import Place
from ingest.cache.places.copying import Moving, Report, UnfitPart
from ingest.cache.places.departures import Cleared
from ingest.cache.places.moving import Moved, Mover, source_of
from ingest.errors import WrongArgument
from ingest.market.catalogue import CATALOGUE
from ingest.settings import Settings
from ingest.settings.sections.cache import CacheSettings

LOCAL = "local"

__all__ = [
    "LOCAL",
    "Cleared",
    "Moved",
    "Moving",
    "Place",
    "Planned",
    "UnfitPart",
    "move",
    "named",
    "planned",
    "target_of",
    "whereabouts",
]


@dataclass(frozen=True, slots=True)
class Planned:
    """What a move would do: parts of a dataset's sessions, with their bytes; `missing` of them are not there.

    `dataset` is the short name, `source` and `target` are "local" or a URL.
    """

    dataset: str
    source: str
    target: str
    sessions: int
    parts: int
    bytes: int
    missing: int


def target_of(settings: Settings, to: str | None) -> Place:
    """The place that `to` names: "local" or a URL; None: that of the settings. Raises UsageError."""
    if to is None:
        return Place.of(settings)
    try:
        url = "" if to == LOCAL else CacheSettings(archive=to).archive
    except ValueError as error:
        what = f'{to!r} is neither "{LOCAL}" nor the URL of a place in an object store, such as s3://BUCKET/PREFIX'
        raise WrongArgument("to", what) from error
    return Place().at(url, settings)


def planned(settings: Settings, target: Place) -> list[Planned]:
    """What a move to a place would copy, by dataset; nothing is written. Raises what `move` does before it copies."""
    with Manifest.read(settings.manifest_path) as manifest:
        mover = Mover(settings, manifest, target)
        mover.refuse()
        pieces = mover.pieces()
    found = list[Planned]()
    for dataset in CATALOGUE.values():
        of_it = [one for one in pieces if one.dataset == dataset]
        if of_it:
            size, missing = sum(one.size or 0 for one in of_it), sum(one.size is None for one in of_it)
            sessions = len({one.key.session for one in of_it})
            places = (named(mover.source), named(target))
            found.append(Planned(dataset.short, *places, sessions, len(of_it), size, missing))
    return found


def named(place: Place) -> str:
    """How `target_of` is told of a place."""
    return place.url or LOCAL


def whereabouts(settings: Settings) -> Place:
    """Where the parts are. Raises CacheError."""
    with Manifest.read(settings.manifest_path) as manifest:
        return source_of(settings, manifest)


def move(
    settings: Settings,
    target: Place,
    *,
    keep: bool = False,
    leave_damaged: bool = False,
    report: Report = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Moved:
    """Move the parts of all datasets to a place; unless `keep`, what they leave is removed.

    A part that is missing or damaged keeps them where they are, unless `leave_damaged`: its session is then downloaded
    again by the next run. Raises CacheError, CacheLocked; OtherWriter if another cache writes to one of the places.
    """
    with lock.hold(settings.cache.root):
        _recover(whereabouts(settings).chosen(settings))
        with Manifest.open(settings.manifest_path) as manifest:
            had_lake = manifest.lake.is_anywhere_but(_lake_url(settings, target))
            moved = Mover(settings, manifest, target, keep, leave_damaged).move(report, stop)
        return replace(moved, leaves_lake=moved.is_done and had_lake)


def _lake_url(settings: Settings, target: Place) -> str:
    """Where the lake is to be, once the parts are at the target."""
    return target.url if settings.lake.place == "parts" else ""


def _recover(settings: Settings) -> None:
    """Complete what killed runs had begun."""
    for dataset in CATALOGUE.values():
        with for_writing(settings, dataset):
            pass
