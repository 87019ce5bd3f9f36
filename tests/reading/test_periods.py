"""Weeks and months, and days of minutes, compared with yfinance's own resampling and with pandas'."""

import random
from datetime import date, timedelta

import pandas as pd
import polars as pl
import pytest
from minutes_kit import added_up, at, minutes_text, some_minutes
from pipeline_kit import write_keys
from reading_kit import same, security, world
from yahoo_kit import Security, fresh_yfinance, past_sessions, plain_history

import ingest
from ingest.demo.files.market import pack
from ingest.errors import UsageError
from ingest.market.calendars import Calendar
from ingest.market.catalogue import STOCKS_MINUTE
from ingest.reading.resample import in_periods

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

DAYS = past_sessions(90)
SPLITS = {DAYS[41]: (4, 1), DAYS[43]: (1, 3), DAYS[70]: (3, 2)}
"""Two of them are often in one week, and always in one or two months."""
PAID = {DAYS[20]: 0.82, DAYS[42]: 0.3, DAYS[44]: 0.2}
AAPL = security(DAYS, SPLITS, PAID)
FUND = Security(AAPL.bars, SPLITS, PAID, gains={DAYS[44]: 1.25}, instrument="ETF")
THIN = security([day for day in DAYS if day.weekday() in (0, 3) and day.day % 3])
MINUTES = {day: some_minutes(day, AAPL.bars[day][0], 0.3) for day in DAYS[-8:]}
EVERYONE = {"AAPL": AAPL, "VTI": FUND, "THIN": THIN}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    home = tmp_path_factory.mktemp("periods")
    write_keys(home / "credentials")
    with pytest.MonkeyPatch.context() as patch, world(patch, home, EVERYONE, EVERYONE, DAYS) as found:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        found.place.run(DAYS[0], DAYS[-1], tracked={"AAPL"})
        for day, minutes in MINUTES.items():
            found.server.put(STOCKS_MINUTE.key(day), pack(minutes_text({"AAPL": minutes})))
        ingest.run(start=DAYS[-8], end=DAYS[-1], dataset="stocks-minute", config=found.config())
        ingest.history(EVERYONE, adjust="splits", config=found.config())  # splits and dividends are known from here on
        yield found


def resampled(ticker, interval, daily):
    """What yfinance makes of its own days if it is told to repair what Yahoo makes of them."""
    import yfinance

    return yfinance.Ticker(ticker)._lazy_load_price_history()._resample(daily.copy(), "1d", interval)


def smart(here, ticker="AAPL", **arguments):
    return ingest.get_smart_data(ticker, data_source="massive", fetch=False, config=here.config(), **arguments)


WINDOWS = {"all": (DAYS[0], DAYS[-1]), "within a week": (DAYS[7], DAYS[8]), "over a month's end": (DAYS[11], DAYS[66])}


@pytest.mark.parametrize("interval", ["1wk", "1mo"])
@pytest.mark.parametrize("auto_adjust", [True, False])
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_weeks_and_months_are_those_that_yfinance_makes_of_adjusted_days(here, interval, auto_adjust, window):
    how = {"start": window[0], "end": window[1] + timedelta(days=1), "auto_adjust": auto_adjust, "actions": True}
    for ticker in ("AAPL", "VTI"):
        mine = smart(here, ticker, interval=interval, **how)
        theirs = resampled(ticker, interval, plain_history(ticker, **how))
        theirs.index.freq = None
        same(mine[list(theirs.columns)], theirs)
    assert (mine.attrs["sources"], mine.columns.size) == ({"massive": [tuple(map(str, window))]}, 8 + (not auto_adjust))


def test_a_week_begins_on_monday_and_a_month_on_the_first(here):
    weeks, months = (smart(here, interval=name, start=DAYS[0]) for name in ("1wk", "1mo"))
    assert {stamp.weekday() for stamp in weeks.index} == {0}
    assert {stamp.day for stamp in months.index} == {1}
    assert {(stamp.hour, str(stamp.tz)) for stamp in (*weeks.index, *months.index)} == {(0, "America/New_York")}
    assert len(weeks) == len({day - timedelta(days=day.weekday()) for day in DAYS})


@pytest.mark.parametrize("interval", ["1wk", "1mo"])
def test_a_period_begins_with_a_whole_bar(here, interval):
    whole = smart(here, interval=interval, start=DAYS[0])
    frame = smart(here, interval=interval, period="2mo")
    pd.testing.assert_frame_equal(frame, whole.loc[frame.index[0] :])
    assert len(frame) in ((9, 10) if interval == "1wk" else (3,))


def test_a_week_without_a_session_of_the_ticker_is_left_out(here):
    frame = smart(here, "THIN", interval="1wk", start=DAYS[0])
    assert [stamp.date() for stamp in frame.index] == sorted({day - timedelta(days=day.weekday()) for day in THIN.bars})


@pytest.mark.parametrize(("interval", "rule"), [("1wk", "W-MON"), ("1mo", "MS")])
@pytest.mark.parametrize("adjust", ["none", "splits", "all"])
def test_panels_and_exports_have_the_bars_that_pandas_makes(here, tmp_path, interval, rule, adjust):
    columns = ["open", "high", "low", "close", "volume"]
    config = here.config()
    mine = ingest.panel("AAPL", columns, interval=interval, adjust=adjust, config=config)
    days = ingest.panel("AAPL", columns, adjust=adjust, config=config)
    how = dict(zip(columns, ("first", "max", "min", "last", "sum"), strict=True))
    for name in columns:
        theirs = days[name]["AAPL"].resample(rule, label="left", closed="left").agg(how[name])
        pd.testing.assert_series_equal(mine[name]["AAPL"], theirs, check_freq=False)
    (written,) = ingest.export("AAPL", tmp_path, interval=interval, adjust=adjust, config=config)
    assert written.path.name.startswith(f"AAPL_{interval}")
    frame = pl.read_csv(written.path, try_parse_dates=True)
    assert frame.columns == ["date", *columns, "source"]
    assert frame["date"].to_list() == [stamp.date() for stamp in mine.index]
    assert frame["close"].to_list() == mine["close"]["AAPL"].tolist()


