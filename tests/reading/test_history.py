"""history, day and scan: the rows of both tiers, as traded and adjusted."""

import random
import re
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_kit import key
from reading_kit import security, text_of, world
from yahoo_kit import Security, fresh_yfinance, past_sessions

import ingest
from ingest.demo.files.market import pack
from ingest.errors import AcrossSeam, ActionsUnknown, IngestWarning, NotFound, UsageError
from ingest.reading.scan import pushdown_of

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

DAYS = past_sessions(90)
SPLITS = {DAYS[40]: (4, 1)}
AAPL = security(DAYS, SPLITS, {DAYS[20]: 0.82, DAYS[60]: 0.25})
OTHERS = {f"T{chr(65 + n)}": security(DAYS[n % 7 :], first=10.0 + n) for n in range(26)}
EVERYONE = {"AAPL": AAPL, "BRK.B": security(DAYS, first=400.0), "BCpC": security(DAYS), **OTHERS}


@pytest.fixture
def here(monkeypatch, tmp_path):
    with world(monkeypatch, tmp_path, EVERYONE, {"AAPL": AAPL, "BRK-B": EVERYONE["BRK.B"]}, DAYS) as found:
        found.place.run(DAYS[0], DAYS[-1], tracked={"AAPL", "BCpC"})
        found.settings = found.config(["AAPL", "BCpC"])
        yield found


def aged(here):
    """As if Yahoo had been asked three sessions ago."""
    here.place.execute(f"UPDATE askings SET last = '{DAYS[-3]}', asked_at = '{DAYS[-3]}T22:00:00+00:00'")


def closes(frame, ticker):
    return dict(frame.filter(pl.col("ticker") == ticker).select("date", "close").iter_rows())


def traded(one, days=DAYS):
    return {day: one.bars[day][3] for day in days if day in one.bars}


@pytest.mark.parametrize("ticker", ["AAPL", "BRK.B", "BCpC", "TE"])
def test_history_of_a_ticker_of_either_tier(here, ticker):
    frame = ingest.history(ticker, config=here.settings)
    assert frame.columns == ["ticker", "date", "open", "high", "low", "close", "volume", "source"]
    assert closes(frame, ticker) == traded(EVERYONE[ticker])
    assert frame["volume"].to_list() == [EVERYONE[ticker].bars[day][4] for day in frame["date"]]
    assert frame["volume"].dtype == pl.Float64
    assert set(frame["source"]) == {"massive"}


def test_history_of_many_is_sorted_and_cut_to_the_window(here):
    wanted = ["TD", "AAPL", "NOSUCH", "BRK.B"]
    with pytest.warns(IngestWarning, match=f"no data for NOSUCH from {DAYS[5]} to {DAYS[9]}$"):
        frame = ingest.history(wanted, DAYS[5], str(DAYS[9]), config=here.settings)
    assert frame.height == 15
    assert frame.equals(frame.sort("ticker", "date"))
    assert closes(frame, "BRK.B") == traded(EVERYONE["BRK.B"], DAYS[5:10])
    everyone = ingest.history(EVERYONE, config=here.settings)
    assert all(closes(everyone, ticker) == traded(one) for ticker, one in EVERYONE.items())


def test_the_csv_and_the_parts_say_the_same(here):
    with_trades = ingest.history("AAPL", columns=["date", "close", "transactions"], config=here.settings)
    plain = ingest.history("AAPL", columns=["date", "close"], config=here.settings)
    assert with_trades.drop("transactions").equals(plain)
    assert set(with_trades["transactions"]) == {7}


def test_a_csv_that_was_touched_is_not_read(here):
    path = here.place.tracked / "AAPL_1d_data.csv"
    path.write_text(path.read_text().replace(",", ",9"))
    assert closes(ingest.history("AAPL", config=here.settings), "AAPL") == traded(AAPL)


def test_adjusted_for_splits_and_for_all(here):
    splits = closes(ingest.history("AAPL", adjust="splits", config=here.settings), "AAPL")
    whole = closes(ingest.history("AAPL", adjust="all", config=here.settings), "AAPL")
    assert splits == pytest.approx({day: close / AAPL.later_splits(day) for day, close in traded(AAPL).items()})
    assert whole == pytest.approx(AAPL.adjusted_closes(), rel=1e-7)
    assert here.yahoo.asked == ["AAPL"]  # once; the second time they were stored


