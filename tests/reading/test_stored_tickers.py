"""The stored tickers: numbers as of the rows, with a lake and without, as the view `tickers` has them."""

import json
import random
import statistics
from datetime import date, timedelta
from threading import Event

import polars as pl
import pytest
from pipeline_kit import Place, flat, key, trading_days
from polars.testing import assert_frame_equal

import ingest
from ingest.cache.cache import Cache
from ingest.demo.files.files import files_of
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import NotFound, UsageError
from ingest.lake import reading
from ingest.lake.tickers import traded
from ingest.market.calendars import Calendar
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.settings.values import parse_amount

INDICES, OPTIONS = named("indices-day"), named("options-day")
DAYS = trading_days(date(2025, 2, 26), 6)
"""Three sessions of February, three of March."""

CLOSES = {
    "ALL": (10, 20, 30, 40, 50, 60),
    "GONE": (900, 900, 900),
    "LATE": (None, None, None, 5, 5, 9000),
    "ODD": (7, None, None, 8, None, None),
    "TIE": (None, None, None, 5, 5, 9000),
}


def closes_on(at):
    return [(name, closes[at]) for name, closes in CLOSES.items() if at < len(closes) and closes[at] is not None]


def volume(name, at):
    """`flat` numbers the rows of a file: the volume of each is 1,000 and that number."""
    return 1000 + [one for one, _ in closes_on(at)].index(name)


@pytest.fixture(scope="module")
def place(environment, tmp_path_factory):
    objects = {
        key(day): pack(flat([(name, str(close)) for name, close in closes_on(at)])) for at, day in enumerate(DAYS)
    }
    with loopback.serve(objects) as server:
        place = Place(tmp_path_factory.mktemp("tickers") / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[-1], tracked={"GONE"})
        yield place


@pytest.fixture(params=["no lake", "half a lake", "a lake"])
def config(request, place):
    place.lake = False
    place.here("lake", "drop", "--yes")
    if request.param != "no lake":
        assert place.here("lake", "build").code == 0
    if request.param == "half a lake":
        next((place.root / "lake").glob("*/year=2025/month=2/*.parquet")).unlink()
    return place.config()


def expected(days=range(6)):
    rows = []
    for name, closes in CLOSES.items():
        there = [at for at in days if at < len(closes) and closes[at] is not None]
        if there:
            median = statistics.median(closes[at] * volume(name, at) for at in there)
            rows.append((name, DAYS[there[0]], DAYS[there[-1]], len(there), float(median), name == "GONE"))
    names = ("ticker", "first", "last", "sessions", "median_dollar_volume", "tracked")
    return pl.DataFrame(rows, names, orient="row")


def test_each_ticker_has_a_row_with_the_numbers_of_its_sessions(config):
    assert_frame_equal(ingest.tickers(config=config), expected())
    assert_frame_equal(ingest.tickers(newest=3, config=config), expected(range(3, 6)))
    assert_frame_equal(ingest.tickers(newest=99, config=config), expected())


def test_the_view_has_the_same_numbers(config):
    pytest.importorskip("duckdb")
    found = ingest.sql("from tickers order by ticker", config=config)
    assert_frame_equal(found.drop("dataset"), expected().drop("tracked"))


def test_the_view_has_the_same_bits(environment, tmp_path):
    pytest.importorskip("duckdb")
    dice = random.Random(5)
    rows = {day: [(f"T{n}", f"{dice.lognormvariate(0, 4):.6f}") for n in range(400)] for day in DAYS}
    with loopback.serve({key(day): pack(flat(some)) for day, some in rows.items()}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[-1])
    for built in (False, True):
        if built:
            place.here("lake", "build")
        found = ingest.sql("from tickers order by ticker", config=place.config()).drop("dataset")
        assert found.equals(ingest.tickers(config=place.config()).drop("tracked"))


def test_a_query_that_is_to_stop_reads_no_further_month(place):
    stop = Event()
    stop.set()
    with Cache.read(place.settings(), STOCKS_DAY) as cache, pytest.raises(InterruptedError):
        traded(cache, DAYS, stop)


def test_the_lake_is_read_where_there_is_one(place, config, monkeypatch):
    read = []
    monkeypatch.setattr(reading, "_read", lambda *given, known=reading._read: read.append(given) or known(*given))
    ingest.tickers(config=config)
    files = sorted(place.root.glob("lake/*/year=*/month=*/*.parquet"))
    assert sum(len(chosen) for _, _, chosen, _ in read) == len(files)


