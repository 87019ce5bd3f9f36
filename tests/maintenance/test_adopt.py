"""Adopting the caches of other tools: what is adopted, what is not, and that nothing of theirs changes."""

import gzip
import json
import os
import re
from datetime import date

import pytest
from pipeline_kit import (
    HEADER,
    TRACKED,
    Place,
    assert_same,
    flat,
    key,
    market_day,
    packed_day,
    trading_days,
    window,
)
from runs_kit import rows_of

from ingest.cache.lock import hold
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.yahoo import ActionCoverage
from ingest.cli.commands.fetching.adopt import adopt_command
from ingest.demo.files.market import pack
from ingest.errors import CacheError, CacheLocked, UnreadableFile, UsageError
from ingest.finding import FAR_COUNT
from ingest.hints import call
from ingest.maintenance.adopt import adopt as adopting
from ingest.maintenance.adopt.ticker_csv import read_ticker_csv, ticker_named
from ingest.market.corporate_actions import Actions, StockSplit
from ingest.market.windows import Window
from ingest.planning.request import Request

DAYS = trading_days(date(2025, 3, 3), 8)
SPAN = window(DAYS)
PLAIN = "Date,Open,High,Low,Close,Volume"


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url)


@pytest.fixture
def theirs(tmp_path):
    """An empty cache of another tool."""
    return Theirs(tmp_path / "theirs")


class Theirs:
    """A folder of another tool."""

    def __init__(self, top):
        self.top = top
        for name in ("massive_cache", "data_cache"):
            (top / name).mkdir(parents=True)

    def day(self, day, data=None, name="{}.csv.gz"):
        path = self.top / "massive_cache" / name.format(day)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed_day(day) if data is None else data)
        return path

    def csv(self, name, lines, header=PLAIN):
        path = self.top / "data_cache" / name
        path.write_text("\n".join([*([header] if header else []), *lines, ""]))
        return path

    def plain(self, ticker, days):
        """A CSV with the vendor's own rows of these days."""
        return self.csv(f"{ticker}_1d_data.csv", [f"{day},{row}" for day, row in rows_of(ticker, days).items()])

    def state(self):
        """Every name in it, with bytes and modification times; links as links."""
        found = {}
        for path in sorted(self.top.rglob("*")):
            seen = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
            found[str(path)] = (seen.st_mode, seen.st_ino, seen.st_mtime_ns, seen.st_size, content)
        return found


def adopt(place, theirs, dry_run=False, tracked=TRACKED, save_others=True):
    """Reports by path, and the summary; fails if anything in their folder has changed."""
    before, told = theirs.state(), []
    request = Request(Window(*SPAN), frozenset(tracked))
    try:
        settings = place.settings(save_others=save_others)
        summary = adopting.adopt(settings, request, theirs.top, dry_run=dry_run, report=told.append, say=print)
    finally:
        assert theirs.state() == before
    assert len({one.path for one in told}) == len(told)
    return {one.path: one for one in told}, summary


def only(found):
    (one,) = found[0].values()
    return one.verdict, one.reason


def without(day, *tickers):
    """A day's file from which another tool has removed some tickers."""
    lines = market_day(day).splitlines(keepends=True)
    return pack(b"".join(line for line in lines if line.split(b",")[0].decode() not in tickers))


# Whole days


def test_whole_days_are_not_downloaded_again(place, theirs):
    for day in DAYS[:5]:
        theirs.day(day)
    found, summary = adopt(place, theirs)
    assert {one.verdict for one in found.values()} == {"adopted"}
    assert (summary.exit_code, summary.counts, summary.with_md5, summary.left) == (0, {"adopted": 5}, 5, None)
    assert place.csv("AAPL") == rows_of("AAPL", DAYS[:5])
    assert place.reassembled(DAYS[2]) == market_day(DAYS[2])
    ran = place.run(*SPAN)
    assert (sorted(ran.gets), ran.reasons) == (DAYS[5:], {"fetch: new": 3, "skip: committed": 5})
    assert place.corrections() == []


