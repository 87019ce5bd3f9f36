"""Which tickers are tracked: changes a list file, and brings the tracked CSVs after it at once, without any network."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ingest import lock
from ingest.datasets import STOCKS_DAY, Dataset
from ingest.errors import UsageError
from ingest.manifest import Manifest
from ingest.projecting import follow
from ingest.settings import Settings
from ingest.tickers import read_list, tracked
from ingest.tiers import durable


@dataclass(frozen=True, slots=True)
class TrackedTicker:
    """What is held of a tracked ticker: rows of its CSV and their span, and sessions that are held without it.

    `lacking` counts sessions of which the rest was not kept when the ticker was not in the lists.
    """

    ticker: str
    rows: int
    first: str | None
    last: str | None
    lacking: int
    lacking_first: date | None = None
    lacking_last: date | None = None


def chosen_list(settings: Settings, named: Path | None) -> Path:
    """The list file to change: the one that is named, else the first of the settings. Raises UsageError."""
    if named is not None:
        return named.absolute()
    if not settings.list_paths:
        raise UsageError("no list is set: name one with --list, or in [tracked] lists")
    return settings.list_paths[0]


def add(settings: Settings, file: Path, tickers: Sequence[str]) -> tuple[list[str], list[TrackedTicker]]:
    """Append tickers to a list and project them; returns those that were new in it, and what is held of all asked for.

    Raises UsageError for what is no ticker or too long for a file name, CacheLocked or CacheError.
    """
    _check(STOCKS_DAY, tickers)
    with durable.translated("look at", file):
        there = file.exists()
    present = set(read_list(file)) if there else set()
    new = [ticker for ticker in dict.fromkeys(tickers) if ticker not in present]
    return new, _changed(settings, file, lambda text: _appended(text, new), tickers)


def remove(settings: Settings, file: Path, tickers: Sequence[str]) -> list[TrackedTicker]:
    """Take tickers out of a list; their CSVs stay as they are. Raises UsageError for one that is not in it."""
    present = set(read_list(file))
    if absent := [ticker for ticker in tickers if ticker not in present]:
        raise UsageError(f"{absent[0]} is not in {file}")
    return _changed(settings, file, lambda text: _without(text, set(tickers)), tickers)


def held(settings: Settings, tickers: Collection[str]) -> list[TrackedTicker]:
    """What is held of tickers, as it stands. Raises CacheError."""
    with Manifest.read(settings.manifest_path, STOCKS_DAY.name) as manifest:
        return _held(manifest, tickers)


def _check(dataset: Dataset, tickers: Sequence[str]) -> None:
    tracked(dataset.csv_name, extra=tickers)  # raises for what is no ticker
    if comments := [ticker for ticker in tickers if "#" in ticker]:
        raise UsageError(f"{comments[0]!r}: a # starts a comment in a list, so no ticker of it can hold one")
    if long := [ticker for ticker in tickers if dataset.csv_name(ticker) is None]:
        raise UsageError(f"{long[0][:40]}… is too long for a file name: it can't be tracked")


def _changed(
    settings: Settings, file: Path, change: Callable[[str], str], tickers: Collection[str]
) -> list[TrackedTicker]:
    """Change a list under the cache's lock, then project: a run that holds the cache is not disturbed."""
    with lock.hold(settings.cache.root):
        with durable.translated("read", file):
            text = file.read_bytes().decode("utf-8-sig") if file.exists() else ""
        durable.make_folder(file.parent)
        durable.replace(file, change(text).encode())
        return _projected(settings, tickers)


def _projected(settings: Settings, tickers: Collection[str]) -> list[TrackedTicker]:
    if not settings.manifest_path.exists():
        return [TrackedTicker(ticker, 0, None, None, 0) for ticker in tickers]
    lists = tracked(STOCKS_DAY.csv_name, settings.list_paths, extra=settings.tracked.tickers)
    with Manifest.open(settings.manifest_path, STOCKS_DAY.name) as manifest:
        follow(manifest, settings, STOCKS_DAY, lists.tickers)
        return _held(manifest, tickers)


def _held(manifest: Manifest, tickers: Collection[str]) -> list[TrackedTicker]:
    known, sessions = manifest.projections(), manifest.sessions()
    found = []
    for ticker in tickers:
        lacking = [
            day
            for day, one in sessions.items()
            if one.held == "committed" and not one.archive_kept and ticker not in one.tracked
        ]
        row = known.get(ticker)
        found.append(
            TrackedTicker(
                ticker=ticker,
                rows=(row.rows or 0) if row else 0,
                first=row.first if row else None,
                last=row.last if row else None,
                lacking=len(lacking),
                lacking_first=min(lacking, default=None),
                lacking_last=max(lacking, default=None),
            )
        )
    return found


def _appended(text: str, tickers: Sequence[str]) -> str:
    if not tickers:
        return text
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{end}" + "".join(f"{ticker}\n" for ticker in tickers)


def _without(text: str, tickers: Collection[str]) -> str:
    """The text without the lines of these tickers; comments and all other lines stay as they are."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.partition("#")[0].strip() not in tickers)
