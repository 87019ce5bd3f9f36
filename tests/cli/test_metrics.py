"""`ingest run --metrics-file`: numbers for Prometheus, of all datasets, however the run ended."""

import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from unittest.mock import patch

import pytest
from pipeline_kit import Place, key, trading_days
from prometheus_client.parser import text_string_to_metric_families

from ingest.cache import lock
from ingest.demo.servers import faults
from ingest.errors import SourceUnavailable

DAYS = trading_days(date(2025, 3, 3), 3)
RUN = ("run", "--quiet", "--start", DAYS[0], "--end", DAYS[-1])
STOCKS, COINS = "stocks-day", "crypto-day"


@pytest.fixture
def place(server, loopback_keys, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url, source={"attempts": 1})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "ingest.prom"


def numbers(file):
    """Values by name and dataset, sizes by tier."""
    found = {}
    for family in text_string_to_metric_families(file.read_text()):
        assert family.documentation
        assert family.type == "gauge"
        for sample in family.samples:
            labels = [sample.labels[name] for name in ("dataset", "tier") if name in sample.labels]
            found[sample.name.removeprefix("ingest_"), *labels] = sample.value
    return found


def failing(error):
    async def run(*_, **__):
        raise error

    return patch("ingest.cli.commands.fetching.run.run", run)


def test_they_are_those_of_status(place, server, file):
    began = time.time()
    server.faults = faults.strike({key(DAYS[-1])}, faults.Status(500, "InternalError"), 9)
    assert place.here(*RUN, "--metrics-file", file).code == 3
    found, said = numbers(file), json.loads(place.here("status", "--json").out)
    midnight = datetime.fromisoformat(said["last"]).replace(tzinfo=UTC).timestamp()
    assert found["newest_session_timestamp_seconds", STOCKS] == midnight
    assert found["newest_session_age_sessions", STOCKS] == said["age_sessions"] > 100
    assert found["sessions", STOCKS] == 2
    assert found["rows", STOCKS] == said["source_rows"] > 0
    assert found["findings_sessions", STOCKS] == said["findings"]
    assert found["quarantined_files", STOCKS] == 0
    sizes = {one["name"].lower().replace(" ", "_"): one["bytes"] for one in said["tiers"]}
    assert {tier: found["stored_bytes", STOCKS, tier] for tier in sizes} == sizes
    assert min(sizes.values()) > 0
    assert found["last_run_exit_code", STOCKS] == said["runs"][0]["exit_code"] == 3
    assert began <= found["last_run_timestamp_seconds", STOCKS] <= time.time()
    assert 0 < found["last_run_seconds", STOCKS] < 60
    assert ("last_success_timestamp_seconds", STOCKS) not in found
    assert list(file.parent.glob(".*.tmp")) == []


def test_a_success_stays_known_when_later_runs_fail(place, file):
    assert place.here(*RUN, "--metrics-file", file).code == 0
    first = numbers(file)
    assert first["last_success_timestamp_seconds", STOCKS] == first["last_run_timestamp_seconds", STOCKS]
    for code in (4, 1):
        with failing(SourceUnavailable("away") if code == 4 else ZeroDivisionError()):
            try:
                assert place.here(*RUN, "--metrics-file", file).code == 4
            except (ZeroDivisionError, ExceptionGroup):
                assert code == 1
        found = numbers(file)
        assert found["last_run_exit_code", STOCKS] == code
        assert found["last_run_timestamp_seconds", STOCKS] >= first["last_run_timestamp_seconds", STOCKS]
        assert found["last_success_timestamp_seconds", STOCKS] == first["last_success_timestamp_seconds", STOCKS]
        assert found["sessions", STOCKS] == 3


def test_the_run_of_one_dataset_keeps_what_is_known_of_others(place, server, file):
    assert place.here(*RUN, "--metrics-file", file).code == 0
    before = numbers(file)
    nothing = place.here(*RUN, "--metrics-file", file, "-d", COINS)
    assert nothing.code == 3
    found = numbers(file)
    assert {name: found[name] for name in before if name[1] == STOCKS} == before
    assert found["last_run_exit_code", COINS] == 3
    with failing(SourceUnavailable("away")):
        assert place.here(*RUN, "--metrics-file", file, "-d", COINS).code == 4
    assert place.here(*RUN, "--metrics-file", file).code == 0
    assert numbers(file)["last_run_exit_code", COINS] == 4


