"""A daily file of another tool: read, unpacked, and checked against its name."""

import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from ingest.cache.parts import members
from ingest.errors import UnreadableFile
from ingest.maintenance.adopt.ticker_csv import Bar
from ingest.market.calendars import NEW_YORK
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.epochs import TIME, in_ns
from ingest.sources.base import Body
from ingest.splitting.parsing import MAX_LINES, parse, read_header, read_rows

_MAX_BYTES = 64 << 20
"""Limit for a file, and for its text: a day has one or two megabytes. More is another file, or an attack on memory."""

_ROWS_PER_TICKER = 1.1
"""A daily file has one row per ticker, and a few repeats; a minute file has the same columns and hundreds of rows."""


@dataclass(frozen=True, slots=True)
class Day:
    """A daily file, read: its bytes like a downloaded body, its text, and its rows by ticker."""

    body: Body
    text: bytes
    bars: Mapping[str, Bar]
    packed: bool


def read_bytes(path: Path) -> tuple[bytes, float]:
    """Bytes and time of last change (seconds) of a regular file; raises UnreadableFile."""
    # A pipe that has replaced the file must not block, and a link must not be followed.
    flags = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            state = os.fstat(file.fileno())
            data = file.read(_MAX_BYTES + 1) if stat.S_ISREG(state.st_mode) else b""
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror or error}") from error
    if len(data) > _MAX_BYTES:
        raise UnreadableFile(f"larger than {_MAX_BYTES >> 20} MiB: not a daily file")
    return data, state.st_mtime


def read_day(path: Path, session: date, max_unpacked: int) -> Day:
    """Read a daily file and check that it is what its name says; raises UnreadableFile."""
    data, changed = read_bytes(path)
    packed = path.suffix == ".gz"
    text = _unpacked(data) if packed else data
    if len(text) > max_unpacked:
        raise members.too_large(max_unpacked)
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if not packed:
        # Never an ETag of the vendor, whose files are packed: the next run downloads the day if it can.
        data, digest = gzip.compress(text, 1, mtime=0), f"text-{digest}"
    return Day(Body(data, digest, moment_of(changed)), text, bars_by_ticker(_rows(text, session)), packed)


def _unpacked(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile(f"not a whole gzip file: {error}") from error
    if len(text) > _MAX_BYTES:
        raise UnreadableFile(f"its text is larger than {_MAX_BYTES >> 20} MiB: not a daily file")
    return text


def _rows(text: bytes, session: date) -> pl.DataFrame:
    """The rows of a day of stocks; raises UnreadableFile if they are of something else, or of another day."""
    header = read_header(text, STOCKS_DAY)
    if text.count(b"\n") > MAX_LINES:
        raise UnreadableFile(f"more than {MAX_LINES:,} lines: not a daily file")
    rows = parse(text, header, frozenset()).drop_nulls("ticker")
    if rows.is_empty():
        raise UnreadableFile("it has no rows")
    if rows.height > _ROWS_PER_TICKER * rows["ticker"].n_unique() + 1:
        raise UnreadableFile(f"{rows.height:,} rows of {rows['ticker'].n_unique():,} tickers: not one row per ticker")
    if 2 * rows["ticker"].str.contains(":", literal=True).sum() > rows.height:
        raise UnreadableFile(f"tickers such as {rows['ticker'][0]}: not a file of stocks")
    if TIME in header.columns:
        _check_stamps(read_rows(text, dict.fromkeys(header.columns, pl.String), [TIME]), session)
    return rows


def _check_stamps(rows: pl.DataFrame, session: date) -> None:
    """The date of a session comes from its name; if the timestamps inside disagree, one of the two is wrong."""
    stamps = in_ns(rows[TIME].cast(pl.Int64, strict=False))
    days = stamps.cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(NEW_YORK.key).dt.date()
    named = days.mode().sort()[0]
    if named != session:
        raise UnreadableFile(f"its timestamps are of {named or 'no date'}, but its name says {session}")


def bars_by_ticker(rows: pl.DataFrame) -> dict[str, Bar]:
    """Close and volume by ticker; of several rows the first one counts."""
    first = rows.unique("ticker", keep="first", maintain_order=True)
    return {ticker: (close, volume) for ticker, close, volume in first.select("ticker", "close", "volume").iter_rows()}


def moment_of(seconds: float) -> str:
    """A file's time (seconds since 1970) in the form of listings; if the tool preserved times, it is the vendor's."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    except (OverflowError, ValueError, OSError):
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
