"""`get_smart_data` compared with yfinance: the same frame, whichever source had the rows."""

import anyio
import numpy as np
import pandas as pd
import polars as pl
import pytest
from pipeline_kit import key, write_keys
from reading_kit import same, security, world
from yahoo_kit import fresh_yfinance, past_sessions, plain_history

import ingest
from ingest.cache import lock
from ingest.cache.manifest import Manifest
from ingest.demo.servers import seaweed as weed
from ingest.errors import AcrossSeam, ActionsUnknown, IngestWarning, NotFound, UsageError
from ingest.maintenance.repair import repair
from ingest.planning.request import Flags, request_of

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

DAYS = past_sessions(130)
SPLITS = {DAYS[40]: (4, 1), DAYS[-1]: (3, 2)}
AAPL = security(DAYS, SPLITS, {DAYS[20]: 0.82, DAYS[60]: 0.25, DAYS[100]: 0.26})
BRK = security(DAYS, {DAYS[70]: (1, 10)}, first=20.0)
EVERYONE = {"AAPL": AAPL, "BRK.B": BRK, "MSFT": security(DAYS)}
AT_YAHOO = {"AAPL": AAPL, "BRK-B": BRK, "MSFT": security(DAYS)}


@pytest.fixture
def here(monkeypatch, tmp_path):
    with world(monkeypatch, tmp_path, EVERYONE, AT_YAHOO, DAYS) as found:
        yield found


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A full cache, for tests that only read."""
    home = tmp_path_factory.mktemp("filled")
    write_keys(home / "credentials")
    with pytest.MonkeyPatch.context() as patch, world(patch, home, EVERYONE, AT_YAHOO, DAYS) as found:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        found.place.run(DAYS[0], DAYS[-1], tracked={"AAPL", "BRK.B"})
        yield found


def smart(here, ticker="AAPL", lists=("AAPL",), settings=None, **arguments):
    return ingest.get_smart_data(
        ticker, data_source="massive", config=here.config(lists, **(settings or {})), **arguments
    )


@pytest.mark.filterwarnings("ignore:.* sessions are missing")  # of the year before these days
@pytest.mark.parametrize("period", ["1mo", "3mo", "6mo", "5d", "1d", "ytd", "2wk", "40d"])
@pytest.mark.parametrize(("auto_adjust", "actions"), [(True, False), (False, True)])
def test_the_frame_is_the_one_that_yfinance_gives(filled, period, auto_adjust, actions):
    mine = smart(filled, period=period, auto_adjust=auto_adjust, actions=actions)
    start, end = mine.index[0].date(), mine.index[-1].date() + pd.Timedelta(days=1)
    theirs = plain_history("AAPL", start=start, end=end, auto_adjust=auto_adjust, actions=actions)
    same(mine, theirs)
    assert mine.attrs["sources"]["massive"] == [(str(start), str(mine.index[-1].date()))]
    assert ("missing" in mine.attrs["sources"]) == (period == "ytd" and DAYS[0].year == DAYS[-1].year)


@pytest.mark.parametrize("ticker", ["AAPL", "BRK.B", "MSFT"])
@pytest.mark.parametrize("auto_adjust", [True, False])
@pytest.mark.parametrize("actions", [True, False])
def test_it_is_for_tracked_and_archived_tickers_alike(filled, ticker, auto_adjust, actions):
    window = {"start": DAYS[10], "end": DAYS[120]}
    mine = smart(filled, ticker, auto_adjust=auto_adjust, actions=actions, **window)
    symbol = ticker.replace(".", "-")
    same(mine, plain_history(symbol, auto_adjust=auto_adjust, actions=actions, **window))


@pytest.mark.parametrize("arguments", [{"period": "3mo"}, {"start": DAYS[10], "end": DAYS[100]}, {"start": DAYS[90]}])
@pytest.mark.parametrize("auto_adjust", [True, False])
@pytest.mark.parametrize("actions", [True, False])
def test_yahoos_own_frame_is_returned_unchanged(filled, arguments, auto_adjust, actions):
    mine = ingest.get_smart_data("AAPL", auto_adjust=auto_adjust, actions=actions, config=filled.config(), **arguments)
    theirs = plain_history("AAPL", auto_adjust=auto_adjust, actions=actions, **arguments)
    pd.testing.assert_frame_equal(mine, theirs)
    assert list(mine.attrs["sources"]) == ["yahoo"]


def test_an_empty_cache_is_filled_on_the_way(here):
    window = {"start": DAYS[10], "end": DAYS[120]}
    same(smart(here, "BRK.B", (), **window), plain_history("BRK-B", actions=False, **window))


def test_missing_files_are_downloaded_once_for_all_tickers(here):
    smart(here, start=DAYS[100])
    asked = [request.key for request in here.server.requests if request.key]
    assert {key(day) for day in DAYS[100:]} <= set(asked)
    before = len(here.server.requests)
    smart(here, "MSFT", start=DAYS[100])
    assert len(here.server.requests) == before
    assert here.place.state(DAYS[100]) == ("committed", "listed")


def test_without_fetch_no_source_is_asked(here):
    with pytest.raises(NotFound, match="no source was asked"):
        smart(here, fetch=False)
    assert (len(here.server.requests), here.yahoo.asked) == (0, [])


def test_sessions_that_massive_does_not_have_are_yahoos(here):
    here.server.forbidden.update(key(day) for day in DAYS[-3:])
    del here.server.objects[key(DAYS[110])]
    mine = smart(here, start=DAYS[100], auto_adjust=False)
    same(mine, plain_history("AAPL", start=DAYS[100], auto_adjust=False, actions=False))
    assert mine.attrs["sources"] == {
        "massive": [(str(DAYS[100]), str(DAYS[109])), (str(DAYS[111]), str(DAYS[-4]))],
        "yahoo": [(str(DAYS[110]), str(DAYS[110])), (str(DAYS[-3]), str(DAYS[-1]))],
    }
    asked = list(here.yahoo.asked)
    again = smart(here, start=DAYS[100], auto_adjust=False)
    pd.testing.assert_frame_equal(mine, again)
    assert here.yahoo.asked == asked  # kept, as traded
    with Manifest.read(here.place.root / "manifest.sqlite", "us_stocks_sip/day_aggs_v1") as manifest:
        rows = manifest.yahoo.rows(["AAPL"], DAYS[0], DAYS[-1])
    assert [(row[1], row[5]) for row in rows if row[1] >= DAYS[100]] == [
        (day, AAPL.bars[day][3]) for day in (DAYS[110], *DAYS[-3:])
    ]


def test_massives_row_takes_the_place_of_yahoos_when_it_comes(here):
    body = here.server.objects.pop(key(DAYS[-1]))
    assert list(smart(here, start=DAYS[100]).attrs["sources"]) == ["massive", "yahoo"]
    here.server.put(key(DAYS[-1]), body)
    here.place.run(DAYS[-2], DAYS[-1], tracked={"AAPL"})
    assert list(smart(here, start=DAYS[100]).attrs["sources"]) == ["massive"]


def test_a_source_that_is_down_leaves_yahoo(here):
    here.place.endpoint_url = "http://127.0.0.1:9"
    with pytest.warns(IngestWarning, match="downloading from Massive failed"):
        mine = smart(here, start=DAYS[100])
    same(mine, plain_history("AAPL", start=DAYS[100], actions=False))


def test_without_keys_there_is_yahoo(here, loopback_keys):
    loopback_keys.write_text("")
    with pytest.warns(IngestWarning, match="no keys under"):
        assert len(smart(here, start=DAYS[100])) == 30


def test_what_a_limited_run_left_is_looked_for(here):
    assert len(here.place.run(DAYS[100], DAYS[-1], max_files=5).committed) == 5
    assert list(smart(here, start=DAYS[100]).attrs["sources"]) == ["massive"]


def test_a_repair_has_looked_for_nothing_at_the_source(here):
    settings = here.place.settings()
    repair(settings, request_of(Flags(start=DAYS[100], end=DAYS[-1]), settings, print), False, print)
    assert list(smart(here, start=DAYS[100]).attrs["sources"]) == ["massive"]


def test_too_many_files_are_named_with_the_command(here):
    window = f'start="{DAYS[100]}", end="{DAYS[-1]}"'
    with pytest.warns(IngestWarning, match=rf'Call ingest.run.dataset="stocks-day", {window}. to download'):
        mine = smart(here, start=DAYS[100], settings={"max_implicit_files": 29})
    assert (len(here.server.requests), list(mine.attrs["sources"])) == (0, ["yahoo"])


def test_while_a_run_holds_the_cache_what_is_stored_and_yahoo_are_served(here):
    here.place.run(DAYS[100], DAYS[110], tracked={"AAPL"})
    with lock.hold(here.place.root), pytest.warns(IngestWarning, match="another run is in progress"):
        mine = smart(here, start=DAYS[100])
    assert list(mine.attrs["sources"]) == ["massive", "yahoo"]
    assert len(mine) == 30


def test_an_unknown_ticker_is_an_error(here):
    with pytest.warns(IngestWarning), pytest.raises(NotFound, match="no data for NOSUCH"):
        smart(here, "NOSUCH", start=DAYS[120])
    asked = len(here.yahoo.asked)
    with pytest.raises(NotFound):
        smart(here, "NOSUCH", start=DAYS[120])
    assert len(here.yahoo.asked) == asked


def test_a_ticker_that_massive_does_not_have_is_served_and_not_kept(here):
    here.yahoo.securities["ONLY"] = security(DAYS)
    mine = smart(here, "ONLY", start=DAYS[120])
    assert mine.attrs["sources"] == {"yahoo": [(str(DAYS[120]), str(DAYS[-1]))]}
    with Manifest.read(here.place.root / "manifest.sqlite", "us_stocks_sip/day_aggs_v1") as manifest:
        assert manifest.yahoo.count() == 0


def test_a_ticker_without_a_safe_spelling_is_not_asked_for(here):
    with pytest.warns(IngestWarning, match="symbol"), pytest.raises(NotFound):
        smart(here, "FTV.WD", start=DAYS[120])
    assert here.yahoo.asked == []


def test_another_securitys_prices_are_refused(here):
    here.yahoo.securities["AAPL"] = security(DAYS, first=7.0)
    here.server.forbidden.add(key(DAYS[-1]))
    with pytest.warns(IngestWarning, match="Yahoo's prices of AAPL disagree with Massive"):
        mine = smart(here, start=DAYS[100], auto_adjust=False)
    assert (len(mine), list(mine.attrs["sources"])) == (29, ["massive", "missing"])
    assert mine["Adj Close"].isna().all()


def test_a_split_missing_at_yahoo_is_found(here):
    missing, whole = security(DAYS, SPLITS), security(DAYS, SPLITS)
    missing.splits, missing.later_splits = {DAYS[-1]: (3, 2)}, whole.later_splits
    here.yahoo.securities["AAPL"] = missing
    here.server.forbidden.add(key(DAYS[38]))
    with pytest.warns(IngestWarning, match="a split that one of them does not have"):
        # Converted to prices as traded, those before the ex-date are a fourth of the real ones.
        mine = smart(here, start=DAYS[20], auto_adjust=False)
    assert len(mine) == 109


def test_without_events_there_are_no_adjusted_prices(here):
    here.place.run(DAYS[100], DAYS[-1], tracked={"AAPL"})
    here.yahoo.faults["*"] = 500
    with pytest.raises(ActionsUnknown, match="auto_adjust=False"):
        smart(here, start=DAYS[100])
    with pytest.warns(IngestWarning, match="as traded"):
        raw = smart(here, start=DAYS[100], auto_adjust=False)
    assert raw["Close"].tolist() == [AAPL.bars[day][3] for day in DAYS[100:]]
    assert raw["Adj Close"].isna().all()


def test_with_the_network_gone_what_is_stored_is_read(here):
    whole = smart(here, start=DAYS[100])
    here.place.endpoint_url = "http://127.0.0.1:9"
    here.yahoo.faults["*"] = "drop"
    pd.testing.assert_frame_equal(smart(here, start=DAYS[105]), whole[5:])


def test_it_works_where_an_event_loop_is_running(here):
    async def notebook():
        await anyio.lowlevel.checkpoint()
        return smart(here, start=DAYS[125])

    assert len(anyio.run(notebook)) == 5


def test_volume_is_rounded_half_to_even(here):
    mine = smart(here, start=DAYS[120], end=DAYS[122])
    assert mine["Volume"].dtype == np.int64
    assert mine["Volume"].tolist() == [round(AAPL.bars[day][4] * 1.5) for day in DAYS[120:122]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"period": "6m"}, "'6m'"),
        ({"interval": "3mo"}, "'3mo'"),
        ({"interval": "3m"}, "'3m'"),
        ({"dataset": "stock-day"}, "did you mean stocks-day"),
        ({"start": "yesterday"}, "'yesterday'"),
        ({"start": DAYS[5], "end": DAYS[5]}, r"the window is empty: .*\. Choose an earlier start or a later end"),
        ({"start": DAYS[6], "end": DAYS[5]}, rf"start {DAYS[6]} is after end {DAYS[5]}\. Swap them"),
        ({"end": "0001-01-01"}, "the window is empty"),
        ({"period": None}, "None"),
    ],
)
def test_invalid_arguments_are_named(here, arguments, words):
    with pytest.raises(UsageError, match=words):
        smart(here, **arguments)


def test_a_seam_is_an_error_unless_the_caller_says_it_is_one_company(monkeypatch, tmp_path):
    gap = [*DAYS[:20], *DAYS[80:]]
    reused = security(gap, {DAYS[90]: (2, 1)})
    with world(monkeypatch, tmp_path, {"ZZZ": reused, "AAPL": AAPL}, {"ZZZ": reused}, DAYS) as here:
        with pytest.raises(AcrossSeam, match=f"from {DAYS[80]} on"):
            smart(here, "ZZZ", start=DAYS[0])
        assert len(smart(here, "ZZZ", start=DAYS[0], across_seams=True)) == 70


def test_a_split_that_the_prices_do_not_show_gives_a_warning(here):
    phantom = security(DAYS)
    phantom.splits = {DAYS[110]: (2, 1)}
    here.yahoo.securities["MSFT"] = phantom
    with pytest.warns(IngestWarning, match=f"MSFT: Yahoo reports a 2-for-1 split on {DAYS[110]}"):
        smart(here, "MSFT", start=DAYS[100])


def test_against_a_real_s3_server(here, seaweed, bucket, loopback_keys):
    who = seaweed.reader(f"List:{bucket}", f"Read:{bucket}/*")
    days = DAYS[100:]
    seaweed.fill(bucket, [(name, here.server.objects[name]) for name in map(key, days)])
    seaweed.permit(who, *weed.reader_actions(bucket, map(key, days), {key(day) for day in days[:4]}))
    write_keys(loopback_keys, who.access_key, who.secret_key)
    here.place.endpoint_url = seaweed.endpoint_url
    config = here.config(("AAPL",))
    config.write_text(config.read_text().replace("attempts", f'bucket = "{bucket}"\nattempts'))
    mine = ingest.get_smart_data("AAPL", data_source="massive", start=days[0], config=config)
    same(mine, plain_history("AAPL", start=days[0], actions=False))
    assert mine.attrs["sources"] == {
        "yahoo": [(str(days[0]), str(days[3]))],
        "massive": [(str(days[4]), str(days[-1]))],
    }


def test_weekly_bars_are_yahoos_alone_and_not_kept(here):
    here.server.forbidden.update(map(key, DAYS[:60]))
    here.place.run(DAYS[60], DAYS[-1], tracked={"AAPL"})
    ingest.get_smart_data("AAPL", interval="1wk", start=DAYS[0], config=here.config())
    with Manifest.read(here.place.root / "manifest.sqlite", "us_stocks_sip/day_aggs_v1") as manifest:
        assert (manifest.yahoo.count(), manifest.yahoo.asked(["AAPL"])) == (0, {})


def test_sessions_that_were_kept_without_a_ticker_are_yahoos(here):
    for span, tracked in ((DAYS[100:110], "AAPL MSFT"), (DAYS[110:120], "AAPL"), (DAYS[120:], "AAPL MSFT")):
        here.place.run(span[0], span[-1], tracked=set(tracked.split()), save_others=False)
    here.server.forbidden.update(map(key, DAYS))  # or they would be fetched again
    mine = smart(here, "MSFT", ("AAPL", "MSFT"), start=DAYS[100])
    same(mine, plain_history("MSFT", start=DAYS[100], actions=False))
    assert mine.attrs["sources"]["yahoo"] == [(str(DAYS[110]), str(DAYS[119]))]
    # A day, and a scan with or without a filter, return what history returns if Yahoo's rows are requested.
    config, both = here.config(("AAPL", "MSFT")), ("massive", "yahoo")
    assert ingest.day(DAYS[112], config=config, partial=True).select("ticker", "source").rows() == [
        ("AAPL", "massive"),
        ("MSFT", "yahoo"),
    ]
    msft = pl.col("ticker") == "MSFT"
    scanned = ingest.scan(DAYS[100], config=config, sources=both).collect().filter(msft)
    assert scanned.height == 30
    assert scanned.equals(ingest.scan(DAYS[100], config=config, sources=both).filter(msft).collect())
    # Without them, a few tickers are not a whole market: that gives a warning, unless no others are requested.
    with pytest.warns(IngestWarning, match=f"save_others was off.: {DAYS[112]}$"):
        assert ingest.day(DAYS[112], config=config)["ticker"].to_list() == ["AAPL"]
    with pytest.warns(IngestWarning, match=str(DAYS[110])):
        assert ingest.scan(DAYS[100], config=config).filter(msft).collect().height == 20
    assert ingest.scan(DAYS[100], config=config).filter(pl.col("ticker") == "AAPL").collect().height == 30


def test_a_session_without_a_file_is_no_handful_of_tickers(here):
    """Yahoo's rows of the newest days are only those of requested tickers, so market breadth must not count them."""
    here.server.forbidden.update(map(key, DAYS[-2:]))
    here.place.run(DAYS[-9], DAYS[-3], tracked={"AAPL"})
    smart(here, "AAPL", start=DAYS[-9])
    config, newest = here.config(), DAYS[-1]
    with pytest.raises(NotFound, match=rf"file of {newest} is not stored; 1 .* start=\"{newest}\".*partial=True"):
        ingest.day(newest, config=config)
    assert ingest.day(newest, config=config, partial=True).select("ticker", "source").rows() == [("AAPL", "yahoo")]
    with pytest.raises(NotFound, match="2003-09-10 is not stored"):
        ingest.day("2003-09-10", config=config, partial=True)
    for closed in ("2025-07-04", "2025-07-05"):  # no run would download these
        with pytest.raises(NotFound, match=f"^{closed} is not a session of stocks-day: the market was closed$"):
            ingest.day(closed, config=config)
    with pytest.raises(NotFound, match=r"^1999-11-26: the first files of stocks-day are from 2003-09-10$"):
        ingest.day("1999-11-26", config=config)
    with pytest.raises(NotFound, match=r"^2100-01-04 is not over yet$"):
        ingest.day("2100-01-04", config=config)

    def breadth(**sources):
        rows = ingest.scan(DAYS[-9], config=config, **sources).group_by("date").agg(pl.len()).sort("date").collect()
        return dict(rows.iter_rows())

    everyone = len(ingest.day(DAYS[-3], config=config))
    assert everyone > 1
    assert breadth() == breadth(sources="massive") == dict.fromkeys(DAYS[-9:-2], everyone)
    assert breadth(sources=("massive", "yahoo")) == breadth() | dict.fromkeys(DAYS[-2:], 1)
    assert breadth(sources="yahoo") == dict.fromkeys(DAYS[-2:], 1)
    assert ingest.scan(DAYS[-9], config=config).filter(pl.col("ticker") == "AAPL").collect().height == 7
    with pytest.raises(UsageError, match="'yahoos'"):
        ingest.scan(config=config, sources=["yahoos"])


