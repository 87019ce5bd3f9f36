from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from ingest.demo.files.files import files_of
from ingest.demo.files.market import STAMPED_A_DAY_LATE
from ingest.demo.files.options import ADJUSTED_ROOTS, UNSTAMPED, WRONG_STAMP
from ingest.demo.files.text import pack
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY, STOCKS_MINUTE, days_of, named
from ingest.market.tickers import file_stem
from ingest.splitting.parsing import read_header

DAY = date(2025, 11, 11)
ROWS = 60
PRICES = ("open", "high", "low", "close")
DATASETS = [
    pytest.param(dataset, id=name)
    for name, dataset in CATALOGUE.items()
    if not name.startswith(("futures-cbot", "futures-comex", "futures-nymex"))  # the same code makes all venues
]
MINUTES = [one for one in DATASETS if one.values[0].kind.timed]
REAL_BYTES = {
    "stocks-day": 225_000,
    "options-day": 4_000_000,
    "indices-day": 400_000,
    "forex-day": 38_000,
    "crypto-day": 12_000,
}


@cache
def text_of(dataset, day, rows=ROWS):
    return files_of(dataset, rows).text(day)


def rows_of(dataset, day, rows=ROWS):
    text = text_of(dataset, day, rows)
    header = text[: text.index(b"\n")].decode().split(",")
    kinds = {"ticker": pl.String, "session_end_date": pl.String, "window_start": pl.Int64, "transactions": pl.Int64}
    return pl.read_csv(text, schema={name: kinds.get(name, pl.Float64) for name in header})


def day_of(stamp, zone):
    return datetime.fromtimestamp(stamp // 10**9, ZoneInfo(zone)).date()


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_file_has_the_columns_of_its_dataset_and_no_others(dataset):
    header = read_header(text_of(dataset, DAY), dataset)
    assert header.unknown == ()
    assert {*dataset.required, *dataset.extras, dataset.stamp} <= set(header.columns)


@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_are_sorted_make_sense_and_belong_to_the_dataset(dataset):
    rows = rows_of(dataset, DAY)
    assert rows.null_count().sum_horizontal().item() == 0
    order = rows.select("ticker", "window_start") if dataset.kind.timed else rows.select("ticker")
    assert order.equals(order.sort(order.columns))
    assert all(ticker.startswith(dataset.sigil) for ticker in rows["ticker"])
    assert rows.filter(pl.col("low") > pl.min_horizontal("open", "close")).is_empty()
    assert rows.filter(pl.col("high") < pl.max_horizontal("open", "close")).is_empty()
    assert rows.filter((pl.col("low") <= 0) & ~pl.col("ticker").str.contains(r"\d-")).is_empty()  # except for spreads


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_day_is_the_same_however_often_it_is_made_and_no_two_days_are(dataset):
    days = [DAY, DAY + timedelta(days=1)]
    texts = dict(files_of(dataset, ROWS).objects(days[::-1]))
    assert texts == {dataset.key(day): pack(text_of(dataset, day)) for day in days}
    assert len(set(texts.values())) == 2
    assert files_of(dataset, ROWS, seed=8).text(DAY) != text_of(dataset, DAY)


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_a_demo_may_track_is_in_every_file_of_two_years(dataset):
    tracked = files_of(dataset, ROWS).always(DAY)
    assert len(tracked) >= 5
    for days in (0, 1, 200, 729):
        assert set(tracked) <= set(rows_of(dataset, DAY - timedelta(days=days))["ticker"])


@pytest.mark.parametrize("dataset", MINUTES)
@pytest.mark.parametrize("day", [DAY, date(2026, 2, 23), date(2026, 3, 8)], ids=str)
def test_minutes_add_up_to_the_bar_of_their_day(dataset, day):
    files = files_of(dataset, ROWS)
    hours, minutes = files.maker.hours(day), rows_of(dataset, day).unique()
    opened = int(hours.opens.timestamp())
    place = (pl.col("window_start") // 10**9 - opened) / 60
    begin, end = hours.regular
    regular = minutes.sort("ticker", "window_start").filter((place >= begin) & (place < end)).group_by("ticker")
    made = regular.agg(pl.col("open").first(), pl.col("close").last(), pl.col("high").max(), pl.col("low").min()).sort(
        "ticker"
    )
    whole = files.maker.bars(day)
    assert made.equals(whole.select(made.columns))
    assert minutes.filter((place < 0) | (place >= hours.minutes) | (place != place.floor())).is_empty()
    if dataset.has_volume:
        sums = minutes.group_by("ticker").agg(pl.col("volume").sum(), pl.col("transactions").sum()).sort("ticker")
        assert (sums["transactions"] == whole["transactions"]).all()
        assert ((sums["volume"] - whole["volume"]).abs() <= 1e-9 * whole["volume"] + 1e-6).all()


@pytest.mark.parametrize("dataset", MINUTES)
def test_no_minute_of_a_ticker_comes_twice_but_as_a_repeated_row(dataset):
    rows = rows_of(dataset, DAY)
    assert rows.unique().height == rows.unique(["ticker", "window_start"]).height


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_stamp_lies_in_its_session(dataset):
    stamps = rows_of(dataset, DAY)["window_start"]
    ends = DAY - timedelta(days=dataset.name.startswith("us_futures"))  # futures sessions open the evening before
    assert {day_of(stamp, dataset.zone) for stamp in stamps.unique()} <= {ends, DAY}
    assert dataset.kind.timed or stamps.n_unique() == 1


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (size > 10**6)) for name, size in REAL_BYTES.items()]
)
def test_a_full_file_is_as_large_as_the_vendors(name):
    text = files_of(named(name)).text(DAY)
    assert len(pack(text)) == pytest.approx(REAL_BYTES[name], rel=0.15)