def test_an_adopted_day_with_an_odd_number_of_rows_is_found_like_a_fetched_one(place, theirs):
    for day in DAYS[:6]:
        theirs.day(day)
    lines = market_day(DAYS[6]).splitlines(keepends=True)
    theirs.day(DAYS[6], pack(b"".join(lines[: len(lines) // 2])))
    adopt(place, theirs)
    assert place.query("SELECT session FROM findings WHERE kind = ?", FAR_COUNT) == [(str(DAYS[6]),)]


def test_what_is_adopted_is_what_a_run_would_have_made(place, theirs, server, tmp_path):
    for day in DAYS:
        path = theirs.day(day)
        os.utime(path, (int(server._since.timestamp()),) * 2)
    adopt(place, theirs)
    other = Place(tmp_path / "other", server.endpoint_url)
    other.run(*SPAN)
    place.run(*SPAN)
    assert_same(place, other)


def test_a_day_with_another_etag_is_fetched_again(place, theirs, server):
    theirs.day(DAYS[0], gzip.compress(market_day(DAYS[0]), 9))
    theirs.day(DAYS[1], without(DAYS[1], "MSFT"))
    theirs.day(DAYS[2], market_day(DAYS[2]), name="{}.csv")
    theirs.day(DAYS[3])
    _, summary = adopt(place, theirs)
    assert (summary.counts, summary.with_md5) == ({"adopted": 4}, 3)
    ran = place.run(*window(DAYS[:4]))
    assert (sorted(ran.gets), ran.reasons) == (DAYS[:3], {"fetch: new etag": 3, "skip: committed": 1})
    # Equal text is no correction; a missing row is one.
    assert [(day, removed, len(added)) for day, removed, added in place.corrections()] == [(DAYS[1], [], 1)]
    assert place.run(*window(DAYS[:4])).gets == []


def test_days_below_years_and_months_and_below_the_vendors_own_folders(place, theirs):
    names = ("2025/{}.csv.gz", "2025/03/{}.csv.gz", "us_stocks_sip/day_aggs_v1/2025/03/{}.csv.gz")
    for day, name in zip(DAYS, names, strict=False):
        theirs.day(day, name=name)
    theirs.day(DAYS[3], name="2024/03/{}.csv.gz")
    theirs.day(DAYS[4], name="us_options_opra/day_aggs_v1/2025/03/{}.csv.gz")
    _, summary = adopt(place, theirs)
    assert (summary.counts, summary.exit_code) == ({"adopted": 3, "ignored": 2}, 0)


def test_of_two_files_of_a_day_the_packed_one_is_taken(place, theirs):
    theirs.day(DAYS[0], market_day(DAYS[0]), name="{}.csv")
    theirs.day(DAYS[0])
    found, summary = adopt(place, theirs)
    assert {one.path[-3:]: one.verdict for one in found.values()} == {".gz": "adopted", "csv": "held"}
    assert summary.with_md5 == 1


def test_stored_days_are_left_unchanged(place, theirs):
    place.run(*window(DAYS[:2]))
    before = place.tiers()
    for day in DAYS[:3]:
        theirs.day(day, without(day, "MSFT"))
    _, summary = adopt(place, theirs)
    assert (summary.counts, summary.exit_code) == ({"held": 2, "adopted": 1}, 0)
    after = place.tiers()
    assert {name: after[name] for name in before if "1d_data" not in name} == {
        name: content for name, content in before.items() if "1d_data" not in name
    }


def test_settings_decide_what_is_stored_of_a_day(place, theirs):
    theirs.day(DAYS[0])
    adopt(place, theirs, save_others=False)
    assert not place.part(DAYS[0], "archive").exists()
    ran = place.run(*window(DAYS[:1]))
    assert ran.reasons == {"fetch: lacks archive": 1}


# Days that are not whole


def test_a_day_without_the_tickers_that_have_csvs_is_left_alone(place, theirs):
    theirs.day(DAYS[0], without(DAYS[0], "AAPL", "MSFT"))
    theirs.day(DAYS[1])
    for ticker in ("AAPL", "MSFT"):
        theirs.plain(ticker, DAYS[:1])
    found, summary = adopt(place, theirs)
    alone = found[f"massive_cache/{DAYS[0]}.csv.gz"]
    assert alone.verdict == "others only"
    assert alone.reason == "2 of 2 tickers with a CSV of that day are missing (AAPL, MSFT)"
    assert alone.hints == (call("run", "to download it", start=DAYS[0], end=DAYS[0]),)
    assert found[f"massive_cache/{DAYS[1]}.csv.gz"].verdict == "adopted"
    assert (summary.exit_code, summary.left) == (3, (DAYS[0], DAYS[0]))
    assert place.state(DAYS[0]) is None
    assert sorted(place.run(*window(DAYS[:2])).gets) == DAYS[:1]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("AAPL.csv", ["2025-03-03,1,1,1,1,1000"]),
        ("AAPL_1d_data.csv", ["# made by a tool", "2025-03-03 04:00:00,1,1,1,1,1000"]),
        ("AAPL_1d_data.csv", ["2025-03-03 00:00:00-05:00,1,1,1,1,9", "2025-03-10 00:00:00-04:00,1,1,1,1,9"]),
        ("AAPL_1d_data.csv", ["2025-03-03T05:00:00Z,1,1,1,1,", "rubbish,,"]),
    ],
    ids=["plain", "0400", "offsets", "zulu"],
)
def test_a_csv_in_any_layout_is_a_witness(place, theirs, name, lines):
    theirs.day(DAYS[0], without(DAYS[0], "AAPL"))
    theirs.csv(name, lines)
    found, _ = adopt(place, theirs)
    assert found[f"massive_cache/{DAYS[0]}.csv.gz"].verdict == "others only"


def test_a_row_without_volume_and_yahoos_spelling_prove_nothing(place, theirs):
    theirs.day(DAYS[0], without(DAYS[0], "AAPL"))
    theirs.csv("AAPL.csv", [f"{DAYS[0]},1,1,1,1,0"])
    theirs.csv("BRK-B.csv", [f"{DAYS[0]},1,1,1,1,5"])
    assert adopt(place, theirs)[0][f"massive_cache/{DAYS[0]}.csv.gz"].verdict == "adopted"


def test_a_few_missing_tickers_may_have_had_other_names_and_are_reported(place, theirs):
    theirs.day(DAYS[0], without(DAYS[0], "META"))
    for ticker in ("AAPL", "MSFT", "META"):
        theirs.csv(f"{ticker}.csv", [f"{DAYS[0]},1,1,1,1,5"])
    one = adopt(place, theirs)[0][f"massive_cache/{DAYS[0]}.csv.gz"]
    assert (one.verdict, "though 1 of 3 tickers" in one.reason) == ("adopted", True)


STAMPED = b"AAPL,1,1,1,1,1,%d,1\n"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (packed_day(DAYS[0])[:-20], "not a whole gzip file"),
        (b"", "not a whole gzip file|the header is missing"),
        (b"not gzip at all", "not a whole gzip file"),
        (pack(b"Date,Open\n"), "the header is missing ticker"),
        (pack((HEADER + "\n").encode()), "it has no rows"),
        (pack(market_day(DAYS[0]).replace(b"AAPL,", b"AAPL,x", 1)), "the rows cannot be parsed"),
        (packed_day(DAYS[1]), "its timestamps are of 2025-03-04, but its name says 2025-03-03"),
        (pack(flat([("AAPL", "1")]).replace(b",1,0", b",noon,0")), "its timestamps are of no date"),
        (pack((HEADER + "\n").encode() + STAMPED % 1740978000000000000 * 50), "50 rows of 1 tickers"),
        (pack(flat([("O:SPY", "1"), ("O:AAPL", "2")])), "tickers such as O:SPY: not a file of stocks"),
        (gzip.compress(b"\n" * (65 << 20), 1), "its text is larger than 64 MiB"),
    ],
    ids=["cut", "empty", "text", "columns", "no-rows", "number", "stamps", "no-stamp", "minutes", "options", "bomb"],
)
def test_a_file_that_is_not_a_whole_day_is_left_alone(place, theirs, data, why):
    theirs.day(DAYS[0], data)
    verdict, reason = only(adopt(place, theirs))
    assert verdict == "unreadable"
    assert re.match(why, reason), reason
    assert place.state(DAYS[0]) is None


