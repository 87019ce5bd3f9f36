"""The tracked CSVs held against the manifest and, on request, against what the parts say."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from ingest.manifest import Manifest
from ingest.projecting import contents
from ingest.tiers.layout import PartFolders
from ingest.tiers.projection import CsvFolder, Projection
from ingest.verifying.problems import Kind, Problem

AFRESH = "a run, or --repair, makes it anew from the parts"


def look(rows: Sequence[Projection], folder: CsvFolder) -> Iterator[Problem]:
    """Compare CSVs with their hashes, and see that their dates ascend."""
    for row in rows:
        path = folder.file(row.ticker)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            yield _problem("missing", row, path, f"the file is gone; {AFRESH}")
            continue
        except OSError as error:
            yield _problem("damaged", row, path, f"it cannot be read: {error.strerror}")
            continue
        if why := _wrong(content, row):
            yield _problem("damaged", row, path, f"{why}; {AFRESH}")


def _wrong(content: bytes, row: Projection) -> str | None:
    if hashlib.sha256(content).hexdigest() != row.sha256:
        return "it was changed since it was written"
    dates = [line.partition(b",")[0].decode() for line in content.splitlines()[1:]]
    if not all(before < after for before, after in pairwise(dates)):
        return "its dates do not ascend one by one"
    same = (len(dates), dates[:1], dates[-1:]) == (row.rows, [row.first], [row.last])
    return None if same else "its rows are not those that the manifest counts"


def compare(
    manifest: Manifest, folders: PartFolders, folder: CsvFolder, rows: Sequence[Projection]
) -> Iterator[Problem]:
    """Make each CSV once more, in memory, from all parts, and compare. Raises CacheError where a part is damaged."""
    for row, content in contents(manifest, folders, rows):
        if hashlib.sha256(content).hexdigest() != row.sha256:
            path = folder.file(row.ticker)
            yield _problem("damaged", row, path, f"it is not what the parts say; {AFRESH}")


def _problem(kind: Kind, row: Projection, path: Path, why: str) -> Problem:
    return Problem(kind, path.name, why, ticker=row.ticker)
