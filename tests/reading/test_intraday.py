"""Stored minutes, and intraday `get_smart_data` compared with yfinance."""

from datetime import date, timedelta

import pandas as pd
import polars as pl
import pytest
from minutes_kit import HEADER, NEW_YORK, UTC, added_up, at, bars_in, edges_of, minutes_text, some_minutes
from pipeline_kit import Place, write_keys
from reading_kit import same, security, world
from tuning_kit import tune
from yahoo_kit import fresh_yfinance, is_regular, past_sessions, plain_history

import ingest
from ingest import events
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import ActionsUnknown, IngestWarning, NotFound, UsageError
from ingest.market.calendars import Calendar
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE, named

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

DAYS = past_sessions(12)
MINUTE_DAYS = DAYS[-4:]
SPLITS, DIVIDENDS = {DAYS[-2]: (4, 1)}, {DAYS[-3]: 0.26}
SIZES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60}


def minutes_by_day(one, share=0.5, seed=0):
    return {day: some_minutes(day, one.bars[day][0], share, seed) for day in MINUTE_DAYS}


AAPL = security(DAYS, SPLITS, DIVIDENDS)
MSFT = security(DAYS)
MINUTES = {"AAPL": minutes_by_day(AAPL), "MSFT": minutes_by_day(MSFT, 0.3, 1), "ZZ": minutes_by_day(MSFT, 0.01, 2)}


def close_of(day):
    return Calendar.of("XNYS").close(day).hour


def yahoos(ticker, interval):
    """Yahoo's bars of an interval: of all hours, with a row without numbers where nothing was traded."""
    found = {}
    for day in MINUTE_DAYS:
        edges = edges_of(day, SIZES[interval], prepost=True, close=close_of(day))
        found |= {begin: None for begin, _ in edges} | added_up(MINUTES[ticker][day], edges)
    return found


for one, ticker in ((AAPL, "AAPL"), (MSFT, "MSFT")):
    one.within = {name: yahoos(ticker, name) for name in ("1m", "5m", "15m", "1h")}


def publish(server, days=MINUTE_DAYS, change=lambda text: text):
    for day in days:
        text = minutes_text({ticker: found[day] for ticker, found in MINUTES.items()})
        server.put(STOCKS_MINUTE.key(day), pack(change(text)))


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A market of which nothing is stored yet; AAPL is tracked."""
    home = tmp_path_factory.mktemp("minutes")
    write_keys(home / "credentials")
    everyone = {"AAPL": AAPL, "MSFT": MSFT}
    with pytest.MonkeyPatch.context() as patch, world(patch, home, everyone, everyone, DAYS) as found:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        publish(found.server)
        yield found


@pytest.fixture
def place(tmp_path):
    """A cache with all of Massive's minutes; Yahoo is not asked."""
    with loopback.serve({}) as server:
        publish(server)
        found = Place(tmp_path / "cache", server.endpoint_url, dataset=STOCKS_MINUTE)
        found.server = server
        yield found


def smart(here, ticker="AAPL", **arguments):
    window = {} if "period" in arguments else {"start": MINUTE_DAYS[0]}
    config = here.config(["AAPL"])
    return ingest.get_smart_data(ticker, data_source="massive", config=config, **window | arguments)


