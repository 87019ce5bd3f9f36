"""Whole runs against a real S3 server: what is asked of it, what lands on disk, what the manifest says."""

import csv
import gzip
import io
import json
import socket
from datetime import date
from pathlib import Path

import pytest
from pipeline_kit import (
    TRACKED,
    Place,
    assert_same,
    flat,
    key,
    market_day,
    market_objects,
    trading_days,
    weekdays,
    window,
    write_keys,
)

from ingest import events
from ingest.demo import seaweed as weed
from ingest.demo.market import pack
from ingest.errors import CacheError, Disrupted, SourceRefused, UsageError

DAYS = trading_days(date(2025, 3, 3), 8)
SPAN = window(DAYS)
ROWS = [("AAPL", "100.5"), ("MSFT", "20.25"), ("NVDA", "3"), ("ZVZZT", "1")]


@pytest.fixture(scope="module")
def reader(seaweed):
    """Keys that may read everything, for all tests: the server takes a second to learn of new ones."""
    return seaweed.reader()


@pytest.fixture
def keys(reader, tmp_path, monkeypatch):
    """The reader's keys, written where a run looks for them."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    write_keys(tmp_path / "credentials", reader.access_key, reader.secret_key)
    return reader


@pytest.fixture
def own_keys(seaweed, bucket, tmp_path, keys):
    """Keys of this test alone, to be given other rights."""
    who = seaweed.reader(f"List:{bucket}", f"Read:{bucket}/*")
    write_keys(tmp_path / "credentials", who.access_key, who.secret_key)
    return who


@pytest.fixture
def place(seaweed, bucket, tmp_path, keys):
    return Place(tmp_path / "cache", seaweed.endpoint_url, bucket)


@pytest.fixture(scope="module")
def library(seaweed):
    """A bucket with the market's files of all DAYS, for all tests that leave it as it is: a new one takes a second."""
    weed.make_bucket(seaweed.server, seaweed.writer, "library")
    seaweed.fill("library", market_objects(DAYS).items())
    yield "library"
    seaweed.server.client(seaweed.writer).delete_bucket(Bucket="library")


@pytest.fixture
def filled(seaweed, library, tmp_path, keys):
    """A place whose source is the library."""
    return Place(tmp_path / "cache", seaweed.endpoint_url, library)


@pytest.fixture
def filled_here(place, seaweed, bucket):
    """The place, with the library's files in a bucket of its own."""
    seaweed.fill(bucket, market_objects(DAYS).items())
    return place


@pytest.fixture
def put(seaweed, bucket):
    """Store a day's text, or what is given as its packed bytes."""

    def store(day, text=None, packed=None):
        return seaweed.put(bucket, key(day), pack(text) if packed is None else packed)

    return store


def rows_of(ticker, days):
    """What a tracked CSV is to say, read from the market's text by the standard library."""
    found = {}
    for day in days:
        for row in csv.DictReader(io.StringIO(market_day(day).decode())):
            if row["ticker"] == ticker:
                found.setdefault(str(day), ",".join(row[name] for name in ("open", "high", "low", "close", "volume")))
    return found


def dates(days):
    return [str(day) for day in days]


# A fresh run, and nothing to do


def test_a_fresh_run_fills_both_tiers(filled):
    ran = filled.run(*SPAN)
    assert ran.gets == DAYS
    assert (ran.finished.exit_code, ran.finished.fetched, ran.finished.committed) == (0, 8, 8)
    assert ran.finished.requests == len(ran.wire.sent)
    assert ran.finished.files_projected == len(TRACKED)
    assert ran.reasons == {"fetch: new": 8}
    assert all(filled.reassembled(day) == market_day(day) for day in DAYS)
    for ticker, name in {"AAPL": "AAPL", "BRK.B": "BRK.B", "BACpL": "BAC_pL", "TRUE": "TRUE"}.items():
        assert filled.csv(name) == rows_of(ticker, DAYS)
    assert not set(filled.archived(DAYS[0])) & TRACKED
    assert len(list(filled.tracked.glob("*.csv"))) == len(TRACKED)


