"""Commands killed by SIGKILL at their steps: the same command, given again, ends what was begun, with exit 0."""

import shutil
import sys

import pytest
from killing import nursery_of
from pipeline_kit import Place, assert_same, flat, key, packed_day, trading_days, window
from story import DAYS as LATER

from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import NotFound
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY
from ingest.reading import history
from ingest.reading.adjusting import fallback

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX's own")

DAYS = trading_days(LATER[0], 5)
HELD, NEW, TRACKED = DAYS[:4], DAYS[4], frozenset({"T01", "T30"})
ROWS = [(f"T{n:02}", f"{10 + n}") for n in range(40)]
REFUSED = DAYS[1:3]
LIST = "T01\n# mine\nT30 # x\n"


@pytest.fixture(scope="module")
def server(environment):
    with loopback.serve({key(day): pack(flat(ROWS)) for day in HELD}) as running:
        yield running


@pytest.fixture(scope="module")
def nursery(server, environment):
    with nursery_of(server.endpoint_url, environment) as running:
        yield running


@pytest.fixture(scope="module")
def before(server, tmp_path_factory):
    """Four sessions are held, files of two of them were refused, and an older cache has one day more."""
    top = tmp_path_factory.mktemp("before")
    place = Place(top / "cache", server.endpoint_url)
    place.run(*window(HELD), tracked=TRACKED | {"T05"})
    for day in REFUSED:
        server.put(key(day), pack(flat(ROWS[5:])))
    place.run(*window(HELD), tracked=TRACKED)
    for day in REFUSED:
        server.put(key(day), pack(flat([*ROWS[:-1], ("T99", "7")])))
    (top / "stocks.txt").write_text(LIST)
    (top / "more.txt").write_text("T02\nT30\nT03\n")
    (top / "theirs" / "massive_cache").mkdir(parents=True)
    (top / "theirs" / "massive_cache" / f"{NEW}.csv.gz").write_bytes(packed_day(NEW))
    (top / "mirror" / key(NEW)).parent.mkdir(parents=True)
    (top / "mirror" / key(NEW)).write_bytes(packed_day(NEW))
    (place.root / "spool").mkdir(exist_ok=True)
    (place.root / "spool" / f"{HELD[0]}.csv.gz.part").write_bytes(b"some of it")
    return place


def copied(before, folder):
    shutil.copytree(before.root.parent, folder)
    return Place(folder / "cache", before.endpoint_url)


def environment_of(place):
    return place.environment(INGEST_TRACKED__LISTS='["stocks.txt"]', INGEST_TRACKED__TICKERS="[]")


def again(place, *arguments):
    return place.here(*arguments, INGEST_TRACKED__LISTS='["stocks.txt"]', INGEST_TRACKED__TICKERS="[]")


def check(place, whole):
    assert (place.root.parent / "stocks.txt").read_text() == (whole.root.parent / "stocks.txt").read_text()
    assert_same(place, whole)
    assert verify(place.settings()).broken == ()
    assert not [path for path in place.root.rglob("*") if path.name.startswith(".")]


COMMANDS = {
    "track add": ("track", "add", "T02", "T03"),
    "track remove": ("track", "remove", "T30", "T01"),
    "track remove --delete": ("track", "remove", "T30", "T01", "--delete", "--yes"),
    "track import": ("track", "import", "more.txt"),
    "quarantine accept": ("quarantine", "accept", *map(str, REFUSED)),
    "quarantine retry": ("quarantine", "retry", *map(str, REFUSED)),
    "adopt": ("adopt", "theirs"),
    "adopt of a mirror": ("adopt", "mirror"),
    "prune": ("prune", "--before", str(HELD[2]), "--untracked", "--quarantine", "--spool", "--yes"),
    "prune of all": ("prune", "--before", str(LATER[-1]), "--yes"),
}


def kill(nursery, place, arguments, step):
    order = {"deed": "command", "arguments": arguments, "environment": environment_of(place), "at_step": step}
    order["by_names"] = not {"prune", "--delete"}.isdisjoint(arguments)  # they are made of removals
    return nursery.run(place, HELD, TRACKED, **order)


def check_killed(nursery, before, folder, arguments, apart):
    """Kill a command at its first step, and then each so many steps on; returns the steps that it died at."""
    whole = copied(before, folder / "whole")
    assert again(whole, *arguments).code == 0
    assert verify(whole.settings()).broken == ()
    ends = []
    while True:
        step = 1 + apart * len(ends)
        place = copied(before, folder / f"{step}")
        answer = kill(nursery, place, arguments, step)
        if answer["status"] == 0:
            check(place, whole)
            return ends
        ends.append(answer["steps"][-1])
        try:
            assert arguments[0] != "prune" or verify(place.settings()).broken == ()
            told = again(place, *arguments)
            assert told.code == 0, told
            check(place, whole)
        except AssertionError as error:
            error.add_note(f"killed at step {step}, the last of {ends}")
            raise
        shutil.rmtree(place.root.parent)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_at_some_of_its_steps_is_finished_by_the_same_command(name, before, nursery, tmp_path):
    assert check_killed(nursery, before, tmp_path, COMMANDS[name], 6 if name.startswith("track") else 16)


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_at_any_step_is_finished_by_the_same_command(name, before, nursery, tmp_path):
    ends = check_killed(nursery, before, tmp_path, COMMANDS[name], 1)
    assert {"stage", "publish", "sync", "begin", "commit"} <= set(ends)


@pytest.fixture(scope="module")
def broken_off(before, nursery, tmp_path_factory):
    """An acceptance that was killed as the first of two parts had taken its place: its intent is there."""
    place = copied(before, tmp_path_factory.mktemp("broken") / "off")
    steps = kill(nursery, copied(before, tmp_path_factory.mktemp("whole") / "x"), COMMANDS["quarantine accept"], None)
    kill(nursery, place, COMMANDS["quarantine accept"], 2 + steps["steps"].index("publish"))
    assert place.query("SELECT session FROM intents") == [(str(REFUSED[0]),)]
    return place


AFTER = {
    "track add": ("track", "add", "T02"),
    "track remove": ("track", "remove", "T30"),
    "export": ("export", "T01", "T39", "--out", "out"),
    "show": ("show", "T39", "--no-fetch", "--adjust", "none", "--start", str(HELD[0]), "--end", str(HELD[-1])),
    "status": ("status",),
    "accept of the other one": ("quarantine", "accept", str(REFUSED[1])),
    "adopt": ("adopt", "theirs"),
    "verify": ("verify",),
    "verify --deep": ("verify", "--deep"),
    "verify --repair": ("verify", "--repair"),
}


READING = ("export", "show", "status", "verify", "verify --deep")


@pytest.mark.parametrize("name", AFTER)
def test_whoever_comes_next_after_a_kill_works_at_once(name, broken_off, tmp_path):
    place = copied(broken_off, tmp_path / "next")
    told = again(place, *AFTER[name])
    assert told.code == 0, told
    assert len(place.query("SELECT session FROM intents")) == (name in READING)
    rows = history.day_rows(place.settings(), STOCKS_DAY, REFUSED[0])
    assert rows["ticker"].to_list() == [ticker for ticker, _ in ROWS[5:]]


def test_keeping_what_yahoo_says_carries_through_what_was_broken_off(broken_off, tmp_path):
    place = copied(broken_off, tmp_path / "next")
    fallback.keep_refusal(place.settings(), STOCKS_DAY, "T01", HELD[0], NotFound("unknown"))
    assert place.query("SELECT session FROM intents") == []
    assert place.query("SELECT ticker FROM refusals") == [("T01",)]
