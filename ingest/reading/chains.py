"""The contracts of one underlying that traded in a session."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from ingest.cache.cache import Cache
from ingest.errors import NotFound, UsageError, printable
from ingest.hints import call
from ingest.market.catalogue import named
from ingest.market.contracts import contracts_of
from ingest.market.patterns import is_pattern
from ingest.reading import known, rows
from ingest.reading.adjusting.freshness import calendar_of
from ingest.reading.history import not_there
from ingest.reading.scan import warn_of_partial
from ingest.settings import Settings

_OPTIONS = named("options-day")
_SIGIL = _OPTIONS.sigil
_ORDER = ("expiry", "strike", "right")
_NAMING = ("ticker", "date", "underlying", "expiry", "dte", "strike", "right")
_NUMBERS = (*_OPTIONS.kind.numbers, *_OPTIONS.kind.counts)
_NEAREST = 3


def chain_rows(settings: Settings, underlying: str, on: date | None, expiry: date | None) -> pl.DataFrame:
    """See `ingest.api.rows.chain`."""
    root = underlying.removeprefix(_SIGIL)
    if not root or is_pattern(root):
        raise UsageError(f"{printable(underlying)!r}: name one root of options, such as SPY")
    with Cache.read(settings, _OPTIONS) as cache:
        session = on or _newest(cache, settings)
        if not cache.manifest.sessions.committed(session, session):
            raise not_there(settings, _OPTIONS, calendar_of(cache), session)
        warn_of_partial(cache, [session], [contracts_of(root)], settings.run.datasets)
        found = _contracts(cache, root, session)
        if found.is_empty():
            raise NotFound(f"no contract of {printable(root)} traded on {session}{_suggested(cache, root, session)}")
    return found if expiry is None else _expiring(found, root, session, expiry)


def _newest(cache: Cache, settings: Settings) -> date:
    newest = cache.manifest.sessions.committed()[-1:]
    if not newest:
        hint = call("run", "to download it", settings.run.datasets, dataset=_OPTIONS.short)
        raise NotFound(f"no data for {_OPTIONS.short}", hint)
    return newest[0]


def _contracts(cache: Cache, root: str, session: date) -> pl.DataFrame:
    tickers = known.resolved(cache, [contracts_of(root)], session, session)
    found = rows.on(cache, [session], tickers).filter(underlying=root)
    return found.select(*_NAMING, *_NUMBERS).sort(_ORDER)


def _suggested(cache: Cache, root: str, session: date) -> str:
    roots = rows.session(cache, session)["underlying"].unique().drop_nulls().to_list()
    return known.did_you_mean(known.Spellings(roots).near(root))


def _expiring(found: pl.DataFrame, root: str, session: date, expiry: date) -> pl.DataFrame:
    chosen = found.filter(expiry=expiry)
    if chosen.is_empty():
        others: Sequence[date] = found["expiry"].unique().to_list()
        near = sorted(sorted(others, key=lambda day: (abs(day - expiry), day))[:_NEAREST])
        told = f"no contract of {root} that traded on {session} expires on {expiry}"
        raise NotFound(f"{told}; the nearest expiries are {', '.join(map(str, near))}")
    return chosen
