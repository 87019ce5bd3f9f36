"""A move of the parts: copied, compared with a listing, then one transaction says where they are, then the rest goes.

Until that transaction the parts are where they were, and what is at the target are copies. A kill before it leaves
copies, which the next attempt takes; a kill after it leaves a departure, which the next run or move ends.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from ingest.cache.manifest import Manifest
from ingest.cache.manifest.stores.places import Place
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.writing.guard import Guarding
from ingest.cache.objects.writing.writer import Writer
from ingest.cache.parts.local import LocalParts
from ingest.cache.places.copying import Copying, Moving, Report, UnfitPart
from ingest.cache.places.departures import Cleared, clear
from ingest.cache.places.pieces import Piece, pieces_of, size_in, store_of
from ingest.cache.places.targets import Target, target_at
from ingest.errors import CacheError, ManifestDamaged, OtherWriter, StoreUnavailable
from ingest.market.datasets import Tier
from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a move from `source` to `target`.

    `is_done` says that the parts are at `target` now. Otherwise they are where they were: the move was `interrupted`,
    or there are `unfit` parts, which cannot be copied. `cleared` are places that the parts have left. `leaves_lake`
    says that files of the lake are not where the settings have it now: they go once it is written there.
    """

    source: Place
    target: Place
    copied: Moving
    is_done: bool
    interrupted: bool = False
    unfit: tuple[UnfitPart, ...] = ()
    cleared: tuple[Cleared, ...] = ()
    leaves_lake: bool = False


def source_of(settings: Settings, manifest: Manifest) -> Place:
    """Where the parts are, to be reached as the settings say, if they name that place."""
    known, named = manifest.places.current(), Place.of(settings)
    if known is None:
        return named
    is_named = (known.url, known.endpoint) == (named.url, named.endpoint)
    return replace(known, region=named.region, profile=named.profile) if is_named else known


