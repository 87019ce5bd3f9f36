"""What the demo shows of each dataset: the files to generate and to serve, and the flags of the run over them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from ingest.demo.files.files import files_of
from ingest.demo.servers.server import Shelf
from ingest.market import calendars, windows
from ingest.market.datasets import Dataset
from ingest.market.row_kinds import DAY_BARS, MINUTE_BARS
from ingest.market.windows import first_day
from ingest.planning.request import Flags

FORBIDDEN = 5
"""Newest sessions that the demo's keys may list but not read, as with a subscription to delayed data."""

MONTHS = 2
MINUTE_SESSIONS = 6
"""Sessions of minute bars to generate unless months are given; the newest is forbidden."""

_TRACKED = 10
_CONTRACTS = 12_000
"""Option contracts to generate; the vendor's files have some twenty times as many."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much to generate of a kind of rows, and what to suggest afterwards.

    Without months given, `sessions` are generated, of which one is forbidden (None: those of `MONTHS`). `tickers` is
    the number of tickers in a file (None: as many as in the vendor's). `bars` and `periods` are the flag and the
    possible periods of the suggested `ingest show`; `months` are those of the suggested first run.
    """

    sessions: int | None = None
    tickers: int | None = None
    bars: str = ""
    interval: str = "1d"
    periods: tuple[str, ...] = ("1mo", "3mo", "6mo")
    months: int = 24


_SCALES = {
    DAY_BARS: Scale(),
    MINUTE_BARS: Scale(
        MINUTE_SESSIONS, tickers=400, bars="-i 1h ", interval="1h", periods=("5d", "1mo", "3mo", "6mo"), months=1
    ),
}


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What is shown of a dataset: the files to serve and the flags of its run; `said` has the flags as typed."""

    shelf: Shelf
    flags: Flags
    said: str

    @property
    def dataset(self) -> Dataset:
        """The dataset of the files."""
        return self.shelf.dataset

    @property
    def scale(self) -> Scale:
        """That of the dataset's kind of rows."""
        return _SCALES[self.dataset.kind]

    @property
    def tickers(self) -> tuple[str, ...]:
        """The tickers that the demo tracks."""
        return self.shelf.files.always(self.shelf.sessions[-1])[:_TRACKED]

    @property
    def archived(self) -> str:
        """A ticker that the demo does not track, from the middle of the newest file that is not forbidden."""
        names = self.shelf.files.maker.bars(self.readable[-1])["ticker"].unique().sort().to_list()
        others = [name for name in names if name not in self.tickers]
        return str(others[len(others) // 2])

    @property
    def list_name(self) -> str:
        """Name of the file that lists these tickers."""
        return "stocks.txt" if self.dataset.primary else f"{self.dataset.short}.txt"

    @property
    def dataset_flag(self) -> str:
        """The flag for the dataset, after a space; empty for the primary one, which is the default."""
        return "" if self.dataset.primary else f" --dataset {self.dataset.short}"

    @property
    def readable(self) -> Sequence[date]:
        """The sessions that are not forbidden."""
        return self.shelf.sessions[: len(self.shelf.sessions) - self.shelf.forbidden]

    @property
    def period(self) -> str:
        """The shortest period that includes a session that was not forbidden."""
        today, last = calendars.today(), self.readable[-1]
        reaching = (one for one in self.scale.periods if first_day(one, today, today, self.dataset) <= last)
        return next(reaching, "max")


def exhibit_of(dataset: Dataset, months: int | None, folder: Path) -> Exhibit:
    """Serve the sessions up to yesterday, since today's file is not published yet; for minutes a few days suffice."""
    today, sessions = calendars.today(), _SCALES[dataset.kind].sessions
    span = windows.choose(months or MONTHS, None, None, today, dataset)
    published = [day for day in calendars.Calendar.of(dataset.calendar).between(span.start, span.end) if day < today]
    files = files_of(dataset, _rows(dataset))
    if sessions and months is None:
        days = published[-sessions:]
        return _listed(Exhibit(Shelf(files, days, forbidden=1), Flags(start=days[0]), f"--start {days[0]}"), folder)
    shelf = Shelf(files, published, min(FORBIDDEN, len(published) - 1))
    return _listed(Exhibit(shelf, Flags(months=months or MONTHS), f"--months {months or MONTHS}"), folder)


def _listed(exhibit: Exhibit, folder: Path) -> Exhibit:
    return replace(exhibit, flags=replace(exhibit.flags, lists=(folder / exhibit.list_name,)))


def _rows(dataset: Dataset) -> int | None:
    """Tickers in each file; None for as many as in the vendor's."""
    contracts = _CONTRACTS if dataset.unit == "contracts" else None
    return _SCALES[dataset.kind].tickers or contracts
