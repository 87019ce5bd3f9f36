"""A run takes as much memory as it was granted, whatever a few packed bytes unpack to."""

import gzip
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date

import pytest
from pipeline_kit import HEADER, Place, key, trading_days, window

from ingest.demo.servers import loopback
from ingest.errors import UnreadableFile
from ingest.pipeline.session.body import Costly, cost_of, text_of
from ingest.settings.tuning import DEFAULT
from ingest.sources.base import Body

MIB = 1 << 20
DAYS = trading_days(date(2025, 3, 3), 4)
SHORT = b"ticker,volume,open,close,high,low\n"
WIDE = SHORT[:-1] + b"".join(b",c%d" % n for n in range(990)) + b"\n"
BASE = 170
"""MiB of a run of ordinary files, Python and polars included."""

TEXTS = {
    "short lines": SHORT + b"A,1,1,1,1,1\n" * 990_000,
    "no fields": SHORT + b"A\n" * 990_000,
    "a quote, and few of many columns": WIDE + b'"A\nB",1,1,1,1,1\n' + b"A,1,1,1,1,1\n" * 40_000,
}
KINDS = list(TEXTS)

WATCH = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(status)
print(child.returncode, usage.ru_maxrss)
"""
"""A small process that starts the command: Linux counts what a parent held as its child's, too."""


def peak_of(place: Place, *arguments: str) -> tuple[int, int]:
    """Exit code, and the peak memory of a command, in MiB."""
    watched = subprocess.run(
        [sys.executable, "-c", WATCH, *place.command(*arguments)],
        env=place.environment(),
        cwd=place.root.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    code, peak = map(int, watched.stdout.split())
    return code, peak * (1 if sys.platform == "darwin" else 1024) // MIB


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="nobody says what a process took")
@pytest.mark.parametrize("kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS[1:])])
def test_few_packed_bytes_do_not_take_the_memory_of_their_whole_text(kind, loopback_keys, tmp_path):
    packed = gzip.compress(TEXTS[kind], 9)
    assert len(packed) < MIB // 4
    with loopback.serve({key(day): packed for day in DAYS}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        first, last = window(DAYS)
        code, peak = peak_of(place, "run", "--start", str(first), "--end", str(last), "--yes")
        assert (code, place.status().source_rows) == (0, 4 * (TEXTS[kind].count(b"\n") - 1 - (b'"' in TEXTS[kind])))
        assert peak < BASE + 230


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="nobody says what a process took")
@pytest.mark.parametrize("kind", KINDS)
def test_nor_do_they_when_compared_as_replacements(kind, loopback_keys, tmp_path):
    with loopback.serve({key(day): gzip.compress(TEXTS[kind]) for day in DAYS}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        first, last = window(DAYS)
        assert place.cli("run", "--start", str(first), "--end", str(last), "--yes").returncode == 0
        server.objects.update({key(day): gzip.compress(TEXTS[kind] + b"B,1,1,1,1,1\n", 9) for day in DAYS})
        code, peak = peak_of(place, "run", "--start", str(first), "--end", str(last), "--yes")
        assert (code, place.status().corrections) == (0, 4)
        assert peak < BASE + 400  # 460 to 520 in all, depending on how the threads run


def test_no_more_of_a_text_is_held_in_memory_than_was_granted():
    day = "\n".join([HEADER, *(f"T{n:05},1,1,1,1,1,1,1" for n in range(60_000)), ""]).encode()
    body = Body(gzip.compress(day), "e", "m")
    with pytest.raises(Costly) as told:
        text_of(body, 1 << 33, DEFAULT, granted=8 * MIB)
    assert told.value.cost == cost_of([day], DEFAULT.at_once) < DEFAULT.at_once
    assert text_of(body, 1 << 33, DEFAULT, told.value.cost).whole == day
    bomb = Body(gzip.compress(TEXTS["short lines"]), "e", "m")
    with pytest.raises(Costly) as told:
        text_of(bomb, 1 << 33, DEFAULT, granted=8 * MIB)
    assert told.value.cost == DEFAULT.in_chunks
    assert text_of(bomb, 1 << 33, DEFAULT, DEFAULT.in_chunks).whole is None


def test_a_text_that_is_surely_too_large_is_not_unpacked_to_learn_what_it_costs():
    most = DEFAULT.in_chunks
    large = Body(os.urandom(most // DEFAULT.at_once_per_packed + 1), "e", "m")
    assert text_of(large, 1 << 33, DEFAULT, most).whole is None
    smaller = replace(large, data=large.data[:-1])
    for body, granted in [(large, most - 1), (large, DEFAULT.at_once), (smaller, most)]:
        with pytest.raises(UnreadableFile, match="not a whole gzip file"):
            text_of(body, 1 << 33, DEFAULT, granted)


def test_what_a_text_costs_does_not_depend_on_its_pieces():
    text = TEXTS["a quote, and few of many columns"][: MIB // 8]
    pieces = [text[at : at + 20_000] for at in range(0, len(text), 20_000)]
    assert cost_of(pieces, DEFAULT.at_once) == cost_of([text], DEFAULT.at_once)
