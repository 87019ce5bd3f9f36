"""Files of every dataset of the catalogue: `files_of` picks who makes them."""

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
    """The files of a dataset; a session's is a pure function of what `files_of` was given, and its date."""

    dataset: Dataset
    maker: Maker
    columns: tuple[str, ...]
    seed: int

    def text(self, session: date) -> bytes:
        """Text of a session's file (CSV, LF, sorted by ticker and time), of a date between 2000 and 2044."""
        rng = dice(self.seed, session, purpose=1)
        rows = _ROWS[self.dataset.kind](self.maker, session, rng)
        return csv_text(with_repeats(self.maker.dressed(rows, session), session, rng), self.columns)

    def objects(self, sessions: Iterable[date]) -> Iterator[tuple[str, bytes]]:
        """Each session's key in the vendor's bucket, with its packed file, made when it is asked for."""
        return ((self.dataset.key(session), pack(self.text(session))) for session in sessions)

    def always(self, last: date) -> tuple[str, ...]:
        """Some tickers that have a row in each file up to that session, as far as two years back."""
        return self.maker.always(last)


def files_of(dataset: Dataset, rows: int | None = None, seed: int = 7) -> Files:
    """Files of a dataset, of about so many tickers; without a number as many as the vendor's have.

    A dataset that nobody knows has files, too: of tickers with its sigil, and with its entry's columns.
    """
    market = dataset.name.partition("/")[0]
    many = {} if rows is None else {"rows": rows}
    venue = market.removeprefix(_FUTURES)
    if market.startswith(_FUTURES) and venue in PRODUCTS:
        return Files(dataset, Futures(venue, seed, **many), _OF_FUTURES[dataset.kind], seed)
    maker = _MAKERS[market](seed, **many) if market in _MAKERS else Anything(dataset, seed, **many)
    return Files(dataset, maker, (*dataset.required, *dataset.optional), seed)