def test_the_setting_means_the_same_and_is_relative_to_its_file(place, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.toml").write_text('[run]\nmetrics_file = "m.prom"\n')
    assert place.here(*RUN, "--config", "own/config.toml").code == 0
    assert numbers(tmp_path / "own" / "m.prom")["sessions", STOCKS] == 3


def test_another_run_in_progress_and_a_dry_run_leave_the_file(place, file):
    file.write_text("# HELP ingest_sessions of a test\n")
    with lock.hold(place.root):
        assert place.here(*RUN, "--metrics-file", file).code == 6
    assert place.here(*RUN, "--metrics-file", file, "--dry-run").code == 0
    assert file.read_text() == "# HELP ingest_sessions of a test\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [("none/m.prom", "its folder does not exist"), ("cache", "it is a folder"), ("list.txt", "stays as it is")],
)
def test_a_file_that_cannot_be_used_is_refused_before_the_run(place, server, tmp_path, name, words):
    place.root.mkdir()
    (tmp_path / "list.txt").write_text("AAPL\n")
    done = place.here(*RUN, "--metrics-file", tmp_path / name)
    assert done.code == 2
    assert words in done.err
    assert not server.requests
    assert (tmp_path / "list.txt").read_text() == "AAPL\n"


def test_without_the_library_the_error_says_what_to_install(place, file, server):
    with patch("ingest.cli.nightly.metrics.find_spec", lambda name: None):
        done = place.here(*RUN, "--metrics-file", file)
    assert (done.code, len(server.requests)) == (2, 0)
    assert "pip install 'ingest[metrics]'" in done.err


def test_a_disk_that_fills_up_is_a_warning(place, file):
    real = os.fsync

    def fsync(descriptor):
        if ".prom." in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(28, "No space left on device")
        real(descriptor)

    if sys.platform != "linux":
        pytest.skip("asks /proc what a descriptor is of")
    with patch("os.fsync", fsync):
        done = place.here(*RUN, "--metrics-file", file)
    assert done.code == 0
    assert "No space left on device; the run itself is not affected" in done.err
    assert list(file.parent.glob("*prom*")) == []


def test_a_cache_that_cannot_be_read_leaves_the_last_runs(place, file):
    assert place.here(*RUN, "--metrics-file", file).code == 0
    (place.root / "manifest.sqlite").write_bytes(b"no database" * 1000)
    done = place.here(*RUN, "--metrics-file", file)
    assert done.code == 5
    assert "tells of the last runs alone" in done.err
    found = numbers(file)
    assert found["last_run_exit_code", STOCKS] == 5
    assert ("sessions", STOCKS) not in found


@pytest.mark.parametrize("later", ["4e9", "NaN", "+Inf"])
def test_a_clock_that_was_ahead_does_not_hide_the_runs_after_it(place, file, later):
    names = ("last_run_timestamp_seconds", "last_run_exit_code", "last_run_seconds", "last_success_timestamp_seconds")
    values = zip(names, (later, 0, 1, later), strict=True)
    told = [f'ingest_{name}{{dataset="{STOCKS}"}} {value}\n' for name, value in values]
    file.write_text("".join(["# HELP ingest_last_run_seconds x\n", *told]))
    with failing(SourceUnavailable("away")):
        assert place.here(*RUN, "--metrics-file", file).code == 4
    found = numbers(file)
    assert found["last_run_exit_code", STOCKS] == 4
    assert found["last_run_timestamp_seconds", STOCKS] <= time.time()
    assert ("last_success_timestamp_seconds", STOCKS) not in found


def test_neither_does_one_in_the_manifest(place, file):
    assert place.here(*RUN).code == 0
    with closing(sqlite3.connect(place.root / "manifest.sqlite")) as db, db:
        db.execute("UPDATE runs SET finished_at = '2096-01-01T00:00:00+00:00'")
    with failing(SourceUnavailable("away")):
        assert place.here(*RUN, "--metrics-file", file).code == 4
    found = numbers(file)
    assert found["last_run_exit_code", STOCKS] == 4
    assert ("last_success_timestamp_seconds", STOCKS) not in found


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a right there")
def test_a_link_stays_and_what_it_leads_to_is_replaced(place, file, tmp_path):
    (tmp_path / "collected").mkdir()
    file.symlink_to(tmp_path / "collected" / "real.prom")
    for _ in range(2):
        assert place.here(*RUN, "--metrics-file", file).code == 0
        assert file.is_symlink()
    assert numbers(tmp_path / "collected" / "real.prom")["sessions", STOCKS] == 3


def test_they_tell_of_a_log_that_cannot_be_opened(place, file, tmp_path):
    assert place.here(*RUN, "--metrics-file", file).code == 0
    done = place.here(*RUN, "--metrics-file", file, "--log-file", tmp_path / "none" / "log")
    assert (done.code, numbers(file)["last_run_exit_code", STOCKS]) == (2, 2)
    assert "the log file" in done.err


def test_whatever_goes_wrong_is_a_warning_and_the_code_is_that_of_the_run(place, file, tmp_path):
    told = tmp_path / "told"
    with (
        patch("ingest.cli.nightly.metrics.status", side_effect=MemoryError("two\nlines")),
        failing(SourceUnavailable("")),
    ):
        done = place.here(*RUN, "--metrics-file", file, INGEST_NOTIFY__ON_FAILURE=f"touch '{told}'")
    assert (done.code, told.exists()) == (4, True)
    assert "the metrics were not written: MemoryError: two lines; the run itself is not affected" in done.err