def test_a_file_too_large_is_not_read(place, theirs):
    with theirs.day(DAYS[0]).open("r+b") as file:
        file.truncate(65 << 20)
    assert only(adopt(place, theirs))[1].startswith("larger than 64 MiB")


def test_one_bad_day_stops_no_other(place, theirs):
    theirs.day(DAYS[0], b"rubbish")
    theirs.day(DAYS[1])
    _, summary = adopt(place, theirs)
    assert (summary.counts, summary.exit_code) == ({"unreadable": 1, "adopted": 1}, 3)


# CSVs of tickers


def test_a_plain_csv_that_agrees_with_stored_days_is_held(place, theirs):
    for day in DAYS[:6]:
        theirs.day(day)
    theirs.plain("MSFT", DAYS[:6])
    for again in range(2):  # compared with days while they are adopted, and then with stored ones
        found, summary = adopt(place, theirs)
        one = found["data_cache/MSFT_1d_data.csv"]
        assert (one.ticker, one.verdict, summary.exit_code) == ("MSFT", "held", 0), again
        assert one.reason == "its 6 sessions are stored and agree"


def test_rows_of_a_raw_csv_for_other_days_are_not_made_into_days(place, theirs):
    for day in DAYS[:6]:
        theirs.day(day)
    theirs.plain("MSFT", DAYS)
    one = adopt(place, theirs)[0]["data_cache/MSFT_1d_data.csv"]
    assert one.verdict == "not raw"
    assert one.reason == "as traded in all 6 sessions compared, but columns of the source are missing from it"
    assert one.hints == (call("run", "to download its days", start=DAYS[6], end=DAYS[7]),)


