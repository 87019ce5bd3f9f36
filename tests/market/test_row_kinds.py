"""What a kind says of its rows is what splitting, CSVs and reading do with them."""

import csv
import io
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from pipeline_kit import Place, pack
from splitting_kit import parted
from tuning_kit import tune

from ingest import finding
from ingest.cache.cache import Cache
from ingest.demo.files.files import files_of
from ingest.demo.servers import loopback
from ingest.errors import UnreadableFile
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY, STOCKS_MINUTE, bars_of
from ingest.market.contracts import contract_schema
from ingest.market.row_kinds import DAY_BARS, MINUTE_BARS, RowKind, made_of
from ingest.reading import rows as reading
from ingest.splitting import streamed, whole
from ingest.splitting.diff import changes
from ingest.splitting.result import SplitSpec

DAY = date(2025, 11, 11)
EVERY = [pytest.param(dataset, id=short) for short, dataset in CATALOGUE.items()]
NOON = int(datetime(2025, 11, 11, 18, tzinfo=UTC).timestamp()) * 1_000_000_000
MINUTE = 60_000_000_000


def text_of(dataset, rows, without=()):
    """A file with rows of these values, by column; all other columns hold ones."""
    columns = [name for name in (*dataset.required, *dataset.optional) if name not in without]
    usual = {"session_end_date": str(DAY), "window_start": str(NOON)}
    lines = [columns, *([str((usual | row).get(name, 1)) for name in columns] for row in rows)]
    return "".join(f"{','.join(line)}\n" for line in lines).encode()


@pytest.mark.parametrize("dataset", EVERY)
class TestOfEachDataset:
    def test_it_has_a_kind_whose_name_its_own_names(self, dataset):
        assert dataset.kind in (DAY_BARS, MINUTE_BARS)
        assert dataset.short.endswith(f"-{dataset.kind.name.removesuffix(' bars')}")
        assert bars_of(dataset, dataset.interval) is dataset

    def test_rows_repeat_others_where_what_identifies_them_is_the_same(self, dataset):
        for column, value in (("ticker", "Z"), (dataset.kind.time, NOON + MINUTE)):
            first = {"ticker": "A"}
            found = parted(text_of(dataset, [first, first | {column: value}]), {"A"}, dataset=dataset, session=DAY)
            repeats = finding.IDENTICAL in [one.kind for one in found.findings]
            assert repeats is (column not in dataset.kind.identity), column

    def test_rows_with_a_time_of_their_own_cannot_do_without(self, dataset):
        text = text_of(dataset, [{"ticker": "A"}], without=[dataset.kind.time])
        if not dataset.kind.timed:
            assert parted(text, {"A"}, dataset=dataset, session=DAY).source_rows == 1
            return
        with pytest.raises(UnreadableFile, match=dataset.kind.time):
            parted(text, {"A"}, dataset=dataset, session=DAY)

    def test_only_a_time_of_its_own_can_keep_a_row_out_of_its_session(self, dataset):
        text = text_of(dataset, [{"ticker": "A", dataset.kind.time: NOON + 100 * 1440 * MINUTE}])
        if not dataset.kind.timed:
            assert parted(text, {"A"}, dataset=dataset, session=DAY).source_rows == 1
            return
        with pytest.raises(UnreadableFile, match="within"):
            parted(text, {"A"}, dataset=dataset, session=DAY)

    def test_columns_it_hands_out_are_the_kinds(self, dataset):
        kind, schema = dataset.kind, reading.rows_schema(dataset)
        times, numbers = ["time"] * kind.timed, (*kind.numbers, *kind.counts)
        assert [*schema] == ["ticker", "date", *times, *numbers, *dataset.extras, *contract_schema(dataset), "source"]
        assert set(kind.order) < {*schema}
        assert set(dataset.numbers) <= set(kind.numbers) & set(dataset.required)

    def test_no_ticker_has_more_rows_a_session(self, dataset):
        rows = csv.DictReader(io.StringIO(files_of(dataset, 3).text(DAY).decode()))
        told = {tuple(row[name] for name in dataset.kind.identity) for row in rows}
        most = max(Counter(ticker for ticker, *_ in told).values())
        assert (most > 1) is (dataset.kind.rows_a_day > 1)
        assert most <= dataset.kind.rows_a_day


