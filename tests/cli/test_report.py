"""`ingest report`: what the file says, where it is written, and what is not written. Browsers open it elsewhere."""

import json
import re
import shutil
import sqlite3
import warnings
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from unittest.mock import patch

import polars as pl
import pytest
from pipeline_kit import Place, write_keys
from report_kit import (
    ABSENT,
    CORRECTED,
    DAMAGED,
    DAYS,
    FORBIDDEN,
    HOLIDAY,
    HOSTILE,
    SHORTENED,
    UNREADABLE,
    counts_of,
    data_of,
    filled,
    squares_of,
)

from ingest.cache.cache import Cache
from ingest.cli.report import calendar as calendars
from ingest.cli.report import charts as drawing
from ingest.cli.report import page as pages
from ingest.cli.report import words
from ingest.cli.report.calendar import SIGNS, calendar, first_year
from ingest.cli.report.datasets import collected
from ingest.cli.report.days import Day
from ingest.demo.servers import loopback
from ingest.errors import IngestWarning
from ingest.reading.adjusting.actions import HistoryQuery
from ingest.reading.history import history


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_keys(folder / "credentials")
    with loopback.serve({}) as server, pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        patched.setenv("AWS_CONFIG_FILE", str(folder / "none"))
        yield filled(Place(folder / "cache", server.endpoint_url), server)


@pytest.fixture(scope="module")
def page(place):
    told = place.here("report", "--out", "report.html")
    assert (told.code, told.err) == (0, "")
    return (place.root.parent / "report.html").read_text("utf-8")


def reasons(page, number=0):
    """What a click on each day shows as its reason, by date."""
    days = data_of(page)["days"][number]
    return dict(zip(squares_of(page), (days["whys"][why] for why in days["why"]), strict=True))


def test_each_day_has_its_state(page):
    found = squares_of(page)
    expected = dict.fromkeys(DAYS, "held") | dict.fromkeys(FORBIDDEN, "forbidden")
    expected |= {HOLIDAY: "holiday", CORRECTED: "corrected", DAMAGED: "damaged", ABSENT: "missing"}
    expected |= {UNREADABLE: "quarantined", SHORTENED: "quarantined"}
    assert found == {day: SIGNS[state] for day, state in sorted(expected.items())}


def test_the_legend_counts_what_status_counts(place, page):
    (status,) = map(json.loads, place.here("status", "--json").out.splitlines())
    found, states = counts_of(page), Counter()
    for one in status["sessions"]:
        states[one["held"] if one["held"] != "none" else one["remote"]] += one["count"]
    kept = sum(one["held"] for one in status["quarantine"])
    assert found["held"] + found["corrected"] + found["damaged"] + kept == states["committed"] == 6
    assert found["quarantined"] == len(status["quarantine"]) == 2
    assert found["damaged"] == len(status["not_whole"]) == 1
    assert (found["forbidden"], found["missing"]) == (states["forbidden"], states["absent"]) == (2, 1)
    assert Counter(squares_of(page).values()) == {SIGNS[state]: count for state, count in found.items()}


def test_each_day_says_why(page):
    why = reasons(page)
    assert why[DAYS[0]] == ""
    assert why[HOLIDAY] == "The market was closed."
    assert why[ABSENT] == "The source lists no file of it."
    assert why[DAMAGED] == "A part is missing or damaged; the next run downloads it again if it can."
    assert "An earlier version is stored." in why[SHORTENED]
    assert "No other version is stored." in why[UNREADABLE]
    assert why[CORRECTED].startswith("Republished: 8 changes of ")
    assert "subscription" in why[FORBIDDEN[0]]


def test_the_vendors_changes_have_old_and_new_values(page):
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL)]
    changes = [row[:5] for row in rows if row and row[0] == str(CORRECTED) and "AAPL" in row]
    assert [str(CORRECTED), "AAPL", "open", "101", "77"] in changes
    assert len(changes) == 4


def test_the_runs_say_how_they_ended(page):
    runs = re.findall(r'<span class="exit (\w+)">(\d+)</span>', page)
    assert runs == [("no", "3"), ("no", "3")]


class _Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.names, self.texts = Counter(), []
        self.attributes = []

    def handle_starttag(self, tag, attrs):
        self.names[tag] += 1
        self.attributes += [(tag, *one) for one in attrs]

    def handle_data(self, data):
        self.texts.append(data)


def test_a_ticker_that_is_markup_is_text(page):
    found = _Elements()
    found.feed(page)
    assert found.names["b"] == 0
    assert "taken" not in " ".join(str(value) for _, _, value in found.attributes)
    assert HOSTILE.replace("\u202e", "\\u202e") in found.texts
    assert "\u202e" not in page