def test_old_corporate_actions_are_requested_again(here):
    ingest.history("AAPL", adjust="all", config=here.settings)
    aged(here)
    # Also for a window that ends before: later actions adjust it, too.
    ingest.history("AAPL", end=DAYS[-4], adjust="all", config=here.settings)
    assert here.yahoo.asked == ["AAPL"] * 2
    ingest.history("AAPL", adjust="all", config=here.settings)
    assert here.yahoo.asked == ["AAPL"] * 2


def test_old_corporate_actions_are_used_with_a_warning_if_yahoo_is_down(here):
    before = ingest.history("AAPL", adjust="all", config=here.settings)
    aged(here)
    here.yahoo.faults["*"] = 429
    with pytest.warns(IngestWarning, match=f"splits and dividends of AAPL are known only up to {DAYS[-3]}"):
        assert ingest.history("AAPL", adjust="all", config=here.settings).equals(before)


@pytest.mark.parametrize(("fetch", "fallback"), [(False, True), (True, False)])
def test_without_yahoo_nothing_is_adjusted(here, fetch, fallback):
    config = here.config(enabled=fallback)
    with pytest.raises(ActionsUnknown, match='adjust="none"'):
        ingest.history(["AAPL", "BRK.B"], adjust="splits", fetch=fetch, config=config)
    assert here.yahoo.asked == []


def test_a_ticker_that_cannot_be_mapped_is_not_adjusted(here):
    with pytest.raises(ActionsUnknown, match="BCpC"):
        ingest.history("BCpC", adjust="all", config=here.settings)


def test_a_split_without_a_jump_gives_a_warning(here):
    phantom = security(DAYS[1:], first=11.0)
    phantom.splits = {DAYS[50]: (2, 1)}
    here.yahoo.securities["TB"] = phantom
    with pytest.warns(IngestWarning, match=f"TB: Yahoo reports a 2-for-1 split on {DAYS[50]}"):
        ingest.history("TB", adjust="splits", config=here.settings)


def test_a_seam_matters_to_what_is_adjusted_across_it_alone(monkeypatch, tmp_path):
    days = past_sessions(80)
    back = security([*days[:10], *days[60:]], {}, {days[70]: 0.5})
    with world(monkeypatch, tmp_path, {"ZZZ": back, "AAPL": security(days)}, {"ZZZ": back}, days) as here:
        here.place.run(days[0], days[-1], tracked={"ZZZ"})
        found = ingest.history("ZZZ", adjust="splits", config=here.config())
        assert found["close"].to_list() == [bar[3] for bar in back.bars.values()]
        with pytest.raises(AcrossSeam):
            ingest.history("ZZZ", adjust="all", config=here.config())


def test_a_ticker_that_comes_back_is_not_adjusted_across_the_seam(monkeypatch, tmp_path):
    gap = [*DAYS[:20], *DAYS[70:]]
    reused = security(gap, {DAYS[80]: (2, 1)})
    everyone = {"AAPL": AAPL, "ZZZ": reused}
    with world(monkeypatch, tmp_path, everyone, {"ZZZ": reused}, DAYS) as here:
        here.place.run(DAYS[0], DAYS[-1], tracked={"AAPL"})
        config = here.config()
        with pytest.raises(AcrossSeam, match=f"between {DAYS[19]} .* and {DAYS[70]}"):
            ingest.history("ZZZ", adjust="splits", config=config)
        assert ingest.history("ZZZ", DAYS[70], adjust="splits", config=config).height == 20
        assert ingest.history("ZZZ", adjust="splits", across_seams=True, config=config).height == 40
        assert ingest.history("ZZZ", config=config).height == 40


def test_a_day_is_a_cross_section(here):
    frame = ingest.day(DAYS[6], config=here.settings)
    assert frame["ticker"].to_list() == sorted(EVERYONE)
    assert frame.filter(pl.col("ticker") == "TC")["close"].item() == EVERYONE["TC"].bars[DAYS[6]][3]
    with pytest.raises(NotFound, match='start="2003-09-10"'):
        ingest.day("2003-09-10", config=here.settings)


