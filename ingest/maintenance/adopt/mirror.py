"""A mirror of the vendor's bucket, as a tool that copies buckets leaves it: which of its files are which sessions.

The folders say it: `us_stocks_sip/day_aggs_v1/2025/11/2025-11-11.csv.gz`, whether the folder given is the bucket's, a
dataset's or a year's. Where they do not name a dataset, the user does; then years, months and days may be spelled in
other ways (`year=2025/month=11`). Opens no file, and never changes anything.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from ingest.errors import UsageError, printable
from ingest.files import durable
from ingest.files import opening as files
from ingest.hints import Option
from ingest.maintenance.adopt.folder import walk
from ingest.market.calendars import today
from ingest.market.catalogue import CATALOGUE
from ingest.market.datasets import Dataset

_DAY = re.compile(r"(\d{4}-\d\d-\d\d)\.csv(\.\w+)?")
_NO_DAY = "not a daily file by its name"
_DATED = ("%Y", "%m", "%d", "%Y-%m", "%Y%m", "%Y-%m-%d", "%Y%m%d")
_NAMES: Mapping[tuple[str, ...], Dataset] = {tuple(one.prefix.split("/")): one for one in CATALOGUE.values()}
_DEPTH = 2
"""Folders that name a dataset: its market, and the kind of its files."""


@dataclass(frozen=True, slots=True)
class MirroredFile:
    """A file that is not opened yet: `size` in bytes, `changed` in seconds since 1970.

    `shown` is its path below the folder, printable. `fault` says why it must not be opened; it then may have no session
    or no dataset. It `matters` if its name says that it should have been adopted. The dataset `is_guessed` if only the
    user names it, and not the folders.
    """

    path: Path
    shown: str
    size: int
    changed: float
    dataset: Dataset | None = None
    session: date | None = None
    fault: str | None = None
    matters: bool = True
    is_guessed: bool = False

    @property
    def is_packed(self) -> bool:
        """Whether its bytes are those of the object, as far as its name says."""
        return self.path.suffix == ".gz"


def files_of_mirror(top: Path, only: Sequence[Dataset] = ()) -> Sequence[MirroredFile]:
    """All files below a folder, by dataset and session, the packed one of a session first.

    `only` are the datasets that the user named; if it is one, it is also that of files whose folders name none. Raises
    UsageError if no file is a daily file of a known dataset, CacheError.
    """
    found = [_named(path, top, fault, only) for path, fault in walk(top)]
    if not any(one.dataset for one in found):
        raise _nothing(top, found)
    return sorted(found, key=_order)


def _order(one: MirroredFile) -> tuple[str, date, bool, str]:
    return one.dataset.name if one.dataset else "", one.session or date.min, not one.is_packed, one.shown


def _nothing(top: Path, found: Sequence[MirroredFile]) -> UsageError:
    if not any(one.session for one in found):
        return UsageError(
            f"{printable(str(top))} contains no daily file (such as 2025-11-11.csv.gz), and neither massive_cache nor "
            "data_cache: nothing to adopt"
        )
    told = f"the folders of {printable(str(top))} name no dataset (such as us_stocks_sip/day_aggs_v1)"
    return UsageError(told, Option("dataset", None, "to say whose files these are"))


def _named(path: Path, top: Path, fault: str | None, only: Sequence[Dataset]) -> MirroredFile:
    shown, session = printable(str(path.relative_to(top))), _session(path.name)
    if session is None:
        return MirroredFile(path, shown, 0, 0.0, fault=fault or _NO_DAY, matters=fault is not None)
    dataset, above = _named_by(path.parent.parts)
    if is_guessed := dataset is None:
        dataset, above = only[0] if len(only) == 1 else None, path.relative_to(top).parent.parts
    if unwanted := dataset and only and dataset not in only:
        fault = f"of {dataset.short}, which was not asked for"
    with durable.translated("look at", path):
        state = None if fault else files.state(path)
    size, changed = (state.st_size, state.st_mtime) if state else (0, 0.0)
    fault = fault or _fault(path, session, dataset, above)
    known = MirroredFile(path, shown, size, changed, dataset=dataset, session=session, fault=fault)
    return replace(known, matters=not unwanted, is_guessed=is_guessed)


def _session(name: str) -> date | None:
    found = _DAY.fullmatch(name)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def _named_by(folders: Sequence[str]) -> tuple[Dataset | None, Sequence[str]]:
    """The dataset that the innermost folders name, and the folders below these."""
    for at in range(len(folders) - _DEPTH, -1, -1):
        if named := _NAMES.get(tuple(folders[at : at + _DEPTH])):
            return named, folders[at + _DEPTH :]
    return None, ()


def _fault(path: Path, session: date, dataset: Dataset | None, above: Sequence[str]) -> str | None:
    if dataset is None:
        return "its folders name no dataset"
    if odd := [one for one in above if not _is_of(session, one)]:
        return f"its folder {printable(odd[0])} is not one of {session}"
    if session > today():
        return f"{session} is in the future"
    ending = path.name.rpartition(".csv")[2]
    return None if ending in ("", ".gz") else f"packed as {ending}: only .csv.gz and .csv are read, so pack it again"


def _is_of(session: date, folder: str) -> bool:
    """Whether a folder is that of a session's year, month or day."""
    said = folder.rpartition("=")[2]
    return any(said in (text, text.lstrip("0")) for text in map(session.strftime, _DATED))
