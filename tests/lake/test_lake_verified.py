"""`verify` compares the lake with the manifest and the parts, and `--repair` writes again what is not right."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import polars as pl
import pytest
from lake_kit import DAYS
from pipeline_kit import TRACKED, key, market_day, pack, window

from ingest.files.hashing import sha256_of
from ingest.lake.folder import LakeFolder
from ingest.maintenance.repair import repair
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.windows import Window
from ingest.planning.request import Request


def file(place, partition="2025-02"):
    return LakeFolder(place.root / "lake" / "stocks-day", STOCKS_DAY).file(partition)


def problems(place, deep=False):
    return [(one.kind, one.about, one.period) for one in verify(place.settings(), deep).problems]


def test_a_lake_that_is_right_is_no_problem(place):
    found = verify(place.settings(), deep=True)
    assert (found.problems, found.lake_files) == ((), 2)


def test_a_missing_and_a_changed_file_are_named_and_written_again(place):
    file(place).unlink()
    file(place, "2025-03").write_bytes(b"PAR1 and so on")
    assert problems(place) == [("missing", "lake", "2025-02"), ("damaged", "lake", "2025-03")]
    assert verify(place.settings()).problems[0].what == "lake/stocks-day/year=2025/month=2/part-0.parquet"
    said = list[str]()
    request = Request(Window(*window(DAYS)), TRACKED)
    assert repair(replace(place, lake=False).settings(), request, deep=False, say=said.append) == frozenset()
    assert said == [f"the lake's file of {name} is written again from the parts" for name in ("2025-02", "2025-03")]
    assert (problems(place, deep=True), verify(place.settings()).lake_files) == ([], 2)


def test_a_wrong_row_that_the_manifest_knows_nothing_of_is_found_by_its_session(place):
    rows = pl.read_parquet(file(place))
    wrong = (pl.col("date") == DAYS[1]) & (pl.col("ticker") == "AAPL")
    rows.with_columns(close=pl.when(wrong).then(1.0).otherwise("close")).write_parquet(file(place))
    state = file(place).stat()
    with closing(sqlite3.connect(place.root / "manifest.sqlite")) as db, db:
        known = (sha256_of(file(place)), state.st_size, state.st_mtime_ns)
        db.execute("UPDATE lake SET (sha256, size, mtime_ns) = (?, ?, ?) WHERE partition = '2025-02'", known)
    assert problems(place) == []
    (found,) = verify(place.settings(), deep=True).problems
    assert f"the session {DAYS[1]} differs from the parts" in found.reason


@pytest.mark.parametrize("change", [lambda rows: rows.head(-1), lambda rows: pl.concat([rows, rows.tail(1)])])
def test_a_row_too_few_or_too_many_is_found(change, place):
    change(pl.read_parquet(file(place))).write_parquet(file(place))
    state = file(place).stat()
    with closing(sqlite3.connect(place.root / "manifest.sqlite")) as db, db:
        known = (sha256_of(file(place)), state.st_size, state.st_mtime_ns)
        db.execute("UPDATE lake SET (sha256, size, mtime_ns) = (?, ?, ?) WHERE partition = '2025-02'", known)
    assert problems(place, deep=True) == [("damaged", "lake", "2025-02")]


def test_an_outdated_file_is_a_note(place, server):
    server.put(key(DAYS[1]), pack(market_day(DAYS[1]).replace(b"\nAAPL,", b"\nAAPL2,")))
    replace(place, lake=False).run(*window(DAYS))
    found = verify(place.settings(), deep=True)
    assert found.problems == ()
    assert any("1 files of the lake" in note or "1 file of the lake" in note for note in found.notes)


def test_a_file_that_other_programs_would_read_twice_is_named(place):
    """A copy that a tool for synchronisation or a person left: our own functions do not read it."""
    copy, month = file(place).with_name("part-0 (copy).parquet"), file(place).parent.with_name("month=02")
    shutil.copy(file(place), copy)
    shutil.copytree(file(place).parent, month)
    names = ["month=02/part-0 (copy).parquet", "month=02/part-0.parquet", "month=2/part-0 (copy).parquet"]
    found = verify(place.settings())
    assert [(one.kind, one.what) for one in found.problems] == [
        ("orphan", f"lake/stocks-day/year=2025/{name}") for name in names
    ]
    assert place.here("verify").code == 0
    assert copy.is_file(), "only its owner knows what it is"
