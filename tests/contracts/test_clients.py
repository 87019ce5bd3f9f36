"""Other programs read our files: each block of docs/files.md, over 24 months that cross 2026-02-23."""

import csv
import re
import shutil
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest
from pipeline_kit import HEADER, Place, key, pack, trading_days, window, write_keys

import ingest
from ingest.demo.servers import loopback

PAGE = (Path(__file__).parents[2] / "docs" / "files.md").read_text()
BLOCKS = [(name, text) for name, text in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)]
DAYS = trading_days(date(2024, 8, 1), 504)
DECIMALS = date(2026, 2, 23)
ODD = ("1E5", "INF", "MSFT", "NA", "NAN", "NULL", "TRUE")
TICKERS = ("AAPL", *ODD)
FIRST, LAST = DAYS[0], DAYS[-1]


def rows_of(day):
    """Whole numbers throughout at first; volumes with decimals since February, prices since a month later."""
    number = DAYS.index(day)
    for place, ticker in enumerate(sorted(TICKERS)):
        volume = 1000 * place + number
        told = f"{volume}.{number * 1997 % 1000000:06}" if day >= DECIMALS else str(volume)
        prices = [f"{price}.25" if day > date(2026, 3, 23) else str(price) for price in (10, 12, 13, 9)]
        yield [ticker, told, *prices, "1", str(place + 1)]


def text_of(day):
    lines = [",".join(row) for row in rows_of(day)]
    return "\n".join([HEADER, *lines[:3], lines[2], *lines[3:], ""]).encode()  # MSFT's row is repeated