def test_a_scan_reads_what_its_filters_let_through(here, monkeypatch):
    read = []
    from ingest.reading import rows

    original = rows.on
    monkeypatch.setattr(
        rows, "on", lambda cache, days, who, *of: read.append((len(days), who)) or original(cache, days, who, *of)
    )
    lazy = ingest.scan(config=here.settings)
    assert lazy.filter(pl.col("ticker") == "TC", pl.col("date") >= DAYS[80]).collect().height == 10
    assert read == [(10, frozenset({"TC"}))]
    read.clear()
    found = (
        lazy.filter(pl.col("ticker").is_in(["AAPL", "TB"]) & (pl.col("close") > 50)).select("ticker", "close").collect()
    )
    assert found.columns == ["ticker", "close"]
    assert [days for days, _ in read] == [32, 32, 26]
    assert {tickers for _, tickers in read} == {frozenset({"AAPL", "TB"})}
    assert lazy.select(pl.len()).collect().item() == sum(len(one.bars) for one in EVERYONE.values())
    assert lazy.head(5).collect().height == 5


def test_a_scan_and_history_say_the_same(here):
    whole = ingest.scan(DAYS[3], DAYS[50], config=here.settings).collect().sort("ticker", "date")
    assert whole.select(ingest.history("AAPL", config=here.settings).columns).equals(
        ingest.history(EVERYONE, DAYS[3], DAYS[50], config=here.settings)
    )


@pytest.mark.parametrize(
    ("predicate", "tickers"),
    [
        (pl.col("ticker") == "A", {"A"}),
        (pl.lit("A") == pl.col("ticker"), {"A"}),
        (pl.col("ticker").is_in(["A", "B"]), {"A", "B"}),
        (pl.col("ticker").is_in(["A", "B"]) & (pl.col("ticker") == "B") & (pl.col("close") > 1), {"B"}),
        ((pl.col("ticker") == "A") | (pl.col("close") > 1), None),
        (pl.col("ticker") != "A", None),
        (pl.col("ticker").str.starts_with("A"), None),
        (~(pl.col("ticker") == "A"), None),
        (pl.col("ticker") > "A", None),
        (pl.col("close") > 1, None),
    ],
)
def test_what_a_filter_says_of_tickers(predicate, tickers):
    assert pushdown_of(predicate).tickers == (None if tickers is None else frozenset(tickers))


ATOMS = st.one_of(
    st.sampled_from([0, 30, 60, 89]).map(lambda n: pl.col("date") >= DAYS[n]),
    st.sampled_from([10, 50]).map(lambda n: pl.col("date") != DAYS[n]),
    st.sampled_from([["AAPL"], ["TB", "TC"], []]).map(lambda names: pl.col("ticker").is_in(names)),
    st.sampled_from(["AAPL", "TD"]).map(lambda name: pl.col("ticker") == name),
    st.just(pl.col("close") > 100),
    st.just(pl.col("ticker").is_null()),
)
FILTERS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: two[0] & two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
        inner.map(lambda one: ~one),
    ),
    max_leaves=5,
)


def test_any_filter_gives_what_it_gives_on_all_rows(here):
    whole = ingest.scan(config=here.settings).collect()

    @settings(max_examples=12, deadline=None)
    @given(FILTERS)
    def check(predicate):
        assert ingest.scan(config=here.settings).filter(predicate).collect().equals(whole.filter(predicate))

    check()


def test_readers_at_work_while_a_run_writes(here):
    """Files are replaced and the manifest changes while rows are read: each answer is one of the states."""
    import threading

    newer = security(DAYS, SPLITS, first=50.0)
    states = [traded(AAPL), traded(newer)]
    stop = threading.Event()

    def write():
        for turn in range(6):
            objects = newer if turn % 2 == 0 else AAPL
            for day in random.Random(turn).sample(DAYS, 10):
                here.server.put(key(day), pack(text_of({**EVERYONE, "AAPL": objects}, day)))
            here.place.run(DAYS[0], DAYS[-1], tracked={"AAPL", "BCpC"})
        stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    reads = 0
    while not stop.is_set():
        found = closes(ingest.history("AAPL", config=here.settings), "AAPL")
        assert sorted(found) == DAYS
        assert all(found[day] in {state[day] for state in states} for day in DAYS)
        reads += 1
    thread.join()
    assert reads > 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"adjust": "some"}, "'some'"),
        ({"columns": ["close", "vwap"]}, "'vwap'"),
        ({"start": "2025-13-01"}, "'2025-13-01'"),
        ({"columns": ["close", "close"]}, "twice"),
    ],
)
def test_invalid_arguments_are_named(here, arguments, words):
    with pytest.raises(UsageError, match=words):
        ingest.history("AAPL", config=here.settings, **arguments)


