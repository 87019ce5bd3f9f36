"""Repairs a cache: restores what its parts contain, and marks the rest for a run to download again.

No data is removed: a damaged manifest is kept, and orphans that do not describe themselves stay.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date
from pathlib import Path

from ingest import events
from ingest.cache import lock, quarantine, rebuild
from ingest.cache.cache import Cache, Layout, part_folders
from ingest.cache.commit import for_run
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.integrity import replacement
from ingest.cache.salvage import renew
from ingest.errors import ManifestDamaged
from ingest.files import durable, opening
from ingest.files.aside import is_no_folder, make_room, put_aside
from ingest.lake.iceberg.state import table_flaws
from ingest.lake.keeping import keep_up_to_date
from ingest.maintenance.verify import Problem, Verified, check_cache
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.datasets import Dataset, is_part_name, part_name
from ingest.planning.request import Request
from ingest.settings import Settings
from ingest.tracked.update import bring_up_to_date

Say = Callable[[str], None]


def repair(settings: Settings, request: Request, deep: bool, say: Say) -> frozenset[date]:
    """Repair what can be repaired without the source; returns the sessions that have to be downloaded again.

    `say` gets each action, in words. Raises CacheError, CacheLocked.
    """
    with lock.hold(settings.cache.root):
        replacement.finish(settings.manifest_path)
        if _is_damaged(settings):
            renew(settings, say)
        deeds = _make_room(settings, request.dataset, say)
        with for_run(settings, request.dataset, request.window) as cache:
            mending = _Mending(settings, request, cache, say)
            lost = mending.mend(deep)
            cache.manifest.runs.finish(cache.run, 0, {"repaired": deeds + mending.deeds})
    return lost


def _is_damaged(settings: Settings) -> bool:
    """Whether the file itself is damaged, rather than misread: a bug is no reason to replace a manifest."""
    try:
        with Cache.read(settings, STOCKS_DAY) as cache:
            return bool(cache.manifest.database.flaws())
    except ManifestDamaged:
        return True


def _make_room(settings: Settings, dataset: Dataset, say: Say) -> int:
    """Move files away that are in place of the dataset's folders; returns how many there were."""
    layout = Layout.of(settings, dataset)
    parts = part_folders(settings, dataset).values()
    folders = (*parts, layout.csvs.path, layout.quarantine, layout.downloads)
    below = {up for one in folders for up in (one, *one.parents) if up.is_relative_to(settings.cache.root)}
    moved = make_room(sorted(below - {settings.cache.root}))
    for words in moved:
        say(words)
    return len(moved)


