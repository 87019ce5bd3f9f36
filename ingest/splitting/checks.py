"""Plausibility checks of a session: prices, volumes, timestamps, and the number of rows. Pure.

Nothing is dropped or repaired: findings report what is wrong, and the rows stay as the vendor wrote them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from statistics import median
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from ingest import finding
from ingest.finding import MAX_EXAMPLES, Finding, example
from ingest.market import epochs
from ingest.market.adjust import Floats
from ingest.market.epochs import seconds_of, unit_of
from ingest.market.row_kinds import RowKind
from ingest.splitting.parsing import Mask
from ingest.splitting.part_text import Offsets

_NS_PER_S = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))

_WHOLE = re.compile(r"\.0*$")
"""The end of a whole number written as a float, as `epochs.of_text` reads it."""

MOST_VOLUME = 2.0**63
"""Volumes must be below this: yfinance's are 64-bit integers."""

NEIGHBOURS = 5
"""Sessions on each side to compare a session's number of rows with."""

FEWEST, MOST = 0.8, 1.25
"""Below and above these shares of its neighbours' median a number of rows is unusual. From one session to the next it
changes by a percent or two, on half days by a few more."""


def numbers(rows: pl.DataFrame, kind: RowKind, signed: bool = False) -> Iterator[Finding]:
    """Findings on a session's prices and volumes; with `signed`, prices may be zero or negative.

    `rows` has ticker and, as numbers, the prices of their kind and perhaps its amount. Comparisons with a missing value
    (NaN) are never true; missing values are a finding of their own.
    """
    if rows.is_empty():
        yield Finding(finding.NO_ROWS)
        return
    prices = [rows[name].to_numpy() for name in kind.prices]
    amount = rows[kind.amount].to_numpy() if kind.amount in rows.columns else np.zeros(rows.height)
    bounded = _is_bounded(prices, amount, kind, signed)
    for name, wrong in _numbers_wrong(prices, amount, kind, signed).items():
        if bounded and name in _NONE_IN_BOUNDS:
            continue
        mask = wrong()
        if mask.any():
            yield Finding(name, int(np.count_nonzero(mask)), _tickers(rows, mask))


_NONE_IN_BOUNDS = frozenset(
    {
        finding.CROSSED,
        finding.OUTSIDE,
        finding.NOT_POSITIVE,
        finding.NO_PRICE,
        finding.NEGATIVE_VOLUME,
        finding.NO_VOLUME,
    }
)
"""What `_is_bounded` rules out, so it is not looked for then. Any other finding is looked for in every session."""


def _numbers_wrong(
    prices: Sequence[Floats], amount: Floats, kind: RowKind, signed: bool
) -> dict[str, Callable[[], Mask]]:
    """The rows that have each kind of finding, to be computed when called."""
    spans = {finding.CROSSED: lambda: _crossed(prices), finding.OUTSIDE: lambda: _outside(prices)}
    return {
        **(spans if kind.spans else {}),
        finding.NOT_POSITIVE: lambda: (np.fmin.reduce(prices) <= 0) & np.bool_(not signed),
        finding.NO_PRICE: lambda: ~np.logical_and.reduce([np.isfinite(price) for price in prices]),
        finding.NEGATIVE_VOLUME: lambda: amount < 0,
        finding.NO_VOLUME: lambda: ~(np.abs(amount) < MOST_VOLUME),
    }


def _is_bounded(prices: Sequence[Floats], amount: Floats, kind: RowKind, signed: bool) -> bool:
    """Whether all numbers are in their bounds, as they nearly always are: a third of the comparisons show it."""
    floor = -np.inf if signed else 0.0
    sound = _sound_spans(prices, floor) if kind.spans else _sound(prices, floor)
    return bool((sound & (amount >= 0) & (amount < MOST_VOLUME)).all())


def _sound(prices: Sequence[Floats], floor: float) -> Mask:
    sound: Mask = np.logical_and.reduce([(price > floor) & (price < np.inf) for price in prices])
    return sound


def _sound_spans(prices: Sequence[Floats], floor: float) -> Mask:
    """Like `_sound`, for open, high, low and close, which must also be in order: low and high then bound all four."""
    opened, high, low, close = prices
    least, most = np.minimum(opened, close), np.maximum(opened, close)
    sound: Mask = (low > floor) & (low <= least) & (most <= high) & (high < np.inf)
    return sound


def _crossed(prices: Sequence[Floats]) -> Mask:
    _, high, low, _ = prices
    crossed: Mask = low > high
    return crossed


def _outside(prices: Sequence[Floats]) -> Mask:
    """Where low is above high everything is outside, and that has been reported."""
    opened, high, low, close = prices
    outside: Mask = (low <= high) & ((np.fmin(opened, close) < low) | (np.fmax(opened, close) > high))
    return outside


