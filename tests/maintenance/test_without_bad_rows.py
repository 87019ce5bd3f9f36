"""`ingest quarantine accept --without-bad-rows`: what can be read is stored, and what cannot is kept and a finding."""

import json
import os
import shutil
from itertools import count
from unittest.mock import patch

import pytest
from kills import Killed, dying
from pipeline_kit import Place, assert_same, flat, key
from runs_kit import DAYS, SPAN
from tuning_kit import tune

import ingest
from ingest import finding
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import UnreadableFile, UsageError
from ingest.maintenance.verify import verify

DAY, OTHER = DAYS[2], DAYS[4]
ROWS = [*((f"T{n:02}", f"{n + 1}") for n in range(38)), ("AAPL", "100.5"), ("TRUE", "7")]
HELD = flat(ROWS)
LINES = HELD.splitlines(keepends=True)
BAD = {3: LINES[3].replace(b",3,", b",cheap,", 1), 39: LINES[39].replace(b"AAPL", b"AA\xe9PL")}
"""Lines that cannot be read, by their place below the header's."""
SPOILT = b"".join(BAD.get(n, line) for n, line in enumerate(LINES))
REST = b"".join(line for n, line in enumerate(LINES) if n not in BAD)
ACCEPT = ("quarantine", "accept", "--without-bad-rows")


@pytest.fixture
def server(loopback_keys):
    with loopback.serve({key(day): pack(HELD) for day in DAYS}) as running:
        yield running


@pytest.fixture
def place(server, tmp_path):
    """A cache whose run refused a new version of one day, and the first version of another."""
    server.put(key(OTHER), pack(SPOILT))
    filled = Place(tmp_path / "cache", server.endpoint_url)
    filled.run(*SPAN)
    server.put(key(DAY), pack(SPOILT))
    assert filled.run(*SPAN).finished.quarantined == 2
    return filled


def listed(place):
    return [json.loads(line) for line in place.here("quarantine", "list", "--json").out.splitlines()]


def left_out(place):
    query = "SELECT session, count, examples FROM findings WHERE kind = ? ORDER BY session"
    return place.query(query, finding.LEFT_OUT)


def copied(place, folder):
    shutil.copytree(place.root, folder)
    return Place(folder, place.endpoint_url)


def test_the_rest_is_stored_and_the_bad_rows_are_kept_and_a_finding(place):
    told = place.here(*ACCEPT, DAY, OTHER)
    assert (told.code, told.err) == (0, "")
    assert f"{DAY}: applied; 2 rows removed and 0 added" in told.out
    assert f"{OTHER}: applied; 38 rows stored." in told.out
    assert told.out.count("rows that cannot be read, left out: T02, AA\\xe9PL\n") == 2
    assert [place.reassembled(day) for day in (DAY, OTHER)] == [REST, REST]
    examples = json.dumps(["T02", "AA\\xe9PL"])
    assert left_out(place) == [(str(DAY), 2, examples), (str(OTHER), 2, examples)]
    kept = place.root / "quarantine" / f"{DAY}.csv.gz"
    assert (kept.read_bytes(), [bool(one["dismissed"]) for one in listed(place)]) == (pack(SPOILT), [True, True])
    assert str(DAY) not in place.closes("AAPL")
    assert len(place.closes("TRUE")) == len(DAYS)
    assert verify(place.settings(), deep=True).problems == ()


def test_findings_say_that_rows_were_left_out_and_where_they_are(place):
    told = place.here("findings").out
    assert "stored as published: nothing was left out or changed." in told
    place.here(*ACCEPT, DAY)
    told = place.here("findings").out
    assert "All other rows are stored as published; `ingest quarantine show SESSION` prints those left out." in told
    assert finding.UNSORTED not in told
    narrow = place.here("findings", "--kind", finding.OTHER_DATE).out
    assert narrow.endswith("The rows are stored as published.\n")


def test_runs_end_with_0_afterwards_whatever_they_download_again(place):
    place.here(*ACCEPT, DAY, OTHER)
    again = place.run(*SPAN)
    assert (again.gets, again.finished.exit_code, again.finished.committed) == ([], 0, len(DAYS))
    refreshed = place.run(*SPAN, refresh=True)
    assert (refreshed.finished.exit_code, refreshed.finished.dismissed) == (0, 2)
    assert [place.reassembled(day) for day in (DAY, OTHER)] == [REST, REST]
    assert len(left_out(place)) == 2


def test_a_good_version_replaces_it_as_usual(place, server):
    place.here(*ACCEPT, DAY)
    good = HELD.replace(b",100.5", b",101.5")
    server.put(key(DAY), pack(good))
    ran = place.run(*SPAN)
    assert (ran.gets, ran.finished.corrections) == ([DAY], 1)
    assert place.reassembled(DAY) == good
    assert ([one["session"] for one in listed(place)], left_out(place)) == ([str(OTHER)], [])
    assert not (place.root / "quarantine" / f"{DAY}.csv.gz").exists()


def test_once_more_changes_nothing(place):
    place.here(*ACCEPT, DAY, OTHER)
    before, corrections = place.tiers(), len(place.corrections())
    told = place.here(*ACCEPT, DAY, OTHER)
    assert (told.code, told.out.count("0 rows removed and 0 added")) == (0, 2)
    assert (place.tiers(), len(place.corrections())) == (before, corrections)