@pytest.mark.parametrize("change", [("close", 0.5), ("volume", 2), ("volume", 1.0001)], ids=str)
def test_a_csv_with_one_other_number_is_not_raw(place, theirs, change):
    for day in DAYS:
        theirs.day(day)
    name, factor = change
    rows = {day: row.split(",") for day, row in rows_of("MSFT", DAYS).items()}
    at = {"close": 3, "volume": 4}[name]
    rows[str(DAYS[3])][at] = str(float(rows[str(DAYS[3])][at]) * factor)
    theirs.csv("MSFT.csv", [",".join([day, *row]) for day, row in rows.items()])
    one = adopt(place, theirs)[0]["data_cache/MSFT.csv"]
    assert (one.verdict, one.reason.startswith(f"on {DAYS[3]} its close and volume are ")) == ("not raw", True)


def test_a_row_that_the_source_does_not_have_is_not_raw(place, theirs):
    for day in DAYS:
        theirs.day(day)
    theirs.plain("MSFT", DAYS)
    theirs.plain("AAPL", DAYS)
    theirs.csv("NOSUCH.csv", [f"{day},1,1,1,1,5" for day in DAYS])
    one = adopt(place, theirs)[0]["data_cache/NOSUCH.csv"]
    assert (one.verdict, one.reason) == ("not raw", f"the source has no row for it on {DAYS[0]}")


def test_few_sessions_prove_nothing(place, theirs):
    for day in DAYS[:4]:
        theirs.day(day)
    theirs.plain("MSFT", DAYS[:4])
    one = adopt(place, theirs)[0]["data_cache/MSFT_1d_data.csv"]
    assert (one.verdict, one.reason) == (
        "not raw",
        "not proven to be as traded: 4 sessions can be compared, but 5 are needed",
    )


