"""What can still be read of a damaged manifest, and is not in the parts: corrections, and sessions without a note.

A record is believed where both parts are, byte for byte, the files that it names; what cannot be read is passed over.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_origin, get_type_hints

from ingest.errors import CacheError, ManifestDamaged
from ingest.manifest import Manifest, SessionRecord
from ingest.manifest.judgements import Judgements
from ingest.manifest.records import KeptCorrection
from ingest.rebuilding import is_whole
from ingest.tiers.layout import PartFolders

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was read: records with the tickers of their tracked sets, and corrections."""

    sessions: tuple[tuple[SessionRecord, frozenset[str]], ...] = ()
    corrections: tuple[KeptCorrection, ...] = ()


def salvage(damaged: Path, manifest: Manifest, folders: PartFolders, run: int) -> tuple[int, int]:
    """Take what can be read of a manifest that was set aside into another.

    Returns how many sessions and how many corrections were taken. Raises CacheError where they cannot be written.
    """
    found = _read(damaged, manifest.dataset)
    held = set(manifest.committed())
    lacking = [
        replace(record, tracked_set=manifest.tracked_set(tickers))
        for record, tickers in found.sessions
        if record.session not in held and is_whole(folders, record)
    ]
    if lacking:
        manifest.commit(lacking, [], run)
    Judgements(manifest).restore(found.corrections, run)
    return len(lacking), len(found.corrections)


def _read(damaged: Path, dataset: str) -> Salvaged:
    try:
        with Manifest.read(damaged, dataset) as old:
            sessions = tuple(one for one in _readable(old.records_with_tickers()) if _well_typed(one[0]))
            corrections = tuple(
                one for one in _readable(Judgements(old).each_correction()) if _well_typed(one.correction)
            )
            return Salvaged(sessions, corrections)
    except CacheError:
        return Salvaged()


def _readable(rows: Iterator[_Row]) -> Iterator[_Row]:
    """Those that can be read; where the file itself is damaged they end."""
    while True:
        try:
            row = next(rows, None)
        except ManifestDamaged:
            continue
        if row is None:
            return
        yield row


def _well_typed(record: Any) -> bool:
    """Whether all values are of their types: SQLite keeps whatever a flipped bit makes of them."""
    hints = get_type_hints(type(record))
    return all(isinstance(getattr(record, name), _plain(hint)) for name, hint in hints.items())


def _plain(hint: Any) -> Any:
    if isinstance(hint, (type, UnionType)) and get_origin(hint) in (None, UnionType):
        return hint
    origin = get_origin(hint)
    return origin if isinstance(origin, type) else str