@pytest.mark.parametrize("dataset", [STOCKS_DAY, STOCKS_MINUTE], ids=lambda one: one.kind.name)
class TestOfACache:
    def test_its_csvs_and_rows_are_as_the_kind_says(self, dataset, loopback_keys, tmp_path):
        kind, files = dataset.kind, files_of(dataset, 10)
        ticker = files.always(DAY)[0]
        with loopback.serve(dict(files.objects([DAY]))) as server:
            place = Place(tmp_path / "cache", server.endpoint_url, dataset=dataset)
            place.run(DAY, DAY, tracked={ticker})
        (path,) = (one for one in place.tracked.rglob("*.csv"))
        assert path.relative_to(place.tracked).parts[0] == f"{ticker}{kind.csv_suffix}"
        assert (path.parent == place.tracked) is (kind.csv_shape == "file")
        header, *lines = path.read_text().splitlines()
        assert header.split(",") == [kind.index, *(name.capitalize() for name in kind.numbers)]
        with Cache.read(place.settings(), dataset) as cache:
            rows = reading.session(cache, DAY)
        assert rows.equals(rows.sort(kind.order, maintain_order=True))
        assert rows.select(kind.order).is_unique().all()
        assert rows.filter(ticker=ticker).height == len(lines)

    def test_the_source_is_asked_for_rows_yahoo_has(self, dataset):
        assert dataset.is_filled_from_yahoo is dataset.kind.at_yahoo


TICKS = replace(
    MINUTE_BARS,
    name="tick bars",
    identity=("ticker", "tick_at", "sequence"),
    time="tick_at",
    numbers=(*MINUTE_BARS.numbers, "vwap"),
    counts=("fills",),
    csv_suffix="_tick_data",
)
"""Rows that nothing knows but this value: of a time, numbers and marks that no kind of the catalogue has."""

TICKED = replace(
    STOCKS_MINUTE,
    name="us_stocks_sip/tick_aggs_v1",
    short="stocks-tick",
    kind=TICKS,
    required=(*STOCKS_MINUTE.required, "vwap", "sequence"),
    optional=("tick_at", "fills"),
    stamp="tick_at",
)


_FIRST = {"ticker": "A", "tick_at": NOON, "sequence": "s1", "vwap": 2.5, "fills": 7}
_SECOND = _FIRST | {"sequence": "s2", "vwap": 3.5}
TICKED_ROWS = [_FIRST, _SECOND, _SECOND, _FIRST | {"ticker": "B", "tick_at": NOON + 1_000_000_000}]
"""Two of one time that `sequence` tells apart, one that repeats the second, and one of another ticker."""


class TestAnotherKind:
    """Adding a kind of rows is adding a value."""

    @pytest.mark.parametrize("chunk", [None, 40, 1 << 20])
    def test_its_repeats_are_found_by_what_identifies_it(self, chunk):
        text, spec = text_of(TICKED, TICKED_ROWS), SplitSpec(frozenset("A"), True, TICKED, DAY)
        found = whole.split(text, spec) if chunk is None else streamed.split(lambda: iter([text]), spec, sinks, chunk)
        assert [(one.kind, one.count, one.examples) for one in found.findings] == [(finding.IDENTICAL, 1, ("A",))]
        late = text_of(TICKED, [row | {"tick_at": NOON + 100 * 1440 * MINUTE} for row in TICKED_ROWS])
        with pytest.raises(UnreadableFile, match="tick_at within"):
            whole.split(late, spec)

    def test_it_is_stored_projected_and_read(self, loopback_keys, tmp_path):
        with loopback.serve({TICKED.key(DAY): pack(text_of(TICKED, TICKED_ROWS))}) as server:
            place = Place(tmp_path / "cache", server.endpoint_url, dataset=TICKED)
            assert place.run(DAY, DAY, tracked={"A"}).committed == [DAY]
        assert (place.tracked / "A_tick_data" / "2025-11.csv").read_text().splitlines() == [
            "Datetime,Open,High,Low,Close,Volume,Vwap",
            "2025-11-11 13:00:00-05:00,1.0,1.0,1.0,1.0,1.0,2.5",
        ]
        with Cache.read(place.settings(), TICKED) as cache:
            found = reading.session(cache, DAY)
        assert found.select("ticker", "vwap", "fills").rows() == [("A", 2.5, 7), ("B", 2.5, 7)]
        assert found["time"].dt.epoch("ns").to_list() == [NOON, NOON + 1_000_000_000]


