"""`ingest corrections` and `ingest findings`, from a run to the printed output and Python's frames."""

import json
from datetime import date

import pytest
from pipeline_kit import HEADER, Place, flat, key, market_day
from runs_kit import DAYS, SPAN

import ingest
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback

ROWS = [(f"T{n:02}", str(n + 1)) for n in range(20)]
ESCAPE = "\x1b[31mred"


def text(*changes):
    """A day of twenty tickers, some with another price, removed (None) or new."""
    rows = dict(ROWS) | dict(changes)
    lines = [f"{ticker},1000,{price},{price},{price},{price},1,1" for ticker, price in sorted(rows.items()) if price]
    return "\n".join([HEADER, *lines, ""]).encode()


@pytest.fixture
def server(loopback_keys):
    with loopback.serve({key(day): pack(text()) for day in DAYS}) as running:
        yield running


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url)


def listed(place, *arguments):
    told = place.here("corrections", "--json", *arguments)
    assert (told.code, told.err) == (0, "")
    return [json.loads(line) for line in told.out.splitlines()]


@pytest.fixture
def corrected(place, server):
    """A cache after three of its files were republished: with other values, with other rows, with equal rows."""
    place.run(*SPAN, tracked={"T03", "T04"})
    server.put(key(DAYS[1]), pack(text(("T03", "7.5"), ("T10", "8"))))
    server.put(key(DAYS[2]), pack(text(("T04", None), ("T99", "5"))))
    server.put(key(DAYS[3]), pack(text()) + pack(b""))
    ran = place.run(*SPAN, tracked={"T03", "T04"})
    assert (ran.finished.corrections, ran.finished.exit_code) == (2, 0)
    return place


def test_each_value_that_was_changed_is_listed(corrected):
    found = listed(corrected)
    values = [(one["ticker"], one["column"], one["old"], one["new"]) for one in found if one["date"] == str(DAYS[1])]
    prices = ("open", "close", "high", "low")
    assert values == [
        *(("T03", column, "4", "7.5") for column in prices),
        *(("T10", column, "11", "8") for column in prices),
    ]
    assert {one["how"] for one in found if one["date"] != str(DAYS[3])} == {"new etag"}
    assert all(date.fromisoformat(one["at"][:10]) for one in found)


def test_rows_that_came_or_went_are_their_lines(corrected):
    gone, come = (one for one in listed(corrected) if one["date"] == str(DAYS[2]))
    assert (gone["ticker"], gone["column"], gone["new"], gone["old"][:4]) == ("T04", None, None, "T04,")
    assert (come["ticker"], come["column"], come["old"], come["new"][:4]) == ("T99", None, None, "T99,")


def test_equal_rows_under_a_new_etag_are_told_apart(corrected):
    (same,) = (one for one in listed(corrected) if one["date"] == str(DAYS[3]))
    assert (same["how"], same["ticker"], same["column"], same["old"]) == ("equal rows", None, None, None)


def test_they_are_listed_of_a_ticker_and_of_a_window(corrected):
    assert {one["ticker"] for one in listed(corrected, "--ticker", "T10")} == {"T10"}
    assert listed(corrected, "--ticker", "NOONE") == []
    assert {one["date"] for one in listed(corrected, "--start", DAYS[2])} == {str(DAYS[2]), str(DAYS[3])}
    assert listed(corrected, "--end", DAYS[0]) == []


def test_a_person_sees_a_table_and_a_count(corrected):
    told = corrected.here("corrections", COLUMNS="200")
    assert told.code == 0
    assert "the row is gone" in told.out
    assert "published again with equal rows" in told.out
    assert "11 changes in 3 sessions." in told.out
    assert "No corrections found." in corrected.here("corrections", "--ticker", "NOONE").out


def test_python_gets_them_as_a_frame(corrected, tmp_path, monkeypatch):
    for name, value in corrected.environment().items():
        monkeypatch.setenv(name, value)
    frame = ingest.corrections("T03")
    assert frame.columns == ["date", "ticker", "column", "old", "new", "kind", "at"]
    assert frame["new"].to_list() == ["7.5"] * 4
    assert len(ingest.corrections()) == 11
    assert ingest.findings()["kind"].to_list() == ["stamps of another date than the key's"] * len(DAYS)
    assert ingest.findings("low above high").is_empty()
    assert ingest.verify(deep=True).problems == ()


def test_a_cache_that_is_not_there_has_none(place):
    told = place.here("corrections", "--json")
    assert [json.loads(line)["kind"] for line in told.out.splitlines()] == ["warning"]
    none = f"no session of stocks-day is stored in {place.root}. Run `ingest run` to download some."
    assert told.err == f"warning: {none}\n"
    assert not place.root.exists()


@pytest.fixture
def odd(place, server):
    server.put(key(DAYS[0]), pack(flat([*ROWS, ("T05", "9"), (f"{ESCAPE}[bold]", "-1")])))
    server.put(key(DAYS[4]), pack(flat(ROWS[:3])))
    return place


def test_findings_are_listed_by_session_and_kind(odd):
    ran = odd.run(*SPAN)
    assert ran.finished.findings["negative or zero price"] == 1
    assert ran.finished.findings["number of rows far from the neighbours'"] == 1
    told = odd.here("findings", "--json")
    found = {(one["date"], one["finding"]): one for one in map(json.loads, told.out.splitlines())}
    assert found[str(DAYS[0]), "conflicting repeat"]["examples"] == ["T05"]
    assert found[str(DAYS[4]), "number of rows far from the neighbours'"]["count"] == 3
    assert "\x1b" not in told.out
    shown = odd.here("findings", "--kind", "negative or zero price", COLUMNS="200")
    assert "negative or zero price: 1 session" in shown.out
    assert "\x1b" not in shown.out
    assert "[bold]" in shown.out
    assert odd.reassembled(DAYS[0]) == flat([*ROWS, ("T05", "9"), (f"{ESCAPE}[bold]", "-1")])


def test_status_reports_them(odd):
    odd.run(*SPAN)
    told = odd.here("status", COLUMNS="300").out
    assert "negative or zero price in 1" in told
    assert "`ingest findings`" in told


def test_an_unknown_kind_is_refused_by_name(place):
    told = place.here("findings", "--kind", "strange")
    assert told.code == 2
    assert "low above high" in told.err


@pytest.mark.parametrize("command", ["corrections", "findings"])
def test_a_window_that_is_the_wrong_way_round_is_refused(place, command):
    told = place.here(command, "--start", "2025-03-05", "--end", "2025-03-04")
    assert (told.code, "wrong way round" in told.err) == (2, True)


def test_a_market_has_no_findings_but_its_repeats(server, tmp_path):
    for day in DAYS:
        server.put(key(day), pack(market_day(day)))
    place = Place(tmp_path / "market", server.endpoint_url)
    place.run(*SPAN)
    kinds = {kind for (kind,) in place.query("SELECT kind FROM findings")}
    assert kinds <= {"identical repeat"}


def test_status_tells_of_parts_that_no_manifest_knows(place, server):
    place.run(*SPAN)
    (place.root / "manifest.sqlite").unlink()
    assert f"Parts of {len(DAYS)} sessions" in place.here("status", COLUMNS="200").out