def test_sessions_beside_a_known_split_are_needed(place, theirs):
    place.run(*window(DAYS[:5]))
    settings = place.settings()
    with Manifest.open(settings.manifest_path, "us_stocks_sip/day_aggs_v1") as manifest:
        asking = ActionCoverage(first=DAYS[0], last=DAYS[-1])
        manifest.yahoo.keep("MSFT", asking, Actions((StockSplit(DAYS[6], 2.0),)), [])
    theirs.plain("MSFT", DAYS)
    one = adopt(place, theirs)[0]["data_cache/MSFT_1d_data.csv"]
    assert one.reason.startswith(f"not proven to be as traded: {DAYS[5]}, beside a split, cannot be compared")


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (f"{PLAIN},Dividends,Stock Splits", "{},1,1,1,1,5,0,0"),
        ("Date,Open,High,Low,Close,Adj Close,Volume", "{},1,1,1,1,1,5"),
        (PLAIN, "{} 00:00:00-05:00,1,1,1,1,5"),
        ("Price,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL\nDate,,,,,", "{},1,1,1,1,5"),
    ],
    ids=["events", "adj-close", "zones", "three-lines"],
)
def test_yahoos_rows_are_never_taken_for_massives(place, theirs, header, line):
    for day in DAYS:
        theirs.day(day)
    theirs.csv("AAPL_1d_data.csv", [line.format(day) for day in DAYS], header)
    one = adopt(place, theirs)[0]["data_cache/AAPL_1d_data.csv"]
    assert (one.verdict, one.reason.endswith("Yahoo's prices are adjusted")) == ("not raw", True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the header has no date"),
        ("Date,Open\n2025-03-03,1\n", "the header has no close"),
        (f"{PLAIN}\nyesterday,1,1,1,1,1\n", "no row has a date"),
        (f"{PLAIN}\n2025-02-30,1,1,1,1,1\n", "no row has a date"),
    ],
    ids=["empty", "columns", "dates", "february"],
)
def test_a_csv_that_cannot_be_read_is_reported(place, theirs, text, why):
    (theirs.top / "data_cache" / "AAPL.csv").write_text(text)
    verdict, reason = only(adopt(place, theirs))
    assert (verdict, why in reason) == ("unreadable", True), reason


def test_csvs_are_read_leniently():
    text = "\ufeff# by a tool\n\n,date , close,VOLUME\n0,2025-03-04 04:00:00+00:00,2.5,x\r\n1,2025-03-03,1\n"
    found = read_ticker_csv("x", "AAPL", text.encode())
    assert [date.fromordinal(day) for day in found.days.tolist()] == DAYS[:2]
    assert found.closes.tolist() == [1, 2.5]
    assert str(found.volumes.tolist()) == "[nan, nan]"
    with pytest.raises(UnreadableFile):
        read_ticker_csv("x", "AAPL", b"\xff\xfe\x00" * 50)


@pytest.mark.parametrize(
    ("name", "ticker"),
    [
        ("AAPL_1d_data.csv", "AAPL"),
        ("BRK-B_1d_data.csv", "BRK.B"),
        ("BAC_pL_1d_data.csv", "BACpL"),
        ("BACpL.csv", "BACpL"),
        ("^GSPC.CSV", "^GSPC"),
        ("._AAPL.csv", None),
        (".csv", None),
        ("AAPL.txt", None),
    ],
)
def test_names_of_csvs(name, ticker):
    assert ticker_named(name) == ticker


# Hostile folders


def test_names_other_than_days_are_ignored(place, theirs):
    names = [
        "2025-02-30.csv.gz",
        "2025-03-03.csv.gz.tmp",
        "._2025-03-03.csv.gz",
        "x" * 255,
        "\n\x1b[2J.csv.gz",
        "[red]",
    ]
    names += [os.fsdecode(b"\xff\xfe.csv.gz"), "2025-3-3.csv.gz", "2025-03-03.CSV.GZ"]
    for name in names:
        theirs.day(DAYS[0], name=name)
    (theirs.top / "data_cache" / "sessions").mkdir()
    (theirs.top / "data_cache" / "sessions" / "2025-03-03.csv.gz").write_bytes(packed_day(DAYS[0]))
    found, summary = adopt(place, theirs)
    assert (summary.counts, summary.exit_code) == ({"ignored": len(names) + 1}, 0)
    assert all(path.isprintable() and path.encode() for path in found)


def test_days_without_a_session_are_left_alone(place, theirs):
    for day in ("2025-03-08", "2025-12-25", "1999-03-03", "9999-12-31"):
        theirs.day(day, packed_day(DAYS[0]))
    found, summary = adopt(place, theirs)
    assert (summary.counts, summary.exit_code) == ({"unreadable": 4}, 3)
    assert found["massive_cache/2025-03-08.csv.gz"].reason == "there was no session on 2025-03-08"