VOLUMES = {(row[0], str(day)): float(row[1]) for day in DAYS for row in rows_of(day)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a cache of 24 months."""
    folder = tmp_path_factory.mktemp("clients")
    write_keys(folder / "credentials")
    with (
        pytest.MonkeyPatch.context() as patch,
        loopback.serve({key(day): pack(text_of(day)) for day in DAYS}) as server,
    ):
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
        Place(folder / "cache", server.endpoint_url).run(*window(DAYS), tracked={"AAPL"})
    (folder / "config.toml").write_text('[cache]\nroot = "cache"\n')
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("INGEST_CONFIG", str(folder / "config.toml"))
    return folder


def block(name, word):
    """The only block in this language with a word."""
    (found,) = [text for language, text in BLOCKS if language == name and word in text]
    return found


def run(word):
    told = {}
    exec(block("python", word), told)
    return told


def test_a_tracked_csv_is_one_table_to_each_reader(here):
    expected = [VOLUMES["AAPL", str(day)] for day in DAYS]
    theirs = run('pd.read_csv("cache/data_cache')["prices"]
    assert (theirs["Volume"].tolist(), str(theirs["Volume"].dtype)) == (expected, "float64")
    assert [day.date() for day in theirs.index] == DAYS
    frame = run("pl.read_csv(")["prices"]
    assert frame.schema == {"Date": pl.Date, **dict.fromkeys(["Open", "High", "Low", "Close", "Volume"], pl.Float64)}
    assert (frame["Volume"].to_list(), frame["Date"].to_list()) == (expected, DAYS)
    one, several = block("sql", "AAPL_1d").strip().split("\n")
    assert [row[5] for row in duckdb.sql(one).fetchall()] == expected
    assert duckdb.sql(several).fetchall() == [("AAPL_1d_data.csv", len(DAYS))]
    with Path("cache/data_cache/AAPL_1d_data.csv").open(newline="") as file:
        numbers = [number for row in list(csv.reader(file))[1:] for number in row[1:]]
    assert [number for number in numbers if "." not in number] == []


def test_a_plain_read_of_polars_works_too(here):
    """Its first 100 rows, from which it takes the types, are whole numbers as published."""
    assert pl.read_csv("cache/data_cache/AAPL_1d_data.csv")["Volume"].to_list()[-1] == VOLUMES["AAPL", str(LAST)]


def check(rows):
    """Each pair of ticker and day occurs once with its volume, and none is lost."""
    found = list(rows)
    assert len(found) == len(VOLUMES)
    assert {(ticker, str(day)): volume for ticker, day, volume in found} == VOLUMES


def test_duckdb_reads_both_tiers_as_one_table(here):
    with duckdb.connect() as db:
        db.execute(block("sql", "create view bars"))
        check(db.execute("select ticker, date, volume from bars").fetchall())


def test_polars_reads_both_tiers_as_one_table(here):
    check(run("pl.scan_csv(")["bars"].select("ticker", "date", "volume").iter_rows())


def test_pandas_reads_both_tiers_as_one_table(here):
    bars = run("keep_default_na")["bars"]
    check(bars[["ticker", "date", "volume"]].itertuples(index=False, name=None))


def test_one_archive_part_is_read_with_the_same_options(here):
    for day in (FIRST, LAST):
        part = f"cache/massive_cache/{day}.csv.gz"
        types = {"ticker": str, "volume": float}
        theirs = pd.read_csv(part, dtype=types, keep_default_na=False).drop_duplicates()
        assert sorted(theirs["ticker"]) == sorted(ODD)
        frame = pl.read_csv(part, schema_overrides={"ticker": pl.String, "volume": pl.Float64})
        assert sorted(frame["ticker"].unique()) == sorted(ODD)
        found = duckdb.sql(
            f"select distinct ticker from read_csv('{part}', types = {{'ticker': 'VARCHAR'}})"
        ).fetchall()
        assert sorted(ticker for (ticker,) in found) == sorted(ODD)


def test_without_the_options_globs_fail_or_lose_tickers(here):
    """The page's warning holds; if this fails, remove the warning."""
    glob = "cache/massive_cache/*.csv.gz"
    with pytest.raises(pl.exceptions.ComputeError, match="could not parse"):
        pl.scan_csv(glob).select(pl.col("volume").sum()).collect()
    with pytest.raises(duckdb.InvalidInputException, match="Schema mismatch"):
        duckdb.sql(f"select sum(volume) from '{glob}'").fetchall()
    assert set(pd.read_csv(f"cache/massive_cache/{FIRST}.csv.gz")["ticker"].dropna()) == {*ODD} - {"NA", "NULL"}


def test_one_parquet_file_has_it_all(here, tmp_path):
    copied = shutil.copytree(here / "cache", tmp_path / "cache")
    (tmp_path / "config.toml").write_text('[cache]\nroot = "cache"\n')
    assert copied.is_dir()
    told = block("python", "sink_parquet").replace("scan()", f'scan(config="{tmp_path / "config.toml"}")')
    exec(told.replace('"market.parquet"', f'"{tmp_path / "market.parquet"}"'), {})
    check(pl.read_parquet(tmp_path / "market.parquet").select("ticker", "date", "volume").iter_rows())


def test_exports_have_a_point_in_every_row_too(here, tmp_path):
    for one in ingest.export(["AAPL", "NA"], tmp_path):
        with one.path.open(newline="") as file:
            assert [row for row in csv.DictReader(file) if "." not in row["volume"]] == []
        assert pl.read_csv(one.path)["volume"].to_list() == [VOLUMES[one.ticker, str(day)] for day in DAYS]


class TestArrow:
    """The extra `arrow`: with it importing pandas takes 50 MB more, so it is no requirement; `sql` brings it, too."""

    def test_the_page_and_the_package_name_the_extra(self):
        from importlib import metadata

        wanted = [one for one in metadata.requires("ingest") if one.startswith("pyarrow")]
        extras = {one.partition(";")[2].strip().replace("'", '"') for one in wanted}
        assert extras - {'extra == "recipes"', 'extra == "test"'} == {'extra == "arrow"', 'extra == "sql"'}
        assert "ingest[arrow]" in PAGE
        assert "ingest[arrow]" in ingest.history.__doc__

    def test_frames_go_to_pandas_and_duckdb(self, here):
        pytest.importorskip("pyarrow")
        prices = run("to_pandas()")["prices"]
        assert prices["volume"].tolist() == [VOLUMES[ticker, str(day)] for ticker in ("AAPL", "MSFT") for day in DAYS]
        frame = ingest.history("AAPL")
        assert frame.to_arrow().num_rows == len(DAYS)
        assert duckdb.sql("select count(*) from frame").fetchall() == [(len(DAYS),)]

    def test_pyarrow_reads_the_archive(self, here):
        pytest.importorskip("pyarrow")
        table = run("pa.dataset")["table"]
        assert set(table["ticker"].to_pylist()) == set(ODD)
        assert table.num_rows == (len(ODD) + 1) * len(DAYS)
