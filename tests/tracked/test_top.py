"""`@top:500` in a list: the most traded tickers of what is stored when a run begins."""

import json
from datetime import date

import pytest
from pipeline_kit import Place, flat, key, trading_days

import ingest
from ingest.demo.files.files import files_of
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.lake.top import SESSIONS, top_tickers
from ingest.maintenance.verify import verify
from ingest.market.catalogue import named

DAYS = trading_days(date(2025, 3, 3), 6)
OLD, NEW = {"AAA": 1, "BBB": 30, "CCC": 20, "DDD": 10}, {"AAA": 900, "BBB": 30, "CCC": 2, "DDD": 10}
"""Closes: at first B and C are the two most traded, later A and B."""


def day(closes):
    return pack(flat([(name, str(close)) for name, close in sorted(closes.items())]))


@pytest.fixture
def server(loopback_keys):
    with loopback.serve({key(one): day(OLD) for one in DAYS[:2]}) as server:
        yield server


@pytest.fixture
def place(server, tmp_path):
    (tmp_path / "stocks.txt").write_text("# mine\n@top:2  # liquid\nDDD\n")
    return Place(tmp_path / "cache", server.endpoint_url)


def ask(place, *words, lists=("stocks.txt",), **more):
    named = {"INGEST_TRACKED__LISTS": json.dumps(lists), "INGEST_TRACKED__TICKERS": "[]"}
    return place.here(*words, **named, **more)


def run(place, *words):
    told = ask(place, "run", "--start", DAYS[0], "--end", DAYS[-1], *words)
    assert told.code == 0, told.err
    return told


def publish(server, days, closes):
    for one in days:
        server.put(key(one), day(closes))


def dates(place, ticker):
    found = place.csv(ticker)
    return None if found is None else list(found)


def days(*numbers):
    return [str(DAYS[at]) for at in numbers]


def test_the_first_run_has_none_and_says_so_and_the_next_one_follows_them(place):
    told = run(place)
    words = "@top:2 stands for no ticker in this run: no session of stocks-day is stored with all its tickers yet"
    assert words in told.out + told.err
    assert (dates(place, "BBB"), dates(place, "DDD")) == (None, days(0, 1))
    assert "stands for no ticker" not in (again := run(place)).out + again.err
    assert {name: dates(place, name) for name in OLD} == {
        "AAA": None,
        "BBB": days(0, 1),
        "CCC": days(0, 1),
        "DDD": days(0, 1),
    }
    assert verify(place.settings(), deep=True).problems == ()


def test_a_session_is_split_by_the_set_at_the_runs_beginning_and_one_that_leaves_keeps_its_csv(place, server):
    run(place)
    run(place)
    publish(server, DAYS[2:5], NEW)
    run(place)  # B and C are the top still
    assert [line[:3] for line in place.part_text(DAYS[4]).splitlines()[1:]] == [b"BBB", b"CCC", b"DDD"]
    assert (dates(place, "AAA"), dates(place, "CCC")) == (None, days(0, 1, 2, 3, 4))
    publish(server, DAYS[5:], NEW)
    run(place)  # now A and B are: its CSV has the rows of the archive, too
    assert [line[:3] for line in place.part_text(DAYS[5]).splitlines()[1:]] == [b"AAA", b"BBB", b"DDD"]
    assert (dates(place, "AAA"), dates(place, "BBB")) == (days(*range(6)), days(*range(6)))
    assert dates(place, "CCC") == days(0, 1, 2, 3, 4), "as it was when it left"
    assert verify(place.settings(), deep=True).problems == ()
    assert ask(place, "prune", "--untracked", "--yes").code == 0
    assert (dates(place, "CCC"), dates(place, "AAA")) == (None, days(*range(6)))


def test_only_the_newest_sessions_count(place, server, monkeypatch):
    assert SESSIONS == 60
    monkeypatch.setattr("ingest.lake.top.SESSIONS", 1)
    publish(server, DAYS[2:3], NEW)
    run(place)
    run(place)
    assert {name for name in OLD if place.csv(name)} == {"AAA", "BBB", "DDD"}


def test_what_was_stored_with_only_the_tracked_tickers_has_no_say(place):
    told = run(place, "--no-save-others")
    assert "stands for no ticker" in told.out + told.err
    told = run(place, "--no-save-others")
    assert "stands for no ticker" in told.out + told.err
    assert top_tickers(place.settings(), named("stocks-day"), 2).tickers == ()


