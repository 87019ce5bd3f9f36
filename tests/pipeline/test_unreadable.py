"""Whole runs with unreadable files: they are quarantined, and stop nothing."""

from pathlib import Path

import pytest
from pipeline_kit import flat
from runs_kit import DAYS, ROWS, SPAN

from ingest import events
from ingest.demo.files.market import pack

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
    assert sorted(ran.gets) == [DAYS[0], DAYS[1], DAYS[1], DAYS[2]]  # once more, in case the fault was in transit
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


def test_an_unreadable_replacement_never_replaces_the_stored_session(filled_here, put):
    filled_here.run(*SPAN)
    before = filled_here.tiers()
    put(DAYS[2], packed=PACKED[:-20])
    ran = filled_here.run(*SPAN)
    assert (ran.finished.exit_code, ran.finished.quarantined, ran.finished.committed) == (3, 1, 7)
    assert filled_here.tiers() == before
    assert filled_here.state(DAYS[2])[0] == "committed"
    assert filled_here.run(*SPAN).gets == []
    put(DAYS[2], flat(ROWS))
    assert filled_here.run(*SPAN, accept=True).committed == [DAYS[2]]
    assert filled_here.reassembled(DAYS[2]) == flat(ROWS)