def test_newest_sessions_that_no_source_has_give_a_warning_and_are_requested_again(here):
    whole = here.yahoo.securities["MSFT"]
    late = security(DAYS)
    del late.bars[DAYS[-1]]
    here.yahoo.securities["MSFT"] = late
    here.server.forbidden.update(map(key, DAYS[-3:]))
    with pytest.warns(IngestWarning, match=f"1 session from {DAYS[-1]} on is missing"):
        assert len(smart(here, "MSFT", start=DAYS[100])) == 29
    here.yahoo.securities["MSFT"] = whole
    here.place.execute("UPDATE askings SET asked_at = '2025-01-01T00:00:00+00:00'")
    assert len(smart(here, "MSFT", start=DAYS[100])) == 30


def test_a_ticker_that_stopped_trading_is_not_filled_on_stored_sessions(monkeypatch, tmp_path):
    with world(monkeypatch, tmp_path, {"ZZ": security(DAYS[:100]), "AAPL": AAPL}, {"ZZ": security(DAYS)}, DAYS) as here:
        here.place.run(DAYS[0], DAYS[-1], tracked={"AAPL"})
        for _ in range(2):
            with pytest.raises(NotFound):
                smart(here, "ZZ", start=DAYS[100])


@pytest.mark.parametrize("arguments", [{"end": DAYS[60]}, {"period": "3mo", "end": DAYS[60]}])
def test_yahoos_windows_may_end_in_the_past(here, arguments):
    mine = ingest.get_smart_data("AAPL", config=here.config(), **arguments)
    assert mine.index[-1].date() == DAYS[59]
    assert len(mine) > 40


@pytest.mark.parametrize("ticker", ["", None, 5, b"AAPL", "\ud800"])
def test_an_invalid_ticker_is_named(here, ticker):
    with pytest.raises(UsageError, match="is not a ticker"):
        smart(here, ticker)