SALES = replace(
    MINUTE_BARS,
    name="sales",
    identity=("ticker", "sold_at", "sequence"),
    time="sold_at",
    numbers=("price", "size"),
    prices=("price",),
    amount="size",
    spans=False,
    counts=("fills",),
    csv_suffix="_sales_data",
)
"""Rows that are no bars: one price each, which spans nothing."""

SOLD = replace(
    STOCKS_MINUTE,
    name="us_stocks_sip/sales_v1",
    short="stocks-sales",
    kind=SALES,
    required=("ticker", "price", "size", "sequence"),
    optional=("sold_at", "fills"),
    stamp="sold_at",
)


def sale(ticker, second=0, **values):
    return {"ticker": ticker, "sold_at": NOON + second * 1_000_000_000, "price": 2.5, "size": 100} | values


class TestAKindWithoutBars:
    @pytest.mark.parametrize("chunk", [None, 40, 1 << 20])
    def test_its_own_numbers_are_checked(self, chunk):
        rows = [sale("A"), sale("B", price=0), sale("C", price=""), sale("D", size=-1), sale("E", size=1e20)]
        text, spec = text_of(SOLD, rows), SplitSpec(frozenset("A"), True, SOLD, DAY)
        found = whole.split(text, spec) if chunk is None else streamed.split(lambda: iter([text]), spec, sinks, chunk)
        assert {one.kind: one.examples for one in found.findings} == {
            finding.NOT_POSITIVE: ("B",),
            finding.NO_PRICE: ("C",),
            finding.NEGATIVE_VOLUME: ("D",),
            finding.NO_VOLUME: ("E",),
        }

    @pytest.mark.parametrize("at_once", [None, 0], ids=["at once", "in chunks"])
    def test_it_is_stored_projected_read_and_corrected(self, at_once, loopback_keys, tmp_path, monkeypatch):
        if at_once is not None:
            tune(monkeypatch, at_once=at_once)
        rows = [sale("A"), sale("A", 1, price=3, size="2e2"), sale("B", price=7)]
        with loopback.serve({SOLD.key(DAY): pack(text_of(SOLD, rows))}) as server:
            place = Place(tmp_path / "cache", server.endpoint_url, dataset=SOLD)
            assert place.run(DAY, DAY, tracked={"A"}).committed == [DAY]
            stored = csv_of(place)
            otherwise = [row | {"price": f"{row['price']}0" if row["price"] == 2.5 else "3.000"} for row in rows[:2]]
            server.put(SOLD.key(DAY), pack(text_of(SOLD, [*otherwise, sale("B", price=8)])))
            place.run(DAY, DAY, tracked={"A"})
        assert stored == [
            "Datetime,Price,Size",
            "2025-11-11 13:00:00-05:00,2.5,100.0",
            "2025-11-11 13:00:01-05:00,3.0,200.0",
        ]
        with Cache.read(place.settings(), SOLD) as cache:
            found = reading.session(cache, DAY)
            (correction,) = cache.manifest.replacements.corrections()
        assert found.select("ticker", "price", "size").rows() == [("A", 2.5, 100), ("A", 3, 200), ("B", 8, 100)]
        assert [(one.ticker, one.column, one.old, one.new) for one in changes(correction.correction)] == [
            ("B", "price", "7", "8")
        ]


def csv_of(place):
    return (place.tracked / "A_sales_data" / "2025-11.csv").read_text().splitlines()


def sinks(header):
    """Nobody asks for the parts."""
    return {}


def test_all_intervals_but_a_day_are_made_of_minutes():
    assert [made_of(one) for one in ("1d", "1m", "5m", "1h")] == [DAY_BARS, *[MINUTE_BARS] * 3]


def test_a_kind_is_a_value():
    assert {DAY_BARS, MINUTE_BARS} == {one.kind for one in CATALOGUE.values()}
    assert isinstance(DAY_BARS, RowKind)