def test_the_set_of_a_run_is_told_before_it_begins(place):
    run(place)
    assert "BBB" not in (told := run(place, "--dry-run")).out + told.err
    (started,) = [one for one in map(json.loads, run(place, "--json").out.splitlines()) if one["kind"] == "run_started"]
    assert started["tracked"] == 3


def test_a_lake_gives_the_same_set(place):
    run(place)
    plain = top_tickers(place.settings(), named("stocks-day"), 2)
    assert ask(place, "lake", "build").code == 0
    assert top_tickers(place.settings(), named("stocks-day"), 2) == plain
    assert plain.tickers == ("BBB", "CCC")
    assert ingest.tickers(top=2, newest=SESSIONS, config=place.config())["ticker"].to_list() == ["BBB", "CCC"]


@pytest.mark.parametrize("damage", ["a part", "the manifest"])
def test_what_is_damaged_can_be_put_right_and_the_set_stays_meanwhile(place, damage):
    run(place)
    run(place)
    file = place.part(DAYS[0], "archive") if damage == "a part" else place.root / "manifest.sqlite"
    file.write_bytes(b"nonsense")
    told = ask(place, "verify", "--deep", "--repair")
    assert told.code == 0, told.err
    if damage == "a part":
        assert "@top:2 cannot be worked out, so the tickers tracked now stay" in told.err
    run(place)
    assert {name for name in OLD if place.csv(name)} == {"BBB", "CCC", "DDD"}
    assert verify(place.settings(), deep=True).problems == ()


def test_a_run_beside_a_damaged_part_keeps_the_set(place, server):
    run(place)
    run(place)
    place.part(DAYS[0], "archive").write_bytes(b"nonsense")
    publish(server, DAYS[2:3], OLD)
    told = ask(place, "run", "--start", DAYS[2], "--end", DAYS[2])
    assert "@top:2 cannot be worked out, so the tickers tracked now stay" in told.out
    assert "BBB" in place.part_text(DAYS[2]).decode()


def test_minutes_follow_the_most_traded_of_the_days(loopback_keys, tmp_path):
    dataset, session = named("stocks-minute"), date(2026, 2, 3)
    made, daily = files_of(dataset, 15), files_of(named("stocks-day"), 15)
    objects = {dataset.key(session): pack(made.text(session)), key(session): pack(daily.text(session))}
    with loopback.serve(objects) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        (tmp_path / "stocks-minute.txt").write_text("@top:2\n")
        chosen = {"INGEST_TRACKED__DATASETS": '{"stocks-minute": ["stocks-minute.txt"]}'}
        both = ("run", "--start", session, "--end", session, "-d", "stocks-day", "-d", "stocks-minute")
        assert ask(place, *both, lists=(), **chosen).code == 0
        assert ask(place, *both, lists=(), **chosen).code == 0
    top = ingest.tickers(top=2, config=place.config())["ticker"].to_list()
    folder = dataset.folder(place.root / "data_cache")
    assert sorted(one.name for one in folder.glob("*_1m_data")) == sorted(f"{name}_1m_data" for name in top)


def test_indices_have_no_volume_to_go_by(place, tmp_path):
    (tmp_path / "indices.txt").write_text("@top:5\n")
    told = ask(
        place, "run", "-n", "--start", DAYS[0], "--end", DAYS[0], "-d", "indices-day", "--tickers", "indices.txt"
    )
    assert "@top:5: indices-day has no volume, so it stands for no ticker" in told.out
    told = ask(place, "track", "add", "@top:5", "-d", "indices-day", "--list", "other.txt")
    assert (told.code, told.err) == (2, "error: @top:5: indices-day has no volume\n")


# ingest track


def stocks(place):
    return (place.root.parent / "stocks.txt").read_text()


def test_it_is_listed_with_how_many_tickers_it_stands_for(place):
    assert "@top:2 (0 now)" in ask(place, "track", "list").out
    run(place)
    run(place)
    told = ask(place, "track", "list").out.splitlines()
    assert told[2].split() == ["@top:2", "(2", "now)", "4", str(DAYS[0]), str(DAYS[1])]
    assert told[-1] == "1 ticker tracked by name, and the 2 most traded."
    found = [json.loads(line) for line in ask(place, "track", "list", "--json").out.splitlines()]
    assert [(one["ticker"], one["matches"], one["rows"]) for one in found] == [("DDD", None, 2), ("@top:2", 2, 4)]


