"""Compares a whole cache with its manifest."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import islice
from pathlib import Path

from ingest.cache import quarantine, steady
from ingest.cache.cache import Cache
from ingest.cache.lock import is_claimed
from ingest.cache.manifest import Held, Manifest, SessionRecord
from ingest.cache.manifest.records import Projection
from ingest.cache.objects.naming import ObjectName
from ingest.cache.parts.ahead import MOST_PACKED, read_ahead
from ingest.errors import CacheError, ManifestDamaged, StoreError
from ingest.files import opening as files
from ingest.lake.iceberg.state import is_behind
from ingest.lake.partitions import Standing
from ingest.maintenance.verify import csvs, lake, orphans, session
from ingest.maintenance.verify.evidence import Evidence
from ingest.maintenance.verify.problems import BROKEN, Kind, Problem
from ingest.maintenance.verify.unreferenced import find_unreferenced
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.datasets import TIERS, Dataset, Tier, session_of
from ingest.reading.adjusting.freshness import calendar_of
from ingest.settings import Settings

_AHEAD = 2
"""Sessions under way per core."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked, and what is wrong with it.

    `root` is the cache's folder. `sessions` and `rows` (of the source) count what the manifest calls stored, `files`
    and `bytes` (packed) the parts that were read or, `listed` of them, compared with the store's listing alone, `csvs`
    the tracked CSVs, `lake_files` the files of the lake that are not outdated. `deep` says whether texts were unpacked
    and compared with CSVs and lake. `problems` (see `Problem`) is empty if all is well; `notes` are remarks in words.
    """

    root: str
    deep: bool
    sessions: int = 0
    rows: int = 0
    files: int = 0
    bytes: int = 0
    csvs: int = 0
    listed: int = 0
    lake_files: int = 0
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def broken(self) -> tuple[Problem, ...]:
        """The problems with something missing or damaged."""
        return tuple(one for one in self.problems if one.kind in BROKEN)


def verify(settings: Settings, deep: bool = False, dataset: Dataset = STOCKS_DAY) -> Verified:
    """Compare a cache with its manifest; writes nothing and takes no lock.

    If another command writes, or did in the meantime, whatever looks broken is checked once more. A damaged
    manifest is a problem like others. Raises CacheError if the cache cannot be read, and for a manifest of a newer
    version.
    """
    before = _state(settings, dataset)
    found = check_cache(settings, deep, dataset)
    if found.problems and (is_claimed(settings.cache.root) or _state(settings, dataset) != before):
        time.sleep(settings.tuning.look_again_s)
        again = check_cache(settings, deep, dataset)
        both = tuple(one for one in again.problems if one in found.problems)
        note = "another run may be in progress; its unfinished work can look like damage"
        return replace(again, problems=both, notes=(*again.notes, note))
    return found


def _state(settings: Settings, dataset: Dataset) -> object:
    """What differs once a run has begun or ended, sessions were removed, or CSVs were written.

    None if the manifest does not say.
    """
    try:
        with Cache.read(settings, dataset) as cache:
            manifest = cache.manifest
            return manifest.runs.newest(1), manifest.sessions.committed(), manifest.csvs.states()
    except ManifestDamaged:
        return None


def check_cache(settings: Settings, deep: bool = False, dataset: Dataset = STOCKS_DAY) -> Verified:
    """Like `verify`, without a second look."""
    empty = Verified(str(settings.cache.root), deep)
    try:
        with Cache.read(settings, dataset) as cache:
            if flaws := cache.manifest.database.flaws():
                return replace(
                    empty,
                    problems=tuple(
                        Problem("damaged", "manifest", "manifest", one.reason, one.session) for one in flaws
                    ),
                )
            keep = timedelta(hours=settings.store.keep_replaced_h)
            found = _Verifying(cache, settings.cache.root, deep, Evidence.of(cache), keep).look(empty)
            return _with_table(cache, settings, found) if settings.lake.iceberg else found
    except ManifestDamaged as error:
        return replace(empty, problems=(Problem("damaged", "manifest", "manifest", str(error)),))


def _with_table(cache: Cache, settings: Settings, found: Verified) -> Verified:
    """What was found, and what is wrong with the table of the lake."""
    behind = f"the table of {cache.dataset.short} is out of date: the next run with the lake on, or a build, updates it"
    notes = [behind] if is_behind(cache, settings.lake) else []
    problems = lake.check_table(cache, settings.lake)
    return replace(found, problems=(*found.problems, *problems), notes=(*found.notes, *notes))


@dataclass(frozen=True, slots=True)
class _Verifying:
    """A cache that is being compared with its manifest."""

    cache: Cache
    root: Path
    deep: bool
    evidence: Evidence
    keep: timedelta
    _referenced: dict[Tier, set[str]] = field(default_factory=lambda: {tier: set() for tier in TIERS})

    @property
    def _manifest(self) -> Manifest:
        return self.cache.manifest

    def look(self, found: Verified) -> Verified:
        held = self._manifest.sessions.all()
        found = self._sessions(found, held)
        if not found.sessions and (parts := self._tracked_parts()):
            why = f"{len(parts):,} tracked parts exist, but the manifest has no session"
            return replace(found, problems=(Problem("missing", "manifest", "manifest", why),))
        followed = self._manifest.csvs.active()
        files = (*followed, *self._manifest.csvs.months().values())
        rows = [row for row in files if row.active and not row.dirty and row.sha256]
        underway = steady.underway(self.cache)
        found = replace(found, problems=tuple(one for one in found.problems if one.session not in underway))
        wrong = list(csvs.check_csvs(rows, self.cache.csvs))
        standing = Standing.of(self.cache)
        in_lake = list(lake.check_files(standing))
        compared, notes = self._compare(rows, standing, bool(found.problems or underway))
        known = {(problem.ticker, problem.period) for problem in (*wrong, *in_lake)}
        unreferenced = find_unreferenced(self.cache, self.evidence, self._referenced, held, self.keep)
        return replace(
            found,
            csvs=len(rows),
            problems=(
                *found.problems,
                *wrong,
                *in_lake,
                *(problem for problem in compared if (problem.ticker, problem.period) not in known),
                *self._refused(),
                *orphans.find_orphans(self.cache, held, self.evidence.listed),
                *unreferenced.orphans,
                *self._gaps(held),
            ),
            lake_files=len(standing.current()),
            notes=(*notes, *self._notes(sum(row.dirty for row in followed), standing), *unreferenced.notes()),
        )

    def _tracked_parts(self) -> list[str]:
        """Names in the tracked tier, except those that a killed command was removing."""
        pruned = self._manifest.replacements.pruning() or date.min
        if listed := self.evidence.listed.get("tracked"):
            return [name for name in listed if (one := ObjectName.parse(name)) and one.session >= pruned]
        return [name for name in self.cache.parts.names("tracked") if (session_of(name) or date.max) >= pruned]

    def _sessions(self, found: Verified, held: Mapping[date, Held]) -> Verified:
        """Check each session; only some records, which say where members begin, are in memory at a time."""
        sessions = rows = files = size = listed = 0
        problems = list[Problem]()
        for record, look in self._looked_at(held):
            sessions, rows = sessions + 1, rows + record.source_rows
            files, size, listed = files + look.files, size + look.bytes, listed + look.listed
            problems += look.problems
        found = replace(found, files=files, bytes=size, listed=listed)
        return replace(found, sessions=sessions, rows=rows, problems=tuple(problems))

    def _looked_at(self, held: Mapping[date, Held]) -> Iterator[tuple[SessionRecord, session.SessionCheck]]:
        """Each record with the result of its check, in order; checked in threads."""

        def look(record: SessionRecord) -> tuple[SessionRecord, session.SessionCheck]:
            tracked = held[record.session].tracked
            return record, session.check_session(record, tracked, self.evidence, self.root, self.deep)

        ahead = max(_AHEAD * (os.cpu_count() or 1), self.cache.parts.ahead)
        records, weight = self._manifest.sessions.records(), self.evidence.weight
        for record, found in read_ahead(look, records, ahead, weight, MOST_PACKED):
            for tier in record.part_sha256:
                self._referenced[tier].add(self.cache.parts.name(record.part(tier)))
            yield record, found

    def _compare(
        self, rows: list[Projection], standing: Standing, parts_broken: bool
    ) -> tuple[list[Problem], list[str]]:
        if not self.deep:
            return [], []
        not_compared = "CSVs and lake were not compared with the parts, because some parts are broken or being replaced"
        if parts_broken:
            return [], [not_compared]
        try:
            return [*csvs.compare_csvs(self.cache, rows), *lake.compare_rows(self.cache, standing)], []
        except StoreError:
            raise
        except CacheError as error:
            return [], [f"{not_compared}: {error}"]

    def _refused(self) -> Iterator[Problem]:
        """Files in quarantine that are not what was refused."""
        for one in self._manifest.replacements.in_quarantine():
            path = quarantine.file_of(self.cache, one.session)
            name = f"{path.parent.name}/{path.name}"
            try:
                why = quarantine.wrong_with(self.cache, one)
            except OSError as error:
                why = files.why_unread(error)
            if why:
                kind: Kind = "damaged" if files.is_there(path) else "missing"
                yield Problem(kind, "quarantine", name, f"the file in quarantine: {why}", one.session)

    def _gaps(self, held: Mapping[date, Held]) -> Iterator[Problem]:
        committed = [day for day, one in held.items() if one.held == "committed"]
        for first, last, count in calendar_of(self.cache).gaps(committed):
            span, noun = (f"{first} to {last}", "sessions") if count > 1 else (str(first), "session")
            refused = {
                day: held[day] for day in sorted(held) if first <= day <= last and held[day].held == "quarantined"
            }
            yield Problem("gap", "window", span, f"{count:,} {noun} not stored; {_why(held, first, refused)}", first)

    def _notes(self, dirty: int, standing: Standing) -> Iterator[str]:
        if refused := self._manifest.replacements.in_quarantine():
            dismissed = sum(bool(one.dismissed) for one in refused)
            yield f"refused files in quarantine: {len(refused):,}; dismissed of them: {dismissed:,}"
        if intents := self._manifest.replacements.intents():
            yield f"{len(intents):,} replacements were interrupted: the next run finishes them"
        if dirty:
            yield f"{dirty:,} CSVs are out of date: the next run updates them"
        if standing.files and (due := len(standing.wanted) - len(standing.current())):
            yield f"{due:,} files of the lake are missing or out of date: the next run with the lake on writes them"


def _why(held: Mapping[date, Held], first: date, refused: Mapping[date, Held]) -> str:
    """Why the sessions from `first` on are not stored; the files of some may be in quarantine."""
    if refused:
        shown = [f"{day}{' (dismissed)' if one.dismissed else ''}" for day, one in islice(refused.items(), 3)]
        return f"in quarantine: {', '.join(shown)}{' …' if len(refused) > 3 else ''}"
    state = held.get(first)
    return f"the source said: {state.remote}" if state and state.remote else "never requested"
