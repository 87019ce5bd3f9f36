"""Queries that would write, answers that polars or Python do not have, and files of the lake that cannot be read."""

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
from lake_kit import DAYS
from pipeline_kit import Place, window

from ingest.cli.report.file import page_place
from ingest.errors import CacheError, IngestWarning, NotFound, UsageError
from ingest.files.durable import irreplaceable
from ingest.querying import connection, statements
from ingest.querying.asking import ask
from ingest.querying.statements import check_query
from ingest.settings import CacheSettings, Settings

READERS = ("read_", "parquet_", "duckdb_", "pragma_")
HARMLESS = [
    "generate_series",
    "glob",
    "icu_calendar_names",
    "json_each",
    "json_tree",
    "pg_timezone_names",
    "query_table",
    "range",
    "repeat",
    "repeat_row",
    "sniff_csv",
    "summary",
    "test_all_types",
    "unnest",
]
COPY = "with x as (copy (select 1) to ''''written.csv'''') from x"


@pytest.fixture
def settings(tmp_path):
    """Those of an empty cache."""
    return Settings(cache=CacheSettings(root=tmp_path / "none"))


@pytest.mark.parametrize(
    "query",
    [
        f"from json_execute_serialized_sql(json_serialize_sql('{COPY.replace(2 * chr(39), chr(39))}'))",
        f"from query('from json_exec' || 'ute_serialized_sql(json_serialize_sql(''{COPY}''))')",
        "from main.\"query\" /* so */ ('from sessions')",
        "from enable_logging('QueryLog', storage='file', storage_path='written')",
        "from sessions, enable_profiling(save_location='written.txt')",
        "explain analyze from enable_logging('QueryLog', storage='file', storage_path='written')",
    ],
)
def test_a_function_that_does_more_than_read_is_refused(settings, tmp_path, monkeypatch, query):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="nothing is written"):
        ask(settings, query)
    assert not list(tmp_path.glob("written*"))


def test_each_function_in_place_of_a_table_is_known(settings):
    """A new DuckDB may have others: say which of them do more than read."""
    names = ask(settings, "select distinct function_name from duckdb_functions() where function_type = 'table'")
    others = {name for (name,) in names.rows() if not (name in HARMLESS or name.startswith(READERS))}
    assert others == statements._DOING


def test_a_column_may_be_named_like_such_a_function(settings):
    check_query(["SELECT"], ["select", "query", ",", '"checkpoint"', "from", "(", "from", "x", ")"])
    assert ask(settings, "select 1 as query, 'enable_logging()' as checkpoint").columns == ["query", "checkpoint"]


def test_a_variable_of_ours_is_no_table(settings):
    for name in ("os", "query", "connection"):
        with pytest.raises(UsageError, match=f"Table with name {name} does not exist"):
            ask(settings, f"from {name}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("340282366920938463463374607431768211455::uhugeint", "340282366920938463463374607431768211455"),
        ("[1::uhugeint]", "[1]"),
        ("timetz '12:00:00+02'", "12:00:00+02"),
        ("union_value(num := 2)", "2"),
        ("map {1: interval 1 day}", "{1=1 day}"),
        ("1::variant", "1"),
        ("{'INTERVAL': 1}", {"INTERVAL": 1}),
    ],
)
def test_what_polars_does_not_have_is_text(settings, value, text):
    assert ask(settings, f"select {value} as a").item() == text


@pytest.mark.parametrize(
    "value",
    [
        "'infinity'::date",
        "'-infinity'::timestamptz",
        "timestamp_ms '12000-01-01'",
        "date '0044-03-15 (BC)'",
        "[null, date '290000-01-01']",
        "{'a': ['infinity'::timestamp]}",
    ],
)
def test_a_date_that_python_does_not_have_is_an_error_that_names_the_column(settings, value):
    with pytest.raises(UsageError, match="the column odd has a date that is infinite or outside"):
        ask(settings, f"select 1 as n, {value} as odd")
    assert ask(settings, f"select ({value})::text as odd").item()


def test_the_first_and_the_last_date_are_answered(settings):
    query = "select date '0001-01-01' a, timestamp '9999-12-31 23:59:59.999999' b, [null, date '9999-12-31'] c, [] d"
    assert ask(settings, query).row(0) == (
        date(1, 1, 1),
        datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001 - as it is
        [None, date(9999, 12, 31)],
        [],
    )


def test_an_empty_cache_has_no_corrections(settings):
    assert ask(settings, "from corrections").columns[:3] == ["dataset", "date", "ticker"]


@pytest.mark.parametrize("limit", [2**63 - 2, 2**63 - 1, 10**20])
def test_a_limit_may_be_any_number(place, limit):
    assert place.here("sql", "select 1 as n", "--csv", "--limit", limit).out == "n\n1\n"


def test_csv_has_times_with_a_zone_beside_those_without(place):
    query = "select timestamp '2025-01-02 03:04:05.5' a, timestamptz '2025-01-02 03:04:05+05' b, null::timestamptz c"
    told = place.here("sql", query, "--csv")
    row = ["2025-01-02T03:04:05.500000", "2025-01-01T22:04:05+00:00", ""]
    assert (told.code, list(csv.reader(told.out.splitlines()))) == (0, [["a", "b", "c"], row])


