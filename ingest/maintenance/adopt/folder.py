"""Another tool's folder: which of its files are daily files, and which are CSVs of tickers, by their names.

Opens no file, and never changes anything.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ingest.errors import UsageError, printable
from ingest.files import durable
from ingest.files import opening as files
from ingest.maintenance.adopt.ticker_csv import ticker_named
from ingest.market.calendars import Calendar
from ingest.market.catalogue import STOCKS_DAY
from ingest.settings import Settings

_DAYS, _TICKERS = "massive_cache", "data_cache"
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)\.csv(\.gz)?")

_LINK = "a link: links are not followed"


@dataclass(frozen=True, slots=True)
class TheirFile:
    """A file that is not opened yet; `fault` says why it must not be."""

    path: Path
    shown: str
    session: date | None = None
    ticker: str | None = None
    fault: str | None = None

    @property
    def known(self) -> bool:
        """Whether its name says that it should have been adopted."""
        return self.fault == _LINK or self.session is not None or self.ticker is not None


def checked_folder(folder: Path, settings: Settings) -> Path:
    """The folder itself; raises UsageError if it is not a folder, if adopting would change it, or without caches."""
    top = apart(folder, settings)
    if not has_caches(top):
        raise UsageError(f"{folder} contains neither {_DAYS} nor {_TICKERS}: nothing to adopt")
    return top


def has_caches(top: Path) -> bool:
    """Whether a folder has the caches of a tool that keeps days and tickers, rather than a mirror of the bucket."""
    with durable.translated("look into", top):
        return any(files.is_there(top / name) for name in (_DAYS, _TICKERS))


def apart(folder: Path, settings: Settings) -> Path:
    """The folder itself; raises UsageError if it is not a folder, or if adopting would change it."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    top = folder.resolve()
    for own in (settings.cache.root, settings.tracked_path, settings.archive_path, settings.quarantine_path):
        # Many file systems treat Data and data as one folder; on the others, refusing it costs nothing.
        mine, theirs = Path(str(own.resolve()).casefold()), Path(str(top).casefold())
        if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
            raise UsageError(
                f"{folder} overlaps with {own}, which belongs to this cache: name another folder, "
                "or set [cache] root to another one"
            )
    return top


def files_in(top: Path, calendar: Calendar) -> Sequence[TheirFile]:
    """All files of both caches; days by date, the packed one of a date first."""
    days = [_named(path, top, fault, calendar) for path, fault in walk(top / _DAYS)]
    tickers = [_named(path, top, fault, calendar) for path, fault in walk(top / _TICKERS)]
    days.sort(key=lambda one: (one.session or date.min, one.path.suffix != ".gz", one.shown))
    return [*days, *tickers]


def walk(top: Path) -> Iterator[tuple[Path, str | None]]:
    """Files below a folder, in the order of their names, with the reason why one must not be opened."""
    with durable.translated("look for", top):
        is_there = files.is_there(top)
    if not is_there:
        return
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        if folder.is_symlink():
            yield folder, _LINK
            continue
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield folder, f"cannot be read: {error.strerror or error}"
            continue
        waiting += [Path(entry.path) for entry in reversed(inside) if entry.is_dir(follow_symlinks=False)]
        yield from ((Path(entry.path), _fault(entry)) for entry in inside if not entry.is_dir(follow_symlinks=False))


def _fault(entry: "os.DirEntry[str]") -> str | None:
    if entry.is_symlink():
        return _LINK
    return None if entry.is_file(follow_symlinks=False) else "neither a file nor a folder"


def _named(path: Path, top: Path, fault: str | None, calendar: Calendar) -> TheirFile:
    """What a file is by its name and place; with a fault if it is neither a day nor a ticker."""
    inside = path.relative_to(top)
    shown = printable(str(inside))
    if inside.parts[0] == _DAYS:
        session = _session(inside)
        fault = fault or (
            "not a daily file by its name and place" if session is None else _no_session(session, calendar)
        )
        return TheirFile(path, shown, session=session, fault=fault)
    ticker = ticker_named(path.name) if len(inside.parts) == 2 else None
    fault = fault or (None if ticker else "not a ticker's CSV by its name and place")
    return TheirFile(path, shown, ticker=ticker and printable(ticker), fault=fault)


def _session(inside: Path) -> date | None:
    """The date in a name, unless the folders above it disagree: none, `2025/11`, or the vendor's own."""
    named = _DAY.fullmatch(inside.name)
    try:
        session = date.fromisoformat(named[1]) if named else None
    except ValueError:
        return None
    above = "/".join(inside.parts[1:-1]).removeprefix(STOCKS_DAY.prefix).strip("/")
    return session if session and above in ("", f"{session:%Y}", f"{session:%Y/%m}") else None


def _no_session(day: date, calendar: Calendar) -> str | None:
    return None if calendar.is_session(day) else f"there was no session on {day}"
