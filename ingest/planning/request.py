"""The request for a run, made from flags, settings and lists."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from ingest import events
from ingest.errors import UsageError, WrongArgument
from ingest.lake.top import Top, top_tickers
from ingest.market.calendars import today
from ingest.market.catalogue import STOCKS_DAY, foreign_tickers, named
from ingest.market.datasets import Dataset
from ingest.market.patterns import some
from ingest.market.windows import Window, choose
from ingest.settings import Settings
from ingest.settings.lists import TrackedLists, tracked
from ingest.settings.sections.engine import parse_engine
from ingest.settings.values import parse_size


@dataclass(frozen=True, slots=True)
class Request:
    """The request for a run: a window, the tickers to track, and whether to download stored sessions again.

    `max_files` and `max_bytes` (packed) limit what this run downloads. `confirmed` says that the user agreed to a large
    download, `fallback` that Yahoo may be asked, if the settings allow it. `accept` lets a republished file remove more
    than a tenth of a session's rows. If `only` names sessions, no others are downloaded. `notices` report what of the
    request could not be followed; they are emitted when the run begins.
    """

    window: Window
    tracked: frozenset[str]
    refresh: bool = False
    max_files: int | None = None
    max_bytes: int | None = None
    confirmed: bool = True
    fallback: bool = True
    accept: bool = False
    only: frozenset[date] | None = None
    dataset: Dataset = STOCKS_DAY
    notices: tuple[events.Event, ...] = ()

    def said(self) -> Iterator[events.Event]:
        """The notices that come before anything else: about the lists, and about the window."""
        yield from self.notices
        yield from map(events.Notice, self.window.notices)

    def told(self) -> "Request":
        """The same request without the notices that have been reported."""
        return replace(self, notices=(), window=replace(self.window, notices=()))


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line or the call gave; None for what it left out."""

    months: int | None = None
    start: date | None = None
    end: date | None = None
    save_others: bool | None = None
    lists: tuple[Path, ...] = ()
    concurrency: int | None = None
    refresh: bool = False
    all_permitted: bool = False
    max_files: int | None = None
    max_bytes: str | None = None
    confirmed: bool = True
    fallback: bool = True
    accept: bool = False
    wait: str | None = None
    log_file: Path | None = None
    metrics_file: Path | None = None
    engine: str | None = None
    lake: bool | None = None

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Those that override a setting, by section and name. Raises UsageError."""
        return {
            "source": {"concurrency": self.concurrency},
            "archive": {"save_others": self.save_others},
            "engine": parse_engine(self.engine),
            "lake": {"enabled": self.lake},
            "run": {"months": self.months, "log_file": self.log_file, "metrics_file": self.metrics_file},
        }


def request_of(flags: Flags, settings: Settings, sink: events.Sink, dataset: Dataset = STOCKS_DAY) -> Request:
    """The window and the tickers; reports to `sink` what could not be followed. Raises UsageError."""
    window = _window(flags, settings, dataset)
    optional = () if flags.lists else settings.lists_of(dataset)
    lists = tracked(dataset.csv_name, optional, extra=settings.tickers_of(dataset), required=flags.lists)
    top = top_tickers(settings, dataset, lists.top)
    for notice in (*_notices(lists, settings, dataset), *_of_top(top)):
        sink(notice)
    return Request(
        window=window,
        tracked=frozenset(lists.tickers).union(top.tickers) - frozenset(lists.unnameable),
        refresh=flags.refresh,
        max_files=flags.max_files,
        max_bytes=_size(flags.max_bytes),
        confirmed=flags.confirmed,
        fallback=flags.fallback,
        accept=flags.accept,
        dataset=dataset,
    )


def requests_of(flags: Flags, settings: Settings, datasets: Sequence[Dataset]) -> tuple[Request, ...]:
    """A request for each of these datasets; each carries its notices until it begins. Raises UsageError."""
    markets = {dataset.name.partition("/")[0] for dataset in datasets}
    if flags.lists and len(markets) > 1:
        raise UsageError(f"a list of tickers belongs to one market, not to {' and '.join(sorted(markets))}")
    return tuple(_telling(flags, settings, dataset) for dataset in datasets)


def _telling(flags: Flags, settings: Settings, dataset: Dataset) -> Request:
    said: list[events.Event] = []
    request = request_of(flags, settings, said.append, dataset)
    return replace(request, notices=tuple(said))


def datasets_asked(names: Iterable[str], settings: Settings) -> tuple[Dataset, ...]:
    """The datasets of these names, each once; by default those of [run] datasets. Raises UsageError."""
    return tuple(dict.fromkeys(map(named, tuple(names) or settings.run.datasets)))


def _window(flags: Flags, settings: Settings, dataset: Dataset) -> Window:
    given = {"months": flags.months, "start": flags.start, "all_permitted": flags.all_permitted}
    named = [name for name, value in given.items() if value]
    if len(named) > 1:
        raise WrongArgument(named, "exclude each other: use only one of them")
    start = dataset.first_session if flags.all_permitted else flags.start
    return choose(settings.run.months, start, flags.end, today(), dataset)


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_size(text)
    except ValueError as error:
        raise WrongArgument("max_bytes", f'{text!r}: must be a number of bytes or a size such as "64 MiB"') from error


def _notices(lists: TrackedLists, settings: Settings, dataset: Dataset) -> Iterable[events.Notice]:
    for path in lists.missing if settings.names_lists else ():
        yield events.Notice(f"ticker list {path} not found (optional)")
    for ticker in lists.unnameable:
        yield events.Notice(f"{ticker[:40]}… is too long for a file name: archived only", "warning")
    if strange := foreign_tickers(dataset, lists.tickers):
        yield events.Notice(f"{some(strange)}: all tickers of {dataset.short} begin with {dataset.sigil}", "warning")
    if lists.empty:
        yield _untracked(settings, dataset)


def _of_top(top: Top) -> Iterable[events.Notice]:
    if top.notice:
        yield events.Notice(top.notice, "warning" if top.is_warning else "info")


def _untracked(settings: Settings, dataset: Dataset) -> events.Notice:
    where = next(iter(settings.lists_of(dataset)), "a file named in [tracked] lists")
    return events.Notice(
        f"no tickers are tracked; everything goes to the archive. List tickers in {where}, one per line"
    )
