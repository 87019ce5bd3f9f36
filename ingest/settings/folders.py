"""The folders and files of a cache must not overlap: one would overwrite what is in the other."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from ingest.errors import UsageError
from ingest.market.catalogue import CATALOGUE
from ingest.settings.model import Settings

_FILES = (
    *(f"manifest.sqlite{end}" for end in ("", "-wal", "-shm", "-journal", ".building", ".repaired")),
    "ingest.lock",
    "ingest.lock.json",
)

_Owned = tuple[str, Path]
"""Its name in messages, and its path."""


def refuse_overlaps(settings: Settings) -> None:
    """Raise UsageError, which names both, if two are the same or one is inside the other, even through links."""
    folders = _folders(settings)
    files = [("file", settings.cache.root / name) for name in _FILES]
    taken: list[tuple[_Owned, str]] = []
    for one in (*files, *folders, *_linked(folders)):
        real = _real(one[1])
        for other, place in taken:
            if not _together(one, other) and (_within(real, place) or _within(place, real)):
                raise _overlap(one, other)
        taken.append((one, real))


def _together(one: _Owned, other: _Owned) -> bool:
    """Whether they are files of one folder, or a dataset's folder inside the folder where it belongs."""
    if one[0] == other[0]:
        return True
    return " of " in one[0] and " of " in other[0] and one[1].is_relative_to(other[1])


def _folders(settings: Settings) -> list[_Owned]:
    return [
        ("quarantine", settings.quarantine_path),
        ("spool", settings.spool_path),
        ("[cache] tracked_dir", settings.tracked_path),
        ("[cache] archive_dir", settings.archive_path),
    ]


def _linked(folders: list[_Owned]) -> Iterator[_Owned]:
    """Folders of datasets, and of the tracked parts, that are elsewhere because somebody replaced them with links."""
    for name, top in folders:
        real = Path(os.path.realpath(top))
        below = {dataset.folder(top) for dataset in CATALOGUE.values()} - {top}
        if name == "[cache] tracked_dir":
            below |= {folder / "sessions" for folder in (top, *below)}
        for folder in sorted(below):
            if not os.path.exists(folder):  # noqa: PTH110 - a name may be too long for Path's
                continue
            if _real(folder) != _folded(real / folder.relative_to(top)):
                yield f"{folder.relative_to(top).as_posix()} of {name}", folder


def _overlap(one: _Owned, other: _Owned) -> UsageError:
    (name, path), (place, where) = one, other
    return UsageError(
        f"{name} ({path}) and {place} ({where}) overlap, so files of one would overwrite files of the other. "
        "Choose another folder"
    )


def _real(path: Path) -> str:
    """The path after following links."""
    return _folded(Path(os.path.realpath(path)))


def _folded(path: Path) -> str:
    """One text for all names that a file system may treat as one: Data and data, an é in one character or in two."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def _within(one: str, other: str) -> bool:
    """Whether a path is another, or below it; both are real ones."""
    return one == other or one.startswith(other.rstrip(os.sep) + os.sep)
