"""What a query can name, as tables that are read when a query scans them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event

import polars as pl

from ingest.cache.cache import Cache
from ingest.lake.tickers import TRADED, traded
from ingest.maintenance.corrections import changed_values, changes_frame
from ingest.maintenance.status import findings
from ingest.market.datasets import Dataset
from ingest.querying.parts.table import Scans
from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows are read again by each scan; its columns are known without reading them.

    It speaks Arrow's PyCapsule protocol, so no other library is needed to hand it over.
    """

    schema: pl.Schema
    read: Callable[[], pl.DataFrame]

    def __arrow_c_schema__(self) -> object:
        """The columns."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows."""
        return self.read().cast(dict(self.schema)).__arrow_c_stream__(requested_schema)  # type: ignore[arg-type]


_TICKERS = pl.Schema({"dataset": pl.String(), **TRADED})


def of_tickers(settings: Settings, datasets: Iterable[Dataset], scans: Scans | None = None) -> Table:
    """The tickers of the datasets of daily bars, with the numbers of `ingest.tickers`."""
    told, daily = scans or Scans(), [one for one in datasets if not one.kind.timed]

    def read() -> pl.DataFrame:
        with told.noted():
            found = [_tickers(settings, dataset, told.stop) for dataset in daily]
        return pl.concat([pl.DataFrame(schema=_TICKERS), *found])

    return Table(_TICKERS, read)


def _tickers(settings: Settings, dataset: Dataset, stop: Event) -> pl.DataFrame:
    with Cache.read(settings, dataset) as cache:
        found = traded(cache, cache.manifest.sessions.committed(), stop)
    return found.select(pl.lit(dataset.short).alias("dataset"), *TRADED)


_SESSIONS = pl.Schema({"dataset": pl.String(), "date": pl.Date(), "rows": pl.Int64(), "bytes": pl.Int64()})
_FINDINGS = pl.Schema({"dataset": pl.String(), "date": pl.Date(), "kind": pl.String(), "count": pl.Int64()})
_ACTIONS = pl.Schema({"ticker": pl.String(), "ex_date": pl.Date(), "kind": pl.String(), "value": pl.Float64()})

_TEXTS = ("ticker", "column", "old", "new", "kind", "at")
_CORRECTIONS = pl.Schema({"dataset": pl.String(), "date": pl.Date(), **dict.fromkeys(_TEXTS, pl.String())})


def of_manifest(settings: Settings, datasets: Sequence[Dataset]) -> Mapping[str, Table]:
    """What the manifest says of these datasets: `sessions`, `findings`, `corrections` and `actions`."""
    return {
        "sessions": Table(_SESSIONS, lambda: _sessions(settings, datasets)),
        "findings": Table(_FINDINGS, lambda: _findings(settings, datasets)),
        "actions": Table(_ACTIONS, lambda: _actions(settings, datasets)),
        "corrections": Table(_CORRECTIONS, lambda: _corrections(settings, datasets)),
    }


def _sessions(settings: Settings, datasets: Sequence[Dataset]) -> pl.DataFrame:
    """Each stored session, with the rows and the packed bytes of its file."""
    rows = []
    for dataset in datasets:
        with Cache.read(settings, dataset) as cache:
            rows += [(dataset.short, day, count, size) for day, size, count, _ in cache.manifest.sessions.stored()]
    return pl.DataFrame(rows, _SESSIONS, orient="row")


def _findings(settings: Settings, datasets: Sequence[Dataset]) -> pl.DataFrame:
    rows = [
        (dataset.short, day, one.kind, one.count)
        for dataset in datasets
        for day, one in findings(settings, dataset=dataset)
    ]
    return pl.DataFrame(rows, _FINDINGS, orient="row")


def _actions(settings: Settings, datasets: Sequence[Dataset]) -> pl.DataFrame:
    """Splits, dividends and capital gains, as far as they are known: new shares for one, dollars per share."""
    rows = []
    for dataset in (one for one in datasets if one.splits and one.kind.at_yahoo):
        with Cache.read(settings, dataset) as cache:
            rows += cache.manifest.yahoo.events()
    return pl.DataFrame(rows, _ACTIONS, orient="row")


def _corrections(settings: Settings, datasets: Sequence[Dataset]) -> pl.DataFrame:
    """Each value that a republished file changed, as `ingest.corrections` has it."""
    frames = [changes_frame(changed_values(settings, dataset=one)) for one in datasets]
    told = [frame.with_columns(dataset=pl.lit(one.short)) for one, frame in zip(datasets, frames, strict=True)]
    return pl.concat([pl.DataFrame(schema=_CORRECTIONS), *(frame.select(list(_CORRECTIONS)) for frame in told)])