def test_show_has_weeks_and_measures_of_their_sessions(here):
    shown = here.place.here("show", "AAPL", "-i", "1wk", "--adjust", "none", "--no-fetch", "--start", DAYS[0])
    assert shown.code == 0
    weeks = {day - timedelta(days=day.weekday()) for day in DAYS}
    assert f"{len(weeks)} bars of 1wk in 90 sessions, {DAYS[0]} to {DAYS[-1]}" in shown.out
    assert "\nby session:\n" in shown.out
    daily = here.place.here("show", "AAPL", "--adjust", "none", "--no-fetch", "--start", DAYS[0])
    assert shown.out.partition("by session:\n")[2] == daily.out[daily.out.index("return ") :]


class TestDaysOfMinutes:
    def by_hand(self, prepost=False):
        calendar = Calendar.of("XNYS")
        whole = {day: (at(day, 0), at(day, 23, 59)) for day in MINUTES}
        hours = {day: (at(day, 9, 30), at(day, calendar.close(day).hour)) for day in MINUTES}
        edges = whole if prepost else hours
        return {day: added_up(MINUTES[day], [edges[day]])[edges[day][0]] for day in MINUTES}

    @pytest.mark.parametrize("prepost", [False, True])
    def test_they_are_the_minutes_of_a_session_added_up(self, here, prepost):
        how = {"interval": "1d", "dataset": "stocks-minute", "prepost": prepost, "config": here.config()}
        mine = ingest.panel("AAPL", ["open", "high", "low", "close", "volume"], **how)
        assert (mine.index.name, mine.index.tz) == ("Date", None)
        found = {stamp.date(): tuple(row) for stamp, row in zip(mine.index, mine.to_numpy(), strict=True)}
        assert found == self.by_hand(prepost)

    def test_they_are_adjusted_like_days(self, here):
        frame = smart(here, interval="1d", dataset="stocks-minute", start=DAYS[-8], auto_adjust=False)
        assert frame.index.name == "Date"
        assert frame["Close"].tolist() == [bar[3] for bar in self.by_hand().values()]  # no split since
        weeks = smart(here, interval="1wk", dataset="stocks-minute", start=DAYS[-8])
        assert weeks["Volume"].sum() == frame["Volume"].sum()

    def test_an_export_of_them_does_not_replace_the_vendors_days(self, here, tmp_path):
        ingest.export("AAPL", tmp_path, config=here.config())
        made = {"interval": "1d", "dataset": "stocks-minute", "config": here.config()}
        with pytest.raises(UsageError, match="these are 1d bars of us_stocks_sip/minute_aggs_v1"):
            ingest.export("AAPL", tmp_path, **made)
        assert ingest.export("AAPL", tmp_path, name="{ticker} of minutes", **made)

    def test_the_day_bars_are_those_of_the_vendor_unless_minutes_are_named(self, here):
        frame = smart(here, interval="1d", start=DAYS[-8], auto_adjust=False)
        assert frame["Close"].tolist() == pytest.approx([AAPL.bars[day][3] for day in DAYS[-8:]])


def test_any_days_make_the_weeks_and_months_of_pandas():
    """Pure: years of them, with gaps, of two tickers, over the ends of years."""
    chance = random.Random(7)
    days = [date(2019, 12, 20) + timedelta(days=n) for n in range(900) if chance.random() < 0.4]
    rows = pl.DataFrame(
        [(t, day, *(chance.random() for _ in range(5)), n, chance.choice(["massive", "yahoo"]))
         for t in "AB" for n, day in enumerate(days)],
        schema=["ticker", "date", "open", "high", "low", "close", "volume", "transactions", "source"],
        orient="row",
    )  # fmt: skip
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "transactions": "sum"}
    for size, rule in (("1wk", "W-MON"), ("1mo", "MS")):
        made = in_periods(rows, size)
        assert made.schema == rows.schema
        assert {"massive, yahoo"} <= set(made["source"]) <= {"massive", "yahoo", "massive, yahoo"}
        for ticker, frame in rows.group_by("ticker", maintain_order=True):
            table = pd.DataFrame(frame.to_dict(as_series=False)).set_index("date")
            table.index = pd.DatetimeIndex(table.index)
            theirs = table.resample(rule, label="left", closed="left").agg(how).dropna(subset="open")
            mine = made.filter(pl.col("ticker") == ticker[0])
            assert mine["date"].to_list() == [stamp.date() for stamp in theirs.index]
            for name in how:
                assert mine[name].to_list() == pytest.approx(theirs[name].tolist())


@pytest.mark.parametrize("interval", ["5d", "3mo", "1w", "week"])
def test_what_is_no_interval_is_named(here, interval):
    for function in (ingest.panel, lambda *rest, **named: ingest.export(*rest, "out", **named)):
        with pytest.raises(UsageError, match=f"interval '{interval}': Massive's bars are"):
            function("AAPL", interval=interval, config=here.config())
