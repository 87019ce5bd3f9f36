"""Compares the tracked CSVs with the manifest and, on request, with the parts."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from ingest.cache.cache import Cache
from ingest.cache.csv_files import CsvFolder
from ingest.cache.manifest.records import Projection
from ingest.files import opening
from ingest.maintenance.verify.problems import Kind, Problem
from ingest.tracked.projection import contents

AFRESH = "a run or a repair rebuilds it from the parts"


def check_csvs(rows: Sequence[Projection], folder: CsvFolder) -> Iterator[Problem]:
    """Compare CSVs with their hashes, and check that their dates ascend."""
    for row in rows:
        path = folder.file(row.ticker, row.period)
        try:
            content = opening.read(path)
        except FileNotFoundError:
            yield _problem("missing", row, folder, f"the file is gone; {AFRESH}")
            continue
        except OSError as error:
            yield _problem("damaged", row, folder, f"{opening.why_unread(error)}; {AFRESH}")
            continue
        if why := _wrong(content, row):
            yield _problem("damaged", row, folder, f"{why}; {AFRESH}")


def _wrong(content: bytes, row: Projection) -> str | None:
    if hashlib.sha256(content).hexdigest() != row.sha256:
        return "it has been changed since it was written"
    dates = [line.partition(b",")[0].decode() for line in content.splitlines()[1:]]
    if not _ascend(dates):
        return "its dates are not in ascending order"
    same = (len(dates), dates[:1], dates[-1:]) == (row.rows, [row.first], [row.last])
    return None if same else "its rows do not match the manifest"


def _ascend(dates: Sequence[str]) -> bool:
    """Compared as times: as text they would not ascend if clocks are set back between minutes, as for coins."""
    try:
        return all(before < after for before, after in pairwise(map(datetime.fromisoformat, dates)))
    except (ValueError, TypeError):  # not dates; or some with an offset and some without
        return False


def compare_csvs(cache: Cache, rows: Sequence[Projection]) -> Iterator[Problem]:
    """Rebuild each CSV in memory from all parts, and compare. Raises CacheError if a part is damaged."""
    for row, content in contents(cache, rows):
        if hashlib.sha256(content).hexdigest() != row.sha256:
            yield _problem("damaged", row, cache.csvs, f"it differs from the parts; {AFRESH}")


def _problem(kind: Kind, row: Projection, folder: CsvFolder, why: str) -> Problem:
    name = folder.file(row.ticker, row.period).relative_to(folder.path).as_posix()
    return Problem(kind, "csv", name, why, ticker=row.ticker, period=row.period or None)