def test_without_the_flag_it_is_refused_and_the_error_says_how(place):
    told = place.here("quarantine", "accept", DAY)
    assert told.code == 2
    assert "the rows cannot be parsed: line 4 (ticker T02), volume: '1002" not in told.err
    assert f"`ingest quarantine accept --without-bad-rows {DAY}`" in told.err
    shown = place.here("quarantine", "show", DAY).out
    assert f"`ingest quarantine accept --without-bad-rows {DAY}` applies it without the 2 rows" in shown


def with_bad(number):
    return b"".join(line.replace(b",", b",x", 1) if 0 < n <= number else line for n, line in enumerate(LINES))


def test_exactly_a_tenth_is_left_out(place, server):
    server.put(key(OTHER), pack(with_bad(4)))
    place.run(*SPAN)
    assert place.here(*ACCEPT, OTHER).code == 0
    assert place.reassembled(OTHER) == b"".join([LINES[0], *LINES[5:]])


def test_more_than_a_tenth_is_refused_and_nothing_is_applied(place, server):
    server.put(key(OTHER), pack(with_bad(5)))
    place.run(*SPAN)
    before = place.tiers()
    told = place.here(*ACCEPT, DAY, OTHER)
    assert (told.code, "5 of its 40 rows cannot be read, more than a tenth" in told.err) == (2, True)
    assert (place.tiers(), len(listed(place))) == (before, 2)


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (pack(SPOILT)[:-8], "not a whole gzip file"),
        (pack(HELD.replace(b"open", b"first", 1)), "the header is missing open"),
        (pack(b"".join([LINES[0], BAD[3], *LINES[10:]])), "it would remove 9 of the 40 stored rows"),
    ],
    ids=["torn", "no header", "removes rows"],
)
def test_what_is_wrong_with_more_than_rows_is_refused(place, server, packed, words):
    server.put(key(DAY), packed)
    place.run(*SPAN)
    told = place.here(*ACCEPT, DAY)
    assert (told.code, words in told.err, place.reassembled(DAY)) == (2, True, HELD)


def test_a_file_that_is_read_in_chunks_gives_the_same(place, server, tmp_path, monkeypatch):
    other = copied(place, tmp_path / "other")
    place.here(*ACCEPT, DAY, OTHER)
    tune(monkeypatch, large=100, chunk=256, piece=64, at_once=1000, in_chunks=1 << 20)
    other.here(*ACCEPT, DAY, OTHER)
    for day in (DAY, OTHER):
        assert place.reassembled(day) == other.reassembled(day)
    assert left_out(place) == left_out(other)


def test_a_lost_manifest_is_rebuilt_with_the_finding(place):
    place.here(*ACCEPT, DAY)
    before = left_out(place)
    for path in place.root.glob("manifest.sqlite*"):
        path.unlink()
    place.run(*SPAN)
    assert (left_out(place), place.reassembled(DAY)) == (before, REST)


def test_a_damaged_part_is_said_and_accepted_again(place):
    place.here(*ACCEPT, DAY)
    place.part(DAY).unlink()
    ran = place.run(*SPAN)
    assert (ran.gets, ran.finished.exit_code, ran.finished.damaged) == ([], 3, 1)
    assert place.here(*ACCEPT, DAY).code == 0
    assert place.reassembled(DAY) == REST
    place.here(*ACCEPT, OTHER)
    assert place.run(*SPAN).finished.exit_code == 0


def test_in_python(place):
    with patch.dict(os.environ, place.environment(), clear=True):
        (other,) = ingest.quarantine.dismiss(OTHER)
        with pytest.raises(
            UsageError, match=r"Call ingest\.quarantine\.accept\(without_bad_rows=True, sessions="
        ) as told:
            ingest.quarantine.accept(DAY)
        assert f'sessions="{DAY}", dataset="stocks-day")' in str(told.value)
        (applied,) = ingest.quarantine.accept(DAY, without_bad_rows=True)
        assert (applied.went, applied.came, applied.is_new) == (2, 0, False)
        assert [bool(one.dismissed) for one in ingest.quarantine.list()] == [True, True]
        assert ingest.quarantine.retry() is None
        (again,) = ingest.quarantine.dismiss([other.session], undo=True)
        assert (again.session, again.dismissed) == (OTHER, None)
        assert ingest.quarantine.dismiss([]) == ()
        assert ingest.quarantine.retry(OTHER).quarantined == 1
    assert place.reassembled(DAY) == REST


@pytest.mark.parametrize("apart", [17, pytest.param(1, marks=pytest.mark.long)])
def test_a_kill_anywhere_is_finished_by_the_same_command(place, tmp_path, apart):
    whole = copied(place, tmp_path / "whole")
    whole.here(*ACCEPT, DAY, OTHER)
    whole.run(*SPAN)
    for fatal in count(1, apart):
        killed = copied(place, tmp_path / f"{fatal}")
        with dying(fatal):
            try:
                killed.here(*ACCEPT, DAY, OTHER)
            except Killed:
                pass
            else:
                break
        assert killed.here(*ACCEPT, DAY, OTHER).code == 0
        assert killed.run(*SPAN).finished.exit_code == 0
        assert_same(killed, whole)
        assert [bool(one["dismissed"]) for one in listed(killed)] == [True, True]
        assert verify(killed.settings(), deep=True).problems == ()
    assert fatal > 5


def test_a_rest_that_cannot_be_read_at_once_is_an_error_that_names_the_session(place):
    with patch("ingest.maintenance.quarantine.versions", side_effect=UnreadableFile("quotes here and there")):
        told = place.here(*ACCEPT, DAY)
    assert told.code == 2
    assert f"{DAY} cannot be accepted because its file cannot be read: quotes here and there." in told.err
