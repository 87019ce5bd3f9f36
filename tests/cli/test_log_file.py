"""`ingest run --log-file`: all that is said, with times, whatever the terminal shows."""

import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from unittest.mock import patch

import pytest
from pipeline_kit import Place, key, trading_days

from ingest.cli.nightly.log_file import LogFile
from ingest.demo.servers import faults
from ingest.errors import UsageError

DAYS = trading_days(date(2025, 3, 3), 2)
RUN = ("run", "--start", DAYS[0], "--end", DAYS[-1])
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 \S.*")


@pytest.fixture
def place(server, loopback_keys, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url, source={"attempts": 1})


@pytest.fixture
def log(tmp_path):
    return tmp_path / "ingest.log"


@pytest.mark.parametrize("how", ["--quiet", "--json"])
def test_it_has_each_line_with_its_time_and_is_appended(place, log, how):
    for _ in range(2):
        assert place.here(*RUN, how, "--log-file", log, TZ="Asia/Tokyo").code == 0
    lines = log.read_text().splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert len([line for line in lines if "ingest run begins" in line]) == 2
    assert len([line for line in lines if line.endswith("ended with 0: complete")]) == 2
    assert any("to download: 2 sessions" in line for line in lines)
    assert any(line.endswith(" Complete.") for line in lines)


def test_warnings_and_errors_are_in_it(place, server, log):
    server.faults = faults.strike({key(DAYS[1])}, faults.Status(500, "InternalError"), 9)
    assert place.here(*RUN, "--quiet", "--log-file", log).code == 3
    assert f"{DAYS[1]} failed" in log.read_text()

    async def run(*_, **__):
        raise UsageError("two\nlines")

    with patch("ingest.cli.commands.fetching.run.run", run):
        assert place.here(*RUN, "--quiet", "--log-file", log).code == 2
    *_, first, second, last = log.read_text().splitlines()
    assert (first.partition(" ")[2], second.partition(" ")[2]) == ("error: two", "lines")
    assert "ended with 2" in last
    assert LINE.fullmatch(second)


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_the_terminal_shows_its_bars_at_the_same_time(place, log):
    import pty

    ours, theirs = pty.openpty()
    done = subprocess.run(
        place.command(*RUN, "--log-file", log),
        env=place.environment(TERM="xterm", COLUMNS="80"),
        cwd=place.root.parent,
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert b"\x1b[" in shown
    assert b"ingest run begins" not in shown
    assert "\x1b" not in log.read_text()
    assert "Complete." in log.read_text()


def test_it_is_renamed_at_the_size_that_is_set_and_three_are_kept(place, log, tmp_path):
    setting = {"INGEST_RUN__LOG_FILE": str(log), "INGEST_RUN__MAX_LOG_BYTES": "300"}
    for _ in range(5):
        assert place.here(*RUN, "--quiet", **setting).code == 0
    files = sorted(path.name for path in tmp_path.glob("ingest.log*"))
    assert files == ["ingest.log", "ingest.log.1", "ingest.log.2", "ingest.log.3"]
    assert all(path.stat().st_size <= 300 for path in tmp_path.glob("ingest.log*"))


def test_the_setting_is_relative_to_its_file_and_the_flag_to_the_working_folder(place, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.toml").write_text('[run]\nlog_file = "a.log"\n')
    assert place.here(*RUN, "--config", "own/config.toml").code == 0
    assert (tmp_path / "own" / "a.log").exists()
    assert place.here(*RUN, "--config", "own/config.toml", "--log-file", "b.log").code == 0
    assert (tmp_path / "b.log").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes with a name")
def test_one_that_cannot_be_opened_is_an_error_before_the_run(place, server, tmp_path, log):
    place.root.mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path, code, words in (
        (tmp_path / "none" / "a.log", 2, "its folder does not exist"),
        (place.root, 2, "it is a folder"),
        (tmp_path / "pipe", 2, "it is a pipe"),
        (Path("/dev/full") / "a.log", 2, "its folder does not exist"),
        (Path("/proc/self/limits-of-a-test"), 5, "cannot write /proc/self/limits-of-a-test"),
    ):
        done = place.here(*RUN, "--log-file", path)
        assert (done.code, words in done.err) == (code, True), done.err
    assert not server.requests


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
@pytest.mark.parametrize("text", ["AAPL\nMSFT\n", "[run]\n", "2025-03-03,1.5\n", "SQLite format 3\0"])
def test_a_file_of_something_else_gets_no_line(place, server, log, text):
    log.write_text(text)
    done = place.here(*RUN, "--log-file", log)
    assert (done.code, len(server.requests), log.read_text()) == (2, 0, text)
    assert "is no log of ingest, and stays as it is" in done.err


@pytest.mark.parametrize("text", ["", "2025", "2025-03-03T06:00:01+00:00 ingest run begins, process 1\n"])
def test_a_log_of_an_earlier_run_goes_on_even_one_cut_short(place, log, text):
    log.write_text(text)
    assert place.here(*RUN, "--log-file", log).code == 0
    assert log.read_text().startswith(f"{text}20")


def test_a_disk_that_is_full_is_a_warning(place):
    done = place.here(*RUN, "--quiet", "--log-file", "/dev/full")
    assert done.code == 0
    assert done.err == "lines are missing from /dev/full: No space left on device; the run itself is not affected\n"


def test_a_dry_run_writes_none(place, log):
    assert place.here(*RUN, "--dry-run", "--log-file", log).code == 0
    assert not log.exists()


def test_what_is_no_text_is_escaped(log):
    one = LogFile(log, 0)
    one.write("a\udcff\n")
    one.close()
    assert (log.read_text(), one.problem) == ("a\\udcff\n", "")