def test_a_fresh_run_of_the_command_makes_the_same_of_an_empty_folder(filled, tmp_path):
    other = Place(tmp_path / "other" / "cache", filled.endpoint_url, filled.bucket)
    other.root.parent.mkdir()
    done = other.cli("run", "--start", SPAN[0], "--end", SPAN[1])
    assert (done.returncode, done.stderr) == (0, "")
    filled.run(*SPAN)
    assert_same(other, filled)
    assert (other.root / "manifest.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_second_run_downloads_nothing_and_touches_nothing(filled):
    filled.run(*SPAN)
    before = {path: path.stat().st_mtime_ns for path in filled.root.rglob("*.csv*")}
    again = filled.run(*SPAN)
    assert again.gets == []
    # One listing, and a byte of the oldest held: whether the plan still reaches back so far.
    assert (len(again.wire.sent), len(again.wire.listings), again.probes) == (2, 1, [SPAN[0]])
    assert again.of(events.Projected) == []
    assert (again.finished.exit_code, again.finished.fetched, again.finished.committed) == (0, 0, 8)
    assert {path: path.stat().st_mtime_ns for path in filled.root.rglob("*.csv*")} == before


def test_24_months_with_nothing_to_do_are_at_most_5_requests(filled):
    filled.run(date(2023, 3, 15), date(2025, 3, 14))
    again = filled.run(date(2023, 3, 15), date(2025, 3, 14))
    assert 3 <= len(again.wire.sent) <= 5
    assert again.gets == []


def test_what_is_not_published_yet_is_fetched_when_it_is(place, put):
    put(DAYS[0], flat(ROWS))
    ran = place.run(*SPAN)
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.unpublished) == (0, 1, 7)
    put(DAYS[2], flat(ROWS))
    ran = place.run(*SPAN)
    assert ran.gets == [DAYS[2]]
    assert (ran.finished.committed, ran.finished.absent, ran.finished.unpublished) == (2, 1, 5)
    assert (place.state(DAYS[1]), place.state(DAYS[3])) == (("none", "absent"), ("none", "unpublished"))


# Windows


def test_a_window_grown_backwards_and_forwards_fetches_what_is_new(filled, tmp_path):
    assert filled.run(DAYS[3], DAYS[4]).gets == DAYS[3:5]
    assert filled.run(DAYS[1], DAYS[4]).gets == DAYS[1:3]
    assert list(filled.csv("AAPL")) == dates(DAYS[1:5])
    assert filled.run(DAYS[1], DAYS[6]).gets == DAYS[5:7]
    assert filled.run(DAYS[0], DAYS[7]).gets == [DAYS[0], DAYS[7]]
    at_once = Place(tmp_path / "at once", filled.endpoint_url, filled.bucket)
    at_once.run(*SPAN)
    assert_same(filled, at_once)


def test_a_smaller_window_gives_nothing_up(filled):
    filled.run(*SPAN)
    before = filled.tiers()
    ran = filled.run(DAYS[2], DAYS[3])
    assert (ran.gets, ran.finished.committed) == ([], 2)
    assert filled.tiers() == before


def test_a_weekend_is_an_empty_window(filled):
    ran = filled.run(date(2025, 3, 8), date(2025, 3, 9))
    assert (ran.gets, ran.finished.exit_code, ran.finished.committed) == ([], 0, 0)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--start", "2001-01-02", "--end", "2003-09-09"], "begins on 2003-09-10"),
        (["--start", "2025-03-07", "--end", "2025-03-06"], "the wrong way round"),
        (["--months", "3", "--start", "2025-03-06"], "exclude each other"),
        (["--start", "2999-01-04", "--end", "2999-01-05"], "after today"),
    ],
)
def test_windows_that_cannot_be_are_refused(filled, flags, words):
    done = filled.cli("run", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_window_that_begins_before_the_data_is_cut(filled_here, put):
    put(date(2003, 9, 12), flat(ROWS))
    done = filled_here.cli("run", "--json", "--start", "2003-09-01", "--end", "2003-09-12")
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["start"], last["end"]) == (0, "2003-09-10", "2003-09-12")
    assert (last["absent"], last["committed"]) == (2, 1)
    assert "the window begins there" in done.stdout


# The list changes


def test_a_ticker_that_joins_leaves_and_comes_back_is_projected_from_the_parts(filled):
    without = TRACKED - {"TRUE"}
    filled.run(*window(DAYS[:3]), tracked=without)
    parts = {name: data for name, data in filled.tiers().items() if name.endswith(".gz")}

    joined = filled.run(*window(DAYS[:3]))
    assert joined.gets == []
    assert filled.csv("TRUE") == rows_of("TRUE", DAYS[:3])
    assert {name: data for name, data in filled.tiers().items() if name.endswith(".gz")} == parts

    filled.run(*window(DAYS[:5]))  # in the tracked parts
    left = filled.run(*window(DAYS[:7]), tracked=without)
    assert left.gets == DAYS[5:7]
    assert filled.csv("TRUE") == rows_of("TRUE", DAYS[:5])
    assert "TRUE" in filled.archived(DAYS[6])
    assert b"\nTRUE," in filled.part_text(DAYS[4])

    back = filled.run(*window(DAYS[:7]))
    assert back.gets == []
    assert filled.csv("TRUE") == rows_of("TRUE", DAYS[:7])
    assert filled.csv("AAPL") == rows_of("AAPL", DAYS[:7])


