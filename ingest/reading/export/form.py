"""What the files of an export look like: one per ticker, or one for all; their columns, and their names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import polars as pl

from ingest.errors import UsageError, WrongArgument
from ingest.hints import Option
from ingest.reading.beside import DIVIDEND, SPLIT
from ingest.reading.export.names import checked_template
from ingest.reading.panel import checked_columns, checked_values, in_order
from ingest.reading.selection import Selection, followed
from ingest.settings import Settings

Format = Literal["csv", "parquet"]
Shape = Literal["files", "long", "wide"]

_EVENTS = (DIVIDEND, SPLIT)
_AXES = ("ticker", "date", "time")


@dataclass(frozen=True, slots=True)
class Form:
    """How files are written.

    `shape` "files" is one file a ticker, "long" one file with all rows, and "wide" one file with a row a date and a
    column a ticker, for each of the columns. `name` is a template for names, without the extension; None: the usual
    one. `columns` are those of the files, in their order; None: the usual ones, without the source unless `source`.
    `overwrite` replaces files with prices that are adjusted in another way. Raises UsageError.
    """

    kind: Format = "csv"
    shape: Shape = "files"
    name: str | None = None
    columns: tuple[str, ...] | None = None
    source: bool = True
    actions: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Format):
            raise WrongArgument("format", f"{self.kind!r}: csv or parquet")
        if self.shape not in get_args(Shape):
            raise WrongArgument("shape", f"{self.shape!r}: files, long or wide")
        if self.columns is not None:
            checked_columns(self.columns)
        if self.shape == "wide":
            checked_values(self.values)
        if self.name is not None:
            own = {"files": "ticker", "wide": "column"}.get(self.shape)
            checked_template(self.name, own, self.shape == "files" or (self.shape == "wide" and len(self.values) > 1))

    @property
    def values(self) -> tuple[str, ...]:
        """The columns of wide files."""
        return self.columns or ("close", *(_EVENTS if self.actions else ()))

    @property
    def has_actions(self) -> bool:
        """Whether dividends and splits are among the columns."""
        return self.actions or not set(_EVENTS).isdisjoint(self.columns or ())

    @property
    def read(self) -> tuple[str, ...] | None:
        """The columns to read, beside those that name a row; None: the usual ones."""
        if self.columns is None and self.shape != "wide":
            return None
        wanted = self.values if self.shape == "wide" else self.columns or ()
        return tuple(name for name in wanted if name not in (*_AXES, *_EVENTS))

    def frames(self, rows: pl.DataFrame, tickers: Sequence[str]) -> Iterator[tuple[Mapping[str, str], pl.DataFrame]]:
        """What each file contains, with the ticker or the column that its name may have."""
        if self.shape == "wide":
            yield from _wide(rows, tickers, self.values)
        elif self.shape == "long":
            yield {}, rows.select(self._chosen(rows, with_ticker=True))
        else:
            chosen = self._chosen(rows, with_ticker=self.kind == "parquet")
            for (ticker,), frame in rows.partition_by("ticker", as_dict=True).items():
                yield {"ticker": str(ticker)}, frame.select(chosen)

    def _chosen(self, rows: pl.DataFrame, with_ticker: bool) -> list[str]:
        if self.columns is not None:
            if missing := [name for name in self.columns if name not in rows.columns]:
                raise WrongArgument("columns", f"{missing[0]!r} is not in these rows: {', '.join(rows.columns)}")
            events = [name for name in _EVENTS if self.actions and name not in self.columns]
            return [*self.columns, *events]
        left_out = {"ticker"} - ({"ticker"} if with_ticker else set()) | (set() if self.source else {"source"})
        return [name for name in rows.columns if name not in left_out]


def _wide(
    rows: pl.DataFrame, tickers: Sequence[str], values: Sequence[str]
) -> Iterator[tuple[Mapping[str, str], pl.DataFrame]]:
    axes = [name for name in ("date", "time") if name in rows.columns]
    order = in_order(tickers, rows["ticker"].unique().sort().to_list())
    if clash := [ticker for ticker in order if ticker in axes]:
        raise UsageError(f"{clash[0]!r} is a ticker and a column of the file", Option("shape", "long", "instead"))
    for name in values:
        table = rows.pivot("ticker", index=axes, values=name).sort(axes)
        yield {"column": name}, table.select(*axes, *(ticker for ticker in order if ticker in table.columns))


def complete(settings: Settings, query: Selection, form: Form, tracked: bool) -> Selection:
    """The query with the tickers on the lists, if these are wanted, and with the columns that the form needs.

    Raises UsageError if there are no tickers.
    """
    lists = followed(settings, query.dataset) if tracked else ()
    tickers = list(dict.fromkeys([*query.tickers, *lists]))
    if not tickers and tracked:
        raise UsageError(f"no tickers of {query.dataset.short} are tracked")
    if not tickers:
        raise UsageError("no tickers are named", Option("tracked", True, "for all that you follow"))
    return replace(query, tickers=tickers, columns=form.read, actions=form.has_actions)
