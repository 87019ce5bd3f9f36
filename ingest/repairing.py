"""Puts a cache right: what its parts tell is taken from them, the rest is marked, for a run to fetch it again.

Nothing of the user's is removed: a damaged manifest is set aside, orphans that say nothing of themselves stay.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path

from ingest import lock, rebuilding, salvaging
from ingest.manifest import Manifest
from ingest.manifest.judgements import Judgements
from ingest.neighbours import compare_counts
from ingest.projecting import follow
from ingest.request import Request
from ingest.runs import opened_store
from ingest.settings import Settings
from ingest.store import Store
from ingest.tiers import durable
from ingest.verifying import Verified, look

Say = Callable[[str], None]

_LOGS_FIRST = ("-journal", "-wal", "-shm", "")
"""Ends of the names of SQLite's files. A log that stayed behind would be played into the manifest that is made next."""


def repair(settings: Settings, request: Request, deep: bool, say: Say) -> frozenset[date]:
    """Mend what can be mended without the source; returns the sessions that are to be fetched again for the rest.

    `say` gets each thing that is done, in words. Raises CacheError, CacheLocked.
    """
    with lock.hold(settings.cache.root):
        damaged = _set_aside_if_damaged(settings, request, say)
        with opened_store(settings, request) as store:
            mending = _Mending(settings, request, store, say)
            if damaged:
                mending.salvage(damaged)
            lost = mending.mend(deep)
            store.manifest.finish_run(store.run, 0, {"repaired": mending.deeds})
    return lost


def _set_aside_if_damaged(settings: Settings, request: Request, say: Say) -> Path | None:
    """Returns where it is now; None where it is whole, which is seen without unpacking a part."""
    found = look(settings, dataset=request.dataset)
    if not any(one.kind == "damaged" and one.about == "manifest" for one in found.problems):
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    manifest = settings.manifest_path
    aside = f"{manifest.name}.damaged-{stamp}"
    for end in _LOGS_FIRST:
        durable.move(manifest.with_name(manifest.name + end), manifest.with_name(aside + end))
    durable.sync_folder(manifest.parent)
    say(f"the damaged manifest was set aside as {aside}")
    return manifest.with_name(aside)


class _Mending:
    """A repair under way, under the lock and with the manifest open."""

    def __init__(self, settings: Settings, request: Request, store: Store, say: Say) -> None:
        self._settings, self._request, self._store, self._tell = settings, request, store, say
        self.deeds = 0

    @property
    def _manifest(self) -> Manifest:
        return self._store.manifest

    def salvage(self, damaged: Path) -> None:
        """Take from the parts what they say, then from the damaged manifest what can be read and is not in them."""
        store, dataset = self._store, self._request.dataset
        rebuilding.take_up(self._manifest, store.folders, dataset, store.run, rebuilding.days_of(store.folders.tracked))
        sessions, corrections = salvaging.salvage(damaged, self._manifest, store.folders, store.run)
        if held := len(self._manifest.committed()):
            self._say(f"{held:,} sessions were taken up from their parts, {sessions:,} of them by the damaged manifest")
        if corrections:
            self._say(f"{corrections:,} corrections were read from it")

    def mend(self, deep: bool) -> frozenset[date]:
        """Returns the sessions to be fetched again."""
        words = rebuilding.rebuild(self._manifest, self._store.folders, self._request.dataset, self._store.run)
        if words:
            self._say(words)
        found = look(self._settings, deep, self._request.dataset)
        lost = self._parts(found) | self._refused(found)
        self._csvs(found)
        if not lost:  # else the run that fetches them does it: a damaged part cannot be read
            compare_counts(self._manifest)
            follow(self._manifest, self._settings, self._request.dataset, self._request.tracked)
        return lost

    def _parts(self, found: Verified) -> frozenset[date]:
        """Take up what parts say of themselves; returns the sessions of which they don't say enough."""
        doubtful = {one.session for one in found.problems if one.session and one.about == "session"}
        folders, dataset = self._store.folders, self._request.dataset
        if not self._manifest.committed():  # no part says enough: no look names them
            doubtful |= rebuilding.days_of(folders.tracked)
        taken = rebuilding.take_up(self._manifest, folders, dataset, self._store.run, doubtful)
        self._each(taken, "taken up from its parts")
        lost = frozenset(doubtful - set(taken))
        self._manifest.distrust(lost)
        self._each(sorted(lost), "to be fetched again")
        return lost

    def _refused(self, found: Verified) -> frozenset[date]:
        """Forget refused files that are not there any more; returns their sessions."""
        gone = {one.session for one in found.broken if one.session and one.about == "quarantine"}
        Judgements(self._manifest).release(gone)
        self._each(sorted(gone), "its file in quarantine is gone: to be fetched again")
        return frozenset(gone)

    def _csvs(self, found: Verified) -> None:
        broken = [one for one in found.broken if one.ticker]
        self._manifest.forget_csvs((one.ticker, one.period or "") for one in broken if one.ticker)
        for one in broken:
            month = f" of {one.period}" if one.period else ""
            self._say(f"{one.ticker}: its CSV{month} is made anew from the parts")

    def _each(self, sessions: Iterable[date], words: str) -> None:
        for session in sessions:
            self._say(f"{session}: {words}")

    def _say(self, words: str) -> None:
        self.deeds += 1
        self._tell(words)
