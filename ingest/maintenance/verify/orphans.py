"""Files that look like the cache's own but are not in its manifest."""

import fnmatch
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path, PurePath

from ingest.cache import quarantine
from ingest.cache.cache import Cache
from ingest.cache.csv_files import CsvFolder
from ingest.cache.manifest import Held, Manifest
from ingest.cache.parts.store import PartStore
from ingest.files import durable, opening
from ingest.maintenance.verify.problems import About, Problem
from ingest.market.datasets import TIERS, Tier, part_name, session_of

_UNKNOWN_CSV = "it belongs to no ticker that is or was tracked"
_UNKNOWN_PART = "not in the manifest: a repair restores it or downloads its session again"


def find_orphans(cache: Cache, held: Mapping[date, Held], listed: Collection[Tier]) -> Iterator[Problem]:
    """Orphans in the folders of tiers, except for those `listed` by a store, and in quarantine. Raises CacheError."""
    manifest, tracked = cache.manifest, cache.csvs
    committed = [day for day, one in held.items() if one.held == "committed"]
    whole = [day for day in committed if held[day].archive_kept]
    csvs = {tracked.file(ticker).name for ticker in manifest.csvs.states()}
    pruned = manifest.replacements.pruning() or date.min
    known: Mapping[Tier, Collection[date]] = {"tracked": committed, "archive": whole}
    for tier in (tier for tier in TIERS if tier not in listed):
        yield from _unknown_parts(cache.parts, tier, known[tier], pruned)
    yield from _unknown("csv", tracked.path, f"*{cache.dataset.csv_suffix}", csvs, _UNKNOWN_CSV)
    yield from _months(tracked, manifest)
    yield from _unknown_refused(cache)
    for tier in TIERS:
        yield from _left("staged" if tier in listed else cache.parts.place(tier), cache.parts.leftovers(tier))
    yield from _left(str(cache.quarantine), quarantine.kept_leftovers(cache))
    for folder in tracked.folders():
        yield from _left(str(folder), [path.name for path in durable.leftovers(folder, tracked.has_name)])


def _unknown_refused(cache: Cache) -> Iterator[Problem]:
    known = {quarantine.file_of(cache, one.session).name for one in cache.manifest.replacements.in_quarantine()}
    place, names = str(cache.quarantine), quarantine.kept_names(cache)
    return _strangers("quarantine", place, names, known, "it belongs to no quarantined session")


def _left(place: str, names: Iterable[str]) -> Iterator[Problem]:
    for name in names:
        why = "a killed run left it; the next run removes it"
        yield Problem("orphan", "leftover", f"{PurePath(place).name}/{name}", why)


def _unknown_parts(parts: PartStore, tier: Tier, known: Iterable[date], pruned: date) -> Iterator[Problem]:
    """Parts that are not known; those before the date up to which a killed command was removing them are leftovers."""
    names = fnmatch.filter(sorted(parts.names(tier)), "*.csv.gz")
    left = [name for name in names if (session_of(name) or date.max) < pruned]
    yield from _left(parts.place(tier), left)
    kept = set(map(part_name, known)) | set(left)
    yield from _strangers("session", parts.place(tier), names, kept, _UNKNOWN_PART)


def _months(tracked: CsvFolder, manifest: Manifest) -> Iterator[Problem]:
    """CSVs of months without a session, in the folders of known tickers, and anything that is not such a folder.

    A month of a ticker that is followed no more stays as it was, although `prune` has forgotten what is in it.
    """
    known: dict[Path, set[str]] = {}
    if tracked.by_month:
        known = {tracked.file(ticker): set() for ticker in manifest.csvs.states()}
    for row in manifest.csvs.months().values():
        if row.sha256 or not row.active:
            known.setdefault(tracked.file(row.ticker), set()).add(tracked.file(row.ticker, row.period).name)
    wrong = set(tracked.not_folders())
    for folder in sorted(wrong):
        yield Problem(
            "damaged",
            "csv",
            folder.name,
            "a file where the folder of a ticker's months belongs; a repair moves it aside",
        )
    for folder in sorted(known.keys() - wrong):
        yield from _unknown("csv", folder, "*.csv", known[folder], "its ticker has no rows in a month of that name")


def _unknown(about: About, folder: Path, pattern: str, known: Collection[str], why: str) -> Iterator[Problem]:
    with durable.translated("look into", folder):
        names = opening.names(folder, pattern)
    yield from _strangers(about, str(folder), names, known, why)


def _strangers(about: About, place: str, names: Iterable[str], known: Collection[str], why: str) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            yield Problem("orphan", about, f"{PurePath(place).name}/{name}", why, session_of(name))