@pytest.mark.parametrize(("mine", "other"), [("a*b", "axb"), ("a?b", "axb"), ("a[x]b", "axb"), ("a*\\b", "axb")])
def test_a_path_with_signs_of_patterns_is_no_pattern(server, tmp_path, mine, other):
    """DuckDB reads all files that match: a cache beside it was read in place of it, or with it."""
    counts, query = {}, "select count(distinct date), count(*) - count(distinct (date, ticker)) from stocks_day"
    for name, days in ((other, DAYS), (mine, DAYS[:1])):
        place = Place(tmp_path / name / "cache", server.endpoint_url, lake=True)
        place.run(*window(days))
        counts[name] = ask(place.settings(), query).row(0)
    assert counts == {other: (len(DAYS), 0), mine: (1, 0)}


def test_a_file_of_the_lake_that_cannot_be_read_is_named_and_repaired(place, tmp_path):
    place = replace(place, root=shutil.copytree(place.root, tmp_path / "copy"))
    place.here("lake", "build")
    (file,) = place.root.glob("lake/stocks-day/year=2025/month=3/*")
    state = file.stat()
    file.write_bytes(bytes(state.st_size))

    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(CacheError, match="a file of the lake cannot be read"):
        ask(place.settings(), "select count(*) from stocks_day")
    told = place.here("sql", "select count(*) from stocks_day")
    assert (told.code, str(file) in told.err, "`ingest verify --repair`" in told.err) == (5, True, True), told.err
    assert place.here("verify", "--repair").code == 0
    assert place.here("sql", "select count(*) from stocks_day").code == 0


@pytest.mark.parametrize("query", [None, 1, b"select 1", ["select 1"], "select '\udcff'"])
def test_a_query_that_is_no_text_is_an_error(settings, query):
    with pytest.raises(UsageError, match="the query"):
        ask(settings, query)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (b"\xff\xfes\x00", "not text"),
        (b"select '\xff'", "not text"),
        (b"\x00", "syntax error"),
        (None, "the query is empty"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="closes a descriptor")
def test_odd_input_is_an_error(place, typed, told):
    command, given = place.command("sql"), {"input": typed}
    if typed is None:
        command, given = ["sh", "-c", 'exec "$0" "$@" <&-', *command], {}
    done = subprocess.run(command, env=place.environment(), capture_output=True, timeout=60, **given)
    assert (done.returncode, told in done.stderr.decode()) == (2, True), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes with names")
def test_an_answer_does_not_replace_what_is_no_file(place, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, told in (("pipe", "is a pipe"), (".", "is a folder")):
        done = place.here("sql", "select 1", "--parquet", tmp_path / name)
        assert (done.code, told in done.err) == (2, True), done.err
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(UsageError, match="is a pipe"):
        page_place(tmp_path / "pipe")
    assert irreplaceable(Path("/dev/null")) == "is a device"
    done = place.here("sql", "select 1", "--parquet", tmp_path / ("a" * 300))
    assert (done.code, "File name too long" in done.err) == (5, True)


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_an_answer_may_have_a_name_that_is_no_text(place, tmp_path):
    done = place.here("sql", "select 1 as n", "--parquet", os.fsdecode(os.fsencode(tmp_path / "out") + b"/\xff"))
    assert (done.code, [os.fsencode(one.name) for one in (tmp_path / "out").iterdir()]) == (0, [b"\xff"])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_query_whose_file_a_command_removes_is_asked_again(place, monkeypatch, when):
    """It failed with a message of DuckDB, or had rows that were no longer stored."""
    asked = []

    def pruned():
        asked.append(1)
        if len(asked) == 1:
            assert place.here("prune", "--before", DAYS[2], "--yes").code == 0

    def run(*given):
        if when == "before":
            pruned()
        found = connection.run(*given)
        if when == "after":
            pruned()
        return found

    monkeypatch.setattr("ingest.querying.asking.run", run)
    assert ask(place.settings(), "select count(distinct date) from stocks_day").item() == 2
    assert len(asked) == 2
    assert ask(place.settings(), "select count(*) from sessions").item() == 2
    assert len(asked) == 3, "a query that reads no file is asked once"


@pytest.mark.parametrize("view", ["options_day", "stocks_day_splits", "crypto_minute"])
def test_a_view_of_what_is_not_stored_says_how_to_store_it(settings, view):
    short = "-".join(view.split("_")[:2])
    with pytest.raises(NotFound, match=f"no session of {short} is stored in .*{settings.cache.root.name}") as raised:
        ask(settings, f"from {view}")
    assert f'ingest.run(dataset="{short}")' in str(raised.value) or short == "stocks-day"
    with pytest.raises(UsageError, match="syntax error"):
        ask(settings, f"from from {view}")


def test_the_table_of_parts_warns_of_sessions_without_all_tickers_too(server, tmp_path):
    place = Place(tmp_path / "partial", server.endpoint_url)
    place.run(*window(DAYS), save_others=False)
    with pytest.warns(IngestWarning, match="only the tickers tracked at the time") as warned:
        ask(place.settings(), "from stocks_day_parts")
    ((hint,),) = [one.message.hints for one in warned]
    window_of = {"start": DAYS[0], "end": DAYS[-1]}
    assert window_of.items() <= dict(hint.arguments).items(), "it may be longer ago than that of the settings"