def test_nothing_is_loaded_from_elsewhere(page):
    found = _Elements()
    found.feed(page)
    loading = {("src",), ("srcset",), ("poster",), ("data",), ("action",)}
    assert [one for one in found.attributes if one[1:2] in loading] == []
    assert {one[2][0] for one in found.attributes if one[1] == "href"} == {"#"}
    assert found.names["link"] == found.names["img"] == found.names["iframe"] == 0
    assert "default-src 'none'" in page
    assert "@import" not in page


def test_an_empty_cache_has_a_report(tmp_path):
    told = Place(tmp_path / "cache", "http://127.0.0.1:9").here("report")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"{tmp_path / 'ingest-report.html'}: 1 dataset, ")
    assert "Nothing is stored yet." in (tmp_path / "ingest-report.html").read_text()
    assert not (tmp_path / "cache").exists()


def test_a_program_gets_its_path_and_size(place, tmp_path):
    told = place.here("report", "--json", "--out", tmp_path / "new" / "r.html")
    said = json.loads(told.out)
    written = (tmp_path / "new" / "r.html").stat().st_size
    assert {name: said[name] for name in ("version", "kind", "path", "bytes", "datasets")} == {
        "version": 1,
        "kind": "report",
        "path": str(tmp_path / "new" / "r.html"),
        "bytes": written,
        "datasets": 1,
    }


def test_a_folder_is_not_overwritten(place, tmp_path):
    told = place.here("report", "--out", tmp_path)
    assert (told.code, told.err) == (2, f"error: {tmp_path} is a folder: name the file to write\n")


