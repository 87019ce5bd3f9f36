"""`ingest sql`: what it prints, reads and refuses, and that Ctrl-C ends it."""

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from pipeline_kit import Place, market_objects, trading_days, window

import ingest
from ingest.demo.servers import loopback

DAYS = trading_days(date(2025, 2, 27), 4)
ENDLESS = "select sum(a.range * b.range) from range(10000000) a, range(10000000) b, stocks_day"


@pytest.fixture(scope="module")
def places(environment, tmp_path_factory):
    """Two caches of the same sessions: with a lake, and without."""
    with loopback.serve(market_objects(DAYS)) as server:
        found = {}
        for lake in (True, False):
            folder = tmp_path_factory.mktemp("sql")
            found[lake] = Place(folder / "cache", server.endpoint_url, lake=lake)
            found[lake].run(*window(DAYS))
            (folder / "config.toml").write_text('[cache]\nroot = "cache"\n')
        return found


@pytest.fixture
def place(places, monkeypatch):
    monkeypatch.chdir(places[True].root.parent)
    return places[True]


@pytest.fixture
def market(place):
    """All stored rows."""
    return ingest.scan(config="config.toml").collect()


def test_a_table_has_headers_and_numbers_to_the_right(place, market):
    told = place.here("sql", "select ticker, count(*) as n, max(volume) as most from stocks_day group by 1 order by 1")
    head, *lines = told.out.splitlines()
    counts = market.group_by("ticker").agg(pl.len(), pl.col("volume").max()).sort("ticker")
    assert (told.code, told.err, head.split()) == (0, "", ["ticker", "n", "most"])
    assert [line.split() for line in lines] == [[name, str(n), f"{most:.15g}"] for name, n, most in counts.iter_rows()]
    assert len({len(line) for line in [head, *lines]}) == 1


def test_without_a_terminal_all_rows_are_printed_and_a_limit_says_what_is_left(place, market):
    assert len(place.here("sql", "from stocks_day").out.splitlines()) == market.height + 1
    told = place.here("sql", "select ticker from stocks_day order by ticker", "--limit", "2")
    assert told.out.split() == ["ticker", *market["ticker"].sort().head(2)]
    assert f"{market.height - 2:,} more rows" in told.err
    assert "`--csv` to print all" in told.err
    exact = place.here("sql", "from stocks_day", "--limit", str(market.height))
    assert (len(exact.out.splitlines()), exact.err) == (market.height + 1, "")


def test_csv_has_all_rows_and_dates_and_numbers_as_they_are(place, market):
    told = place.here("sql", "from stocks_day order by ticker, date", "--csv")
    found = pl.read_csv(io.StringIO(told.out), schema_overrides={"date": pl.Date, "ticker": pl.String})
    expected = market.sort("ticker", "date")
    assert (told.code, told.err) == (0, "")
    for name in ("ticker", "date", "close", "volume"):
        assert found[name].to_list() == expected[name].to_list()
    assert place.here("sql", "from stocks_day where ticker = 'none'", "--csv").out == f"{','.join(found.columns)}\n"


def test_times_in_csv_are_iso(place):
    told = place.here("sql", "select timestamptz '2025-03-03 14:30:00+00' as time, 1.5::decimal(4,2) as d", "--csv")
    assert list(csv.reader(told.out.splitlines())) == [["time", "d"], ["2025-03-03T14:30:00+00:00", "1.50"]]


def test_json_has_a_record_for_each_row(place, market):
    told = place.here("sql", "select ticker, sum(transactions) as n from stocks_day group by 1 order by 1", "--json")
    found = [json.loads(line) for line in told.out.splitlines()]
    sums = market.group_by("ticker").agg(pl.col("transactions").sum()).sort("ticker")
    assert {one["kind"] for one in found} == {"row"}
    assert [one["values"] for one in found] == [{"ticker": name, "n": n} for name, n in sums.iter_rows()]
    odd = "select 'nan'::double a, [1.5::decimal(9,1), 2] b, interval 1 day c, null d, date '2025-01-02' e, 1 as kind"
    (found,) = [json.loads(line) for line in place.here("sql", odd, "--json").out.splitlines()]
    assert found["values"] == {"a": None, "b": [1.5, 2], "c": "1 day", "d": None, "e": "2025-01-02", "kind": 1}


def test_parquet_is_a_whole_file_of_all_rows(place, market, tmp_path):
    path = tmp_path / "there" / "answer.parquet"
    for _ in range(2):
        told = place.here("sql", "from stocks_day", "--parquet", str(path))
        assert (told.code, told.out) == (0, f"{path}: {market.height} rows\n")
    assert pl.read_parquet(path)["close"].sum() == pytest.approx(market["close"].sum())
    assert list(path.parent.iterdir()) == [path]
    told = place.here("sql", "from stocks_day", "--parquet", str(tmp_path))
    assert (told.code, "is a folder" in told.err) == (2, True)


def test_a_query_comes_from_stdin_if_none_is_given(place):
    command, environment = place.command("sql", "--csv"), place.environment()
    done = subprocess.run(command, env=environment, input="select 42 as n;", capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "n\n42\n", "")
    done = subprocess.run(command, env=environment, input="", capture_output=True, text=True, timeout=60)
    assert (done.returncode, "the query is empty" in done.stderr) == (2, True)