def test_a_delisted_ticker_keeps_its_events_when_a_later_window_has_no_rows(monkeypatch, tmp_path):
    gone = security(DAYS[:50], SPLITS)
    everyone = {"GONE": gone, "AAPL": AAPL}
    with world(monkeypatch, tmp_path, everyone, everyone, DAYS) as here:
        here.place.run(DAYS[0], DAYS[-1], tracked={"AAPL"})
        config = here.config()
        before = ingest.history("GONE", adjust="all", config=config)
        here.yahoo.securities["GONE"] = Security({})
        aged(here)
        assert ingest.history("GONE", adjust="all", config=config).equals(before)
        assert ingest.history("GONE", adjust="all", fetch=False, config=config).equals(before)


def test_one_bad_answer_does_not_take_good_events_away(here):
    before = ingest.history("AAPL", adjust="all", config=here.settings)
    aged(here)
    here.yahoo.securities["AAPL"] = security(DAYS, first=7.0)
    for _ in range(2):
        with pytest.warns(
            IngestWarning, match="AAPL are known only up to .*: Yahoo's prices of AAPL disagree with Massive"
        ):
            assert ingest.history("AAPL", adjust="all", config=here.settings).equals(before)
    assert here.yahoo.asked == ["AAPL"] * 2


def test_rows_without_a_ticker_and_blank_lines_are_left_out(monkeypatch, tmp_path):
    names = {f"T{chr(65 + n)}": security(DAYS[:3]) for n in range(20)}
    with world(monkeypatch, tmp_path, names, {}, DAYS[:3]) as here:
        for day in DAYS[:3]:
            here.server.put(key(day), pack(text_of(names, day) + b",1,2,2,2,2,1,1\n\n"))
        here.place.run(DAYS[0], DAYS[2], tracked={"AAPL"})
        assert ingest.history(names, config=here.config()).height == 60
        assert ingest.day(DAYS[0], config=here.config())["ticker"].to_list() == sorted(names)
        assert here.place.run(DAYS[0], DAYS[2], tracked=set(names)).finished.exit_code == 0
        assert len(here.place.csv("TA")) == 3


def test_an_empty_cache_has_no_rows(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(f'[cache]\nroot = "{tmp_path}/none"\n')
    with pytest.warns(IngestWarning, match='no data for stocks-day. Call ingest.run.dataset="stocks-day".'):
        assert ingest.history("AAPL", config=config).is_empty()
    none = f"no session of stocks-day is stored in {tmp_path / 'none'}. Call ingest.run(dataset="
    with pytest.warns(IngestWarning, match=re.escape(none)):
        assert ingest.scan(date(2025, 1, 1), config=config).collect().is_empty()
    assert not (tmp_path / "none").exists()


def test_a_window_without_a_stored_session_is_said_to_be_empty(here):
    with pytest.warns(IngestWarning, match="no session of stocks-day from 2004-01-01 to 2004-12-31 is stored"):
        assert ingest.scan("2004-01-01", "2004-12-31", config=here.settings).collect().is_empty()
    assert ingest.scan(config=here.settings).filter(pl.col("date") < date(2004, 1, 1)).collect().is_empty()


def test_a_run_tracks_the_one_ticker_that_is_named_and_not_its_letters(here):
    done = ingest.run(start=str(DAYS[-1]), end=DAYS[-1], tickers="TE", datasets="stocks-day", config=here.settings)
    assert [one.exit_code for one in done] == [0]
    assert here.place.status().tracked_tickers == 1
    assert len(here.place.csv("TE")) == len(OTHERS["TE"].bars)