def test_as_of_a_day_nothing_is_known_of_what_came_later(config):
    found = ingest.tickers(listed_on=DAYS[2], config=config)
    assert_frame_equal(found, expected(range(3)).filter(pl.col("ticker") != "ODD"))
    assert found["ticker"].to_list() == ["ALL", "GONE"], "GONE has left since, ODD had no row, LATE was not there yet"
    assert_frame_equal(ingest.tickers(listed_on=str(DAYS[2]), newest=1, config=config), expected([2]))


@pytest.mark.parametrize(
    ("day", "told"),
    [
        (
            date(2025, 3, 1),
            (
                "2025-03-01 is not a session of stocks-day: the market was closed; "
                f"{len(DAYS)} sessions from {DAYS[0]} to {DAYS[-1]} are stored: the nearest {DAYS[2]} and {DAYS[3]}"
            ),
        ),
        (DAYS[-1] + timedelta(days=1), f"is not stored; .* the nearest {DAYS[-1]}. Call ingest.run"),
        (date(2020, 3, 3), f"2020-03-03 of stocks-day is not stored; .* the nearest {DAYS[0]}. Call ingest.run"),
        (date(2999, 3, 4), f"2999-03-04 is not over yet; .* the nearest {DAYS[-1]}$"),
    ],
)
def test_a_session_that_is_not_stored_is_an_error_that_says_what_is(config, day, told):
    with pytest.raises(NotFound, match=told):
        ingest.tickers(listed_on=day, config=config)


def test_where_nothing_is_stored_there_is_no_ticker(place, tmp_path):
    empty = Place(tmp_path / "cache", place.endpoint_url).config()
    with pytest.warns(ingest.errors.IngestWarning, match="no session of stocks-day is stored"):
        assert ingest.tickers(config=empty).schema == expected().schema
    with pytest.raises(NotFound, match=r"is not stored; no session is stored\. Call"):
        ingest.tickers(listed_on=DAYS[0], config=empty)


def test_the_most_traded_come_first_and_of_equal_ones_the_first_by_name(config):
    found = ingest.tickers(top=3, config=config)
    assert found["ticker"].to_list() == ["GONE", "ALL", "ODD"]
    assert ingest.tickers(min_dollar_volume=30_000, config=config)["ticker"].to_list() == ["ALL", "GONE"]
    median = expected().filter(pl.col("ticker") == "ALL")["median_dollar_volume"].item()
    assert "ALL" in ingest.tickers(min_dollar_volume=median, config=config)["ticker"], "at least, not above"
    assert ingest.tickers(top=1, newest=1, config=config)["ticker"].to_list() == ["TIE"]


def test_a_dataset_without_volume_has_no_median(environment, tmp_path):
    day, made = date(2026, 2, 3), files_of(INDICES, 5)
    assert day in Calendar.of(INDICES.calendar).between(day, day)
    with loopback.serve({INDICES.key(day): pack(made.text(day))}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=INDICES)
        place.run(day, day, tracked=())
    found = ingest.tickers("indices-day", config=place.config())
    assert found.height
    assert found["median_dollar_volume"].null_count() == found.height
    with pytest.raises(UsageError, match="min_dollar_volume and top cannot be told: indices-day has no volume"):
        ingest.tickers("indices-day", min_dollar_volume=1.0, top=5, config=place.config())


def test_what_is_no_finite_number_has_no_say(environment, tmp_path):
    closes = [[("INF", "inf"), ("NAN", "nan"), ("NONE", ""), ("ONCE", "nan"), ("PLAIN", "5")]]
    closes.append([*closes[0][:3], ("ONCE", "3"), ("PLAIN", "5")])
    objects = {key(day): pack(flat(rows)) for day, rows in zip(DAYS, closes, strict=False)}
    with loopback.serve(objects) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[1], tracked=())
    found = ingest.tickers(config=place.config())
    assert dict(found.select("ticker", "median_dollar_volume").iter_rows()) == {
        "INF": None,
        "NAN": None,
        "NONE": None,
        "ONCE": 3009.0,
        "PLAIN": 5020.0,
    }
    assert found["sessions"].to_list() == [2] * 5
    assert ingest.tickers(top=2, config=place.config())["ticker"].to_list() == ["PLAIN", "ONCE"]
    pytest.importorskip("duckdb")
    view = ingest.sql("from tickers order by ticker", config=place.config())
    assert_frame_equal(view.drop("dataset"), found.drop("tracked"))