def test_without_the_rest_a_new_ticker_is_fetched_again_and_nothing_held_is_given_up(filled_here, put):
    days = DAYS[:3]
    first = filled_here.run(*window(days), tracked={"AAPL", "TRUE"}, save_others=False)
    assert (first.finished.archive_rows, list(filled_here.archive.iterdir())) == (0, [])
    assert first.finished.dropped_rows == first.finished.source_rows - first.finished.tracked_rows > 0

    other = filled_here.run(*window(days), tracked={"AAPL", "BRK.B"}, save_others=False)
    assert (other.gets, other.reasons) == (days, {"fetch: lacks BRK.B": 3})
    assert filled_here.csv("BRK.B") == rows_of("BRK.B", days)
    assert b"\nTRUE," in filled_here.part_text(days[0])
    assert filled_here.run(*window(days), tracked={"AAPL", "TRUE"}, save_others=False).gets == []
    assert filled_here.corrections() == []

    rest = filled_here.run(*window(days), tracked={"AAPL"})
    assert (rest.gets, rest.reasons) == (days, {"fetch: lacks archive": 3})
    assert all(filled_here.reassembled(day) == market_day(day) for day in days)
    assert b"\nTRUE," in filled_here.part_text(days[0])
    assert filled_here.run(*window(days), tracked=TRACKED, save_others=False).gets == []
    assert filled_here.csv("BAC_pL") == rows_of("BACpL", days)
    put(DAYS[1], flat(ROWS))
    filled_here.run(*window(days), tracked={"AAPL"}, save_others=False)
    assert filled_here.reassembled(DAYS[1]) == flat(ROWS)


def test_without_any_ticker_all_goes_into_the_archive_and_the_user_is_told_how(filled):
    ran = filled.run(*SPAN, tracked=())
    assert (ran.finished.exit_code, ran.finished.tracked_rows) == (0, 0)
    assert all(filled.part_text(day, "archive") == market_day(day) for day in DAYS)
    assert list(filled.tracked.glob("*.csv")) == []
    done = filled.cli("run", "--start", DAYS[0], "--end", DAYS[0], INGEST_TRACKED__TICKERS="[]")
    assert done.returncode == 0
    assert "no ticker is tracked, all go into the archive" in done.stdout


# The source changes its mind


def test_a_replaced_file_is_a_correction(place, put):
    for day in DAYS[:3]:
        put(day, flat([*ROWS, ("TSLA", "7")]))
    place.run(*window(DAYS[:3]), tracked={"AAPL", "TSLA"})
    replaced = flat([("AAPL", "101"), *ROWS[1:]])
    put(DAYS[1], replaced)

    ran = place.run(*window(DAYS[:3]), tracked={"AAPL", "TSLA"})
    assert (ran.gets, ran.reasons) == ([DAYS[1]], {"fetch: new etag": 1, "skip: committed": 2})
    assert (ran.finished.corrections, ran.finished.exit_code) == (1, 0)
    ((day, removed, added),) = place.corrections()
    assert day == DAYS[1]
    assert sorted(removed) == ["AAPL,1000,100.5,100.5,100.5,100.5,1,0", "TSLA,1004,7,7,7,7,1,4"]
    assert added == ["AAPL,1000,101,101,101,101,1,0"]
    assert place.closes("AAPL") == dict(zip(dates(DAYS[:3]), ["100.5", "101", "100.5"], strict=True))
    assert list(place.csv("TSLA")) == dates([DAYS[0], DAYS[2]])
    assert place.reassembled(DAYS[1]) == replaced
    assert place.run(*window(DAYS[:3]), tracked={"AAPL", "TSLA"}).gets == []


def test_a_ticker_whose_only_row_vanishes_loses_its_csv(place, put):
    put(DAYS[0], flat(ROWS))
    place.run(*SPAN, tracked={"AAPL", "MSFT"})
    put(DAYS[0], flat(ROWS[1:]))
    place.run(*SPAN, tracked={"AAPL", "MSFT"})
    assert place.csv("AAPL") is None
    assert list(place.csv("MSFT")) == dates(DAYS[:1])


def test_a_file_packed_anew_with_equal_text_is_no_correction(place, put):
    text = flat(ROWS)
    put(DAYS[0], text)
    place.run(*SPAN)
    before = place.tiers()
    put(DAYS[0], packed=gzip.compress(text, 9, mtime=0))
    ran = place.run(*SPAN)
    assert (ran.gets, place.corrections(), place.tiers()) == ([DAYS[0]], [], before)


def test_equal_text_that_polars_had_to_cut_is_no_correction(place, put):
    text = flat([('"AAPL"', "1"), ("MSFT", "2")], header="ticker,volume,open,close,high,low,window_start,note").replace(
        b",1,1\n", b',1,"two\nlines"\n'
    )
    put(DAYS[0], text)
    place.run(*SPAN)
    put(DAYS[0], packed=gzip.compress(text, 9, mtime=0))
    ran = place.run(*SPAN)
    assert (ran.gets, ran.finished.exit_code, place.corrections()) == ([DAYS[0]], 0, [])


