"""What republished files have changed, as the manifest keeps it: the answer to `ingest corrections`."""

from collections.abc import Iterator
from datetime import date

from ingest.cache.cache import Cache
from ingest.cache.manifest.records import KeptCorrection
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.datasets import Dataset
from ingest.market.patterns import covers, meant, patterns_in
from ingest.market.windows import span
from ingest.settings import Settings
from ingest.splitting.diff import Change, changes


def changed_values(
    settings: Settings,
    ticker: str | None = None,
    start: date | None = None,
    end: date | None = None,
    dataset: Dataset = STOCKS_DAY,
) -> Iterator[Change]:
    """Single values that were changed from `start` to `end`, both inclusive, by session, time and ticker.

    They come one after the other, as the manifest is read. A file that was published again with equal rows is one
    change without a ticker, which is left out where one, or a pattern, is asked for. Raises UsageError where the window
    is the wrong way round, and CacheError.
    """
    first, last = span(start, end)
    wanted = None if ticker is None else frozenset(meant([ticker]))
    named = None if wanted is None or patterns_in(wanted) else ticker
    with Cache.read(settings, dataset) as cache:
        for one in cache.manifest.replacements.corrections(first, last, named):
            yield from (change for change in _told(one) if wanted is None or covers(wanted, change.ticker))


def _told(one: KeptCorrection) -> Iterator[Change]:
    if one.correction.kind == "equal rows":
        yield Change(one.correction.session, "", None, None, None, "equal rows", one.at)
    yield from changes(one.correction, one.at)
