"""What tickers of options say: one at a time, in columns, and in every row that is returned of a stored file."""

from dataclasses import astuple
from datetime import date

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pipeline_kit import Place, pack
from polars.testing import assert_frame_equal

from ingest.demo.files.files import files_of
from ingest.demo.servers import loopback
from ingest.errors import UsageError
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.market.contracts import CONTRACT, Contract, contract_of, contract_schema, with_contracts
from ingest.market.patterns import covers, meant
from ingest.reading import history as stored
from ingest.reading import rows
from ingest.reading.adjusting.actions import HistoryQuery

OPTIONS, MINUTES = CATALOGUE["options-day"], CATALOGUE["options-minute"]
DAY = date(2025, 11, 11)
NULLS = (None,) * 5


@pytest.mark.parametrize(
    ("ticker", "contract"),
    [
        ("O:SPY251219C00650000", Contract("SPY", date(2025, 12, 19), "C", 650.0)),
        ("O:SPY1251219P00012500", Contract("SPY1", date(2025, 12, 19), "P", 12.5)),
        ("O:F260116C00000500", Contract("F", date(2026, 1, 16), "C", 0.5)),
        ("O:SPXW280229P99999999", Contract("SPXW", date(2028, 2, 29), "P", 99999.999)),
        ("O:2SPX991231C05000000", Contract("2SPX", date(2099, 12, 31), "C", 5000.0)),
        ("O:SPY250229C00650000", None),  # no leap year
        ("O:SPY251319C00650000", None),
        ("O:SPY251219X00650000", None),
        ("O:251219C00650000", None),
        ("O:SPYSPYS251219C00650000", None),
        ("SPY251219C00650000", None),
        ("O:SPY251219C0065000", None),
        ("O:spy251219C00650000", None),
        ("O:SPY251219C00650000\n", None),
        ("O:SPY", None),
        ("", None),
    ],
)
def test_a_ticker_is_a_contract_or_none(ticker, contract):
    assert contract_of(ticker) == contract


def test_days_to_expiry_are_calendar_days_and_negative_afterwards():
    contract = Contract("SPY", date(2025, 12, 19), "C", 650.0)
    assert [contract.dte(day) for day in (DAY, date(2025, 12, 19), date(2025, 12, 20))] == [38, 0, -1]


ROOTS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=5).map(str) | st.sampled_from(["SPY1", "T1", "2SPX"])
DATES = st.dates(date(2000, 1, 1), date(2099, 12, 31))
DIGITS = st.text("0123456789", min_size=6, max_size=6)
TICKERS = (
    st.builds("O:{}{:%y%m%d}{}{:08d}".format, ROOTS, DATES, st.sampled_from("CP"), st.integers(0, 10**8 - 1))
    | st.builds("O:{}{}{}{:08d}".format, ROOTS, DIGITS, st.sampled_from("CPX"), st.integers(0, 10**9))
    | st.text(max_size=25)
)


def in_columns(rows, dataset=OPTIONS):
    frame = pl.DataFrame(rows, {"ticker": pl.String, "date": pl.Date}, orient="row")
    return with_contracts(frame, dataset).select(CONTRACT)


@given(st.lists(st.tuples(TICKERS.filter(lambda one: one.isprintable()), DATES)))
@example([("O:A250230C00000001", DAY), ("O:A250228C00000001", DAY)])
@example([("O:A250228C00000001", DAY), ("O:A250228C00000001", date(2025, 3, 1)), ("", DAY)])
@example([("O:Ä250228C00000001", DAY), ("O:A٢50228C00000001", DAY)])
def test_columns_say_what_each_ticker_says(rows):
    told = [(contract_of(ticker), day) for ticker, day in rows]
    assert in_columns(rows).rows() == [(*astuple(one), one.dte(day)) if one else NULLS for one, day in told]
    assert in_columns(rows).schema == contract_schema(OPTIONS)


@given(TICKERS, ROOTS)
def test_the_contracts_of_a_root_are_those_that_its_pattern_stands_for(ticker, root):
    contract = contract_of(ticker)
    if contract:
        assert covers(frozenset(meant([f"O:{root}"])), ticker) is (contract.underlying == root and root[0].isalpha())


def test_only_datasets_of_options_have_them():
    assert [name for name, dataset in CATALOGUE.items() if contract_schema(dataset)] == [
        "options-day",
        "options-minute",
    ]
    rows = pl.DataFrame({"ticker": ["AAPL"], "date": [DAY]})
    assert with_contracts(rows, STOCKS_DAY).equals(rows)


