"""`ingest list`: the source's files in a window, and which are stored and permitted."""

import json
from datetime import date

import pytest
from pipeline_kit import Place, flat, key, market_objects, trading_days

from ingest.demo.files.market import pack
from ingest.demo.servers import loopback

DAYS = trading_days(date(2025, 3, 3), 12)
WINDOW = ("--start", "2025-03-01", "--end", "2025-03-31")


@pytest.fixture
def place(loopback_keys, tmp_path):
    with loopback.serve(market_objects(DAYS), forbidden={key(day) for day in DAYS[:3]}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.server = server
        yield place


def listed(place, *flags):
    done = place.here("list", "--json", *WINDOW, *flags)
    assert (done.code, done.err) == (0, "")
    return {row.pop("session"): row for row in map(json.loads, done.out.splitlines())}


def test_an_empty_cache_asks_the_source_and_writes_nothing(place):
    rows = listed(place)
    assert list(rows) == [str(day) for day in DAYS]
    assert [row["permitted"] for row in rows.values()] == [False] * 3 + [True] * 9
    assert {row["held"] for row in rows.values()} == {"none"}
    assert not place.root.exists()


def test_stored_files_and_files_republished_since(place):
    place.run(DAYS[3], DAYS[6])
    place.server.put(key(DAYS[4]), pack(flat([("AAPL", "1.5")])))
    held = [row["held"] for row in listed(place).values()]
    assert held == ["none"] * 3 + ["committed", "replaced", "committed", "committed"] + ["none"] * 5


def test_only_the_edges_of_known_permissions_are_probed(place):
    place.run(DAYS[0], DAYS[-1])
    before = len(place.server.requests)
    rows = listed(place)
    asked = [request.key for request in place.server.requests[before:]]
    assert asked == ["", *(key(DAYS[n]) for n in (3, 11, 1, 2))]
    assert sum(row["permitted"] for row in rows.values()) == 9


def test_a_subscription_changed_since_the_last_run_is_noticed(place):
    place.run(DAYS[0], DAYS[-1])
    place.server.forbidden.add(key(DAYS[3]))
    assert sum(row["permitted"] for row in listed(place).values()) == 8
    place.server.forbidden.clear()
    assert all(row["permitted"] for row in listed(place).values())


def test_a_person_sees_a_table_and_its_sums(place):
    place.run(DAYS[3], DAYS[6])
    done = place.here("list", *WINDOW)
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[-2:] for line in lines[1:13]] == [["no", "no"]] * 3 + [["yes", "yes"]] * 4 + [["no", "yes"]] * 5
    assert " ".join(lines[-1]).startswith("12 files listed, ")
    assert "5 files available but not stored" in done.out.replace("\n", " ")


def test_a_window_with_nothing_in_it(place):
    done = place.here("list", "--start", "2025-05-01", "--end", "2025-05-31")
    assert (done.code, done.out.split(",")[0]) == (0, "0 files listed")


def test_flags_that_exclude_each_other_are_refused(place):
    done = place.here("list", "--all-permitted", "--months", "2")
    assert done.code == 2
    assert "--months and --all-permitted exclude each other" in done.err
