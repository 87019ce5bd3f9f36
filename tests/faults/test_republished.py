"""Republished files: which kind of a change it is, and that the difference outlives a kill in the middle of it."""

import hashlib
import json
import shutil
import subprocess
import sys

import pytest
from pipeline_kit import Place, assert_same, flat, key, sampled
from runs_kit import DAYS, SPAN

from ingest import finding
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import Disrupted
from ingest.maintenance.verify import verify

DAY = DAYS[2]
ROWS = [*((f"T{n:02}", f"{n + 1}") for n in range(18)), ("AAPL", "100.5"), ("TRUE", "7")]
HELD = flat(ROWS)
CHANGED = HELD.replace(b",100.5,100.5,100.5,100.5,", b",100.5,101,101,100.5,")
AAPL = [[line.decode() for line in text.splitlines() if line.startswith(b"AAPL")] for text in (HELD, CHANGED)]


@pytest.fixture
def server(loopback_keys):
    with loopback.serve({key(day): pack(HELD) for day in DAYS}) as running:
        yield running


@pytest.fixture
def place(server, tmp_path):
    filled = Place(tmp_path / "cache", server.endpoint_url)
    filled.run(*SPAN)
    return filled


def kept(place):
    """(kind, old ETag, new ETag, removed, added) of each correction."""
    rows = place.query("SELECT kind, old_etag, new_etag, removed, added FROM corrections ORDER BY id")
    return [(*row[:3], json.loads(row[3]), json.loads(row[4])) for row in rows]


def md5(data):
    return hashlib.md5(data).hexdigest()


def test_other_bytes_under_the_same_etag_are_told_apart_from_a_new_etag(place, server):
    etag = md5(pack(HELD))
    server.put(key(DAY), pack(CHANGED), etag=etag)
    assert place.run(*SPAN).gets == []  # the listing says that nothing has changed
    ran = place.run(*SPAN, refresh=True)
    assert (ran.finished.exit_code, ran.finished.corrections) == (0, 1)
    assert kept(place) == [("same etag", etag, etag, *AAPL)]
    assert place.reassembled(DAY) == CHANGED
    assert place.closes("AAPL")[str(DAY)] == "101.0"
    # Why it was believed all the same: it came twice.
    assert place.query("SELECT session FROM findings WHERE kind = ?", finding.NOT_MD5) == [(str(DAY),)]
    assert ran.gets.count(DAY) == 2
    assert place.run(*SPAN, refresh=True).finished.corrections == 0
    assert len(kept(place)) == 1


def test_other_bytes_under_the_same_etag_that_lose_rows_are_held_back(place, server):
    server.put(key(DAY), pack(flat(ROWS[5:])), etag=md5(pack(HELD)))
    assert place.run(*SPAN, refresh=True).finished.exit_code == 3
    assert (kept(place), place.reassembled(DAY)) == ([], HELD)
    assert place.here("quarantine", "accept", DAY).code == 0
    assert [one[0] for one in kept(place)] == ["same etag"]
    assert place.reassembled(DAY) == flat(ROWS[5:])
    assert place.query("SELECT session FROM findings WHERE kind = ?", finding.NOT_MD5) == [(str(DAY),)]
    assert place.run(*SPAN).gets == []


def test_a_new_etag_with_other_rows(place, server):
    server.put(key(DAY), pack(CHANGED))
    assert place.run(*SPAN).finished.corrections == 1
    assert kept(place) == [("new etag", md5(pack(HELD)), md5(pack(CHANGED)), *AAPL)]


EQUAL = {
    "packed anew": (pack(HELD) + pack(b""), HELD),
    "in another order": (None, b"".join([HELD.splitlines(keepends=True)[0], *HELD.splitlines(keepends=True)[:0:-1]])),
    "with other line ends": (None, HELD.replace(b"\n", b"\r\n")),
    "without the last newline": (None, HELD[:-1]),
    "with a BOM": (None, b"\xef\xbb\xbf" + HELD),
}


@pytest.mark.parametrize(("packed", "text"), EQUAL.values(), ids=EQUAL)
def test_a_new_etag_with_equal_rows(place, server, packed, text):
    packed = packed or pack(text)
    csvs = {path.name: path.read_bytes() for path in place.tracked.glob("*.csv")}
    server.put(key(DAY), packed)
    ran = place.run(*SPAN)
    assert (ran.gets, ran.finished.exit_code, ran.finished.corrections) == ([DAY], 0, 0)
    assert kept(place) == [("equal rows", md5(pack(HELD)), md5(packed), [], [])]
    assert place.reassembled(DAY) == text
    assert {path.name: path.read_bytes() for path in place.tracked.glob("*.csv")} == csvs
    assert place.run(*SPAN).gets == []


def test_a_refresh_that_brings_the_same_is_no_correction(place):
    assert place.run(*SPAN, refresh=True).finished.corrections == 0
    assert kept(place) == []


_DYING = """
import os, signal
from ingest.cache.manifest.sessions import KnownSessions
from ingest.files import durable
left = int(os.environ["STEPS"])
def dying(step):
    def count(*arguments, **named):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return step(*arguments, **named)
    return count
durable.publish, KnownSessions.commit = dying(durable.publish), dying(KnownSessions.commit)
from ingest.__main__ import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's own")
@pytest.mark.parametrize("steps", sampled([1, 0, 2]))  # parts published before it
def test_killed_between_intent_and_commit_the_difference_is_there_after_the_next_run(place, server, tmp_path, steps):
    text = CHANGED.replace(b"\nT03,", b"\nT99,")
    server.put(key(DAY), pack(text))
    whole = Place(tmp_path / "whole", place.endpoint_url)
    shutil.copytree(place.root, whole.root)
    whole.run(*SPAN)
    command = ["run", "--start", str(SPAN[0]), "--end", str(SPAN[1])]
    environment = place.environment(STEPS=str(steps))
    done = subprocess.run([sys.executable, "-c", _DYING, *command], env=environment, cwd=tmp_path, timeout=60)
    assert done.returncode == -9
    assert (len(place.query("SELECT * FROM intents")), kept(place)) == (1, [])
    # Not even the source is needed: what it has published is staged, and the intent holds the difference.
    offline = Place(place.root, "http://127.0.0.1:9", source={"attempts": 1, "down_after_s": 1})
    offline.run(*SPAN, fails=Disrupted)
    ((kind, _, _, removed, added),) = kept(place)
    assert (kind, len(removed), len(added)) == ("new etag", 2, 2)
    assert kept(place) == kept(whole)
    assert place.run(*SPAN).gets == []
    assert_same(place, whole)
    assert verify(place.settings(), deep=True).problems == ()
