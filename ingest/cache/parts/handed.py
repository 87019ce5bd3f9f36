"""Rows of parts that this process has just written, as numbers: whoever needs them soon need not parse the parts."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

from ingest.cache.layout import PartsOf
from ingest.market.datasets import Dataset, Tier

if TYPE_CHECKING:  # what a run with nothing to do need not import
    import polars as pl

_MOST = 128 << 20
"""Bytes of rows that are kept at a time; a month of days of all stocks has 16 MB."""


class HandedRows:
    """Rows by session, in memory, as many as there is room for. The parts have the others."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._kept: dict[date, tuple[Mapping[Tier, str], pl.DataFrame]] = {}
        self._size = 0

    def keep(self, session: date, sha256: Mapping[Tier, str], numbers: "pl.DataFrame") -> None:
        """Keep the rows of parts that have these hashes, as `dated` takes them, if there is room."""
        self.forget([session])
        size = int(numbers.estimated_size())
        if self._size + size <= _MOST:
            self._kept[session] = (sha256, numbers)
            self._size += size

    def forget(self, sessions: Iterable[date]) -> None:
        """Keep the rows of these sessions no longer."""
        for session in sessions:
            if session in self._kept:
                _, numbers = self._kept.pop(session)
                self._size -= int(numbers.estimated_size())

    def knows(self, session: PartsOf) -> bool:
        """Whether the rows of a session's parts as they are now are here."""
        return session.session in self._kept and self._kept[session.session][0] == session.sha256

    def rows(self, sessions: Iterable[date]) -> "pl.DataFrame":
        """All rows of sessions that it knows, in the form of `rows_of`."""
        from ingest.cache.parts.bars import dated

        return dated([(session, self._kept[session][1]) for session in sorted(sessions)], self._dataset)
