"""A file in place of a folder of the lake, or a folder in place of a file: nothing stops, and all is set right."""

import shutil
from pathlib import Path

import pytest
from iceberg_kit import in_lake, read, table_of
from lake_kit import DAYS
from pipeline_kit import Place, market_objects, window
from polars.testing import assert_frame_equal

import ingest
from ingest.demo.files.files import files_of
from ingest.demo.files.text import pack
from ingest.demo.servers import loopback
from ingest.market.catalogue import named

KEPT = "what somebody wants to keep"

FOLDERS = (
    "lake",
    "lake/.staging",
    "lake/stocks-day",
    "lake/stocks-day/year=2025",
    "lake/stocks-day/year=2025/month=2",
    "lake/iceberg",
    "lake/iceberg/stocks_day",
    "lake/iceberg/stocks_day/data",
    "lake/iceberg/stocks_day/metadata",
)
FILES = (
    "lake/stocks-day/year=2025/month=3/part-0.parquet",
    "lake/iceberg/catalog.db",
    "lake/iceberg/stocks_day.json",
    "lake/iceberg/stocks_day/data/2025-02*.parquet",
    "lake/iceberg/stocks_day/metadata/*.metadata.json",
    "lake/iceberg/stocks_day/metadata/snap-*.avro",
)
UNNOTICED = ("lake/iceberg", "lake/iceberg/stocks_day.json")
"""Without the one there is no table yet, and the other is no truth."""

MENDS = {
    "run": ("run", "--start", DAYS[0], "--end", DAYS[-1]),
    "build": ("lake", "build"),
    "repair": ("verify", "--repair"),
}


@pytest.fixture(scope="module")
def made(environment, tmp_path_factory):
    """A cache with a lake and a table of it."""
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path_factory.mktemp("types") / "cache", server.endpoint_url, lake=True, iceberg=True)
        place.run(*window(DAYS))
        yield place


@pytest.fixture
def place(made):
    """The same cache, which a test may damage; paths in a table are absolute."""
    before = made.root.with_name("before")
    shutil.copytree(made.root, before)
    yield made
    shutil.rmtree(made.root)
    before.rename(made.root)


def _replace(root: Path, name: str) -> None:
    """Put a file in place of a folder, or a folder with something in it in place of a file.

    Without a file that is due nothing is staged.
    """
    if name.endswith(".staging"):
        (root / "lake/stocks-day/year=2025/month=2/part-0.parquet").unlink()
    path = max(root.glob(name))
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text(KEPT)
    else:
        path.unlink()
        path.mkdir()
        (path / "mine.parquet").write_text(KEPT)


def _is_kept(root: Path) -> bool:
    return any(path.is_file() and path.read_bytes() == KEPT.encode() for path in root.rglob("*"))


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_queries_go_on_and_commands_that_only_look_do_not_fail(place, name):
    rows, day = in_lake(place), ingest.day(DAYS[0], config=place.config())
    _replace(place.root, name)
    told = place.here("sql", "select count(*) as rows from stocks_day", "--csv")
    assert (told.code, told.out.splitlines()[1]) == (0, str(rows.height))
    assert ("read from the parts" in told.err) == ("iceberg" not in name)
    assert ingest.day(DAYS[0], config=place.config()).equals(day)
    assert place.here("sql", "from tickers limit 1").code == place.here("lake", "status").code == 0
    listed = place.here("lake", "snapshots")
    assert listed.code == 0 or (listed.code == 5 and "Run `ingest lake build` to" in listed.err)
    assert place.here("verify").code == (0 if name in UNNOTICED else 3)


@pytest.mark.parametrize("mend", MENDS)
@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_it_is_set_right_and_nothing_is_lost(place, name, mend):
    rows = in_lake(place)
    _replace(place.root, name)
    told = place.here(*MENDS[mend])
    assert told.code == 0
    assert "was moved to" in told.out + told.err
    assert _is_kept(place.root)
    assert place.here("verify").code == 0
    assert place.here("lake", "build").out == "stocks-day: up to date.\n"
    assert_frame_equal(in_lake(place), rows)
    assert_frame_equal(read(table_of(place), place), rows)
    assert {path.suffix for path in (place.root / "lake" / "stocks-day").rglob("*") if path.is_file()} == {".parquet"}


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_a_lake_is_dropped_without_what_is_not_ours(place, name):
    _replace(place.root, name)
    assert place.here("lake", "drop", "--yes").code == 0
    assert _is_kept(place.root)


@pytest.mark.parametrize("name", ["year=2025/month=2/session=*", "year=2025/month=2/session=*/part-0.parquet"])
def test_so_it_is_where_a_session_has_a_file(name, loopback_keys, tmp_path):
    dataset = named("stocks-minute")
    made = files_of(dataset, 5)
    with loopback.serve({dataset.key(day): pack(made.text(day)) for day in DAYS[:2]}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=dataset, lake=True)
        place.run(DAYS[0], DAYS[1])
    lake = place.root / "lake" / "stocks-minute"
    before = {path.relative_to(lake) for path in lake.rglob("*.parquet")}
    _replace(lake, name)
    assert "1 session is read from the parts" in place.here("sql", "select count(*) from stocks_minute").err
    told = place.here("lake", "build", "-d", "stocks-minute")
    assert (told.code, "was moved to" in told.out) == (0, True)
    assert {path.relative_to(lake) for path in lake.rglob("*.parquet")} == before
    assert _is_kept(place.root)