def test_a_correction_tells_of_the_file_alone_when_the_list_grew_meanwhile(place, put):
    put(DAYS[0], flat(ROWS))
    place.run(*SPAN, tracked={"AAPL"}, save_others=False)
    put(DAYS[0], flat([("AAPL", "7"), *ROWS[1:]]))
    place.run(*SPAN, tracked={"AAPL", "MSFT"}, save_others=False)
    ((_, removed, added),) = place.corrections()
    assert [line.split(",")[0] for line in removed] == ["AAPL"]
    assert [line.split(",")[0] for line in added] == ["AAPL"]


def test_a_last_newline_that_comes_or_goes_changes_no_line(place, put):
    put(DAYS[0], flat(ROWS))
    place.run(*SPAN)
    put(DAYS[0], flat([*ROWS[:-1], ("ZVZZT", "2")])[:-1])
    place.run(*SPAN)
    ((_, removed, added),) = place.corrections()
    assert ([line[:5] for line in removed], [line[:5] for line in added]) == (["ZVZZT"], ["ZVZZT"])


def test_a_file_that_vanishes_is_not_given_up(filled_here, seaweed, bucket):
    filled_here.run(*SPAN)
    before = filled_here.tiers()
    seaweed.delete(bucket, key(DAYS[2]))
    ran = filled_here.run(*SPAN)
    assert (ran.gets, ran.finished.exit_code, ran.finished.committed) == ([], 0, 8)
    assert filled_here.tiers() == before
    assert filled_here.state(DAYS[2]) == ("committed", "absent")


def test_refresh_fetches_what_is_held_and_makes_the_same_of_it(filled):
    filled.run(*SPAN)
    before = filled.tiers()
    ran = filled.run(*window(DAYS[:4]), refresh=True)
    assert (ran.gets, ran.reasons, ran.finished.exit_code) == (DAYS[:4], {"fetch: refresh": 4}, 0)
    assert (filled.tiers(), filled.corrections()) == (before, [])


# What the plan of the keys does not allow


def test_a_forbidden_newest_month_is_no_error_and_is_fetched_when_it_opens(place, seaweed, bucket, own_keys):
    days = trading_days(date(2025, 3, 25), 20)
    objects = market_objects(days)
    seaweed.fill(bucket, objects.items())
    april = [day for day in days if day.month == 4]
    seaweed.permit(own_keys, *weed.reader_actions(bucket, objects, {key(day) for day in april}))

    ran = place.run(*window(days))
    march = [day for day in days if day not in april]
    assert ran.gets == march
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.forbidden) == (0, 5, 15)
    assert ran.of(events.Forbidden) == []  # found by requests of one byte
    assert ran.of(events.Retrying) == []
    assert place.state(april[3]) == ("none", "forbidden")

    again = place.run(*window(days))
    assert again.gets == [april[0], april[-1]]
    assert (again.finished.exit_code, again.finished.committed, again.finished.forbidden) == (0, 5, 15)

    # The plan rolls on by one day: a request for it, and one for what comes next.
    seaweed.permit(own_keys, *weed.reader_actions(bucket, objects, {key(day) for day in april[1:]}))
    rolled = place.run(*window(days))
    assert sorted(rolled.gets) == [april[0], april[1], april[-1]]
    assert (rolled.committed, rolled.finished.forbidden) == ([april[0]], 14)

    seaweed.permit(own_keys, *weed.reader_actions(bucket, objects, []))
    opened = place.run(*window(days))
    assert sorted(opened.gets) == opened.committed == april[1:]
    assert (opened.finished.committed, opened.finished.forbidden, opened.finished.exit_code) == (20, 0, 0)
    assert list(place.csv("AAPL")) == dates(days)


def test_a_replacement_that_is_forbidden_leaves_what_is_held(filled_here, seaweed, bucket, own_keys, put):
    filled_here.run(*SPAN)
    before = filled_here.tiers()
    put(DAYS[3], flat(ROWS))
    seaweed.permit(own_keys, *weed.reader_actions(bucket, map(key, DAYS), {key(DAYS[3])}))
    ran = filled_here.run(*SPAN)
    assert (ran.gets, ran.finished.exit_code, ran.finished.committed) == ([DAYS[3]], 0, 8)
    assert filled_here.tiers() == before
    assert filled_here.state(DAYS[3]) == ("committed", "forbidden")
    seaweed.permit(own_keys, *weed.reader_actions(bucket, map(key, DAYS), []))
    assert filled_here.run(*SPAN).committed == [DAYS[3]]
    assert filled_here.reassembled(DAYS[3]) == flat(ROWS)


