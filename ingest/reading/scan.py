"""A lazy scan over both tiers: a query's filters on date and ticker decide which files and members are read."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import and_

import polars as pl
from polars.io.plugins import register_io_source

from ingest.cache.cache import Cache
from ingest.errors import warn
from ingest.hints import Call, Value, call
from ingest.lake.partitions import by_partition
from ingest.market.contracts import contracts_of
from ingest.market.datasets import Dataset
from ingest.market.patterns import covers, some
from ingest.reading import known, rows
from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class Scanned:
    """What is scanned: rows of these sources, of sessions from `start` to `end`, both inclusive."""

    settings: Settings
    dataset: Dataset
    start: date
    end: date
    sources: frozenset[str]


def lazy_rows(what: Scanned) -> pl.LazyFrame:
    """Raw rows of all tickers as `rows.rows_schema`, read when collected.

    Only sessions that pass a filter on `date` are read, and of these, if a filter names tickers or underlyings (`==`,
    `is_in`), only the gzip members that may contain them. Warns about sessions that were stored without wanted tickers,
    and if no session of the window is stored.
    """

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        named = [] if predicate is None else predicate.meta.root_names()
        needed = None if columns is None else frozenset((*columns, *named))
        for frame in _asked(what, predicate, n_rows, needed):
            found = frame if predicate is None else frame.filter(predicate)
            yield found if columns is None else found.select(columns)

    return register_io_source(source, schema=rows.rows_schema(what.dataset), explain_name="ingest")


def _asked(
    what: Scanned, predicate: pl.Expr | None, n_rows: int | None, columns: frozenset[str] | None
) -> Iterator[pl.DataFrame]:
    """Rows that may pass a filter; only the first `n_rows` if polars passes a number.

    Its optimizer pushes slices below filters, so for `head(5).filter(…)` rows are counted before they are filtered, and
    the filter cannot limit what is read. For `filter(…).head(5)` it passes no number.
    """
    if n_rows is None:
        return _frames(what, pushdown_of(predicate), what.settings.tuning.scanned_sessions, columns)
    return _first(n_rows, _frames(what, Pushdown(None, None), 1, columns))


def _first(count: int, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    for frame in frames:
        yield frame.head(count)
        count -= frame.height
        if count <= 0:
            return


def _frames(what: Scanned, wish: "Pushdown", batch: int, columns: frozenset[str] | None) -> Iterator[pl.DataFrame]:
    with Cache.read(what.settings, what.dataset) as cache:
        held = rows.sessions(cache, what.sources)
        inside = [day for day in held if what.start <= day <= what.end]
        if not inside:
            warn_of_none(what.settings, what.dataset, f" from {what.start} to {what.end}" if held else "")
        days = wish.passing(inside)
        for now in _batches(cache, days, batch, wish, what.settings.tuning.scanned_rows):
            if what.sources != rows.SOURCES:  # both sources: the caller asked for whatever is stored
                warn_of_partial(cache, now, wish.names, what.settings.run.datasets)
            yield rows.on(cache, now, wish.tickers_on(cache, now), what.sources, columns)


_IN_LAKE = 16
"""How many times as many sessions of a few tickers are read at once from the lake, where a query costs more."""


def _batches(cache: Cache, days: Sequence[date], batch: int, wish: "Pushdown", most: int) -> Iterator[Sequence[date]]:
    """The days in groups that are read at once: those of a file of the lake, or as many as fit in memory.

    Of tickers that a filter names that is `most` rows, as far as their number and kind tell.
    """
    in_lake = batch > 1 and cache.dataset.by_month and cache.manifest.lake.exists()
    if in_lake and wish.tickers is None:
        yield from by_partition(cache.dataset, days)
        return
    rows_a_day = cache.dataset.kind.rows_a_day
    fitting = batch // rows_a_day if wish.tickers is None else most // (rows_a_day * max(1, len(wish.tickers)))
    size = max(1, min(fitting, batch * _IN_LAKE if in_lake else batch))
    yield from (days[at : at + size] for at in range(0, len(days), size))


def warn_of_none(settings: Settings, dataset: Dataset, window: str = "") -> None:
    """Warn that no session is stored, or none of a window that is told in words, and where: it may be another cache."""
    hint = call("run", "to download some", settings.run.datasets, dataset=dataset.short)
    warn(f"no session of {dataset.short}{window} is stored in {settings.cache.root}", hint)


def warn_of_partial(
    cache: Cache, days: Sequence[date], tickers: Collection[str] | None = None, usual: tuple[str, ...] = ()
) -> None:
    """Warn about sessions (ascending) that were stored without some of these tickers (None: all in the file)."""
    partial = cache.manifest.sessions.coverage(days[0], days[-1]).partial
    without = [
        day
        for day in days
        if day in partial and (tickers is None or not all(covers(partial[day], ticker) for ticker in tickers))
    ]
    if without:
        hint = to_download_the_rest(cache.dataset, without, usual)
        which = some([str(day) for day in without])
        warn(f"only the tickers tracked at the time were stored (archive.save_others was off): {which}", hint)


def to_download_the_rest(dataset: Dataset, days: Sequence[date], usual: tuple[str, ...] = ()) -> Call:
    """What downloads all tickers of sessions (ascending) of which some were not stored."""
    span: dict[str, Value] = {"start": days[0], "end": days[-1], "save_others": True}
    return call("run", "to download the rest", usual, dataset=dataset.short, **span)


@dataclass(frozen=True, slots=True)
class Pushdown:
    """What a filter requires of dates (an expression on them only), tickers and underlyings (None: all)."""

    dates: pl.Expr | None
    tickers: frozenset[str] | None
    underlyings: frozenset[str] | None = None

    @property
    def names(self) -> Collection[str] | None:
        """Tickers, or patterns of all contracts of the underlyings; None for all."""
        if self.tickers is not None or self.underlyings is None:
            return self.tickers
        return sorted(map(contracts_of, self.underlyings))

    def tickers_on(self, cache: Cache, days: Sequence[date]) -> Collection[str] | None:
        """The tickers to read on these days (ascending); None for all. Raises CacheError."""
        names = self.names
        return names if names is self.tickers else known.resolved(cache, list(names or ()), days[0], days[-1])

    def passing(self, days: Sequence[date]) -> Sequence[date]:
        """The days that pass."""
        if self.dates is None or not days:
            return days
        return pl.DataFrame({"date": days}, schema={"date": pl.Date}).filter(self.dates)["date"].to_list()


def pushdown_of(predicate: pl.Expr | None) -> Pushdown:
    """The limits on dates and tickers in a filter, from those of its terms that are joined by `&`."""
    parts = [] if predicate is None else list(_conjuncts(predicate))
    dates = [part for part in parts if set(part.meta.root_names()) == {"date"}]
    return Pushdown(reduce(and_, dates) if dates else None, _all_of(parts, "ticker"), _all_of(parts, "underlying"))


def _all_of(parts: Sequence[pl.Expr], column: str) -> frozenset[str] | None:
    named = [found for part in parts if (found := _named(part, column)) is not None]
    return frozenset.intersection(*named) if named else None


def _conjuncts(expr: pl.Expr) -> Iterator[pl.Expr]:
    operands = expr.meta.pop()
    if len(operands) == 2 and (operands[1] & operands[0]).meta.eq(expr):
        for operand in reversed(operands):
            yield from _conjuncts(operand)
    else:
        yield expr


def _named(expr: pl.Expr, name: str) -> frozenset[str] | None:
    """The values that `name == …` or `name.is_in(…)` name; None for anything else."""
    if expr.meta.root_names() != [name]:
        return None
    column = pl.col(name)
    for operand in expr.meta.pop():
        if operand.meta.root_names():
            continue
        if any(form.meta.eq(expr) for form in (column == operand, operand == column, column.is_in(operand))):
            return _values(operand)
    return None


def _values(literal: pl.Expr) -> frozenset[str] | None:
    values = pl.select(literal).to_series()
    flat = values.explode() if values.dtype.base_type() in (pl.List, pl.Array) else values
    return frozenset(flat.drop_nulls().to_list()) if flat.dtype == pl.String else None