def test_a_day_that_the_source_lists_is_a_session_whatever_the_calendar_says(place, theirs, server):
    closed = date(2025, 1, 9)  # New York mourned a president
    server.put(key(closed), packed_day(closed))
    server.forbidden.add(key(closed))
    place.run(closed, closed)
    theirs.day(closed)
    found, _ = adopt(place, theirs)
    one = found[f"massive_cache/{closed}.csv.gz"]
    assert one.verdict == "adopted", one.reason
    assert place.state(closed) == ("committed", "listed")


def test_links_are_not_followed(place, theirs, tmp_path):
    outside = tmp_path / "outside"
    (outside / "03").mkdir(parents=True)
    secret = outside / "03" / f"{DAYS[1]}.csv.gz"
    secret.write_bytes(packed_day(DAYS[1]))
    (theirs.top / "massive_cache" / f"{DAYS[1]}.csv.gz").symlink_to(secret)
    (theirs.top / "massive_cache" / "2025").symlink_to(outside)
    (theirs.top / "massive_cache" / "loop").symlink_to(theirs.top)
    (theirs.top / "data_cache" / "AAPL.csv").symlink_to("/dev/zero")
    (theirs.top / "data_cache" / "GONE.csv").symlink_to(outside / "nothing")
    found, summary = adopt(place, theirs)
    assert {one.reason for one in found.values()} == {"a link: links are not followed"}
    assert (summary.counts, summary.exit_code) == ({"unreadable": 5}, 3)


def test_a_cache_that_is_itself_a_link_is_not_followed(place, theirs, tmp_path):
    theirs.day(DAYS[0])
    (theirs.top / "massive_cache").rename(tmp_path / "elsewhere")
    (theirs.top / "massive_cache").symlink_to(tmp_path / "elsewhere")
    assert only(adopt(place, theirs)) == ("unreadable", "a link: links are not followed")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(place, theirs):
    os.mkfifo(theirs.top / "massive_cache" / f"{DAYS[0]}.csv.gz")
    assert only(adopt(place, theirs)) == ("unreadable", "neither a file nor a folder")


def test_a_link_that_comes_in_the_place_of_a_file_is_not_followed(place, theirs, monkeypatch, tmp_path):
    path = theirs.day(DAYS[0])
    (tmp_path / "outside").write_bytes(packed_day(DAYS[0]))
    path.unlink()
    path.symlink_to(tmp_path / "outside")
    monkeypatch.setattr("ingest.maintenance.adopt.folder._fault", lambda entry: None)
    assert only(adopt(place, theirs))[1].startswith("cannot be read: ")


def test_an_impossible_file_time_does_not_matter(place, theirs):
    os.utime(theirs.day(DAYS[0]), (-5e9, -5e9))
    os.utime(theirs.day(DAYS[1]), (9e9, 9e9))
    assert adopt(place, theirs)[1].counts == {"adopted": 2}


# Our own cache


@pytest.mark.parametrize("where", [".", "cache", "cache/data_cache/x", "absent", "file", "bare"])
def test_folders_that_cannot_be_adopted(place, tmp_path, where):
    (tmp_path / "file").touch()
    (tmp_path / "bare").mkdir()
    (tmp_path / "cache" / "data_cache" / "x" / "massive_cache").mkdir(parents=True)
    (tmp_path / "data_cache").mkdir()
    before = sorted(tmp_path.rglob("*"))
    request = Request(Window(*SPAN), TRACKED)
    with pytest.raises(UsageError) as caught:
        adopting.adopt(place.settings(), request, tmp_path / where, dry_run=False, report=print, say=print)
    assert caught.value.exit_code == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_cache_of_another_project_is_not_refused(place, theirs, server):
    other = Place(theirs.top, server.endpoint_url)
    other.run(*SPAN)
    _, summary = adopt(place, theirs)
    assert summary.counts["others only"] == len(DAYS)
    assert "adopted" not in summary.counts


