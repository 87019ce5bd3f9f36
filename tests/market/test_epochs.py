"""Times in other units than nanoseconds are read as what they are; files of which none fits the session are refused."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_kit import Place, flat, pack, window
from tuning_kit import tune

import ingest
from ingest.demo.servers import loopback
from ingest.maintenance.adopt import day_file
from ingest.maintenance.verify import verify
from ingest.market import epochs
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY, STOCKS_MINUTE

DAY = date(2025, 3, 4)
HEADER = "ticker,volume,open,close,high,low,window_start,transactions"
PER_SECOND = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "tenths of a microsecond": 10**7}
BEGINS = {
    "stocks-minute": datetime(2025, 3, 4, 14, 30, tzinfo=UTC),
    "crypto-minute": datetime(2025, 3, 4, 0, 5, tzinfo=UTC),
    "futures-cme-minute": datetime(2025, 3, 3, 23, tzinfo=UTC),  # the evening before
}
TICKERS = {
    "stocks-minute": ("AAPL", "NA"),
    "crypto-minute": ("X:BTC-USD", "X:NA-USD"),
    "futures-cme-minute": ("ESH5", "NA"),
}


def minutes(short, count=60):
    return [BEGINS[short] + timedelta(minutes=n) for n in range(count)]


def text_of(short, stamp):
    """Two tickers of 60 minutes each; `stamp` makes of a moment what the file has."""
    lines = [
        f"{ticker},{n + 1},10,11,12,9,{stamp(moment)},1"
        for ticker in TICKERS[short]
        for n, moment in enumerate(minutes(short))
    ]
    return "\n".join([HEADER, *lines, ""]).encode()


def counted(per_second):
    return lambda moment: int(moment.timestamp()) * per_second


@pytest.fixture
def run(loopback_keys, tmp_path):
    """Run a file of minutes of `DAY` through the pipeline; where it is."""

    def run(short, text, place=None):
        dataset = CATALOGUE[short]
        with loopback.serve({dataset.key(DAY): pack(text)}) as server:
            place = place or Place(tmp_path / "cache", server.endpoint_url, dataset=dataset)
            place.endpoint_url = server.endpoint_url
            place.run(DAY, DAY, tracked={TICKERS[short][0]})
        return place

    return run


@pytest.fixture(params=["at once", "in chunks"])
def way(request, monkeypatch):
    """Small files go through at once, large ones in chunks."""
    if request.param == "in chunks":
        tune(monkeypatch, at_once=0, chunk=2000)


def history(place, ticker):
    (place.root.parent / "config.toml").write_text(f'[cache]\nroot = "{place.root}"\n')
    config = place.root.parent / "config.toml"
    return ingest.history(ticker, dataset=place.dataset.short, config=config, fetch=False)


def findings(place):
    return place.query("SELECT kind, count FROM findings ORDER BY kind")


def check_times(place, short):
    """Both tiers, the CSV and the bars within days have the minutes that they are."""
    for ticker in TICKERS[short]:
        rows = history(place, ticker)
        assert [time.astimezone(UTC) for time in rows["time"]] == minutes(short)
        assert rows["volume"].to_list() == [float(n + 1) for n in range(60)]
    (lines,) = place.months(place.dataset.stem(TICKERS[short][0])).values()
    assert [datetime.fromisoformat(line.split(",")[0]).astimezone(UTC) for line in lines] == minutes(short)
    assert verify(place.settings(), True, place.dataset).problems == ()


@pytest.mark.parametrize("unit", PER_SECOND)
def test_minutes_in_any_unit_are_read_as_the_minutes_that_they_are(run, way, unit):
    place = run("stocks-minute", text_of("stocks-minute", counted(PER_SECOND[unit])))
    assert findings(place) == [(f"stamps in {unit}", 120)]
    check_times(place, "stocks-minute")


@pytest.mark.parametrize("short", ["crypto-minute", "futures-cme-minute"])
def test_other_markets_too(run, short):
    place = run(short, text_of(short, counted(10**7)))
    assert findings(place) == [("stamps in tenths of a microsecond", 120)]
    check_times(place, short)


def test_nanoseconds_are_no_finding(run, way):
    for short in BEGINS:
        place = run(short, text_of(short, counted(10**9)))
        assert findings(place) == []
        check_times(place, short)


def test_each_row_tells_its_own_unit(run, way):
    """Such a file is odd, and said to be; none of its times is lost or of 1970."""
    short = "stocks-minute"
    place = run(short, text_of(short, lambda moment: counted(10**9 if moment.minute % 3 else 10**3)(moment)))
    assert findings(place) == [("stamps in milliseconds", 40)]
    check_times(place, short)


@pytest.mark.parametrize(
    ("stamp", "why"),
    [
        (lambda moment: int(moment.timestamp()) * 10**5, "the first says 1970-01-02 19:21"),
        (lambda moment: int((moment - timedelta(days=1)).timestamp()) * 10**9, "the first says 2025-03-03 09:30"),
        (lambda moment: int((moment + timedelta(days=365)).timestamp()) * 1000, "the first says 2026-03-04 09:30"),
        (lambda moment: 0, "the first says 1969-12-31 19:00"),
        (lambda moment: moment.isoformat(), "no time"),
        (lambda moment: "", "no time"),
    ],
    ids=["no unit", "the day before", "another year, in milliseconds", "zero", "text", "none"],
)
def test_a_file_of_which_no_bar_can_be_of_its_session_is_quarantined(run, way, stamp, why):
    place = run("stocks-minute", text_of("stocks-minute", stamp))
    assert place.state(DAY) == ("quarantined", "listed")
    ((reason,),) = place.query("SELECT reason FROM quarantine")
    said = f"none of its 120 rows has a window_start within 2025-03-04: {why}"
    assert reason == f"{said}; its first row is line 2 (ticker AAPL)"
    assert place.months("AAPL") == {}
    assert not list(place.root.rglob("*.tmp"))


def test_one_bar_of_its_session_is_enough(run, way):
    """The others are a finding, as they were."""
    begin = minutes("stocks-minute")[0]
    place = run(
        "stocks-minute", text_of("stocks-minute", lambda moment: counted(10**9)(moment) if moment == begin else 17)
    )
    assert findings(place) == [("conflicting repeat", 2), ("stamps of another date than the key's", 118)]


@pytest.mark.parametrize(("days", "state"), [(4, "committed"), (8, "quarantined")])
def test_a_session_of_futures_opens_days_before_its_date_and_not_weeks(run, days, state):
    early = text_of("futures-cme-minute", lambda moment: counted(10**9)(moment - timedelta(days=days)))
    assert run("futures-cme-minute", early).state(DAY)[0] == state


def test_a_file_without_rows_is_kept(run):
    assert run("stocks-minute", f"{HEADER}\n".encode()).state(DAY)[0] == "committed"


def test_a_republished_file_in_the_right_unit_is_a_correction_that_changes_no_bar(run, way):
    short = "stocks-minute"
    place = run(short, text_of(short, counted(10**3)))
    before = history(place, "AAPL"), place.months("AAPL")
    run(short, text_of(short, counted(10**9)), place)
    assert (findings(place), len(place.corrections())) == ([], 1)
    assert history(place, "AAPL").equals(before[0])
    assert place.months("AAPL") == before[1]


@pytest.mark.parametrize("unit", PER_SECOND)
def test_days_are_dated_by_their_key_and_their_stamps_told_as_what_they_are(loopback_keys, tmp_path, way, unit):
    midnight = int(datetime(2025, 3, 4, 5, tzinfo=UTC).timestamp()) * PER_SECOND[unit]
    text = flat([("AAPL", "1.5"), ("MSFT", "2.5")]).replace(b",1,0\n", b",%d,0\n" % midnight)
    text = text.replace(b",1,1\n", b",%d,1\n" % midnight)
    with loopback.serve({STOCKS_DAY.key(DAY): pack(text)}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(*window([DAY]), tracked={"AAPL"})
    assert findings(place) == [(f"stamps in {unit}", 2)]
    path = tmp_path / f"{DAY}.csv.gz"
    path.write_bytes(pack(text))
    assert day_file.read_day(path, DAY, 1 << 20).bars == {"AAPL": (1.5, 1000), "MSFT": (2.5, 1001)}


MOMENTS = st.integers(946_684_800, 4_102_444_799)


@given(MOMENTS, st.sampled_from([*PER_SECOND.values(), 10**9]), st.integers(0, 999_999_999))
def test_every_time_of_the_century_is_itself_in_every_unit(second, per_second, below):
    stamp = second * per_second + below * per_second // 10**9
    assert epochs.seconds_of(stamp) == second
    (found,) = epochs.in_ns(pl.Series("at", [stamp]))
    assert found == stamp * (10**9 // per_second)


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | MOMENTS.map(lambda second: second * 1000)))
def test_what_is_a_time_in_no_unit_stays_as_it_is(stamps):
    found = epochs.in_ns(pl.Series("at", stamps, pl.Int64)).to_list()
    units = [stamp is not None and epochs.unit_of(stamp) for stamp in stamps]
    assert [one for one, unit in zip(found, units, strict=True) if not unit] == [
        one for one, unit in zip(stamps, units, strict=True) if not unit
    ]
    assert sum(epochs.counts(pl.Series("at", stamps, pl.Int64)).values()) == sum(map(bool, units))


def test_the_units_of_findings_are_those_of_times():
    assert {f"stamps in {unit}" for unit in PER_SECOND} == set(map("stamps in {}".format, epochs.UNITS))
    assert STOCKS_MINUTE.stamp == epochs.TIME