@pytest.mark.long
def test_a_full_file_of_stock_minutes_is_as_large_as_the_vendors_and_most_of_it_is_in_regular_hours():
    rows = rows_of(STOCKS_MINUTE, DAY, rows=None)
    assert 1_400_000 < rows.height < 1_700_000
    assert len(pack(text_of(STOCKS_MINUTE, DAY, rows=None))) == pytest.approx(26_000_000, rel=0.1)
    moment = pl.from_epoch(pl.col("window_start"), time_unit="ns").dt.convert_time_zone("America/New_York")
    clock = rows.select(clock=moment.dt.time())["clock"]
    assert (clock.min(), clock.max()) == (time(4), time(19, 59))
    assert 0.7 < clock.is_between(time(9, 30), time(15, 59)).mean() < 0.95


def test_the_days_of_wrong_stamps_have_them():
    late = rows_of(STOCKS_DAY, STAMPED_A_DAY_LATE)["window_start"].unique()
    assert [day_of(stamp, STOCKS_DAY.zone) for stamp in late] == [STAMPED_A_DAY_LATE + timedelta(days=1)]
    assert rows_of(named("options-day"), UNSTAMPED)["window_start"].unique().to_list() == [WRONG_STAMP]


def test_contracts_are_named_as_the_vendor_names_them_and_none_has_expired():
    options = named("options-day")
    tickers = rows_of(options, DAY, rows=20_000)["ticker"]
    shape = tickers.str.extract_groups(r"^O:([A-Z]+[12]?)(\d{6})([CP])(\d{8})$").struct.unnest()
    assert shape.null_count().sum_horizontal().item() == 0
    expiries = shape["2"].str.to_date("%y%m%d")
    assert expiries.min() >= DAY
    assert expiries.filter(expiries < DAY + timedelta(days=7)).n_unique() >= 3
    assert set(ADJUSTED_ROOTS) <= set(shape["1"])


@pytest.mark.parametrize("day", [date(2024, 3, 1), DAY, date(2026, 6, 1)], ids=str)
def test_strikes_are_around_the_price_that_the_stocks_of_the_day_have(day):
    stocks = rows_of(STOCKS_DAY, day, None).select("ticker", "close")
    shape = pl.col("ticker").str.extract_groups(r"^O:([A-Z]+)\d{6}[CP](\d{8})$").struct
    contracts = rows_of(named("options-day"), day, None).select(
        ticker=shape["1"], strike=shape["2"].cast(pl.Float64) / 1000
    )
    strikes = (
        contracts.drop_nulls()
        .group_by("ticker")
        .agg(pl.len(), low=pl.min("strike"), middle=pl.median("strike"), high=pl.max("strike"))
    )
    found = strikes.join(stocks, on="ticker", how="left")
    assert found["close"].null_count() < 0.03 * found.height  # some stocks do not trade on a day
    many = found.drop_nulls().filter(pl.col("len") > 30)
    assert {"SPY", "AAPL", "F", "BAC"} < set(many["ticker"])
    assert many.filter((pl.col("low") > pl.col("close")) | (pl.col("high") < pl.col("close"))).is_empty()
    assert (many["middle"] / many["close"] - 1).abs().max() < 0.2


def test_numbers_of_indices_and_of_coins_look_like_the_vendors():
    lines = text_of(named("indices-day"), DAY).decode().splitlines()[1:]
    padded = [number for line in lines for number in line.split(",")[1:5] if number.endswith("0000000")]
    assert 0.1 < len(padded) / (4 * len(lines)) < 0.5
    assert {len(number.partition(".")[2]) for number in padded} == {14}
    volumes = rows_of(named("crypto-day"), DAY)["volume"].cast(pl.String)
    assert volumes.str.split(".").list.last().str.len_chars().max() == 8


def test_names_of_all_tickers_can_be_names_of_files():
    for (dataset,) in (one.values for one in DATASETS):
        for ticker in rows_of(dataset, DAY)["ticker"].unique():
            assert dataset.ticker_of(dataset.stem(ticker)) == ticker
            assert file_stem(ticker)


@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 11, 1)], ids=str)
def test_where_the_clock_jumps_the_session_has_an_hour_less_or_more(day):
    hours = files_of(named("futures-cme-minute"), ROWS).maker.hours(day)
    assert hours.minutes == 23 * 60 + (60 if day.month == 11 else -60)


@pytest.mark.parametrize("venue", ["cbot", "comex", "nymex"])
def test_each_venue_has_contracts_of_its_own(venue):
    tickers = {*rows_of(named(f"futures-{venue}-day"), DAY)["ticker"]}
    assert tickers.isdisjoint(rows_of(named("futures-cme-day"), DAY)["ticker"])


def test_a_dataset_without_a_maker_has_files_with_the_columns_of_its_entry():
    entry = replace(
        named("crypto-minute"), name="moon/minute_aggs_v1", short="moon-minute", sigil="M:", optional=("craters",)
    )
    text = files_of(entry, 20).text(DAY)
    assert text.startswith(b"ticker,volume,open,close,high,low,craters\nM:")
    assert days_of(named("crypto-minute")) is named("crypto-day")
