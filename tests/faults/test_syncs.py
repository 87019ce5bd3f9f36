"""How often a run waits for the disk: many CSVs are made durable by a call or two, and never called clean before."""

import errno
import os
import sys
from datetime import date

import pytest
from pipeline_kit import Place, flat, key

from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import CacheError
from ingest.files import batches, filesystem

DAY = date(2025, 3, 3)
MANY = [f"T{number:04}" for number in range(6000)]


@pytest.fixture
def syncs(monkeypatch):
    """Each sync of a file or a folder by its number among files, and of a whole file system."""
    found = {"one": 0, "whole": 0}
    fsync, whole = os.fsync, filesystem.sync

    def one(descriptor):
        found["one"] += 1
        fsync(descriptor)

    def all_of_it(folder):
        found["whole"] += 1
        return whole(folder)

    monkeypatch.setattr(os, "fsync", one)
    monkeypatch.setattr(filesystem, "sync", all_of_it)
    return found


def run(tmp_path, environment, names, **more):
    with loopback.serve({key(DAY): pack(flat([(name, "1") for name in names]))}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        return place, place.run(DAY, DAY, tracked=frozenset(names), **more)


@pytest.mark.skipif(sys.platform != "linux", reason="syncfs is Linux's own")
def test_six_thousand_csvs_take_a_handful_of_syncs(tmp_path, environment, syncs):
    if not filesystem.sync(tmp_path):
        pytest.skip("no syncfs here")
    syncs["whole"] = 0
    place, _ = run(tmp_path, environment, MANY)
    assert len(list(place.tracked.glob("*.csv"))) == len(MANY)
    assert syncs["whole"] <= len(MANY) / 1000
    assert syncs["one"] < 30
    assert place.query("SELECT count(*) FROM projections WHERE dirty") == [(0,)]


def test_where_no_call_syncs_a_file_system_each_csv_is_synced(tmp_path, environment, syncs, monkeypatch):
    monkeypatch.setattr(filesystem, "sync", lambda folder: False)
    run(tmp_path, environment, MANY[:100])
    assert syncs["one"] >= 100


def test_a_sync_that_fails_ends_the_run_with_nothing_replaced_and_nothing_called_clean(
    tmp_path, environment, monkeypatch
):
    def broken(folder):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(filesystem, "sync", broken)
    place, ran = run(tmp_path, environment, MANY[:100], fails=CacheError)
    assert (ran.error.exit_code, os.strerror(errno.EIO) in str(ran.error)) == (5, True)
    assert place.query("SELECT count(*) FROM projections WHERE NOT dirty") == [(0,)]
    assert [path.name for path in place.tracked.iterdir() if path.is_file()] == []


def test_a_batch_holds_a_thousand_temporary_files_at_most(tmp_path):
    with batches.together(most=10) as batch:
        for number in range(25):
            batch.put(tmp_path / f"{number}", b"new")
            assert len(list(tmp_path.glob(".*.tmp"))) <= 10
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {str(n): b"new" for n in range(25)}