# Another user may not read the page's template, which lies beside the tests.
@pytest.mark.parametrize("reader", ["closed to writing"], indirect=True)
def test_a_cache_that_may_only_be_read_has_a_report(place, reader, folder):
    shutil.copytree(place.root, folder / "cache")
    (folder / "out").mkdir()
    reader.close(folder / "cache")
    before = {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*")}
    run = "app(['report', '--json', '--out', sys.argv[1]], standalone_mode=False)"
    environment = place.environment(INGEST_CACHE__ROOT=str(folder / "cache"))
    there = folder / "out" / "r.html"
    said = reader.said("import sys; from ingest.cli.app import app", run, there, env=environment)
    assert said["bytes"] == there.stat().st_size
    assert {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*")} == before


def test_where_rows_cannot_be_read_the_rest_is_there(place, tmp_path):
    shutil.copytree(place.root, tmp_path / "cache")
    there = Place(tmp_path / "cache", place.endpoint_url)
    (there.root / "data_cache" / "sessions" / f"{DAYS[0]}.csv.gz").unlink()
    (there.root / "data_cache" / "AAPL_1d_data.csv").unlink()
    told = there.here("report", "--out", "r.html")
    assert (told.code, told.err) == (0, "")
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "No charts of stocks-day: " in text
    assert squares_of(text)[DAYS[0]] == SIGNS["damaged"]
    assert 'id="chart"' not in text


def test_odd_numbers_of_a_run_and_long_texts_do_no_harm(place, tmp_path):
    shutil.copytree(place.root, tmp_path / "cache")
    there = Place(tmp_path / "cache", place.endpoint_url)
    with closing(sqlite3.connect(there.root / "manifest.sqlite")) as manifest:
        odd = json.dumps({"fetched": "many", "bytes": [1], "seconds": 0, "source_rows": None})
        manifest.execute("UPDATE runs SET summary = ? WHERE run = 1", (odd,))
        manifest.execute("UPDATE runs SET summary = NULL, exit_code = 99 WHERE run = 2")
        manifest.execute("UPDATE quarantine SET reason = ?", ("long " * 100_000,))
        manifest.commit()
    assert there.here("report", "--out", "r.html").code == 0
    text = (tmp_path / "r.html").read_text("utf-8")
    assert re.findall(r'<span class="exit no">(\d+)</span> (\w+)', text) == [("99", "failed"), ("3", "some")]
    assert len(text) < 350_000


def test_it_says_what_to_install(place):
    pages._environment.cache_clear()
    with patch.dict("sys.modules", {"jinja2": None}):
        told = place.here("report", "--out", "other.html")
    assert (told.code, told.err) == (2, "error: the report needs Jinja2: `pip install 'ingest[report]'`\n")
    assert not (place.root.parent / "other.html").exists()


def test_it_can_be_opened(place):
    with patch("webbrowser.open", return_value=True) as opened:
        assert place.here("report", "--open").code == 0
    opened.assert_called_once_with((place.root.parent / "ingest-report.html").as_uri())
    with patch("webbrowser.open", return_value=False):
        assert place.here("report", "--open").err == "warning: there is no browser to open it with\n"


class TestTheCalendar:
    def test_a_year_of_which_nothing_is_stored_is_a_line(self):
        days = [Day(DAYS[0] - timedelta(days=365), "forbidden"), Day(DAYS[0], "held", is_stored=True)]
        found = calendar(days)
        assert [year.year for year in found.years] == [2025]
        assert found.quiet == ["2024: nothing is stored; 1 session forbidden"]
        assert found.counts == {"held": 1, "forbidden": 1}

    def test_years_beyond_the_budget_are_lines(self):
        days = [Day(date(year, 6, day), "held", is_stored=True) for year in (2022, 2023, 2024) for day in (1, 2)]
        with patch.object(calendars, "_DAYS", 9):
            since = first_year([days, days])
        assert since == 2023
        found = calendar(days, since)
        assert [year.year for year in found.years] == [2024, 2023]
        assert found.quiet == ["2022: 2 sessions stored"]
        assert found.counts == {"held": 6}
        assert (first_year([]), first_year([days] * 20_000)) == (0, 2024)

    def test_a_day_lies_in_the_row_of_its_weekday(self):
        days = [
            Day(DAYS[2] + timedelta(days=n), "held") for n in range(14) if (DAYS[2] + timedelta(days=n)).weekday() < 5
        ]
        (year,) = calendar(days).years
        may, june = year.months
        assert (may.row, june.row) == (3, 1)  # Wednesday, Monday
        assert all(cell for month in year.months for cell in month.cells)

    def test_a_session_on_a_saturday_leaves_holes_in_the_other_weeks(self):
        numbers = (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 14)
        found = calendar([Day(DAYS[0] + timedelta(days=n - 14), "held") for n in numbers])
        (may,) = found.years[0].months
        assert found.rows == 6
        assert [cell is not None for cell in may.cells] == [*[True] * 11, False, True]


def read(place, adjust):
    """The rows of AAPL, as Python's function returns them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IngestWarning)  # sessions are missing, and no price jumps at the split
        return history(place.settings(), place.dataset, HistoryQuery(["AAPL"], adjust=adjust, fetch=False))


class TestTheCharts:
    def test_they_have_the_rows_as_traded(self, place, page):
        (part,) = data_of(page)["charts"]
        assert [one["ticker"] for one in part["tickers"]] == [HOSTILE.replace("\u202e", "\\u202e"), "AAPL"]
        rows = read(place, "none")
        apple = part["tickers"][1]
        for name in ("open", "high", "low", "close", "volume"):
            assert apple[name[0]] == rows[name].to_list()
        assert (apple["at"], part["dates"]) == (0, [str(day) for day in rows["date"]])
        assert part["tickers"][0]["at"] == [0, 1, 3, 4, 5]  # the other did not trade in the third session

    def test_their_factors_adjust_them(self, place, page):
        apple = data_of(page)["charts"][0]["tickers"][1]
        rows = read(place, "all")
        assert [at for at, _ in apple["by"]] == [0, 2, 5]
        assert [at for at, _ in apple["times"]] == [0, 2]
        for factors, raw, name in ((apple["by"], apple["c"], "close"), (apple["times"], apple["v"], "volume")):
            each = [next(factor for at, factor in reversed(factors) if at <= n) for n in range(len(raw))]
            assert [one * factor for one, factor in zip(raw, each, strict=True)] == pytest.approx(rows[name].to_list())

    def test_one_that_cannot_be_adjusted_is_as_traded_and_says_so(self, page):
        hostile, apple = data_of(page)["charts"][0]["tickers"]
        assert (apple["adjusts"], apple["note"]) == (True, "")
        assert (hostile["adjusts"], hostile["by"], hostile["times"]) == (False, [], [])
        assert hostile["note"].startswith("As traded: its splits and dividends are not known")
        assert "Shown only as traded because their splits and dividends are unknown" in page

    def test_many_tickers_have_fewer_sessions_and_then_the_last_have_none(self, place):
        with patch.multiple(drawing, _ROWS=8, _FEWEST=3):
            (few,) = drawing.charts(place.settings(), [place.dataset])
        assert [(len(one["c"]), few.left, few.since) for one in few.tickers] == [(3, 0, True), (4, 0, True)]
        assert few.dates == [str(day) for day in sorted({*DAYS[:8]} - {ABSENT, UNREADABLE})[-4:]]
        with patch.multiple(drawing, _ROWS=5, _FEWEST=5):
            (one,) = drawing.charts(place.settings(), [place.dataset])
        assert ([len(ticker["c"]) for ticker in one.tickers], one.left) == ([4], 1)  # of five sessions

    def test_the_growth_sums_up_the_files(self, place, page):
        growth = data_of(page)["growth"]
        assert [day for day, _ in growth] == [str(day) for day in DAYS[:8] if day not in (ABSENT, UNREADABLE)]
        with Cache.read(place.settings(), place.dataset) as cache:
            assert growth[-1][1] == sum(size for _, size, _, _ in cache.manifest.sessions.stored())


def test_eighteen_datasets_of_five_years_and_sixty_tickers_stay_below_six_megabytes(place):
    found = collected(place.settings(), place.dataset)
    span = [DAYS[0] - timedelta(days=n) for n in range(5 * 366, 0, -1)]
    days = [
        Day(day, "held", 11_000 + n, 220_000 + 7 * n, f"2026-11-24T06:{n % 60:02}:01+00:00", findings={"no rows": 1})
        for n, day in enumerate(span)
        if day.weekday() < 5
    ]
    (drawn,) = drawing.charts(place.settings(), [place.dataset])
    places = range(len(days))
    numbers = {name: [round(123.45 + n / 100, 2) for n in places] for name in "ohlc"} | {
        "v": [n * 54_321 for n in places]
    }
    ticker = {**drawn.tickers[0], **numbers, "at": 0}
    many = replace(drawn, dates=[str(day.day) for day in days], tickers=[ticker] * 60)
    text = pages.page(place.settings(), [replace(found, days=days)] * 18, [many])
    assert len(days) * 18 == text.count(b'<button class="day h"')
    assert 3_000_000 < len(text) < 6_000_000


class TestShowHtml:
    def test_it_writes_the_chart_alone(self, place):
        told = place.here("show", HOSTILE, "--start", DAYS[0], "--end", DAYS[3], "--no-fetch", "--html", "one.html")
        file = place.root.parent / "one.html"
        assert (told.code, told.out) == (0, f"{file}: {file.stat().st_size / 1000:.1f} kB\n")
        page = file.read_text("utf-8")
        (part,) = data_of(page)["charts"]
        assert part["dates"] == [str(day) for day in (*DAYS[:2], DAYS[3])]
        assert part["tickers"][0]["c"] == [101, 79, 104]
        found = _Elements()
        found.feed(page)
        assert HOSTILE.replace("\u202e", "\\u202e") in found.texts
        assert "3 sessions, 2025-05-19 to 2025-05-22; prices in dollars, as traded" in found.texts

    def test_the_hour_that_happens_twice_keeps_its_order(self):
        moments = [datetime(2025, 11, 2, 5, 30, tzinfo=UTC) + timedelta(minutes=30 * n) for n in range(5)]
        times = pl.Series("time", moments).dt.convert_time_zone("America/New_York")
        found = drawing.stamps(pl.DataFrame({"time": times}))
        assert found["labels"] == [f"2025-11-02 {clock}" for clock in ("01:30", "01:00", "01:30", "02:00", "02:30")]
        seconds = found["dates"]
        assert all(after > before for before, after in pairwise(seconds))
        assert seconds[-1] == datetime(2025, 11, 2, 2, 30, tzinfo=UTC).timestamp()

    def test_it_is_instead_of_rows(self, place):
        told = place.here("show", "AAPL", "--csv", "--html", "one.html")
        assert (told.code, told.err) == (2, "error: --csv, --json and --html exclude each other\n")


def test_the_library_of_the_charts_is_the_one_whose_licence_lies_beside_it():
    folder = pages.FOLDER / "vendor"
    version = re.search(r"Lightweight Charts™ v([\d.]+)", pages._read(pages._LIBRARY)[:300])[1]
    assert "Apache License" in (folder / "LICENSE-lightweight-charts").read_text()
    contributing = (pages.FOLDER.parents[2] / ".github" / "CONTRIBUTING.md").read_text()
    assert f"npm pack lightweight-charts@{version}" in contributing


def test_a_run_is_advised_only_where_it_can_help(place):
    found = collected(place.settings(), place.dataset)
    (told,) = (one for one in words.advice(found, ()) if "not listed" in one.text)
    assert (told.level, told.text, told.command) == ("note", "1 session not listed by the source.", "")
    assert not any("missing." in one.text for one in words.advice(found, ()))
    days = [replace(day, remote="failed") if day.day == ABSENT else day for day in found.days]
    assert any(one.text == "1 session missing." for one in words.advice(replace(found, days=days), ()))
