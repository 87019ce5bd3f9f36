"""Other programs read the lake: each block of docs/lake.md, as it stands."""

import re
from pathlib import Path

import duckdb
import polars as pl
import pytest
from lake_kit import DAYS
from pipeline_kit import Place, key, market_day, market_objects, pack, window

import ingest
from ingest.demo.servers import loopback

PAGE = (Path(__file__).parents[2] / "docs" / "lake.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake-page")
    with loopback.serve(market_objects(DAYS)) as server:
        Place(folder / "cache", server.endpoint_url, lake=True).run(*window(DAYS))
    return folder


@pytest.fixture
def market(folder, monkeypatch):
    """All stored rows; the folder of the cache is the working one."""
    monkeypatch.chdir(folder)
    (folder / "config.toml").write_text('[cache]\nroot = "cache"\n')
    return ingest.scan(config=folder / "config.toml").collect()


def run(word):
    (found,) = [text for language, text in BLOCKS if language == "python" and word in text]
    told = {}
    exec(found, told)
    return told


def test_duckdb_ranks_the_tickers_by_dollars(market):
    (query,) = [text for language, text in BLOCKS if language == "sql"]
    with duckdb.connect() as db:
        found = db.execute(query).fetchall()
    dollars = (pl.col("close") * pl.col("volume")).mean().alias("dollars")
    expected = market.group_by("ticker").agg(dollars).sort("dollars", descending=True).head(10)
    assert found == [(ticker, pytest.approx(value)) for ticker, value in expected.iter_rows()]


def test_polars_finds_a_ticker(market):
    found = run("pl.scan_parquet")["aapl"]
    assert found["close"].to_list() == market.filter(pl.col("ticker") == "AAPL")["close"].to_list()


def test_pandas_finds_a_ticker(market):
    pytest.importorskip("pyarrow")
    found = run("pd.read_parquet")["aapl"]
    assert found["close"].tolist() == market.filter(pl.col("ticker") == "AAPL")["close"].to_list()


def test_pyarrow_reads_all_of_it(market):
    pytest.importorskip("pyarrow")
    table = run("ds.dataset")["table"]
    assert table.num_rows == market.height
    assert sum(table["close"].to_pylist()) == pytest.approx(market["close"].sum())


def test_tables_are_read_before_and_after_a_correction(loopback_keys, tmp_path, monkeypatch):
    blocks = [text for language, text in BLOCKS[-4:] if language == "python"]
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    monkeypatch.chdir(tmp_path)
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, lake=True, iceberg=True)
        place.run(*window(DAYS))
        found = dict[str, object]()
        for block in blocks:
            exec(block, found)
        assert found["aapl"].num_rows == found["closes"].height == len(DAYS)
        assert found["changed"] == []
        text = market_day(DAYS[1])
        (line,) = re.findall(rb"^AAPL,.*$", text, re.MULTILINE)
        volume, *rest = line.removeprefix(b"AAPL,").split(b",")
        server.put(key(DAYS[1]), pack(text.replace(line, b",".join([b"AAPL", b"1" + volume, *rest]))))
        place.run(*window(DAYS))
    for block in blocks:
        exec(block, found)
    assert [row[:2] for row in found["changed"]] == [("AAPL", DAYS[1])]


@pytest.mark.long
def test_workers_of_dask_read_it_together(market, folder, tmp_path):
    """Real ones: a scheduler and two workers, which find the folder from where they are started."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("dask.dataframe")
    from cluster import cluster_in
    from distributed import Client

    (block,) = [text for language, text in BLOCKS if language == "python" and "dask.dataframe" in text]
    with cluster_in(tmp_path / "cluster", PYTHONWARNINGS="default") as cluster, Client(cluster.address):
        told = {}
        exec(block.replace('"cache/', f'"{folder}/cache/'), told)
        found = told["dollars"].to_dict()
    query = f"SELECT ticker, avg(close * volume) FROM '{folder}/cache/lake/stocks-day/**/*.parquet' GROUP BY ALL"
    with duckdb.connect() as db:
        expected = dict(db.execute(query).fetchall())
    assert found == pytest.approx(expected)
