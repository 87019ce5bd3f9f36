"""CSVs of single tickers that other tools wrote: read leniently, and compared with the vendor's rows.

Such a CSV does not have all columns of the source (`window_start`, `transactions`), so no session is ever made from it.
But it shows which tickers a tool took out of a day's file, and whether its prices are as traded.
"""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from ingest.errors import UnreadableFile, UsageError
from ingest.hints import Message, call
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.corporate_actions import StockSplit
from ingest.market.tickers import ticker_of

ENOUGH = 5
"""At least this many sessions must be comparable, and all of them agree, before a CSV counts as raw."""

_YAHOOS = {"dividends", "stock splits", "adj close", "capital gains"}
_DATES = ("date", "datetime", "timestamp", "time", "")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?\s*(Z|[+-]\d\d:?\d\d)?")
_CLASS = re.compile(r"([A-Z]{1,4})-([A-Z])")

Row = tuple[date, float, float]
"""Date, close, volume; nan for an invalid number."""

Bar = tuple[float, float]
"""Close and volume."""


@dataclass(frozen=True, slots=True)
class TickerCsv:
    """One CSV: 20 bytes per row. `days` are ordinals; `adjusted` says why its prices are known not to be as traded."""

    path: str
    ticker: str
    days: npt.NDArray[np.int32]
    closes: npt.NDArray[np.float64]
    volumes: npt.NDArray[np.float64]
    adjusted: str | None


def ticker_named(name: str) -> str | None:
    """The ticker that a file's name stands for (`AAPL_1d_data.csv`, `BRK-B.csv`), as the vendor spells it."""
    if name.startswith(".") or not name.lower().endswith(".csv"):
        return None
    suffix = STOCKS_DAY.csv_suffix
    stem = name.removesuffix(suffix) if name.endswith(suffix) else name[: -len(".csv")]
    try:
        ticker = ticker_of(stem)
    except UsageError:  # not our own encoding of a name, so the plain one
        ticker = stem
    return _CLASS.sub(r"\1.\2", ticker) if _CLASS.fullmatch(ticker) else ticker or None


def read_ticker_csv(path: str, ticker: str, data: bytes) -> TickerCsv:
    """Read a CSV in yfinance's layout or a plain one; raises UnreadableFile, with the reason.

    Lines that begin with `#` are skipped. A row's date is the one that its timestamp shows, whatever the hour and the
    offset: midnight in New York, written as 04:00 in Greenwich, has the same date.
    """
    text = io.StringIO(data.decode("utf-8-sig", "replace"))
    lines = (line for line in text if line.strip() and not line.lstrip().startswith("#"))
    try:
        return _read(path, ticker, csv.reader(lines))
    except csv.Error as error:
        raise UnreadableFile(f"no CSV: {error}") from error


def _read(path: str, ticker: str, lines: Iterator[list[str]]) -> TickerCsv:
    header = [name.strip().lower() for name in next(lines, [])]
    several = header[:1] == ["price"]  # yfinance's own header is three lines: Price, Ticker, Date
    if several:
        header[0] = "date"
    at, close, volume = (_place(header, names) for names in (_DATES, ("close",), ("volume",)))
    rows, zoned = list[Row](), False
    for line in lines:
        if found := _STAMP.fullmatch(line[at].strip()) if len(line) > at else None:
            rows.extend(_row(found[1], line, close, volume))
            zoned = zoned or found[2] is not None
    if not rows:
        raise UnreadableFile("no row has a date such as 2025-11-11")
    days, closes, volumes = zip(*sorted(rows), strict=True)
    numbers = np.array([day.toordinal() for day in days], np.int32)
    adjusted = _why_adjusted(header, several, zoned)
    return TickerCsv(path, ticker, numbers, np.array(closes), np.array(volumes), adjusted=adjusted)


def _place(header: Sequence[str], names: Sequence[str]) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise UnreadableFile(f"the header has no {names[0]}: it reads {','.join(header)[:100]!r}")


def _row(day: str, line: Sequence[str], close: int, volume: int) -> Iterator[Row]:
    try:
        yield date.fromisoformat(day), _number(line, close), _number(line, volume)
    except ValueError:
        return  # the 30th of February


def _number(line: Sequence[str], place: int) -> float:
    try:
        return float(line[place])
    except (IndexError, ValueError):
        return float("nan")


def _why_adjusted(header: Sequence[str], several: bool, zoned: bool) -> str | None:
    named = sorted(_YAHOOS & set(header))
    if named or several:
        return f"yfinance's layout ({', '.join(named) or 'a header of three lines'}): Yahoo's prices are adjusted"
    return "timestamps with a time zone, as yfinance writes them: Yahoo's prices are adjusted" if zoned else None