def test_adding_it_follows_them_at_once(place, tmp_path):
    (tmp_path / "stocks.txt").write_text("DDD\n")
    run(place)
    told = ask(place, "track", "add", "@top:1", "AAA")
    assert (told.code, stocks(place)) == (0, "DDD\n@top:1\nAAA\n")
    assert "@top:1 (1 now): 2 rows, " in told.out
    assert {name for name in OLD if place.csv(name)} == {"AAA", "BBB", "DDD"}
    assert "0 added to" in ask(place, "track", "add", "@top:1").out


def test_very_many_are_not_added_unasked(place, monkeypatch, tmp_path):
    monkeypatch.setattr("ingest.cli.commands.track._MANY", 2)
    (tmp_path / "stocks.txt").write_text("DDD\n")
    run(place)
    told = ask(place, "track", "add", "@top:4")
    assert (told.code, stocks(place)) == (2, "DDD\n")
    assert "3 tickers of the newest stored session" in told.err
    assert ask(place, "track", "add", "@top:4", "--yes").code == 0


def test_removing_it_leaves_the_csvs_or_takes_those_that_no_other_name_covers(place, tmp_path):
    run(place)
    run(place)
    told = ask(place, "track", "remove", "@top:2")
    assert (told.code, stocks(place)) == (0, "# mine\nDDD\n")
    assert dates(place, "BBB") == days(0, 1)
    (tmp_path / "stocks.txt").write_text("@top:3\nDDD\nCCC\n@top:1\n")
    run(place)
    told = ask(place, "track", "remove", "@top:3", "--delete", "-n")
    assert "Would delete 0 CSVs" in told.out, "B is the top, C and D are named"
    told = ask(place, "track", "remove", "@top:3", "CCC", "--delete", "--yes")
    assert "1 CSV (CCC)" in told.out
    assert {name for name in OLD if place.csv(name)} == {"BBB", "DDD"}
    assert verify(place.settings(), deep=True).problems == ()


def test_lines_that_include_lists_are_added_and_removed_as_such(place, tmp_path):
    run(place)
    (tmp_path / "ibd.txt").write_text("AAA # a\n@top:1\n")
    told = ask(place, "track", "add", "@ibd.txt")
    assert (told.code, stocks(place)) == (0, "# mine\n@top:2  # liquid\nDDD\n@ibd.txt\n")
    assert "AAA: 2 rows" in told.out
    assert dates(place, "AAA") == days(0, 1)
    told = ask(place, "track", "remove", "@ibd.txt", "--delete", "--yes")
    assert (dates(place, "AAA"), "1 CSV (AAA)" in told.out) == (None, True)
    assert stocks(place) == "# mine\n@top:2  # liquid\nDDD\n"
    told = ask(place, "track", "add", "@top:0")
    assert (told.code, "'@top:0': write @top:500, or @ and the name of another list" in told.err) == (2, True)
    told = ask(place, "track", "add", "@stocks.txt")
    assert (told.code, "in a circle (stocks.txt includes stocks.txt)" in told.err) == (2, True)
    told = ask(place, "track", "add", "@no.txt")
    assert (told.code, "no.txt does not exist" in told.err) == (2, True)
    (tmp_path / "stocks.txt").write_text("DDD\n@no.txt\n")
    told = ask(place, "track", "list")
    assert (told.code, "stocks.txt, line 2: the list" in told.err) == (2, True)
    told = ask(place, "track", "remove", "@no.txt")
    assert (told.code, stocks(place)) == (0, "DDD\n")


def test_an_import_has_the_lines_of_included_lists_and_keeps_its_top(place, tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "theirs.txt").write_text("AAA\n@more.txt\n")
    (tmp_path / "lists" / "more.txt").write_text("B* # all of these\n@top:7\n")
    assert ask(place, "track", "import", "lists/theirs.txt").code == 0
    assert stocks(place) == "# mine\n@top:2  # liquid\nDDD\nAAA\nB*\n@top:7\n"


def test_python_takes_such_lines_too(place):
    run(place)
    config = place.config(lists=["stocks.txt"])
    (found,) = ingest.track.add("@top:1", config=config)
    assert (found.ticker, found.matches, found.rows) == ("@top:1", 1, 2)
    assert ingest.track.list(config=config)[-1].ticker == "@top:2"
    assert ingest.track.remove(["@top:1", "@top:2"], config=config) == ("@top:1", "@top:2")


def test_what_is_exported_is_what_is_followed(place, tmp_path):
    run(place)
    assert ask(place, "export", "--tracked", "--out", "files").code == 0
    assert sorted(one.name for one in (tmp_path / "files").glob("*.csv")) == ["BBB_1d.csv", "CCC_1d.csv", "DDD_1d.csv"]
