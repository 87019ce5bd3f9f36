"""Lines of minutes from parts: no bar is lost, and the first one counts, whatever the order."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from monthly_kit import COLUMNS, CRYPTO_MINUTE, INDICES_MINUTE, NEW_YORK, at, bar, bars, expected, midnight, text_of
from parts_kit import put

from ingest.cache.cache import Layout
from ingest.cache.layout import PartKey, PartsOf
from ingest.cache.parts import parts
from ingest.cache.parts.lines import BATCH_BYTES
from ingest.errors import CacheError
from ingest.market.catalogue import CATALOGUE, STOCKS_MINUTE
from ingest.market.datasets import Dataset, Tier
from ingest.settings import Settings
from ingest.splitting.part_text import PartText
from ingest.tracked import csv_lines

DAY = date(2025, 11, 1)


class Cache:
    """Two folders of parts, cut by whole lines; a member holds a few of them."""

    def __init__(self, root: Path, dataset: Dataset = STOCKS_MINUTE) -> None:
        self.layout = Layout.of(Settings.model_validate({"cache": {"root": root}}), dataset)
        self.layout.parts.create()
        self.sessions: list[PartsOf] = []
        self.texts: list[tuple[date, bytes]] = []

    def add(self, text: bytes, tracked: Sequence[str] = (), ordered: bool = True, day: date | None = None) -> None:
        day = day or DAY + timedelta(days=len(self.sessions))
        header, *found = text.splitlines(keepends=True)
        columns = tuple(header.decode().strip().split(","))
        by_tier: dict[Tier, list[bytes]] = {"tracked": [], "archive": []}
        for line in found:
            by_tier["tracked" if line.split(b",")[0].decode() in tracked else "archive"].append(line)
        index = {}
        for tier, kept in by_tier.items():
            starts = len(header) + np.cumsum([0, *map(len, kept)])[:-1]
            tickers = pl.Series([line.split(b",")[0].decode() for line in kept], dtype=pl.String)
            packed = parts.pack_part(PartText(b"".join([header, *kept]), starts, tickers, ordered), 256)
            put(self.layout.parts, packed.data, PartKey(day, tier))
            index[tier] = packed.index
        self.sessions.append(PartsOf(day, frozenset(tracked), "lines", columns, index))
        self.texts.append((day, text))

    def extract(self, *wanted: str, batch_bytes: int = BATCH_BYTES) -> list[tuple[str, int, str]]:
        return csv_lines.extract(self.layout, self.sessions, frozenset(wanted), batch_bytes).rows()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


STAMPS = st.one_of(
    st.integers(-3, 6).map(lambda hour: at(datetime(2025, 11, 2, 6, tzinfo=UTC) + timedelta(hours=hour))),
    st.sampled_from(
        ["", "soon", "0", "-68400000000000", "1762063200999999999", "9" * 25, "1e18", "1762063200000000000.0"]
    ),
)
NIGHT = at(datetime(2025, 11, 2, 6, tzinfo=UTC))
"""A minute of the second session."""

DAYS = st.lists(st.lists(st.tuples(st.sampled_from(["A", "AA", "B", "NA", "1E5"]), STAMPS), max_size=12), max_size=3)


@settings(max_examples=25)
@given(DAYS, st.frozensets(st.sampled_from(["A", "B", "NA"])), st.booleans())
@example([[("B", "0"), ("A", "0"), ("B", "1762063200000000000")]], frozenset({"B"}), False)
@example([[("A", "0"), ("A", NIGHT), ("A", NIGHT)], [("A", NIGHT)], [("A", NIGHT)]], frozenset(), True)
def test_each_second_has_the_first_line_of_its_ticker(
    days: list[list[tuple[str, str]]], tracked: frozenset[str], in_order: bool
) -> None:
    with TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        for number, told in enumerate(days):
            pairs = sorted(told, key=lambda pair: pair[0]) if in_order else told
            numbered = [bar(ticker, stamp, seed=row + 100 * number) for row, (ticker, stamp) in enumerate(pairs)]
            cache.add(text_of(numbered), sorted(tracked), ordered=in_order)
        for ticker in ("A", "AA", "B", "NA", "1E5"):
            found = cache.extract(ticker)
            assert [second for _, second, _ in found] == sorted({second for _, second, _ in found})
            months = expected(cache.texts, ticker)
            assert [line for *_, line in found] == months.get("2025-11", [])


def test_the_clock_is_new_yorks_with_its_offset(cache: Cache) -> None:
    night = datetime(2025, 11, 2, 5, 30, tzinfo=UTC)
    cache.add(text_of(bars("A", night, 3, every=60)))
    assert [line.split(",")[0] for *_, line in cache.extract("A")] == [
        *("2025-11-02 01:30:00-04:00", "2025-11-02 01:30:00-05:00", "2025-11-02 02:30:00-05:00")
    ]


@settings(max_examples=40)
@given(st.integers(60_000_000, int(datetime(2099, 1, 1, tzinfo=UTC).timestamp())))
def test_every_time_is_what_the_standard_library_makes_of_it(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    with TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        cache.add(text_of([bar("A", at(moment))]), day=moment.date())
        ((_, second, line),) = cache.extract("A")
    assert (second, line.split(",")[0]) == (seconds, str(moment.astimezone(NEW_YORK)))


def test_all_minutes_of_few_and_of_many_tickers_are_found(cache: Cache) -> None:
    names = [f"T{number:02}" for number in range(40)]
    cache.add(text_of([line for name in names for line in bars(name, midnight(DAY), 30)]), names[::2])
    assert len(cache.extract("T07", "T08")) == 60
    assert len(cache.extract(*names)) == 1200
    assert {second for _, second, _ in cache.extract("T08")} == {
        int(midnight(DAY).timestamp()) + 60 * minute for minute in range(30)
    }


def test_many_texts_are_read_in_batches_as_if_at_once(cache: Cache) -> None:
    for _ in range(4):
        cache.add(text_of(bars("A", midnight(DAY), 50)), "A")
    together = cache.extract("A")
    assert cache.extract("A", batch_bytes=100) == together
    assert len(together) == 50


def test_an_index_has_no_volume_and_no_column_for_it(tmp_path: Path) -> None:
    for dataset, stamped in ((INDICES_MINUTE, True), (CATALOGUE["indices-day"], False)):
        cache = Cache(tmp_path / dataset.short, dataset)
        cache.add(
            text_of([f"I:SPX,10.5,10.6,10.75,10.25,{at(midnight(DAY))}"], "ticker,open,close,high,low,window_start")
        )
        if stamped:
            assert [line for *_, line in cache.extract("I:SPX")] == ["2025-10-31 20:00:00-04:00,10.5,10.75,10.25,10.6"]
        else:
            found = csv_lines.extract(replace(cache.layout, dataset=dataset), cache.sessions, frozenset({"I:SPX"}))
            assert found.rows() == [("I:SPX", "2025-11-01", "2025-11-01,10.5,10.75,10.25,10.6")]


def test_what_has_a_volume_must_have_its_column(cache: Cache) -> None:
    cache.add(text_of([f"A,1,1,1,1,{at(midnight(DAY))}"], "ticker,open,close,high,low,window_start"))
    with pytest.raises(CacheError, match="volume"):
        cache.extract("A")


def test_a_file_without_stamps_has_no_line(cache: Cache) -> None:
    cache.add(text_of(["A,1,1,1,1,1"], COLUMNS.partition(",window_start")[0]))
    assert cache.extract("A") == []


def test_coins_are_told_by_the_same_clock(tmp_path: Path) -> None:
    cache = Cache(tmp_path, CRYPTO_MINUTE)
    cache.add(text_of(bars("X:BTC-USD", midnight(DAY), 1)))
    assert [line.split(",")[0] for *_, line in cache.extract("X:BTC-USD")] == ["2025-10-31 20:00:00-04:00"]