@dataclass(slots=True)
class Mover:
    """A move; the caller holds the lock, and has completed what a killed run had begun."""

    settings: Settings
    manifest: Manifest
    target: Place
    keep: bool = False
    leave_damaged: bool = False
    source: Place = field(init=False)
    tiers: tuple[Tier, ...] = field(init=False)
    _reached: Place = field(init=False)
    """Where the source is read: under the target's name, if it is the same store and no longer answers to its own."""

    def __post_init__(self) -> None:
        self.source = self._reached = source_of(self.settings, self.manifest)
        self.tiers = self.source.differing(self.target)

    @property
    def _from(self) -> Settings:
        return self._reached.chosen(self.settings)

    def pieces(self) -> list[Piece]:
        """The parts to move. Raises CacheError."""
        return pieces_of(self._from, self.manifest, self.tiers)

    def refuse(self) -> None:
        """Raise what a move would before it copies anything, as far as that is known without writing.

        Raises CacheError; OtherWriter if another cache writes to one of the places.
        """
        if not self.tiers:
            return
        if self.source.url:
            with self._perhaps_renamed():
                self._look_at(self.source)
        if self.target.url:
            self._look_at(self.target)

    def _look_at(self, place: Place) -> None:
        bucket = Bucket.of(place.chosen(self.settings))
        next(bucket.listing(self.tiers[0]), None)  # a missing bucket has no such object, either
        with self._named(place):
            Guarding(bucket, self.manifest.identity).compare()

    def move(self, report: Report, stop: Callable[[], bool]) -> Moved:
        """Move all parts. Raises CacheError; OtherWriter if another cache writes to one of the places."""
        if flaws := self.manifest.database.flaws():
            raise ManifestDamaged(self.manifest.database.path, flaws[0])
        self._compare()
        pieces = self.pieces()
        self._refuse_small(pieces)
        targets = {tier: target_at(self.settings, self.target, tier, self.manifest.places) for tier in self.tiers}
        for tier, target in targets.items():
            target.prepare([one for one in pieces if one.key.tier == tier])
        copying = Copying(self._from, pieces, lambda one: targets[one.key.tier], report, stop)
        is_whole = copying.run()
        unfit = tuple(copying.unfit)
        if not is_whole or (unfit and not self.leave_damaged):
            return Moved(self.source, self.target, copying.progress(), False, interrupted=not is_whole, unfit=unfit)
        self._commit(pieces, targets, unfit)
        return Moved(self.source, self.target, copying.progress(), True, unfit=unfit, cleared=self._clear())

    def _compare(self) -> None:
        """See that no other machine writes to either place, and become the writer of the target."""
        if self.source.url:
            with self._perhaps_renamed():
                self._writer(self.source).compare()
        if self.tiers and self.target.url:
            writer = self._writer(self.target)
            with self._named(self.target):
                writer.compare()
                writer.claim()

    @contextmanager
    def _perhaps_renamed(self) -> Iterator[None]:
        """If the source does not answer, and the target is that store under another name, it is read there.

        It is if its `ingest.json` names this manifest; each part is still looked for, and compared. What does not
        answer has nothing to be removed.
        """
        try:
            yield
        except StoreUnavailable:
            if self.target.url != self.source.url or not self._guards(self.target):
                raise
            self._reached, self.keep = self.target, True

    def _guards(self, place: Place) -> bool:
        """Whether this manifest is the writer of a place. Raises CacheError; OtherWriter if another one is."""
        return Guarding(Bucket.of(place.chosen(self.settings)), self.manifest.identity).compare() is not None

    @contextmanager
    def _named(self, place: Place) -> Iterator[None]:
        """Leave out what helps only with the place of the settings, if another one is refused."""
        try:
            yield
        except OtherWriter as error:
            raise error if place.url == self.settings.cache.archive else OtherWriter(error.message) from None

    def _writer(self, place: Place) -> Writer:
        return Writer(Bucket.of(place.chosen(self.settings)), self.manifest, self.settings.tuning.snapshot_every_s)

    def _refuse_small(self, pieces: Sequence[Piece]) -> None:
        """Raise CacheError if a disk has no room for the parts that come to its folders."""
        wanted = dict[Path, int]()
        for one in pieces:
            store = store_of(self.target.chosen(self.settings), one.dataset, one.key.tier)
            if isinstance(store, LocalParts) and size_in(store, one.key) != one.size:
                folder = _existing(store.folder(one.key.tier))
                wanted[folder] = wanted.get(folder, 0) + (one.size or 0)
        for folder, size in wanted.items():
            if (free := shutil.disk_usage(folder).free) < size:
                raise CacheError(f"{folder} has {free / 1e9:.1f} GB free, and the parts take {size / 1e9:.1f} GB")

    def _commit(self, pieces: Sequence[Piece], targets: Mapping[Tier, Target], unfit: Sequence[UnfitPart]) -> None:
        left = {one.piece for one in unfit}
        self._look(targets, [one for one in pieces if one not in left])
        distrusted = dict[str, set[date]]()
        for one in left:
            distrusted.setdefault(one.dataset.name, set()).add(one.key.session)
        if self.tiers:
            self.manifest.places.move(self.source, self.target, keep=self.keep, distrusted=distrusted)

    def _look(self, targets: Mapping[Tier, Target], copied: Sequence[Piece]) -> None:
        """Raise CacheError unless all copies are there, by another listing of the target."""
        for tier, target in targets.items():
            if absent := target.absent([one for one in copied if one.key.tier == tier]):
                raise CacheError(
                    f"{len(absent):,} parts that were copied are not at {self.target}, such as that of "
                    f"{absent[0].dataset.short} {absent[0].key.session}: somebody else changes what is there"
                )

    def _clear(self) -> tuple[Cleared, ...]:
        if self.target.url:
            newest = next((int(run["run"]) for run in self.manifest.runs.newest(1)), 0)
            with suppress(StoreUnavailable):  # the next run stores it
                self._writer(self.target).snapshot(newest)
        return tuple(clear(self.settings, self.manifest))


def _existing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.exists())
