"""`ingest export`: a file a ticker, as CSV or Parquet."""

from datetime import date

import polars as pl
import pytest
from pipeline_kit import Place, market_objects, trading_days, window

from ingest.demo import loopback

DAYS = trading_days(date(2025, 3, 3), 6)


@pytest.fixture
def place(loopback_keys, tmp_path):
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(*window(DAYS), tracked={"AAPL"})
    return place


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_each_ticker_has_a_file(place, tmp_path, kind):
    done = place.cli("export", "AAPL", "BACpL", "--format", kind, "--out", "files", "--start", DAYS[1])
    assert (done.returncode, done.stderr) == (0, "")
    read = {"csv": lambda path: pl.read_csv(path, try_parse_dates=True), "parquet": pl.read_parquet}[kind]
    frame = read(tmp_path / "files" / f"BAC_pL_1d.{kind}")
    assert frame.columns == ["date", "open", "high", "low", "close", "volume", "source"]
    assert frame["date"].to_list() == DAYS[1:]
    closes = read(tmp_path / "files" / f"AAPL_1d.{kind}")["close"].to_list()
    assert closes == [float(close) for day, close in place.closes("AAPL").items() if day >= str(DAYS[1])]


def test_a_file_that_is_there_is_replaced(place, tmp_path):
    place.cli("export", "AAPL", "--out", "files")
    place.cli("export", "AAPL", "--out", "files", "--end", DAYS[0])
    assert len((tmp_path / "files" / "AAPL_1d.csv").read_text().splitlines()) == 2
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["AAPL_1d.csv"]


def test_tickers_of_which_nothing_is_held_are_named(place):
    some = place.cli("export", "AAPL", "NOSUCH", "--out", "files")
    assert (some.returncode, some.stderr) == (3, "warning: nothing is held of NOSUCH\n")
    none = place.cli("export", "NOSUCH", "--out", "files")
    assert (none.returncode, "nothing is held of NOSUCH" in none.stderr) == (4, True)


def test_without_splits_nothing_is_adjusted(place):
    done = place.cli("export", "AAPL", "--out", "files", "--adjust", "all")
    assert (done.returncode, "cannot be had now" in done.stderr) == (4, True)
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
