"""`ingest status` for people: texts of files and paths are printed as they are, and only runs count as runs."""

import json
import os
import platform
from datetime import date

import pytest
from pipeline_kit import Place, flat, key, trading_days, window

from ingest.cache import lock
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback

DAYS = trading_days(date(2025, 3, 3), 3)
HOSTILE = b"[/bold],[red]x[/red]\n1,2\n"


@pytest.fixture
def place(loopback_keys, tmp_path):
    """A cache with a name that rich could read as markup, and one unreadable file."""
    with loopback.serve({key(day): pack(flat([("AAPL", 3), ("[/b]", 4)])) for day in DAYS}) as server:
        server.put(key(DAYS[1]), pack(HOSTILE))
        found = Place(tmp_path / "a [bold] cache" / ("deep" * 30), server.endpoint_url)
        found.root.mkdir(parents=True)
        found.run(*window(DAYS), tracked={"AAPL", "[/b]"})
        yield found


def test_what_a_file_says_and_where_it_lies_is_no_markup(place):
    told = place.here("status", COLUMNS="400")
    assert (told.code, told.err) == (0, "")
    assert "[/bold],[red]x[/red]" in told.out
    assert told.out.splitlines()[0].endswith(f" in {place.root}")


@pytest.mark.parametrize(
    "command",
    [
        *(("findings",), ("verify",), ("corrections",), ("track", "list"), ("quarantine", "list")),
        ("quarantine", "show", str(DAYS[1])),
        ("list", "--start", str(DAYS[0]), "--end", str(DAYS[-1])),
        ("run", "--start", str(DAYS[0]), "--end", str(DAYS[-1])),
        ("check",),
    ],
    ids=" ".join,
)
def test_no_command_takes_it_for_markup(place, command):
    told = place.here(*command)
    assert told.code in (0, 3, 4)
    assert told.out


def test_a_path_is_in_one_line(place):
    lines = place.here("status", COLUMNS="80").out.splitlines()
    folders = [place.root / "data_cache", place.tracked / "sessions", place.archive]
    assert all(any(line.rstrip().endswith(f" {folder}") for line in lines) for folder in folders)


def test_a_repair_is_no_run(place):
    assert place.here("verify", "--repair").code == 0
    assert [run["run"] for run in place.status().runs] == [1]


def test_who_holds_the_cache_is_said(place):
    assert "In use" not in place.here("status").out
    with lock.hold(place.root):
        told, found = place.here("status").out, place.here("status", "--json").out
    assert f"In use: pid {os.getpid()} on {platform.node()}, since 20" in told
    assert json.loads(found)["running"]["pid"] == os.getpid()
