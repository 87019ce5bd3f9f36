"""`ingest export`: one file per ticker, as CSV or Parquet."""

import subprocess
import sys
from datetime import date

import polars as pl
import pytest
from pipeline_kit import Place, flat, key, market_objects, trading_days, window

from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.files.leftovers import writing_in
from ingest.reading.export.files import formulas

DAYS = trading_days(date(2025, 3, 3), 6)


@pytest.fixture
def place(loopback_keys, tmp_path):
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(*window(DAYS), tracked={"AAPL"})
    return place


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_each_ticker_has_a_file(place, tmp_path, kind):
    done = place.here("export", "AAPL", "BACpL", "--format", kind, "--out", "files", "--start", DAYS[1])
    assert (done.code, done.err) == (0, "")
    read = {"csv": lambda path: pl.read_csv(path, try_parse_dates=True), "parquet": pl.read_parquet}[kind]
    frame = read(tmp_path / "files" / f"BAC_pL_1d.{kind}")
    named = ["ticker"] if kind == "parquet" else []
    assert frame.columns == [*named, "date", "open", "high", "low", "close", "volume", "source"]
    assert frame["date"].to_list() == DAYS[1:]
    closes = read(tmp_path / "files" / f"AAPL_1d.{kind}")["close"].to_list()
    assert closes == [float(close) for day, close in place.closes("AAPL").items() if day >= str(DAYS[1])]


def test_a_file_that_is_there_is_replaced(place, tmp_path):
    place.here("export", "AAPL", "--out", "files")
    place.here("export", "AAPL", "--out", "files", "--end", DAYS[0])
    assert len((tmp_path / "files" / "AAPL_1d.csv").read_text().splitlines()) == 2
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == [".ingest-export.json", "AAPL_1d.csv"]


KILLED = """
import os, signal
from ingest.files import durable
durable.publish = lambda path, *left: os.kill(os.getpid(), signal.SIGKILL)
from ingest.__main__ import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL, and locks of folders")
def test_what_a_killed_export_has_left_goes_with_the_next_and_nothing_else(place, tmp_path):
    folder = tmp_path / "files"
    arguments = ("export", "AAPL", "BACpL", "--out", "files")
    ends = {"env": place.environment(), "cwd": tmp_path, "capture_output": True, "timeout": 60}
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], **ends)
    assert done.returncode == -9
    left = {path.name for path in folder.iterdir()}
    assert len(left) == 3
    assert all(name.endswith(".tmp") for name in left)
    others = {
        ".AAPL_1d.csv.tmp",
        ".stocks.txt.ingest-0123456789abcdef.tmp",
        ".AAPL_1d_data.csv.ingest-0123456789abcdef.tmp",
    }
    for name in others:
        (folder / name).write_text("mine")
    with writing_in(folder, lambda name: False):  # another export in progress
        assert place.here(*arguments).code == 0
        assert left < {path.name for path in folder.iterdir()}
    assert place.here(*arguments).code == 0
    assert {path.name for path in folder.iterdir()} == others | {".ingest-export.json", "AAPL_1d.csv", "BAC_pL_1d.csv"}


def test_tickers_without_stored_rows_are_named(place):
    some = place.here("export", "AAPL", "NOSUCH", "--out", "files")
    assert (some.code, some.err) == (3, "warning: no data for NOSUCH\n")
    none = place.here("export", "NOSUCH", "--out", "files")
    assert (none.code, "no data for NOSUCH" in none.err) == (4, True)
    assert "error: nothing to export: no data for NOSUCH in this window" in none.err
    assert "ingest run" not in none.err  # which would not download that name


def test_an_empty_dataset_is_named_with_the_command_that_downloads_it(place):
    done = place.here("export", "X:BTC-USD", "--out", "files")
    assert done.code == 4
    assert "no data for crypto-day. Run `ingest run --dataset crypto-day` to download it." in done.err


def test_without_splits_nothing_is_adjusted(place):
    done = place.cli("export", "AAPL", "--out", "files", "--adjust", "all")
    assert (done.returncode, "could not be fetched" in done.stderr) == (4, True)
    assert not (place.root.parent / "files").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--format", "xlsx", "--out", "files"), "'xlsx'"),
        (("--out", "stocks.txt"), "is a file"),
        (("--adjust", "some", "--out", "files"), "'some'"),
    ],
)
def test_what_makes_no_sense_is_named(place, tmp_path, flags, words):
    (tmp_path / "stocks.txt").touch()
    done = place.cli("export", "AAPL", *flags)
    assert (done.returncode, words in done.stderr) == (2, True)


def test_what_a_spreadsheet_would_run_is_named_on_one_line(loopback_keys, tmp_path):
    names = ["=HYPERLINK(1)", "+1", "-1", "@SUM", "A=1", "AAPL"]
    text = flat([(name, "-1.5") for name in names])  # a negative number is not a formula
    with loopback.serve({key(DAYS[0]): pack(text)}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[0], tracked=set())
    done = place.here("export", "--out", "files", "--", *names)
    named = "+1, -1, =HYPERLINK(1), @SUM"
    assert done.code == 0
    assert done.err == f"warning: a spreadsheet may run as a formula what begins with = + - or @: {named}\n"
    assert place.here("export", "--out", "files", "AAPL", "A=1").err == ""


def test_formulas_are_texts_that_begin_like_one():
    texts = ["=1", "+1", "-1", "@x", "\tx", "\rx", " =1", "x=1", "'=1", "", None, "=1"]
    rows = pl.DataFrame({"ticker": texts, "close": [-1.0] * len(texts)})
    assert formulas(rows) == ("\tx", "\rx", "+1", "-1", "=1", "@x")
    assert formulas(rows.clear()) == ()
