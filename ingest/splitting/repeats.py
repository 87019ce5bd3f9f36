"""Finds duplicate rows of a session: rows with the same keys, as their kind defines them. Pure."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from ingest import finding
from ingest.finding import Finding
from ingest.market.epochs import in_ns
from ingest.market.row_kinds import RowKind

_MAX_WAITING = 200_000
"""Most rows of one ticker to hold until the next ticker comes; a day has 1,440 minutes."""


def in_one_unit(frame: pl.DataFrame, time: str) -> pl.DataFrame:
    """The rows with any times in one unit, so that equal minutes compare equal."""
    return frame.with_columns(in_ns(frame[time])) if time in frame.columns else frame


def repeats(frame: pl.DataFrame, keys: Sequence[str], numbers: Sequence[str]) -> tuple[Finding, ...]:
    """Findings on tickers that have rows with equal keys, identical or conflicting."""
    alike = pl.struct(keys).is_duplicated() if len(keys) > 1 else pl.col(keys[0]).is_duplicated()
    repeated = frame.filter(pl.col("ticker").is_not_null() & alike)
    counts = repeated.group_by(keys, maintain_order=True).agg(same=pl.struct(numbers).n_unique() == 1)
    rows = list(counts.select("ticker", "same").iter_rows())
    told = {same: list(dict.fromkeys(ticker for ticker, one in rows if one is same)) for same in (True, False)}
    return (*finding.finding_on(finding.IDENTICAL, told[True]), *finding.finding_on(finding.CONFLICTING, told[False]))


def may_repeat(frame: pl.DataFrame, keys: Sequence[str], ordered: bool) -> bool:
    """Whether there may be duplicates: a quick check if the rows are sorted by ticker, then by time."""
    tickers = frame["ticker"]
    if len(keys) == 1:
        return bool((tickers[1:] == tickers[:-1]).any()) if ordered else tickers.n_unique() < frame.height
    if not ordered:
        return True
    times = frame[keys[1]]
    if times.null_count():
        return True
    back = np.flatnonzero((times[1:] <= times[:-1]).to_numpy())
    return bool((tickers.gather(back) == tickers.gather(back + 1)).any())


class Repeats:
    """Finds duplicates in rows that arrive in chunks, sorted by ticker, so that a ticker's rows are seen together.

    In unsorted rows duplicates could be anywhere, and all rows would have to stay in memory: a finding then says that
    duplicates were not checked, and the search ends.
    """

    def __init__(self, kind: RowKind, numbers: Sequence[str], most_waiting: int = _MAX_WAITING) -> None:
        self._keys, self._time, self._numbers = kind.identity, kind.time, numbers
        self._columns = list(dict.fromkeys(["ticker", *kind.identity, *numbers]))
        self._waiting: list[pl.DataFrame] = []
        self._rows, self._most = 0, most_waiting
        self._unseen = False

    def add(self, frame: pl.DataFrame, ordered: bool) -> Iterator[Finding]:
        """Take the next rows; `ordered` says whether all rows so far are sorted by ticker."""
        if self._unseen:
            return
        if not ordered or self._rows > self._most:
            self._unseen = True
            self._waiting = []
            return
        rows = in_one_unit(frame.select(self._columns), self._time)
        last = frame.height - int((rows["ticker"] == rows["ticker"][-1]).sum())
        if last or self._is_other(rows):
            yield from self._look(rows[:last])
        self._waiting.append(rows[last:])
        self._rows += frame.height - last

    def end(self) -> Iterator[Finding]:
        """Findings in the last rows."""
        if self._unseen:
            yield Finding(finding.UNSORTED)
        elif self._waiting:
            yield from self._look(self._waiting[0].clear())

    def _is_other(self, rows: pl.DataFrame) -> bool:
        """Whether these rows, all of one ticker, belong to another ticker than the waiting ones."""
        return bool(self._waiting) and self._waiting[0]["ticker"][0] != rows["ticker"][0]

    def _look(self, more: pl.DataFrame) -> Iterator[Finding]:
        rows = pl.concat([*self._waiting, more]) if self._waiting else more
        self._waiting, self._rows = [], 0
        if may_repeat(rows, self._keys, ordered=True):
            yield from repeats(rows, self._keys, self._numbers)