class _Mending:
    """A repair in progress, under the lock and with the manifest open."""

    def __init__(self, settings: Settings, request: Request, cache: Cache, say: Say) -> None:
        self._settings, self._request, self._cache, self._tell = settings, request, cache, say
        # Only in folders can something else be in a part's place: no PartStore has to clear it away.
        self._folders = part_folders(settings, cache.dataset)
        self.deeds = 0

    @property
    def _manifest(self) -> Manifest:
        return self._cache.manifest

    def mend(self, deep: bool) -> frozenset[date]:
        """Returns the sessions to download again."""
        for path in self._blocked():
            self._say(put_aside(path))
        words = rebuild.rebuild(self._cache)
        if words:
            self._say(words)
        found = check_cache(self._settings, deep, self._request.dataset)
        for one in found.broken:
            for path in self._places(one):
                self._clear(path)
        lost, has_lake = self._parts(found) | self._refused(found), self._manifest.lake.exists()
        self._csvs(found)
        self._lake(found)
        if not lost:  # otherwise the run that downloads them does it: a damaged part cannot be read
            bring_up_to_date(self._cache, self._settings, self._request.tracked, self._say)
            if has_lake:
                keep_up_to_date(self._cache, self._settings.lake, self._heard, look=True)
        return lost

    def _heard(self, done: events.LakeWritten | events.TableWritten) -> None:
        if done.notice:
            self._say(done.notice)

    def _blocked(self) -> Iterator[Path]:
        """Things of the wrong kind under the cache's own names, which no file or folder of months could replace."""
        for folder in (*self._folders.values(), self._cache.quarantine):
            with durable.translated("look into", folder):
                names = opening.names(folder, "*.csv.gz")
            yield from (folder / name for name in names if is_part_name(name) and opening.is_folder(folder / name))
        csvs = self._cache.csvs
        yield from (path for path in csvs.present() if csvs.has_name(path.name) and opening.is_folder(path))
        yield from filter(is_no_folder, csvs.not_folders())

    def _places(self, problem: Problem) -> Iterator[Path]:
        """The names of the files that a problem is about."""
        if problem.about == "csv" and problem.ticker:
            yield self._cache.csvs.file(problem.ticker, problem.period or "")
        elif problem.about == "session" and problem.session:
            yield from (folder / part_name(problem.session) for folder in self._folders.values())
        elif problem.about == "quarantine" and problem.session:
            yield quarantine.file_of(self._cache, problem.session)

    def _clear(self, path: Path) -> None:
        """Move anything that is not a file out of the way: no rename replaces a folder, and a link hides it."""
        with durable.translated("look at", path):
            is_other = opening.is_no_file(path)
        if is_other:
            self._say(put_aside(path))

    def _parts(self, found: Verified) -> frozenset[date]:
        """Restore sessions from what their parts say; returns those whose parts don't say enough."""
        doubtful = {one.session for one in found.problems if one.session and one.about == "session"}
        committed = self._manifest.sessions.committed()
        if not committed:  # no part says enough, so no check has named them
            doubtful |= rebuild.part_days(self._cache.parts)
        taken = rebuild.take_up(self._cache, doubtful | self._unclaimed(committed))
        self._each(taken, "restored from its parts")
        lost = frozenset(doubtful - set(taken))
        self._manifest.replacements.distrust(lost)
        self._each(sorted(lost), "will be downloaded again")
        return lost

    def _unclaimed(self, committed: Collection[date]) -> frozenset[date]:
        """Sessions of which objects are there and no row: no check names them while they wait to be removed."""
        parts = self._cache.parts
        return rebuild.part_days(parts) - set(committed) if parts.by_content else frozenset()

    def _refused(self, found: Verified) -> frozenset[date]:
        """Forget refused files that are gone or damaged; returns their sessions."""
        gone = {one.session for one in found.broken if one.session and one.about == "quarantine"}
        self._manifest.replacements.release(gone)
        for session in sorted(gone):
            aside = quarantine.put_aside(self._cache, session)
            how = f"is damaged, and its bytes are kept as {aside}" if aside else "is gone"
            self._say(f"{session}: its file in quarantine {how}; it will be downloaded again")
        return frozenset(gone)

    def _csvs(self, found: Verified) -> None:
        broken = [one for one in found.broken if one.ticker]
        self._manifest.csvs.forget((one.ticker, one.period or "") for one in broken if one.ticker)
        for one in broken:
            month = f" of {one.period}" if one.period else ""
            self._say(f"{one.ticker}: its CSV{month} is rebuilt from the parts")

    def _lake(self, found: Verified) -> None:
        broken = [one.period for one in found.broken if one.about == "lake" and one.period]
        self._manifest.lake.forget(broken)  # what the manifest does not know is written again
        for name in broken:
            self._say(f"the lake's file of {name} is written again from the parts")
        if self._settings.lake.iceberg:
            self._table()

    def _table(self) -> None:
        """Remove damaged data files: what is missing is put back, or the snapshots that need it go."""
        flaws = table_flaws(self._cache, self._settings.lake)
        for flaw in (one for one in flaws if not one.kept_by):
            if flaw.file is not None:
                self._clear(flaw.file)
                durable.remove(flaw.file)
            then = "is dropped" if flaw.snapshot else "is put back, or the snapshots that need it are dropped"
            self._say(f"{flaw.name} {then}")

    def _each(self, sessions: Iterable[date], words: str) -> None:
        for session in sessions:
            self._say(f"{session}: {words}")

    def _say(self, words: str) -> None:
        self.deeds += 1
        self._tell(words)
