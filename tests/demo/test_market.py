import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from isal import igzip

from ingest.demo.files.market import DEMO_TICKERS, HOSTILE_TICKERS, KNOWN_PRICES, REUSED_TICKER, Market, pack
from ingest.market.catalogue import STOCKS_DAY

BEFORE = date(2026, 2, 20)
SINCE = date(2026, 2, 23)
DAYS = [date(2003, 9, 10), date(2019, 8, 12), date(2025, 11, 11), BEFORE, SINCE, date(2027, 7, 1)]
HEADER = b"ticker,volume,open,close,high,low,window_start,transactions\n"
SCHEMA = dict.fromkeys(["volume", "open", "close", "high", "low"], pl.Float64)


@pytest.fixture(scope="module")
def market():
    return Market()


def rows_of(text):
    schema = {"ticker": pl.String, **SCHEMA, "window_start": pl.Int64, "transactions": pl.Int64}
    return pl.read_csv(text, schema=schema)


def tickers_of(text):
    return [line.partition(b",")[0] for line in text.splitlines()[1:]]


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_a_day_has_the_vendors_rows_and_size(market, day):
    text = market.day(day)
    assert text.startswith(HEADER)
    assert text.endswith(b"\n")
    assert b"\r" not in text
    assert 9_500 <= text.count(b"\n") - 1 <= 12_000
    assert 200_000 <= len(pack(text)) <= 320_000


def test_the_benchmarks_size():
    text = Market(rows=9_700).day(date(2025, 11, 11))
    assert 9_600 <= text.count(b"\n") - 1 <= 9_800
    assert 200_000 <= len(pack(text)) <= 220_000


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_rows_are_sorted_bytewise_and_bars_make_sense(market, day):
    text = market.day(day)
    tickers = tickers_of(text)
    assert tickers == sorted(tickers)
    rows = rows_of(text)
    low, high = pl.col("low"), pl.col("high")
    assert rows.filter((low <= 0) | (low > pl.min_horizontal("open", "close"))).is_empty()
    assert rows.filter(high < pl.max_horizontal("open", "close")).is_empty()
    assert rows.filter((pl.col("volume") < 0) | (pl.col("transactions") < 0)).is_empty()
    assert rows.null_count().sum_horizontal().item() == 0


def test_the_tickers_that_break_parsers_are_there_and_the_known_ones(market):
    for day in DAYS:
        tickers = {ticker.decode() for ticker in tickers_of(market.day(day))}
        assert tickers >= {*HOSTILE_TICKERS, *KNOWN_PRICES, *DEMO_TICKERS}
    facts = "NA NAN TRUE INF E 1E5 CON PRN BACpL BCpC BCPC TpC TPC BRK.A ABC.WS NE.WS.A RCF.U MTBpC.CL FTV.WD PTEST.X"
    assert set(facts.split()) | {"ADSw", "AMpB", "AMPB", "CON.A"} <= set(HOSTILE_TICKERS)


def test_volumes_have_decimals_since_the_first_fractional_session(market):
    def volumes(day):
        return [line.split(b",")[1] for line in market.day(day).splitlines()[1:]]

    assert all(volume.isdigit() for volume in volumes(BEFORE))
    assert all(re.fullmatch(rb"\d+\.\d{6}", volume) for volume in volumes(SINCE))
    share = sum(not volume.endswith(b".000000") for volume in volumes(SINCE)) / len(volumes(SINCE))
    assert 0.4 < share < 0.8


def test_numbers_are_written_as_the_vendor_does(market):
    for line in market.day(SINCE).splitlines()[1:]:
        _, _, *prices, _, _ = line.decode().split(",")
        assert all(number == f"{float(number):.4f}".rstrip("0").rstrip(".") for number in prices)
        decimals = max(len(price.partition(".")[2]) for price in prices)
        assert decimals <= (4 if float(prices[1]) < 1 else 2)


def test_some_rows_saw_no_trade_and_some_stand_twice(market):
    days = [rows_of(market.day(BEFORE + timedelta(i))) for i in range(7)]
    idle = days[0].filter(pl.col("volume") == 0)
    assert 10 < len(idle) < 80
    assert idle["transactions"].to_list() == [0] * len(idle)
    assert days[0].filter((pl.col("transactions") == 0) & (pl.col("volume") > 0)).is_empty()
    repeats = [len(day) - day["ticker"].n_unique() for day in days]
    assert sorted(repeats)[:6] == [0] * 6
    assert repeats != [0] * 7
    assert [len(day) - len(day.unique()) for day in days] == repeats


@pytest.mark.parametrize(
    ("day", "offset_h"), [(date(2026, 3, 6), 5), (date(2026, 3, 9), 4), (date(2025, 10, 31), 4), (date(2025, 11, 3), 5)]
)
def test_rows_are_stamped_midnight_in_new_york(market, day, offset_h):
    (stamp,) = rows_of(market.day(day))["window_start"].unique().to_list()
    moment = datetime.fromtimestamp(stamp // 10**9, UTC)
    assert moment == datetime(day.year, day.month, day.day, offset_h, tzinfo=UTC)
    assert moment.astimezone(ZoneInfo("America/New_York")).hour == 0


def test_a_day_is_the_same_in_any_order_and_window(market):
    days = DAYS[2:5]
    forward = dict(Market(seed=3).days(days))
    backward = dict(Market(seed=3).days(reversed(days)))
    assert forward == backward
    assert forward[BEFORE] != market.day(BEFORE)
    assert [*market.objects([BEFORE])] == [(STOCKS_DAY.key(BEFORE), pack(market.day(BEFORE)))]


def test_packing_is_reproducible_and_loses_nothing(market):
    text = market.day(BEFORE)
    assert igzip.decompress(pack(text)) == text
    assert pack(text)[4:8] == bytes(4)  # the header has no time


def test_listings_come_and_go(market):
    first, second = (set(tickers_of(market.day(BEFORE + timedelta(i)))) for i in (0, 300))
    assert 300 < len(first - second) < 2_000
    assert 300 < len(second - first) < 2_000


def test_a_ticker_is_delisted_and_used_again(market):
    days = [date(2024, 11, 1) + timedelta(i) for i in range(0, 730, 15)]
    traded = [REUSED_TICKER.encode() in tickers_of(market.day(day)) for day in days]
    spans = "".join("x" if here else "." for here in traded).split(".")
    assert len([span for span in spans if span]) >= 2
    assert "." * 7 in "".join("x" if here else "." for here in traded)  # a gap of months


def test_prices_walk(market):
    def closes(day):
        return rows_of(market.day(day)).unique("ticker", keep="first").select("ticker", "close")

    near = (
        closes(BEFORE)
        .join(closes(BEFORE + timedelta(1)), on="ticker")
        .with_columns(move=(pl.col("close_right") / pl.col("close")).log())
    )
    far = (
        closes(BEFORE)
        .join(closes(BEFORE + timedelta(256)), on="ticker")
        .with_columns(move=(pl.col("close_right") / pl.col("close")).log())
    )
    spread = far.filter(pl.col("close") > 1)["move"].std() / near.filter(pl.col("close") > 1)["move"].std()
    assert 12 < spread < 20  # the square root of 256 days