class TestOfAStoredSession:
    """Rows of a generated file, from the parts, from the lake, and from a tracked CSV."""

    @pytest.fixture(params=[OPTIONS, MINUTES], ids=lambda one: one.short)
    def dataset(self, request):
        return request.param

    @pytest.fixture(params=[False, True], ids=["parts", "lake"])
    def place(self, request, dataset, loopback_keys, tmp_path):
        made = files_of(dataset, 30)
        with loopback.serve({dataset.key(DAY): pack(made.text(DAY))}) as server:
            place = Place(tmp_path / "cache", server.endpoint_url, dataset=dataset, lake=request.param)
            place.run(DAY, DAY, tracked={made.always(DAY)[0]})
        return place

    def test_day_scan_and_history_have_what_tickers_say(self, place, dataset):
        day = stored.day_rows(place.settings(), dataset, DAY)
        assert day.columns[-6:] == [*CONTRACT, "source"]
        assert day.height
        assert day.select(CONTRACT).equals(in_columns(list(day.select("ticker", "date").iter_rows())))
        assert day["underlying"].null_count() == 0
        lazy = stored.scan(place.settings(), dataset, None, None)
        assert_frame_equal(lazy.collect(), day)
        puts = pl.col("right") == "P"
        assert lazy.filter(puts).select("strike", "close").collect().equals(day.filter(puts).select("strike", "close"))
        few = day["ticker"].unique(maintain_order=True).head(3).to_list()
        some = lazy.filter(pl.col("ticker").is_in(few)).select("ticker", "dte").collect()
        assert some.equals(day.filter(pl.col("ticker").is_in(few)).select("ticker", "dte"))
        assert self.history(place, few).columns == [*(n for n in day.columns if n not in (*CONTRACT, "transactions"))]
        asked = self.history(place, few, ["ticker", *CONTRACT])
        assert asked.equals(day.filter(pl.col("ticker").is_in(few)).select("ticker", *CONTRACT))

    @pytest.mark.parametrize("names", [["SPY"], ["SPY", "NVDA1", "NOPE"]], ids=" ".join)
    def test_a_filter_on_underlyings_reads_only_their_contracts(self, place, dataset, names, monkeypatch):
        whole, asked = stored.day_rows(place.settings(), dataset, DAY), []
        monkeypatch.setattr(rows, "on", lambda *given, on=rows.on: asked.append(given[2]) or on(*given))
        lazy, there = stored.scan(place.settings(), dataset, None, None), set(whole["underlying"]).intersection(names)
        wanted = pl.col("underlying").is_in(names) & (pl.col("right") == "C")
        assert_frame_equal(lazy.filter(wanted).collect(), whole.filter(wanted))
        assert {contract_of(ticker).underlying for ticker in asked.pop()} == there
        for name in names:
            assert_frame_equal(lazy.filter(underlying=name).collect(), whole.filter(underlying=name))
            assert {contract_of(ticker).underlying for ticker in asked.pop()} == there & {name}
        assert lazy.filter((pl.col("underlying") == "SPY") | (pl.col("right") == "P")).collect().height
        assert asked == [None]
        for nothing in (pl.col("underlying") == "S*", pl.col("underlying").is_in([]), pl.col("underlying") == ""):
            assert lazy.filter(nothing).collect().is_empty()

    def history(self, place, tickers, columns=None):
        return stored.history(place.settings(), place.dataset, HistoryQuery(tickers, columns=columns, fetch=False))

    def test_files_of_the_lake_and_views_have_them(self, place, dataset):
        from ingest.querying.asking import ask

        day = stored.day_rows(place.settings(), dataset, DAY)
        for path in (place.root / "lake").rglob("*.parquet"):
            assert pl.read_parquet(path, hive_partitioning=False).select(CONTRACT).equals(day.select(CONTRACT))
        view = dataset.short.replace("-", "_")
        query = f'SELECT underlying, "right", sum(volume) AS volume FROM {view} GROUP BY ALL ORDER BY ALL'
        told = day.group_by("underlying", "right").agg(pl.col("volume").sum()).sort("underlying", "right")
        assert_frame_equal(ask(place.settings(), query), told)

    @pytest.mark.parametrize("query", ["SELECT right FROM {0}", "FROM {0} WHERE strike > 1 AND right = 'C'"])
    def test_a_query_that_lacks_quotes_is_told_of_them(self, place, dataset, query):
        from ingest.querying.asking import ask

        with pytest.raises(UsageError, match=r'the query: Parser Error(.*\n)*.*needs quotes: "right"'):
            ask(place.settings(), query.format(dataset.short.replace("-", "_")))

    def test_a_tracked_csv_is_enough_for_them(self, place, dataset):
        ticker = files_of(dataset, 30).always(DAY)[0]
        contract = contract_of(ticker)
        (row, *_) = self.history(place, [ticker], ["underlying", "strike", "dte"]).rows()
        assert row == (contract.underlying, contract.strike, contract.dte(DAY))