@dataclass(slots=True)
class _Case:
    """What is known about whether one CSV is raw: sessions that agree, the first that does not, those still needed."""

    needed: set[date]
    agreed: int = 0
    differs: str | None = None


@dataclass(slots=True)
class Witnesses:
    """All CSVs of a folder; memory grows only with their rows, 32 bytes each."""

    csvs: Sequence[TickerCsv]
    splits: Mapping[str, Sequence[StockSplit]]
    _cases: list[_Case] = field(init=False)
    _order: npt.NDArray[np.int32] = field(init=False)
    _days: npt.NDArray[np.int32] = field(init=False)
    _owners: npt.NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        self._cases = [_Case(_around(one, self.splits.get(one.ticker, ()))) for one in self.csvs]
        lengths = [len(one.days) for one in self.csvs]
        days = np.concatenate([np.zeros(0, np.int32), *(one.days for one in self.csvs)])
        order = np.argsort(days, kind="stable")
        self._days = days[order]
        self._owners = np.repeat(np.arange(len(self.csvs), dtype=np.int32), lengths)[order]
        begins = np.cumsum([0, *lengths[:-1]]) if lengths else np.zeros(0, np.int64)
        self._order = (order - begins[self._owners]).astype(np.int32) if lengths else order.astype(np.int32)

    def tickers(self, day: date) -> set[str]:
        """Tickers with a row on this day that shows any trading."""
        return {one.ticker for one, place, _ in self._on(day) if one.volumes[place] != 0}

    def compare(self, day: date, bars: Mapping[str, Bar]) -> None:
        """Compare the rows of this day with the vendor's own, by ticker."""
        for one, place, case in self._on(day):
            mine = (float(one.closes[place]), float(one.volumes[place]))
            theirs = bars.get(one.ticker)
            if theirs == mine:
                case.agreed += 1
                case.needed.discard(day)
            elif theirs is not None or mine[1] != 0:
                case.differs = case.differs or _difference(day, mine, theirs)

    def plain(self, day: date) -> set[str]:
        """Tickers of CSVs that may be raw and have a row on this day."""
        return {one.ticker for one, _, _ in self._on(day) if one.adjusted is None}

    def verdict(self, number: int, held: Collection[date]) -> Message | None:
        """Why a CSV's rows are not adopted; None if all its sessions are stored and agree."""
        one, case = self.csvs[number], self._cases[number]
        missing = sorted({date.fromordinal(day) for day in one.days.tolist()} - set(held))
        hints = (call("run", "to download its days", start=missing[0], end=missing[-1]),) if missing else ()
        if why := one.adjusted or case.differs or _why_unproven(case):
            return Message(why, hints)
        if not missing:
            return None
        why = f"as traded in all {case.agreed} sessions compared, but columns of the source are missing from it"
        return Message(why, hints)

    def agreed(self, number: int) -> int:
        """In how many sessions a CSV agrees with the vendor's files."""
        return self._cases[number].agreed

    def _on(self, day: date) -> Iterator[tuple[TickerCsv, int, _Case]]:
        begin, end = np.searchsorted(self._days, [day.toordinal(), day.toordinal() + 1])
        for owner, place in zip(self._owners[begin:end].tolist(), self._order[begin:end].tolist(), strict=True):
            yield self.csvs[owner], place, self._cases[owner]


def _around(one: TickerCsv, splits: Sequence[StockSplit]) -> set[date]:
    """The sessions on both sides of each split within a CSV, where adjusted prices reveal themselves."""
    found = set[date]()
    for split in splits:
        at = int(np.searchsorted(one.days, split.ex_date.toordinal()))
        if 0 < at < len(one.days):
            found.update(date.fromordinal(int(one.days[n])) for n in (at - 1, at))
    return found


def _difference(day: date, mine: Bar, theirs: Bar | None) -> str:
    if theirs is None:
        return f"the source has no row for it on {day}"
    words = [f"{close:.15g} and {volume:.15g}" for close, volume in (mine, theirs)]
    return f"on {day} its close and volume are {words[0]}, but the source has {words[1]}"


def _why_unproven(case: _Case) -> str | None:
    if case.agreed < ENOUGH:
        return f"not proven to be as traded: {case.agreed} sessions can be compared, but {ENOUGH} are needed"
    if case.needed:
        return f"not proven to be as traded: {min(case.needed)}, beside a split, cannot be compared"
    return None
