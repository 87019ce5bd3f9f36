"""What republished files have changed, from the manifest: the answer to `ingest corrections`."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING

from ingest.cache.cache import Cache
from ingest.cache.manifest.records import KeptCorrection
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.datasets import Dataset
from ingest.market.patterns import covers, meant, patterns_in
from ingest.market.windows import span
from ingest.settings import Settings
from ingest.splitting.diff import Change, changes

if TYPE_CHECKING:
    import polars as pl


def changed_values(
    settings: Settings,
    ticker: str | None = None,
    start: date | None = None,
    end: date | None = None,
    dataset: Dataset = STOCKS_DAY,
) -> Iterator[Change]:
    """Single changed values from `start` to `end`, both inclusive, by session, time and ticker.

    They are yielded one by one, as the manifest is read. A file that was republished with equal rows is one change
    without a ticker, which is left out if a ticker or a pattern is given. Raises UsageError if the window is reversed,
    and CacheError.
    """
    first, last = span(start, end)
    wanted = None if ticker is None else frozenset(meant([ticker]))
    named = None if wanted is None or patterns_in(wanted) else ticker
    with Cache.read(settings, dataset) as cache:
        for one in cache.manifest.replacements.corrections(first, last, named):
            yield from (change for change in told(one) if wanted is None or covers(wanted, change.ticker))


def told(one: KeptCorrection) -> Iterator[Change]:
    """The single changed values of a correction; one with equal rows is one change without a ticker."""
    if one.correction.kind == "equal rows":
        yield Change(one.correction.session, "", None, None, None, kind="equal rows", at=one.at)
    yield from changes(one.correction, one.at)


def changes_frame(found: Iterable[Change]) -> "pl.DataFrame":
    """Changed values as rows: date, ticker, column, old, new, kind, at; all text except the date."""
    import polars as pl  # the command prints one after the other and needs none

    rows = [(one.session, one.ticker or None, one.column, one.old, one.new, one.kind, one.at) for one in found]
    texts = [(name, pl.String) for name in ("ticker", "column", "old", "new", "kind", "at")]
    return pl.DataFrame(rows, [("date", pl.Date), *texts], orient="row")
