"""A new manifest built from a damaged one, for all datasets: the rows that can be read, then what the parts say.

The damaged manifest is not changed, and stays in place until the new one is whole and durable: a repair killed before
that starts over, with the same result. Sessions without a readable row are restored from their parts, except those of
an interrupted replacement: recovery completes that.
"""

from collections.abc import Callable
from pathlib import Path

from ingest.cache import rebuild
from ingest.cache.cache import Cache, Layout, refuse_other_place
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.database import Database
from ingest.cache.manifest.integrity import replacement, rows
from ingest.market.catalogue import CATALOGUE
from ingest.market.datasets import Dataset
from ingest.settings import Settings

Say = Callable[[str], None]


def renew(settings: Settings, say: Say) -> None:
    """Replace a damaged manifest with a new one; `say` gets what came of it, in words. Raises CacheError."""
    path = settings.manifest_path
    building = replacement.begin(path)
    with Database.open(building) as new, new.transaction() as db:
        read = rows.take(path, db)
    with Manifest.open(building) as manifest:
        refuse_other_place(manifest, settings)
    taken = sum(_take_parts(building, settings, dataset) for dataset in CATALOGUE.values())
    aside = replacement.put_in_place(path)
    say(
        f"the manifest was damaged: a new one was built from {read.kept.total():,} of its rows, "
        f"and the old one is kept as {aside.name}"
    )
    for table, count in read.unfit.items():
        say(f"{count:,} rows of its table {table} were altered, and were left out")
    if taken:
        say(f"{taken:,} sessions were restored from their parts")


def _take_parts(building: Path, settings: Settings, dataset: Dataset) -> int:
    layout = Layout.of(settings, dataset)
    if not (days := rebuild.part_days(layout.parts)):
        return 0
    with Manifest.open(building, dataset.name) as manifest:
        days -= {*manifest.sessions.committed(), *(record.session for record, _ in manifest.replacements.intents())}
        if not days:
            return 0
        run = manifest.runs.begin(min(days), max(days))
        taken = rebuild.take_up(Cache.through(manifest, layout, run), days)
        manifest.runs.finish(run, 0, {"repaired": len(taken)})
    return len(taken)
