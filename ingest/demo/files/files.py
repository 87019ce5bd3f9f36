"""Files of every dataset of the catalogue: `files_of` picks the maker."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from ingest.demo.files.anything import Anything
from ingest.demo.files.currencies import Crypto, Forex
from ingest.demo.files.futures import MINUTE_COLUMNS, PRODUCTS, SESSION_COLUMNS, Futures
from ingest.demo.files.indices import Indices
from ingest.demo.files.maker import Maker
from ingest.demo.files.market import Market
from ingest.demo.files.minutes import minute_bars
from ingest.demo.files.options import Options
from ingest.demo.files.text import csv_text, pack, with_repeats
from ingest.demo.files.walk import dice
from ingest.market.datasets import Dataset
from ingest.market.row_kinds import DAY_BARS, MINUTE_BARS

_FUTURES = "us_futures_"

_MAKERS: Mapping[str, Callable[..., Maker]] = {
    "us_stocks_sip": Market,
    "us_options_opra": Options,
    "us_indices": Indices,
    "global_forex": Forex,
    "global_crypto": Crypto,
}


def _day(maker: Maker, session: date, _: np.random.Generator) -> pl.DataFrame:
    return maker.bars(session).with_columns(window_start=pl.lit(maker.stamp(session)))


def _minutes(maker: Maker, session: date, rng: np.random.Generator) -> pl.DataFrame:
    return minute_bars(maker.bars(session), maker.hours(session), maker.tape, rng)


_ROWS = {DAY_BARS: _day, MINUTE_BARS: _minutes}
_OF_FUTURES = {DAY_BARS: SESSION_COLUMNS, MINUTE_BARS: MINUTE_COLUMNS}


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a dataset; each is a pure function of its session's date and the arguments of `files_of`."""

    dataset: Dataset
    maker: Maker
    columns: tuple[str, ...]
    seed: int

    def text(self, session: date) -> bytes:
        """Text of a session's file (CSV, LF, sorted by ticker and time), for a date from 2000 to 2044."""
        rng = dice(self.seed, session, purpose=1)
        rows = _ROWS[self.dataset.kind](self.maker, session, rng)
        return csv_text(with_repeats(self.maker.dressed(rows, session), session, rng), self.columns)

    def objects(self, sessions: Iterable[date]) -> Iterator[tuple[str, bytes]]:
        """Each session's key in the vendor's bucket and its compressed file, generated lazily."""
        return ((self.dataset.key(session), pack(self.text(session))) for session in sessions)

    def always(self, last: date) -> tuple[str, ...]:
        """Some tickers that have a row in each file of the two years up to `last`."""
        return self.maker.always(last)


def files_of(dataset: Dataset, rows: int | None = None, seed: int = 7) -> Files:
    """Files of a dataset with about `rows` tickers; by default as many as the vendor's files have.

    A dataset without a maker of its own gets files, too: with tickers of its prefix, and the columns of its entry.
    """
    market = dataset.name.partition("/")[0]
    many = {} if rows is None else {"rows": rows}
    venue = market.removeprefix(_FUTURES)
    if market.startswith(_FUTURES) and venue in PRODUCTS:
        return Files(dataset, Futures(venue, seed, **many), _OF_FUTURES[dataset.kind], seed)
    maker = _MAKERS[market](seed, **many) if market in _MAKERS else Anything(dataset, seed, **many)
    return Files(dataset, maker, (*dataset.required, *dataset.optional), seed)