def test_files_of_one_session_each_are_read_as_well(environment, tmp_path):
    days, made = [date(2026, 2, 3), date(2026, 2, 4)], files_of(OPTIONS, 5)
    with loopback.serve({OPTIONS.key(day): pack(made.text(day)) for day in days}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=OPTIONS)
        place.run(*days, tracked=())
    plain = ingest.tickers("options-day", config=place.config())
    assert place.here("lake", "build", "-d", "options-day").code == 0
    assert_frame_equal(ingest.tickers("options-day", config=place.config()), plain)
    rows = ingest.scan(dataset="options-day", config=place.config()).collect()
    assert plain["sessions"].sum() == rows.height
    assert plain["ticker"].to_list() == rows["ticker"].unique().sort().to_list()


def test_minutes_are_refused_with_the_daily_files_named(place):
    with pytest.raises(UsageError, match=r'stocks-minute has several rows a session.*Pass dataset="stocks-day"'):
        ingest.tickers("stocks-minute", config=place.config())


@pytest.mark.parametrize("argument", ["top", "newest"])
def test_none_at_all_is_too_few(place, argument):
    with pytest.raises(UsageError, match=f"{argument} 0: must be 1 or more"):
        ingest.tickers(**{argument: 0}, config=place.config())


def test_sessions_without_wanted_tickers_are_named(environment, tmp_path):
    with loopback.serve({key(DAYS[0]): pack(flat(closes_on(0)))}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[0], tracked={"ALL"}, save_others=False)
    with pytest.warns(ingest.errors.IngestWarning, match="only the tickers tracked at the time were stored"):
        assert ingest.tickers(config=place.config())["ticker"].to_list() == ["ALL"]


# The command


def test_the_command_shows_a_table_and_says_what_it_leaves_out(place):
    told = place.here("tickers", "--rows", 2)
    assert told.out.splitlines() == [
        "ticker  first       last        sessions  dollar volume",
        "ALL     2025-02-26  2025-03-05         6          35.0k",
        "GONE    2025-02-26  2025-02-28         3         900.9k  tracked",
        "the first 2 of 5 tickers (--rows 0 prints all)",
    ]
    assert place.here("tickers", "--rows", 0).out.endswith("5 tickers.\n")
    assert place.here("tickers", "--top", 1, "--min-dollar-volume", "30k").out.startswith("ticker  first")


def test_the_command_prints_a_record_for_each(place):
    told = place.here("tickers", "--json", "--listed-on", DAYS[2])
    found = [json.loads(line) for line in told.out.splitlines()]
    assert [one["ticker"] for one in found] == ["ALL", "GONE"]
    assert found[1] | {"time": ""} == {
        "version": 1,
        "kind": "ticker",
        "time": "",
        "dataset": "us_stocks_sip/day_aggs_v1",
        "ticker": "GONE",
        "first": "2025-02-26",
        "last": "2025-02-28",
        "sessions": 3,
        "median_dollar_volume": 900_900.0,
        "tracked": True,
    }


@pytest.mark.parametrize(("rows", "shown"), [(0, 5), (2, 2), (99, 5)])
def test_so_many_rows_are_so_many_records(place, rows, shown):
    found = [json.loads(line)["ticker"] for line in place.here("tickers", "--json", "--rows", rows).out.splitlines()]
    assert found == sorted(CLOSES)[:shown]


def test_the_command_names_the_flag_that_is_wrong(place):
    told = place.here("tickers", "--min-dollar-volume", "lots")
    assert (told.code, told.err) == (2, "error: --min-dollar-volume 'lots': an amount such as 5M, 250k or 1e6\n")
    assert place.here("tickers", "--listed-on", "2025-03-01").code == 4


@pytest.mark.parametrize(
    ("text", "amount"),
    [("5M", 5e6), ("5m", 5e6), ("1e6", 1e6), ("1E+6", 1e6), ("250k", 25e4), ("1.5bn", 15e8), ("2 B", 2e9), ("7", 7.0)],
)
def test_an_amount_may_be_written_in_several_ways(text, amount):
    assert parse_amount(text) == amount


@pytest.mark.parametrize("text", ["", "M", "-5", "1e999", "nan", "inf", "5 MB", "5kk", "1,000", "٣"])
def test_anything_else_is_no_amount(text):
    with pytest.raises(ValueError, match="not an amount"):
        parse_amount(text)


@pytest.mark.parametrize("least", ["5M", float("nan"), float("inf"), [1]])
def test_an_amount_that_is_none_is_an_error(place, least):
    with pytest.raises(UsageError, match=r"min_dollar_volume .*: must be an amount"):
        ingest.tickers(min_dollar_volume=least, config=place.config())


def test_a_number_that_no_frame_has_is_all_of_them(place):
    assert ingest.tickers(top=10**20, config=place.config()).height == len(CLOSES)
    for flags in (("tickers", "--rows", 10**20), ("show", "ALL", "--rows", 10**20, "--no-fetch", "-p", "max")):
        assert place.here(*flags).code == 0, flags