def _tickers(rows: pl.DataFrame, mask: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    first = np.flatnonzero(mask)[:MAX_EXAMPLES]
    return tuple(example(ticker or "") for ticker in rows["ticker"].gather(first))


def misshapen(text: bytes, columns: int, edges: Offsets) -> tuple[Finding, ...]:
    """Rows with too few or too many fields: polars silently fills up the former and truncates the latter.

    Commas and line ends in quotes do not count. The latter are a finding of their own: two stray quotes make one row of
    all lines between them, and such a row may well be readable.
    """
    if len(edges) < 2:
        return ()
    chars = np.frombuffer(text, np.uint8)
    commas, within = chars == ord(","), 0
    if b'"' in text:
        quoted = np.logical_xor.accumulate(chars == ord('"'))
        inside = quoted[edges - 1]
        commas, edges, within = commas & ~quoted, edges[~inside], int(np.count_nonzero(inside))
    found = (finding.WITHIN_QUOTES, within), (finding.MISFITS, _misfits(chars, commas, columns, edges))
    return tuple(Finding(kind, count) for kind, count in found if count)


def _misfits(chars: npt.NDArray[np.uint8], commas: npt.NDArray[np.bool_], columns: int, edges: Offsets) -> int:
    if _is_even(commas, columns - 1, edges):
        return 0
    misfit = np.add.reduceat(commas, edges[:-1], dtype=np.uint32) != columns - 1
    blank = np.isin(chars[edges[:-1]], list(b"\r\n"))  # a row without a ticker
    return int(np.count_nonzero(misfit & ~blank))


def _is_even(commas: npt.NDArray[np.bool_], each: int, edges: Offsets) -> bool:
    """Whether each row has `each` commas.

    Nearly always they do. Counting in bytes takes half the time of integers, but is modulo 256: rows that agree modulo
    256 are right if their sum is, since a row of fewer than 256 fields cannot be short of 256 commas to offset another.
    A byte cannot hold a larger number, so longer rows are counted as integers.
    """
    rows = len(edges) - 1
    if np.count_nonzero(commas[edges[0] : edges[-1]]) != each * rows:
        return False
    return bool((np.add.reduceat(commas.view(np.uint8), edges[:-1], dtype=np.uint8) == each).all())


def nameless(tickers: pl.Series) -> tuple[Finding, ...]:
    """Rows without a ticker."""
    return (Finding(finding.NAMELESS, tickers.null_count()),) if tickers.null_count() else ()


def dates(stamps: Mapping[str, int], session: date, zone: str) -> Iterator[Finding]:
    """Findings on a session's timestamps; `stamps` counts the rows with each, as text.

    A session's date comes from its key; timestamps of another date are reported, and change nothing.
    """
    dated = [(date_of(stamp, zone), count) for stamp, count in stamps.items()]
    other = {day for day, _ in dated if day is not None and day != session}
    if other:
        number = sum(count for day, count in dated if day in other)
        yield Finding(finding.OTHER_DATE, number, tuple(map(str, sorted(other)[:MAX_EXAMPLES])))
    if none := sum(count for day, count in dated if day is None):
        yield Finding(finding.NO_STAMP, none)
    units = Counter[str]()
    for stamp, count in stamps.items():
        if unit := unit_of(_number(stamp) or 0):
            units[unit] += count
    yield from (Finding(finding.IN_UNIT[unit], count) for unit, count in units.items())


def times(stamps: pl.Series, session: date, zone: str) -> Iterator[Finding]:
    """Like `dates`, for timestamps as numbers, null where one is not a number: there may be millions of them."""
    first, end = midnight(session, zone), midnight(session + timedelta(days=1), zone)
    odd = stamps.drop_nulls()
    if len(odd) and not (first <= odd.min() and odd.max() < end):  # type: ignore[operator]  # of int64
        yield from in_other_units(odd)
        odd = epochs.in_ns(odd)
        odd = odd.filter((odd < first) | (odd >= end))
        if len(odd):
            days = odd.cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(zone).dt.date()
            yield Finding(finding.OTHER_DATE, len(odd), tuple(map(str, days.unique().sort()[:MAX_EXAMPLES])))
    if stamps.null_count():
        yield Finding(finding.NO_STAMP, stamps.null_count())


def in_other_units(stamps: pl.Series) -> Iterator[Finding]:
    """Findings on timestamps that are times, but not in nanoseconds; they are read in their own unit."""
    return (Finding(finding.IN_UNIT[unit], count) for unit, count in epochs.counts(stamps).items())


def midnight(day: date, zone: str) -> int:
    """When a day begins, as nanoseconds since the epoch."""
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp()) * _NS_PER_S


@lru_cache(maxsize=4096)
def date_of(stamp: str, zone: str) -> date | None:
    """The date of a timestamp: a date as text, or a time since the epoch in a time zone; None if it is neither."""
    number = _number(stamp)
    try:
        if number is None:
            return date.fromisoformat(stamp) if len(stamp) == len("2025-08-25") and stamp[4] == "-" else None
        return (_EPOCH + timedelta(seconds=seconds_of(number))).astimezone(ZoneInfo(zone)).date()
    except (ValueError, OverflowError):
        return None


def _number(stamp: str) -> int | None:
    try:
        return int(_WHOLE.sub("", stamp))
    except ValueError:
        return None


def far_counts(counts: Mapping[date, int]) -> dict[date, Finding]:
    """Sessions whose number of rows is more than a fifth below or a quarter above that of their neighbours.

    A session is compared with the median of up to `NEIGHBOURS` sessions on each side; at least four are needed. Weekend
    sessions are compared with each other, since fewer currencies are quoted on a Sunday.
    """
    weekdays, weekend = ([day for day in sorted(counts) if (day.weekday() > 4) is rests] for rests in (False, True))
    return dict(sorted({**_far(weekdays, counts), **_far(weekend, counts)}.items()))


def _far(days: Sequence[date], counts: Mapping[date, int]) -> dict[date, Finding]:
    found = {}
    for place, day in enumerate(days):
        around = [*days[max(0, place - NEIGHBOURS) : place], *days[place + 1 : place + 1 + NEIGHBOURS]]
        usual = median(counts[one] for one in around) if len(around) >= 4 else counts[day]
        if not FEWEST * usual <= counts[day] <= MOST * usual:
            found[day] = Finding(finding.FAR_COUNT, counts[day], (f"the sessions around have {usual:,.0f}",))
    return found