def test_a_dry_run_writes_nothing_and_says_the_same(place, theirs):
    theirs.day(DAYS[0])
    theirs.day(DAYS[1], without(DAYS[1], "AAPL"))
    theirs.day(DAYS[2], b"rubbish")
    theirs.plain("AAPL", DAYS)
    dry = adopt(place, theirs, dry_run=True)
    assert not place.root.exists()
    assert dry == adopt(place, theirs)


def test_the_lock_is_held_and_respected(place, theirs):
    theirs.day(DAYS[0])
    with hold(place.root), pytest.raises(CacheLocked):
        adopt(place, theirs)
    assert adopt(place, theirs)[1].counts == {"adopted": 1}


def test_after_a_kill_it_continues(place, theirs, monkeypatch, server, tmp_path):
    for day in DAYS:
        theirs.day(day)
    commit, done = adopting.commit, []

    def third_fails(cache, batch):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(batch)
        commit(cache, batch)

    with monkeypatch.context() as patched:
        patched.setattr(adopting, "commit", third_fails)
        with pytest.raises(KeyboardInterrupt):
            adopt(place, theirs)
    assert [place.state(day) for day in DAYS] == [("committed", "listed")] * 3 + [None] * 5
    _, summary = adopt(place, theirs)
    assert summary.counts == {"held": 3, "adopted": 5}
    assert place.csv("AAPL") == rows_of("AAPL", DAYS)
    assert not list(place.root.rglob("*.tmp"))
    assert place.run(*SPAN).gets == []


def test_a_cache_that_cannot_be_written_ends_it(place, theirs, monkeypatch):
    theirs.day(DAYS[0])

    def full(cache, batch):
        raise CacheError("no space left")

    monkeypatch.setattr(adopting, "commit", full)
    with pytest.raises(CacheError):
        adopt(place, theirs)


def test_a_session_that_was_quarantined_is_adopted(place, theirs, server):
    server.put(key(DAYS[0]), pack(b"rubbish\n"))
    place.run(*window(DAYS[:1]))
    assert place.state(DAYS[0])[0] == "quarantined"
    theirs.day(DAYS[0])
    assert only(adopt(place, theirs))[0] == "adopted"
    assert place.state(DAYS[0])[0] == "committed"


def test_damage_in_our_cache_does_not_disturb_a_comparison(place, theirs):
    place.run(*SPAN)
    place.part(DAYS[0]).write_bytes(b"damage")
    theirs.plain("AAPL", DAYS)
    one = only(adopt(place, theirs))
    assert one == ("held", "its 7 sessions are stored and agree")


# The command


def test_the_command_shows_a_table(place, theirs):
    theirs.day(DAYS[0])
    theirs.day(DAYS[1], b"rubbish")
    theirs.csv("[red]_1d_data.csv", ["x,1"])
    done = place.here("adopt", theirs.top, COLUMNS="200")
    assert (done.code, done.err) == (3, "")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[0] == "verdict files for example"
    assert f"adopted 1 massive_cache/{DAYS[0]}.csv.gz: a whole day" in lines
    assert "data_cache/[red]_1d_data.csv" in done.out
    assert "1 of 1 day have the md5" in done.out
    assert lines[-1] == f"`ingest run --start {DAYS[1]} --end {DAYS[1]}` downloads the days left alone."


def test_the_command_prints_json(place, theirs):
    theirs.day(DAYS[0])
    done = place.here("adopt", theirs.top, "--json", "--dry-run")
    assert (done.code, done.err) == (0, "")
    (one,) = map(json.loads, done.out.splitlines())
    assert one["md5"]
    assert (one["path"], one["session"], one["verdict"]) == (f"massive_cache/{DAYS[0]}.csv.gz", str(DAYS[0]), "adopted")
    assert not place.root.exists()


def test_the_command_refuses_what_does_not_exist(place, tmp_path):
    done = place.here("adopt", tmp_path / "absent")
    assert (done.code, "is not a folder" in done.err) == (2, True)


def test_an_empty_cache_is_exit_0(place, theirs, capsys, monkeypatch):
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    assert adopt_command(theirs.top, None, dry_run=True, as_json=False) == 0
    assert "It contains no files." in capsys.readouterr().out