def test_sessions_that_are_read_from_the_parts_are_told_and_the_rows_are_the_same(places, market):
    query = ("sql", "from stocks_day order by ticker, date", "--csv")
    fast, slow = places[True].here(*query), places[False].here(*query)
    assert (slow.code, slow.out, fast.err) == (0, fast.out, "")
    assert slow.err == ("stocks_day: 4 sessions are read from the parts. Run `ingest lake build` to make it fast.\n")
    assert places[False].here("sql", "from sessions").err == ""


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select foo frm x", "syntax error"),
        ("from stocks_dya", "Did you mean"),
        ("from nothing_like_it", "`show tables` lists what can be asked."),
        ("from stocks-day limit 5", "The view of stocks-day is named stocks_day."),
        ('select close from stocks_day where ticker = "AAPL"', "Text needs single quotes: 'AAPL'."),
        ("insert into tickers values (1)", "a query only reads: INSERT is refused, and nothing is written"),
        ("from sessions; from sessions", "2 statements"),
        ("create table mine as from stocks_day", "nothing is written"),
        ("copy (select 1) to 'written.csv'", "nothing is written"),
        ("explain analyze copy (select 1) to 'written.csv'", "nothing is written"),
        ("explain (analyze) copy (select 1) to 'written.csv'", "nothing is written"),
        ("explain analyze\u00a0copy (select 'é') to 'written.csv'", "nothing is written"),
        ("with x as (copy (select 1) to 'written.csv') from x", "nothing is written"),
        ("explain analyze install httpfs", "nothing is written"),
        ("explain (analyze) install httpfs", "nothing is written"),
        ("explain (analyze, format json) set threads = 2", "nothing is written"),
        ("explain analyze set threads = 2", "nothing is written"),
        ("explain analyze create table mine as select 1", "nothing is written"),
        ("set memory_limit = '1GB'", "nothing is written"),
        ("install httpfs", "nothing is written"),
        ("from 'https://example.test/x.csv'", "httpfs"),
        ("select 1 as a, 2 as a", "two columns of the answer are named a"),
        ("/* nothing */", "the query is empty"),
    ],
)
def test_what_does_not_only_read_or_is_wrong_is_refused(place, query, told):
    for flags in ((), ("--json",)):
        done = place.here("sql", query, *flags)
        assert (done.code, told in done.err) == (2, True), done.err
        assert "Traceback" not in done.err
    assert json.loads(done.out.splitlines()[-1])["kind"] == "error"
    assert not (place.root.parent / "written.csv").exists()


@pytest.mark.parametrize(
    "query",
    [
        "select 'copy' as a, $$ copy $$ as b, e'\\' copy' as c -- copy",
        'select 1 as "copy"',
        "select 'ü' as é /* copy */ where 'é' <> 'copy'",
        "explain select 1",
        "explain analyze from sessions",
        "EXPLAIN (FORMAT json) WITH x AS (SELECT 1) FROM x",
        "with x as (select 1 as a) pivot x on a using first(a)",
        "explain (analyze) (select 1)",
        "explain (select 1)",
        "summarize sessions",
        "(select 1)",
    ],
)
def test_what_only_reads_is_answered(place, query):
    done = place.here("sql", query)
    assert (done.code, done.err) == (0, "")


def test_flags_that_exclude_each_other_and_what_csv_does_not_have(place):
    assert place.here("sql", "select 1", "--csv", "--json").code == 2
    told = place.here("sql", "select [1, 2] as several", "--csv")
    assert (told.code, told.out, "make a text of several" in told.err) == (2, "", True)


def test_odd_answers_are_shown_too(place):
    told = place.here("sql", "select null as a, 'x' || chr(27) as b, interval 2 hours as c, 1e20::hugeint as d")
    assert told.out.splitlines()[1].split() == [r"x\x1b", "02:00:00", "100000000000000000000"]
    assert "no rows" in place.here("sql", "from stocks_day where false").err
    plan = place.here("sql", "explain from stocks_day")
    assert (plan.code, "\\n" in plan.out, len(plan.out.splitlines()) > 3) == (0, False, True)


def test_a_part_that_cannot_be_read_is_an_error_of_the_cache(places, tmp_path):
    place = replace(places[False], root=tmp_path / "cache")
    shutil.copytree(places[False].root, place.root)
    place.part(DAYS[1]).write_bytes(b"no part")
    for name in ("stocks_day", "tickers"):
        told = place.here("sql", f"select count(*) from {name}")
        assert (told.code, told.out) == (5, "")
        assert f"error: the part {place.part(DAYS[1])}" in told.err
    assert place.here("sql", "from sessions").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
@pytest.mark.parametrize("pause", [0, 0.5])
def test_ctrl_c_ends_a_query_at_once(places, pause):
    place = places[False]
    with subprocess.Popen(
        place.command("sql", ENDLESS),
        env=place.environment(),
        cwd=place.root.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert "read from the parts" in child.stderr.readline()  # what is needed is imported, and the query begins
        time.sleep(pause)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, "", "")