# Files that cannot be read

GOOD = flat([(f"T{n:04}", str(n)) for n in range(2000)])
PACKED = pack(GOOD)


def flipped(at):
    return PACKED[:at] + bytes([PACKED[at] ^ 0xFF]) + PACKED[at + 1 :]


UNREADABLE = {
    "no gzip": b"<html>maintenance</html>",
    "empty": b"",
    "cut short": PACKED[: len(PACKED) // 2],
    "no trailer": PACKED[:-8],
    "header damaged": flipped(1),
    "block damaged": flipped(14),
    "data damaged": flipped(len(PACKED) // 2),
    "checksum damaged": flipped(-6),
    "column missing": pack(flat(ROWS, header="ticker,volume,open,close,high,window_start,transactions,x")),
    "not a number": pack(flat([("AAPL", "cheap")])),
    "not UTF-8": pack(flat(ROWS).replace(b",1,1\n", b",1,caf\xe9\n")),
}


@pytest.mark.parametrize("packed", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_file_is_quarantined_and_stops_nothing(place, put, packed):
    for day in DAYS[:3]:
        put(day, flat(ROWS))
    put(DAYS[1], packed=packed)
    ran = place.run(*SPAN)
    assert (ran.finished.exit_code, ran.finished.committed, ran.finished.quarantined) == (3, 2, 1)
    assert sorted(ran.gets) == [DAYS[0], DAYS[1], DAYS[1], DAYS[2]]  # once more, lest the fault was on the way
    (event,) = ran.of(events.Quarantined)
    assert Path(event.path).read_bytes() == packed
    assert event.reason
    assert place.state(DAYS[1]) == ("quarantined", "listed")
    assert list(place.root.rglob("*.tmp")) == []


def test_an_unreadable_file_is_not_fetched_again_until_its_etag_changes(place, put):
    put(DAYS[0], packed=b"nonsense")
    place.run(*SPAN)
    again = place.run(*SPAN)
    assert (again.gets, again.finished.exit_code, again.finished.quarantined) == ([], 3, 1)
    assert place.run(*SPAN, refresh=True).gets == [DAYS[0]] * 2
    put(DAYS[0], flat(ROWS))
    mended = place.run(*SPAN)
    assert (mended.gets, mended.reasons["fetch: new etag"], mended.finished.exit_code) == ([DAYS[0]], 1, 0)
    assert place.reassembled(DAYS[0]) == flat(ROWS)
    assert place.state(DAYS[0]) == ("committed", "listed")


def test_an_unreadable_replacement_never_replaces_what_is_held(filled_here, put):
    filled_here.run(*SPAN)
    before = filled_here.tiers()
    put(DAYS[2], packed=PACKED[:-20])
    ran = filled_here.run(*SPAN)
    assert (ran.finished.exit_code, ran.finished.quarantined, ran.finished.committed) == (3, 1, 7)
    assert filled_here.tiers() == before
    assert filled_here.state(DAYS[2])[0] == "committed"
    assert filled_here.run(*SPAN).gets == []
    put(DAYS[2], flat(ROWS))
    assert filled_here.run(*SPAN).committed == [DAYS[2]]
    assert filled_here.reassembled(DAYS[2]) == flat(ROWS)


# Text as it came

TEXTS = {
    "lf": flat(ROWS),
    "crlf": flat(ROWS, end="\r\n"),
    "bom": b"\xef\xbb\xbf" + flat(ROWS),
    "no last newline": flat(ROWS)[:-1],
    "crlf, bom, no last newline": b"\xef\xbb\xbf" + flat(ROWS, end="\r\n")[:-2],
    "columns in another order": (
        b"low,high,ticker,open,close,volume,new\n1,4,MSFT,2,20.25,9.50,\xc3\xa9\n1,4,AAPL,2,100.5,1200.0,x\n"
    ),
    "header alone": flat([]),
    "one row": flat(ROWS[:1]),
    "quoted": flat([('"AAPL"', "100.5"), ("MSFT", "20.25")]),
    "many members": flat([*ROWS, *((f"T{n:05}", str(n)) for n in range(3000))]),
}


@pytest.mark.parametrize("tracked", [{"AAPL", "ZVZZT"}, {"MSFT"}], ids=["last row tracked", "last row archived"])
def test_every_text_survives_as_it_came(place, put, tracked):
    days = dict(zip(trading_days(date(2025, 3, 3), len(TEXTS)), TEXTS, strict=True))
    for day, name in days.items():
        put(day, TEXTS[name])
    ran = place.run(*window(days), tracked=tracked)
    assert (ran.finished.exit_code, ran.finished.committed) == (0, len(TEXTS))
    assert [name for day, name in days.items() if place.reassembled(day) != TEXTS[name]] == []
    assert {cut for (cut,) in place.query("SELECT cut FROM sessions WHERE held = 'committed'")} == {"lines"}
    if "AAPL" in tracked:
        expected = {str(day): "100.5" for day, name in days.items() if name != "header alone"}
        assert place.closes("AAPL") == expected
        other = next(day for day, name in days.items() if name == "columns in another order")
        assert place.csv("AAPL")[str(other)] == "2,4,1,100.5,1200"


def test_line_ends_within_quotes_are_cut_by_polars_and_both_parts_are_complete(place, put):
    header = "ticker,volume,open,close,high,low,window_start,transactions,note"
    lines = ['AAPL,1,2,3,4,1,1,1,"two\nlines"', "MSFT,1,2,5,6,1,1,1,plain", 'NVDA,1,2,7,8,1,1,1,"a ""quote"", too"']
    put(DAYS[0], "\n".join([header, *lines, ""]).encode())
    put(DAYS[1], "\n".join([header, "AAPL,1,2,9,9,1,1,1,", ""]).encode())
    ran = place.run(*SPAN, tracked={"AAPL", "NVDA"})
    assert ran.finished.exit_code == 0
    assert place.query("SELECT cut FROM sessions WHERE held = 'committed' ORDER BY session") == [
        ("polars",),
        ("lines",),
    ]
    read = {
        tier: list(csv.DictReader(io.StringIO(place.part_text(DAYS[0], tier).decode()), strict=True))
        for tier in ("tracked", "archive")
    }
    source = list(csv.DictReader(io.StringIO("\n".join([header, *lines, ""]))))
    assert read == {"tracked": [source[0], source[2]], "archive": [source[1]]}
    assert place.closes("AAPL") == {str(DAYS[0]): "3", str(DAYS[1]): "9"}
    place.run(*SPAN, tracked={"AAPL", "MSFT"})
    assert place.closes("MSFT") == {str(DAYS[0]): "5"}


def test_the_first_of_repeated_rows_counts_and_all_are_kept(place, put):
    text = flat([("AAPL", "1"), ("AAPL", "2"), ("MSFT", "3"), ("MSFT", "3")])
    put(DAYS[0], text)
    (event,) = place.run(*SPAN, tracked={"AAPL", "MSFT"}).of(events.Committed)
    assert place.closes("AAPL") == {str(DAYS[0]): "1"}
    assert place.reassembled(DAYS[0]) == text
    assert "conflicting repeat: AAPL" in event.findings


def test_an_unknown_column_is_said_once(place, put):
    for day in DAYS[:3]:
        put(day, flat(ROWS, header="ticker,volume,open,close,high,low,window_start,otc"))
    ran = place.run(*SPAN)
    said = [notice for notice in ran.notices if "column" in notice]
    assert said == ["unknown column: otc; it is kept in the parts"]


# Damage on disk


@pytest.mark.parametrize("tier", ["tracked", "archive"])
def test_a_missing_part_is_fetched_again(filled, tier):
    filled.run(*SPAN)
    before = filled.tiers()
    filled.part(DAYS[4], tier).unlink()
    ran = filled.run(*SPAN)
    assert (ran.gets, ran.reasons["fetch: missing part"], ran.finished.exit_code) == ([DAYS[4]], 1, 0)
    assert (filled.tiers(), filled.corrections()) == (before, [])


@pytest.mark.parametrize("tier", ["tracked", "archive"])
def test_a_damaged_part_does_not_stand_in_the_way_of_its_replacement(filled_here, put, tier):
    filled_here.run(*SPAN)
    part = filled_here.part(DAYS[4], tier)
    part.write_bytes(part.read_bytes()[:-30])
    put(DAYS[4], flat(ROWS))
    ran = filled_here.run(*SPAN)
    assert (ran.gets, ran.finished.exit_code) == ([DAYS[4]], 0)
    assert filled_here.reassembled(DAYS[4]) == flat(ROWS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text(path.read_text() + "2030-01-01,1,1,1,1,1\n"),
        lambda path: path.write_text(path.read_text().replace("2025-03-04", "2025-03-01")),
    ],
    ids=["deleted", "emptied", "a row added", "a row changed"],
)
def test_a_csv_that_is_not_as_it_was_left_is_made_anew_from_the_parts(filled, spoil):
    filled.run(*SPAN)
    before = filled.tiers()
    spoil(filled.tracked / "AAPL_1d_data.csv")
    assert filled.tiers() != before
    ran = filled.run(*SPAN)
    assert (ran.gets, ran.finished.files_projected <= 1, ran.finished.exit_code) == ([], True, 0)
    assert filled.tiers() == before


def test_a_changed_csv_is_not_built_upon(filled):
    filled.run(*window(DAYS[:6]))
    path = filled.tracked / "AAPL_1d_data.csv"
    path.write_text(path.read_text().replace("2025-03-04", "2025-03-01"))
    filled.run(*SPAN)
    assert filled.csv("AAPL") == rows_of("AAPL", DAYS)


@pytest.mark.parametrize("blocked", ["data_cache/sessions", "massive_cache"])
def test_a_cache_that_cannot_be_written_ends_the_run_with_its_summary(filled, blocked):
    (filled.root / blocked / f"{DAYS[3]}.csv.gz").mkdir(parents=True)  # no file can be renamed over a folder
    ran = filled.run(*SPAN, fails=CacheError)
    assert ran.finished.exit_code == 5
    assert str(DAYS[3]) in str(ran.error)
    (filled.root / blocked / f"{DAYS[3]}.csv.gz").rmdir()
    assert filled.run(*SPAN).finished.committed == 8
    assert all(filled.reassembled(day) == market_day(day) for day in DAYS)
    assert list(filled.root.rglob("*.tmp")) == []


# Keys, and a source that is not there


@pytest.mark.parametrize("wrong", ["access", "secret"])
def test_wrong_keys_stop_at_once_with_one_message(filled, keys, tmp_path, wrong):
    pair = ("UNKNOWN", keys.secret_key) if wrong == "access" else (keys.access_key, "not the secret at all")
    write_keys(tmp_path / "credentials", *pair)
    ran = filled.run(*SPAN, fails=SourceRefused)
    assert (ran.finished.exit_code, len(ran.wire.sent), ran.of(events.Retrying)) == (4, 1, [])
    done = filled.cli("run", "--start", SPAN[0], "--end", SPAN[1])
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert done.stderr.startswith("error: ")
    assert pair[1] not in done.stderr + done.stdout


def test_keys_that_are_revoked_midway_stop_the_run_and_keep_what_was_committed(filled_here, own_keys, seaweed):
    def revoke(event):
        if isinstance(event, events.Fetched):
            seaweed.permit(
                weed.Identity(own_keys.name, "OTHER" + own_keys.access_key, own_keys.secret_key, own_keys.actions)
            )

    ran = filled_here.run(*SPAN, sink=revoke, fails=SourceRefused, concurrency=1)
    assert ran.finished.exit_code == 4
    assert 1 <= ran.finished.committed == len(ran.committed) < 8
    assert ran.finished.not_attempted == 8 - ran.finished.committed
    assert list(filled_here.csv("AAPL")) == dates(ran.committed)


@pytest.mark.parametrize(
    "credentials",
    [
        None,
        "[default]\naws_access_key_id = A\naws_secret_access_key = B\n",
        "[massive]\nregion = us-east-1\n",
        "[massive]\naws_access_key_id = A\n",
        "massive\n",
    ],
    ids=["no file", "no section", "no keys", "no secret", "no credentials file"],
)
def test_a_profile_without_keys_is_explained(filled, tmp_path, credentials):
    file = tmp_path / "credentials"
    file.unlink()
    if credentials is not None:
        file.write_text(credentials)
    ran = filled.run(*SPAN, fails=UsageError)
    assert ran.finished.exit_code == 2
    assert str(file) in str(ran.error)
    assert "massive" in str(ran.error)


@pytest.fixture
def closed_url():
    """A port of loopback that nobody listens at, kept from others meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"


def test_a_source_that_is_down_ends_the_run_and_what_was_committed_stays(filled, closed_url):
    filled.run(*window(DAYS[:4]))
    (filled.tracked / "AAPL_1d_data.csv").unlink()
    filled.endpoint_url, answering = closed_url, filled.endpoint_url
    done = filled.cli(
        "run", "--start", SPAN[0], "--end", SPAN[1], INGEST_SOURCE__ATTEMPTS="20", INGEST_SOURCE__DOWN_AFTER_S="1"
    )
    assert done.returncode == 4
    assert "has not answered for 1 s" in done.stderr
    assert list(filled.csv("AAPL")) == dates(DAYS[:4])
    filled.endpoint_url = answering
    assert filled.run(*SPAN).gets == DAYS[4:]


def test_no_more_attempts_than_are_set(filled, closed_url):
    ran = Place(filled.root, closed_url).run(*SPAN, attempts=2, fails=Disrupted)
    assert (len(ran.wire.sent), ran.finished.exit_code, len(ran.of(events.Retrying))) == (2, 4, 1)


# Plans, events, status


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(filled, tmp_path):
    other = Place(tmp_path / "other" / "cache", filled.endpoint_url, filled.bucket)
    other.root.parent.mkdir()
    done = other.cli("run", "--dry-run", "--json", "--start", SPAN[0], "--end", SPAN[1])
    *decisions, plan = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, plan["fetch"], plan["reasons"]) == (0, 8, {"fetch: new": 8})
    assert [(one["session"], one["action"], one["reason"]) for one in decisions] == [
        (str(day), "fetch", "new") for day in DAYS
    ]
    assert plan["bytes"] == sum(map(len, market_objects(DAYS).values()))
    assert list(other.root.parent.iterdir()) == []
    for_people = other.cli("run", "--dry-run", "--start", SPAN[0], "--end", SPAN[1])
    assert for_people.returncode == 0
    assert "new" in for_people.stdout
    assert list(other.root.parent.iterdir()) == []


def test_a_dry_run_beside_what_is_held_changes_nothing(filled_here, put):
    filled_here.run(*window(DAYS[:5]))
    put(DAYS[1], flat(ROWS))
    before = (filled_here.tiers(), filled_here.logical_manifest(), filled_here.query("SELECT * FROM runs"))
    plan = filled_here.preview(*SPAN)
    assert {decision.session: decision.reason for decision in plan.fetches} == {
        DAYS[1]: "new etag",
        **dict.fromkeys(DAYS[5:], "new"),
    }
    assert (filled_here.tiers(), filled_here.logical_manifest(), filled_here.query("SELECT * FROM runs")) == before


def test_json_is_an_object_a_line_with_the_summary_last(filled):
    done = filled.cli("run", "--json", "--start", SPAN[0], "--end", SPAN[1])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    names = [line["event"] for line in lines]
    assert (done.returncode, done.stderr) == (0, "")
    assert names[:2] == ["run_started", "planned"]
    assert (names[-1], names.count("finished"), names.count("committed")) == ("finished", 1, 8)
    assert names.index("projected") > max(n for n, name in enumerate(names) if name == "committed")
    assert (lines[-1]["committed"], lines[-1]["exit_code"]) == (8, 0)
    assert {line["session"] for line in lines if line["event"] == "committed"} == set(dates(DAYS))


def test_quiet_says_nothing_when_all_is_well_and_warns_when_not(filled_here, put):
    done = filled_here.cli("run", "--quiet", "--start", SPAN[0], "--end", SPAN[1])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    put(DAYS[0], packed=b"nonsense")
    done = filled_here.cli("run", "--quiet", "--start", SPAN[0], "--end", SPAN[1])
    assert (done.returncode, done.stdout) == (3, "")
    assert str(DAYS[0]) in done.stderr


def test_status_counts_what_is_held_and_what_is_lacking(filled_here, seaweed, bucket, put):
    seaweed.delete(bucket, key(DAYS[2]))
    put(DAYS[6], packed=b"nonsense")
    filled_here.run(DAYS[0], date(2025, 3, 14))
    found = filled_here.status()
    assert (found.first, found.last) == (DAYS[0], DAYS[7])
    assert found.gaps == ((DAYS[2], DAYS[2], 1), (DAYS[6], DAYS[6], 1))
    counts = {(row.held, row.remote): row.count for row in found.sessions}
    assert counts == {
        ("committed", "listed"): 6,
        ("none", "absent"): 1,
        ("quarantined", "listed"): 1,
        ("none", "unpublished"): 2,
    }
    assert found.source_rows == sum(market_day(day).count(b"\n") - 1 for day in (*DAYS[:2], *DAYS[3:6], DAYS[7]))
    assert (found.tracked_tickers, found.dirty_files, found.corrections) == (4, 0, 0)
    assert {tier.name: tier.files for tier in found.tiers} == {
        "tracked CSVs": 4,
        "tracked parts": 6,
        "archive parts": 6,
    }
    tiers = filled_here.tiers()
    assert sum(tier.bytes for tier in found.tiers) == sum(map(len, tiers.values()))
    assert [run["exit_code"] for run in found.runs] == [3]


def test_status_of_an_empty_cache_makes_none(tmp_path, filled):
    other = Place(tmp_path / "other" / "cache", filled.endpoint_url)
    other.root.parent.mkdir()
    done = other.cli("status", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["first"], found["runs"]) == (0, None, [])
    assert other.cli("status", "--max-age", 3).returncode == 3
    assert list(other.root.parent.iterdir()) == []


def test_status_tells_by_its_exit_code_whether_the_newest_session_is_too_old(filled):
    filled.run(*SPAN)
    age = filled.status().age_sessions
    assert age > 100
    fresh, stale = filled.cli("status", "--max-age", age), filled.cli("status", "--max-age", age - 1)
    assert (fresh.returncode, stale.returncode) == (0, 3)
    assert f"{age} sessions old" in stale.stderr


def test_the_calendar_tells_holidays_from_what_is_absent(place, put):
    days = weekdays(date(2025, 4, 16), date(2025, 4, 22))
    for day in (days[0], days[-1]):
        put(day, flat(ROWS))
    place.run(days[0], days[-1])
    assert [place.state(day) for day in days[1:4]] == [("none", "absent"), ("none", "holiday"), ("none", "absent")]
