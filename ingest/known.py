"""Which tickers a cache has: all that match a pattern, and those that may have been meant by a name that it lacks."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date

import polars as pl

from ingest.datasets import Dataset, of_ticker
from ingest.errors import printable
from ingest.reading import Stock
from ingest.resolving import found_in
from ingest.spelling import Spellings
from ingest.steady import steadily
from ingest.tickers import covered, patterns_in, some, written
from ingest.tiers.layout import PartsOf

_EVERYTHING = frozenset({"*"})
_SHOWN = 40


def resolved(stock: Stock, names: Sequence[str], start: date, end: date) -> list[str]:
    """Tickers by name, and all of sessions from `start` to `end`, both inclusive, that match the patterns among them.

    A vendor may do anything: a ticker that is called `*` is that ticker, and no pattern. Raises CacheError.
    """
    patterns = patterns_in(names)
    if not patterns:
        return list(names)
    found = _in_parts(stock, stock.held(start, end), patterns) | covered(patterns, stock.quotes.tickers())
    plain = [name for name in names if name not in patterns or name in found]
    return [*plain, *sorted(covered(patterns - found, found) - set(plain))]


def missing(
    stock: Stock, names: Sequence[str], found: Collection[str], window: tuple[date | None, date | None]
) -> Iterator[str]:
    """What is to be said of names of which no row was found, and who may have been meant; nothing where all were."""
    without = [name for name in dict.fromkeys(names) if not covered(frozenset([name]), frozenset(found))]
    strange = [name for name in without if of_ticker(name).sigil not in ("", stock.dataset.sigil)]
    yield from (_of_another(stock.dataset, name) for name in strange[:1])
    without = [name for name in without if name not in strange]
    if without and not stock.held() and not stock.quotes.tickers():
        yield f"no data for {stock.dataset.short}: `ingest run{stock.dataset.flag}` fetches it"
    elif without:
        yield f"no data for {some(_suggested(stock, without))}{_in_words(window)}"


def _in_words(window: tuple[date | None, date | None]) -> str:
    start, end = window
    return (f" from {start} on" if start and not end else f" from {start}" if start else "") + (
        f" to {end}" if end else ""
    )


def _of_another(dataset: Dataset, name: str) -> str:
    of = of_ticker(name, dataset.interval)
    shown = printable(written(name)[:_SHOWN])
    return f"{shown} is a name of {of.short}, not of {dataset.short}: pass dataset={of.short!r}"


def _suggested(stock: Stock, names: Sequence[str]) -> Sequence[str]:
    """Names as they were written, each with who may have been meant."""
    return [f"{printable(written(name)[:_SHOWN])}{words}" for name, words in suggestions(stock, names).items()]


def suggestions(stock: Stock, names: Sequence[str]) -> dict[str, str]:
    """For each name who may have been meant, in brackets that go on after it; nothing where nobody comes near."""
    spellings = Spellings(known(stock), stock.dataset.yahoo_symbol)
    near = {name: _either(spellings.near(name)) for name in names}
    return {name: f" (did you mean {found}?)" if found else "" for name, found in near.items()}


def _either(tickers: Sequence[str]) -> str:
    *others, last = [printable(ticker) for ticker in tickers] or [""]
    return f"{', '.join(others)} or {last}" if others else last


def meant_by(stock: Stock, name: str, among: Collection[str]) -> str:
    """Who may have been meant by one name, in words; nothing where nobody comes near."""
    near = _either(Spellings(among, stock.dataset.yahoo_symbol).near(name))
    return f"did you mean {near}?" if near else ""


def known(stock: Stock) -> frozenset[str]:
    """Tickers of the newest session held, those that have a CSV, and those of which Yahoo has told."""
    with_csv = {ticker for ticker, row in stock.manifest.projections().items() if row.rows}
    return _in_parts(stock, stock.held()[-1:], _EVERYTHING) | with_csv | stock.quotes.tickers()


def _in_parts(stock: Stock, days: Collection[date], patterns: frozenset[str]) -> frozenset[str]:
    """Tickers of sessions held that match, while a run may be replacing them."""

    def read(parts: Sequence[PartsOf]) -> pl.DataFrame:
        rows = [(one.session, ticker) for one in parts for ticker in found_in(stock.folders, one, patterns)]
        return pl.DataFrame(rows, {"date": pl.Date, "ticker": pl.String}, orient="row")

    if not days:
        return frozenset()
    return frozenset(pl.concat(steadily(stock.manifest, stock.folders, days, read))["ticker"].to_list())