def config_of(place, enabled=False):
    path = place.root.parent / "config.toml"
    lines = [
        *("[source]", f'endpoint_url = "{place.endpoint_url}"', "attempts = 2", "down_after_s = 5"),
        *("[cache]", f'root = "{place.root}"', "[fallback]", f"enabled = {str(enabled).lower()}"),
        *("[tracked]", 'tickers = ["AAPL"]', "lists = []"),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def traded(ticker, days=MINUTE_DAYS):
    return {begin: bar for day in days for begin, bar in MINUTES[ticker][day].items()}


# As stored


def filled(place, **arguments):
    place.run(MINUTE_DAYS[0], MINUTE_DAYS[-1], tracked={"AAPL"}, **arguments)
    return {"config": config_of(place), "dataset": "stocks-minute"}


@pytest.mark.parametrize("ticker", ["AAPL", "MSFT", "ZZ"])
def test_history_has_every_minute_of_either_tier(place, ticker):
    frame = ingest.history(ticker, **filled(place))
    assert frame.columns == ["ticker", "date", "time", "open", "high", "low", "close", "volume", "source"]
    assert frame["time"].dtype == pl.Datetime("us", "America/New_York")
    assert bars_in(frame) == traded(ticker)
    assert frame["time"].is_sorted()
    assert (frame["date"] == frame["time"].dt.date()).all()
    assert not place.part(MINUTE_DAYS[0]).is_relative_to(place.root / "data_cache" / "sessions")


def test_history_of_many_day_and_scan_return_the_same(place):
    how = filled(place)
    columns = ["ticker", "date", "time", "open", "high", "low", "close", "volume", "transactions", "source"]
    everyone = ingest.history(sorted(MINUTES), columns=columns, **how)
    assert everyone.equals(everyone.sort("ticker", "time"))
    assert everyone.height == sum(len(traded(ticker)) for ticker in MINUTES)
    assert ingest.day(MINUTE_DAYS[1], **how).equals(everyone.filter(pl.col("date") == MINUTE_DAYS[1]))
    scan = ingest.scan(**how)
    assert scan.collect().sort("ticker", "time").equals(everyone)
    noon = pl.col("time").dt.hour() == 12
    wanted = (pl.col("ticker") == "MSFT") & (pl.col("date") > MINUTE_DAYS[1]) & noon
    assert scan.filter(wanted).collect().equals(everyone.filter(wanted))
    assert scan.head(7).collect().height == 7


def test_of_a_minute_that_stands_twice_the_first_counts(place):
    def again(text):
        header, *lines = text.decode().splitlines()
        twice = [
            (line, ",".join([line.split(",")[0], "1", "9", "9", "9", "9", *line.split(",")[6:]])) for line in lines
        ]
        return "\n".join([header, *(line for two in twice for line in two), ""]).encode()

    publish(place.server, change=again)
    assert bars_in(ingest.history("AAPL", **filled(place))) == traded("AAPL")


def test_minutes_need_not_stand_together(place):
    def by_minute(text):
        header, *lines = text.decode().splitlines()
        return "\n".join([header, *sorted(lines, key=lambda line: line.split(",")[6]), ""]).encode()

    publish(place.server, change=by_minute)
    how = filled(place)
    for ticker in ("AAPL", "MSFT"):
        assert bars_in(ingest.history(ticker, **how)) == traded(ticker)


@pytest.mark.parametrize("last", ["", "\n"])
def test_the_last_minute_counts_with_or_without_a_line_end(place, last):
    publish(place.server, change=lambda text: text.removesuffix(b"\n") + last.encode())
    assert bars_in(ingest.history("ZZ", **filled(place))) == traded("ZZ")


def test_rows_without_a_timestamp_are_left_out_and_odd_numbers_are_read(place):
    day = MINUTE_DAYS[0]
    begin = int(at(day, 9, 30).timestamp()) * 10**9
    rows = [f"AAPL,1,2,2,2,2,{stamp},1" for stamp in (begin, f" {begin + 60 * 10**9} ", "", "soon")]
    place.server.put(STOCKS_MINUTE.key(day), pack("\n".join([HEADER, *rows, ""]).encode()))
    frame = ingest.history("AAPL", day, day, **filled(place))
    assert frame["time"].to_list() == [at(day, 9, 30), at(day, 9, 31)]


def _with_strays(place, day, other):
    """A file of `day` with a row of 1970, one of next year, and AAPL's minutes of another session at 99."""
    ends = (10, at(day + timedelta(days=365), 10).timestamp() * 10**9)
    strays = [f"AAPL,1,99,99,99,99,{int(stamp)},1" for stamp in ends]
    strays += [f"AAPL,1,99,99,99,99,{int(begin.timestamp()) * 10**9},1" for begin in MINUTES["AAPL"][other]]
    text = minutes_text({ticker: MINUTES[ticker][day] for ticker in sorted(MINUTES)})
    place.server.put(STOCKS_MINUTE.key(day), pack(text + "\n".join([*strays, ""]).encode()))


@pytest.mark.parametrize("other", [1, 3], ids=["the session before", "the session after"])
def test_no_file_counts_for_another_session(place, other):
    """A row with a timestamp in another session replaces no row of that session, wherever it is read."""
    day, own = MINUTE_DAYS[2], MINUTE_DAYS[other]
    _with_strays(place, day, own)
    how = filled(place)
    every = ingest.history("AAPL", **how)
    assert bars_in(every.filter(pl.col("date") == pl.col("time").dt.date())) == traded("AAPL")
    strays = every.filter(pl.col("date") != pl.col("time").dt.date())
    assert strays.filter(pl.col("close") != 99, pl.col("date") != day).is_empty()
    assert strays.filter(abs(pl.col("time").dt.date() - day) > timedelta(days=3)).is_empty()
    scan = ingest.scan(**how)
    for wanted in (pl.col("ticker") == "AAPL", pl.col("close") == 99, pl.col("date") == own):
        assert scan.filter(wanted).collect().equals(scan.collect().filter(wanted))
    csv = {line.split(",")[0]: line.split(",")[1:] for lines in place.months("AAPL").values() for line in lines}
    assert {str(begin): [float(one) for one in csv[str(begin)]] for begin in traded("AAPL")} == {
        str(begin): list(bar) for begin, bar in traded("AAPL").items()
    }
    assert csv.keys() == {str(begin) for begin in traded("AAPL")}


@pytest.mark.parametrize("prepost", [False, True])
def test_bars_are_of_the_sessions_minutes_alone(place, prepost):
    window = {"start": MINUTE_DAYS[0], "end": MINUTE_DAYS[-1] + timedelta(days=1), "interval": "1h", "prepost": prepost}
    how = {"config": filled(place)["config"], "data_source": "massive", "fetch": False, "auto_adjust": False}
    with pytest.warns(IngestWarning, match="as traded"):
        plain = ingest.get_smart_data("AAPL", **window, **how)
    _with_strays(place, MINUTE_DAYS[2], MINUTE_DAYS[1])
    place.run(*MINUTE_DAYS[2:3], MINUTE_DAYS[2], tracked={"AAPL"})
    with pytest.warns(IngestWarning, match="as traded"):
        same(ingest.get_smart_data("AAPL", **window, **how), plain)


def test_a_minute_in_another_unit_is_a_repeat(place):
    day = MINUTE_DAYS[0]
    begin = int(at(day, 9, 30).timestamp())
    rows = [f"AAPL,1,{price},{price},{price},{price},{begin}{zeros},1" for price, zeros in ((2, "000000000"), (3, ""))]
    place.server.put(STOCKS_MINUTE.key(day), pack("\n".join([HEADER, *rows, ""]).encode()))
    how = filled(place)
    assert ingest.history("AAPL", day, day, **how)["close"].to_list() == [2.0]
    assert "conflicting repeat" in ingest.findings(start=day, end=day, **how)["kind"].to_list()


def test_a_time_that_is_written_as_a_float_is_the_time_everywhere(place):
    day = MINUTE_DAYS[0]
    begin = int(at(day, 9, 30).timestamp())
    stamps = (f"{begin}000000000.0", f"{begin + 60}000000000", f"{begin + 120:.3f}", f"{begin + 180}.5", "1.7e18")
    rows = [f"AAPL,1,2,2,2,2,{stamp},1" for stamp in stamps]
    place.server.put(STOCKS_MINUTE.key(day), pack("\n".join([HEADER, *rows, ""]).encode()))
    how = filled(place)
    times = [at(day, 9, 30 + n) for n in range(3)]
    assert ingest.history("AAPL", day, day, **how)["time"].to_list() == times
    lines = [line.split(",")[0] for lines in place.months("AAPL").values() for line in lines]
    assert [line for line in lines if line.startswith(str(day))] == list(map(str, times))
    found = ingest.findings(start=day, end=day, **how)
    told = {kind: count for kind, count in found.select("kind", "count").iter_rows() if kind.startswith("stamps")}
    assert told == {"stamps that are no time": 2, "stamps in seconds": 1}


def test_a_file_that_does_not_say_when_is_no_file_of_minutes(place):
    """It is refused, and the sessions around it are not affected."""
    day, *others = MINUTE_DAYS
    place.server.put(STOCKS_MINUTE.key(day), pack(minutes_text({"AAPL": some_minutes(day)}).replace(b"window_", b"")))
    ran = place.run(MINUTE_DAYS[0], MINUTE_DAYS[-1])
    (refused,) = ran.of(events.Quarantined)
    assert (refused.session, ran.committed) == (day, others)
    assert refused.reason.startswith("line 1: the header is missing window_start")
    assert ingest.history("AAPL", config=config_of(place), dataset="stocks-minute")["date"].unique().to_list() == others


def test_the_session_is_that_of_the_key(place):
    """A crypto session begins at midnight UTC, a futures session on the evening before in New York."""
    day = date(2025, 11, 3)
    crypto = Place(place.root, place.endpoint_url, dataset=named("crypto-minute"))
    futures = Place(place.root, place.endpoint_url, dataset=named("futures-cme-minute"))
    begins = [at(day, 0, 0, UTC), at(day, 23, 59, UTC)]
    evening = [at(day - timedelta(days=1), 18), at(day, 16, 59)]
    for one, ticker, when in ((crypto, "X:BTC-USD", begins), (futures, "ESZ5", evening)):
        text = minutes_text({ticker: dict.fromkeys(when, (1.0, 2.0, 0.5, 1.5, 0.25))})
        place.server.put(one.dataset.key(day), pack(text))
        one.run(day, day, tracked={ticker})
    config = config_of(place)
    bitcoin = ingest.history("X:BTC-USD", config=config, dataset="crypto-minute")
    assert (bitcoin["date"].to_list(), bitcoin["time"].to_list()) == ([day, day], begins)
    assert (bitcoin["time"].dtype, bitcoin["volume"].sum()) == (pl.Datetime("us", "UTC"), 0.5)
    future = ingest.history("ESZ5", config=config, dataset="futures-cme-minute")
    assert (future["date"].to_list(), future["time"].to_list()) == ([day, day], evening)
    assert future["time"].dtype == pl.Datetime("us", "America/New_York")


def test_missing_minutes_are_named_with_the_command_that_downloads_them(place):
    with pytest.raises(NotFound, match=r'ingest.run.dataset="stocks-minute", start='):
        ingest.day(MINUTE_DAYS[0], config=config_of(place), dataset="stocks-minute")
    with pytest.raises(UsageError, match="did you mean stocks-minute"):
        ingest.history("AAPL", config=config_of(place), dataset="stock-minute")


# Beside yfinance


@pytest.mark.parametrize(
    ("interval", "auto_adjust", "actions"),
    [*((interval, False, True) for interval in (*SIZES, "60m")), ("5m", True, False), ("1h", True, False)],
)
def test_the_frame_is_the_one_that_yfinance_gives(here, interval, auto_adjust, actions):
    how = {"interval": interval, "auto_adjust": auto_adjust, "actions": actions}
    mine = smart(here, **how)
    theirs = plain_history("AAPL", start=MINUTE_DAYS[0], **how | {"interval": interval.replace("60m", "1h")})
    same(mine, theirs)
    assert mine.attrs["sources"] == {"massive": [(str(MINUTE_DAYS[0]), str(MINUTE_DAYS[-1]))]}
    if actions:
        assert (mine["Stock Splits"].sum(), mine["Dividends"].sum()) == (4.0, pytest.approx(0.26 / 4))
        assert (mine["Adj Close"] == mine["Close"]).all()


@pytest.mark.parametrize(
    ("interval", "ticker"), [("1m", "AAPL"), ("5m", "MSFT"), ("15m", "AAPL"), ("30m", "MSFT"), ("1h", "AAPL")]
)
def test_extended_hours_are_yfinances(here, interval, ticker):
    how = {"interval": interval, "prepost": True}
    mine = smart(here, ticker, **how)
    same(mine, plain_history(ticker, start=MINUTE_DAYS[0], actions=False, **how))
    assert not all(map(is_regular, mine.index))
    assert all(map(is_regular, smart(here, ticker, interval=interval).index))


def test_periods_are_sessions(here):
    mine = smart(here, interval="5m", period="2d")
    assert sorted(set(mine.index.date)) == MINUTE_DAYS[-2:]
    assert mine.index.name == "Datetime"


def test_yahoos_own_frame_is_returned_unchanged(here):
    how = {"interval": "1h", "prepost": True, "start": MINUTE_DAYS[0]}
    mine = ingest.get_smart_data("AAPL", config=here.config(), **how)
    pd.testing.assert_frame_equal(mine, plain_history("AAPL", actions=False, **how))


@pytest.mark.parametrize(("ticker", "symbol"), [("X:BTC-USD", "BTC-USD"), ("BTC-USD", "BTC-USD"), ("^GSPC", "^GSPC")])
@pytest.mark.parametrize("interval", ["1d", "1h"])
def test_yahoo_is_asked_by_its_own_spelling(here, ticker, symbol, interval):
    here.yahoo.securities[symbol] = MSFT
    how = {"interval": interval, "start": MINUTE_DAYS[0]}
    mine = ingest.get_smart_data(ticker, config=here.config(), **how)
    pd.testing.assert_frame_equal(mine, plain_history(symbol, actions=False, **how))


def test_missing_minute_files_are_downloaded_once_for_all_tickers(monkeypatch, tmp_path):
    with world(monkeypatch, tmp_path, {"AAPL": AAPL}, {"AAPL": AAPL}, DAYS) as here:
        publish(here.server)
        smart(here, interval="5m")
        asked = [request.key for request in here.server.requests if request.key]
        assert {STOCKS_MINUTE.key(day) for day in MINUTE_DAYS} <= set(asked)
        assert not any("day_aggs" in key for key in asked)
        before, questions = len(here.server.requests), len(here.yahoo.asked)
        smart(here, interval="1h")
        assert (len(here.server.requests), len(here.yahoo.asked) - questions) == (before, 1)


def test_sessions_that_no_source_has_give_a_warning(monkeypatch, tmp_path):
    with world(monkeypatch, tmp_path, {}, {"AAPL": AAPL}, []) as here:
        publish(here.server, MINUTE_DAYS[1:])
        with pytest.warns(IngestWarning, match=rf"1 of 4 sessions are missing \({MINUTE_DAYS[0]}\): .*Yahoo is not"):
            mine = smart(here, interval="1h")
        assert mine.index[0].date() == MINUTE_DAYS[1]


def test_without_fetch_no_source_is_asked(place):
    with (
        pytest.warns(IngestWarning, match="4 of 4 sessions are missing"),
        pytest.raises(NotFound, match="no source was asked"),
    ):
        smart_at(place, fetch=False)
    assert len(place.server.requests) == 0


def smart_at(place, ticker="AAPL", **arguments):
    how = {"interval": "1h", "start": MINUTE_DAYS[0], "data_source": "massive"} | arguments
    return ingest.get_smart_data(ticker, config=config_of(place), **how)


def test_a_download_that_is_too_large_is_named_with_its_command(place, monkeypatch):
    tune(monkeypatch, ask_from=10_000)
    with (
        pytest.warns(IngestWarning, match=f'too large: 4 files.*ingest.run.dataset="stocks-minute", start="{DAYS[-4]}'),
        pytest.raises(NotFound),
        pytest.warns(IngestWarning, match="sessions are missing"),
    ):
        smart_at(place)
    assert not any(request.key for request in place.server.requests)


def test_without_splits_prices_are_as_traded_or_an_error(place):
    with pytest.raises(ActionsUnknown, match="auto_adjust=False"):
        smart_at(place)
    with pytest.warns(IngestWarning, match="as traded"):
        mine = smart_at(place, auto_adjust=False, interval="1m", prepost=True)
    assert mine["Close"].tolist() == [bar[3] for _, bar in sorted(traded("AAPL").items())]


def test_a_ticker_traded_only_in_extended_hours_is_named(place):
    day = MINUTE_DAYS[-1]
    place.server.put(STOCKS_MINUTE.key(day), pack(minutes_text({"AAPL": {at(day, 4): (1, 1, 1, 1, 1)}})))
    with pytest.raises(NotFound, match="prepost=True"):
        smart_at(place, start=day, auto_adjust=False)


@pytest.mark.parametrize(
    ("ticker", "dataset", "zone", "bar"),
    [
        ("X:BTC-USD", "crypto-minute", "UTC", "2025-11-03 00:00:00+00:00"),
        ("C:EUR-USD", "forex-minute", "Europe/London", "2025-11-03 00:00:00+00:00"),
        ("ESZ5", "futures-cme-minute", "America/New_York", "2025-11-02 19:00:00-05:00"),
    ],
)
def test_other_markets_have_zones_of_their_own_and_no_splits(place, ticker, dataset, zone, bar):
    day = date(2025, 11, 3)
    other = Place(place.root, place.endpoint_url, dataset=named(dataset))
    minutes = {at(day, 0, minute, UTC): (1.0 + minute, 99.0, 0.5, 1.5, 0.25) for minute in (3, 59)}
    place.server.put(other.dataset.key(day), pack(minutes_text({ticker: minutes})))
    window = {"start": day, "end": day + timedelta(days=1)}
    how = {} if ":" in ticker else {"dataset": "futures-cme-day"}
    mine = smart_at(place, ticker, **window, **how)
    assert [str(begin) for begin in mine.index] == [bar]
    assert str(mine.index.tz) == zone
    half = 0.5 if dataset == "crypto-minute" else 0  # half a coin is half a coin, half a contract an even number
    assert mine.iloc[0].tolist() == [4.0, 99.0, 0.5, 1.5, half]


def test_a_half_day_ends_at_one(place):
    day = date(2025, 11, 28)
    minutes = some_minutes(day, share=0.5)
    place.server.put(STOCKS_MINUTE.key(day), pack(minutes_text({"MSFT": minutes})))
    with pytest.warns(IngestWarning, match="as traded"):
        mine = smart_at(place, "MSFT", start=day, end=day + timedelta(days=1), auto_adjust=False)
    bars = added_up(minutes, edges_of(day, 60, prepost=False, close=13))
    assert [begin.astimezone(NEW_YORK) for begin in mine.index] == list(bars)
    assert mine["Volume"].tolist() == [bar[4] for bar in bars.values()]


def test_splits_are_kept_with_the_day_bars(monkeypatch, tmp_path):
    with world(monkeypatch, tmp_path, {"AAPL": AAPL}, {"AAPL": AAPL}, DAYS) as here:
        publish(here.server)
        here.place.run(DAYS[0], DAYS[-1], tracked={"AAPL"})
        first = smart(here, interval="1h")
        asked = list(here.yahoo.asked)
        pd.testing.assert_frame_equal(smart(here, interval="1h"), first)
        assert here.yahoo.asked == asked == ["AAPL"]
        assert here.place.query("SELECT DISTINCT dataset FROM askings") == [(STOCKS_DAY.name,)]


def test_intraday_history_is_adjusted_as_requested(here):
    smart(here, interval="1h")
    how = {"config": here.config(["AAPL"]), "dataset": "stocks-minute"}
    raw, split, whole = (ingest.history("AAPL", adjust=adjust, **how) for adjust in ("none", "splits", "all"))
    assert bars_in(raw) == traded("AAPL")
    before = raw["date"] < DAYS[-2]
    factor = pl.select(pl.when(before).then(4.0).otherwise(1.0)).to_series()
    assert split["close"].to_list() == pytest.approx((raw["close"] / factor).to_list())
    assert split["volume"].to_list() == pytest.approx((raw["volume"] * factor).to_list())
    kept = (whole["close"] / split["close"]).to_list()
    assert [round(share, 9) for share, day in zip(kept, raw["date"], strict=True) if day >= DAYS[-3]] == [1.0] * int(
        (raw["date"] >= DAYS[-3]).sum()
    )
    assert max(share for share, day in zip(kept, raw["date"], strict=True) if day < DAYS[-3]) < 1
