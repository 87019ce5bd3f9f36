"""The state of the cache: what is stored, what is odd, what changed, and whether it is whole."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ingest import settings
from ingest.maintenance import status as overview
from ingest.maintenance.status import Status
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.settings import arguments
from ingest.settings.arguments import parse_days, parse_file

if TYPE_CHECKING:
    import polars as pl

    from ingest.maintenance.moving import Moved
    from ingest.maintenance.verify import Verified


def status(config: Path | str | None = None, *, dataset: str = STOCKS_DAY.short) -> Status:
    """The state of a dataset's cache, as `ingest status` shows it; reads no file of rows.

    The fields are described in `ingest.maintenance.status.Status`. Raises UsageError, and CacheError if the manifest
    cannot be read.
    """
    return overview.status(settings.load(parse_file(config)), named(dataset))


def verify(deep: bool = False, config: Path | str | None = None, *, dataset: str = STOCKS_DAY.short) -> "Verified":
    """Compare the stored files of a dataset with its manifest, as `ingest verify` does; writes nothing.

    `deep` also unpacks all parts, and rebuilds all CSVs in memory to compare them. Damage raises nothing: it is in the
    result's `problems`. Raises UsageError, and CacheError if the cache cannot be read.
    """
    from ingest.maintenance import verify as verifying

    return verifying.verify(settings.load(parse_file(config)), deep, named(dataset))


def findings(
    kind: str | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    config: Path | str | None = None,
    *,
    dataset: str = STOCKS_DAY.short,
) -> "pl.DataFrame":
    """What is odd in the stored sessions: findings of one `kind`, or of all, sorted by date and kind.

    The kinds are listed in `ingest.finding`. Columns date (Date), kind (String), count (Int64: rows; tickers for
    repeats, columns for unknown ones) and examples (List(String): at most the first 100 names). Raises UsageError and
    CacheError.
    """
    window = parse_days(start, end)
    return overview.findings_frame(overview.findings(settings.load(parse_file(config)), kind, *window, named(dataset)))


def corrections(
    ticker: str | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    config: Path | str | None = None,
    *,
    dataset: str = STOCKS_DAY.short,
) -> "pl.DataFrame":
    """What republished files changed, one row per value: for all tickers, for one, or for those that match a pattern.

    Columns date (Date), ticker, column, old, new (text as in the files), kind ("new etag", "same etag", "equal rows")
    and at (when it was applied: text, ISO 8601, UTC), sorted by date. If a whole row was added or removed, `column` is
    null, `new` or `old` is its line, and the other one is null. A file republished with equal rows is one row of kind
    "equal rows" without a ticker, only in the answer for all tickers. Raises UsageError and CacheError.
    """
    from ingest.maintenance.corrections import changed_values, changes_frame

    wanted = None if ticker is None else arguments.parse_ticker(ticker)
    window = parse_days(start, end)
    return changes_frame(changed_values(settings.load(parse_file(config)), wanted, *window, named(dataset)))


def list_parts(
    start: date | str | None = None,
    end: date | str | None = None,
    config: Path | str | None = None,
    *,
    dataset: str = STOCKS_DAY.short,
) -> "pl.DataFrame":
    """The files or objects of the stored sessions from `start` to `end`, both inclusive, for your own readers.

    Columns date (Date), tier (String: "tracked" or "archive"), path (String: of a file, or a URL in an object store),
    bytes (Int64; null if it is missing) and sha256 (String). An object store has replaced versions, too, which are not
    among them. Parts are not read. Raises UsageError and CacheError.
    """
    from ingest.maintenance.stored import parts_frame, stored_parts

    window = parse_days(start, end)
    return parts_frame(stored_parts(settings.load(parse_file(config)), named(dataset), *window))


def move(
    to: str | None = None,
    config: Path | str | None = None,
    *,
    keep: bool = False,
    leave_damaged: bool = False,
) -> "Moved":
    """Move the parts of all datasets to an object store, to another one, or back, as `ingest move` does.

    `to` is the URL of a place in an object store, or "local"; None: what [cache] archive says. Nothing is asked: once
    the copies are compared and in use, what they leave is removed, unless `keep`. If parts are missing or damaged,
    nothing is moved, and the result's `unfit` has them, unless `leave_damaged`: then the next run downloads their
    sessions again. `is_done` says whether the parts are at the target. The settings do not change: have [cache] archive
    say the same, or the next call is refused. Raises UsageError, CacheError, CacheLocked.
    """
    from ingest.maintenance import moving

    chosen = settings.load(parse_file(config))
    target = moving.target_of(chosen, to)
    return moving.move(chosen, target, keep=keep, leave_damaged=leave_damaged)
