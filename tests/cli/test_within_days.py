"""`ingest show` and `ingest export` of intraday bars."""

import json
from datetime import date, datetime

import polars as pl
import pytest
from minutes_kit import NEW_YORK, added_up, at, edges_of, minutes_text, some_minutes
from pipeline_kit import Place, write_keys

from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.market.catalogue import STOCKS_MINUTE

DAYS = [date(2025, 11, 25), date(2025, 11, 26), date(2025, 11, 28)]
MINUTES = {day: some_minutes(day, share=0.3) for day in DAYS}
CLOSES = dict(zip(DAYS, (16, 16, 13), strict=True))
WINDOW = ("--start", DAYS[0], "--end", DAYS[-1])
FLAGS = (*WINDOW, "--adjust", "none", "--no-fetch")


def hours(size=60, prepost=False):
    made = (added_up(MINUTES[day], edges_of(day, size, prepost, CLOSES[day])) for day in DAYS)
    return {begin: bar for one in made for begin, bar in one.items()}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    home = tmp_path_factory.mktemp("within")
    write_keys(home / "credentials")
    texts = {day: minutes_text({"AAPL": MINUTES[day], "MSFT": MINUTES[day]}) for day in DAYS}
    objects = {STOCKS_MINUTE.key(day): pack(text) for day, text in texts.items()}
    with pytest.MonkeyPatch.context() as patch, loopback.serve(objects) as server:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        patch.setenv("COLUMNS", "80")
        found = Place(home / "cache", server.endpoint_url, dataset=STOCKS_MINUTE)
        found.run(DAYS[0], DAYS[-1], tracked={"AAPL"})
        yield found


def shown(place, *flags):
    done = place.here("show", "AAPL", *FLAGS, *flags)
    assert (done.code, done.err) == (0, "")
    return done.out


def test_hours_on_a_screen_of_eighty_columns(place):
    out = shown(place, "-i", "1h", "--plot")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "AAPL: 18 bars of 1h in 3 sessions, 2025-11-25 to 2025-11-28"
    assert lines[1] == "prices in dollars, as traded; times of America/New_York"
    assert "11-25 09:30" in out.split("volume")[1]  # below the chart
    assert [line.split()[:2] for line in lines if line.strip().startswith("11-")][-1] == ["11-28", "12:30"]
    assert "volatility a year  not for intraday bars" in out
    assert "│" in out


@pytest.mark.parametrize(("interval", "size"), [("1m", 1), ("5m", 5), ("15m", 15), ("30m", 30), ("1h", 60)])
@pytest.mark.parametrize("prepost", [False, True])
def test_csv_has_the_time_with_its_offset(place, interval, size, prepost):
    out = shown(place, "-i", interval, "--csv", *(["--prepost"] if prepost else []))
    header, *lines = out.splitlines()
    assert header == "date,time,open,high,low,close,volume,source"
    rows = [line.split(",") for line in lines]
    found = {datetime.fromisoformat(row[1]): tuple(map(float, row[2:7])) for row in rows}
    assert found == hours(size, prepost)
    assert all(row[1].endswith("-05:00") and row[0] == row[1][:10] for row in rows)


def test_json_has_times_and_measures_without_volatilities(place):
    done = json.loads(shown(place, "-i", "1h", "--json"))
    assert (done["interval"], len(done["rows"])) == ("1h", 18)
    assert done["rows"][0]["time"] == "2025-11-25T09:30:00-05:00"
    measures = done["measures"]
    assert (measures["sessions"], measures["first"]) == (3, "2025-11-25T09:30:00-05:00")
    assert {name: value for name, value in measures.items() if "volatility" in name} == dict.fromkeys(
        ("volatility_close", "volatility_parkinson", "volatility_garman_klass")
    )
    moves = [one["date"] for one in (*measures["largest_up"], *measures["largest_down"])]
    assert all(datetime.fromisoformat(moment) in hours() for moment in moves)


def test_the_usual_period_within_days_is_five_sessions(place):
    done = place.here("show", "AAPL", "-i", "1h", "--adjust", "none", "--no-fetch")
    assert done.code == 4
    assert "5 of 5 sessions are missing" in done.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("-i", "3m"), "interval '3m': Massive's bars are 1m, 2m, 5m, 15m, 30m, 1h, 90m, 1d, 1wk, 1mo"),
        (("-i", "3mo"), "interval '3mo'"),
        (("-i", "1h", "--data-source", "yfinance"), "yfinance shows only bars of a day and longer"),
    ],
)
def test_what_is_not_shown_is_said(place, flags, words):
    done = place.here("show", "AAPL", *WINDOW, *flags)
    assert (done.code, words in done.err) == (2, True)


def test_a_dataset_of_minutes_is_shown_in_minutes(place):
    shown_as = shown(place, "--dataset", "stocks-minute", "--csv")
    assert shown_as == shown(place, "-i", "1m", "--csv")
    assert shown(place, "-d", "stocks-day", "-i", "1h", "--csv") == shown(place, "-i", "1h", "--csv")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_export_is_named_by_its_interval(place, kind):
    folder = place.root.parent / kind
    flags = ("--format", kind, "--out", folder, *WINDOW, "--interval", "1h")
    done = place.here("export", "AAPL", "MSFT", *flags)
    assert (done.code, done.err) == (0, "")
    assert sorted(path.name for path in folder.glob("[A-Z]*")) == [f"AAPL_1h.{kind}", f"MSFT_1h.{kind}"]
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet}[kind]
    frame = read(folder / f"MSFT_1h.{kind}")
    named = ["ticker"] if kind == "parquet" else []
    assert frame.columns == [*named, "date", "time", "open", "high", "low", "close", "volume", "source"]
    times = [datetime.fromisoformat(str(moment)).astimezone(NEW_YORK) for moment in frame["time"]]
    assert dict(zip(times, frame["close"].to_list(), strict=True)) == {at: bar[3] for at, bar in hours().items()}


def test_extended_hours_are_exported_where_they_are_asked_for(place):
    folder = place.root.parent / "extended"
    place.here("export", "AAPL", "--out", folder, *WINDOW, "-i", "30m", "--prepost")
    rows = pl.read_csv(folder / "AAPL_30m.csv")
    assert rows.height == len(hours(30, prepost=True))
    assert rows["time"][0] == at(DAYS[0], 4).isoformat()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("AAPL", "X:BTC-USD", "-i", "1h"),
            "AAPL belongs to stocks-minute and X:BTC-USD belongs to crypto-minute: request each market separately",
        ),
        (("AAPL", "-i", "1y"), "interval '1y'"),
    ],
)
def test_what_cannot_be_exported_is_said(place, arguments, words):
    done = place.here("export", *arguments, "--out", place.root.parent / "none")
    assert (done.code, words in done.err) == (2, True)
