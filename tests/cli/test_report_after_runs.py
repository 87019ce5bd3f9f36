"""`[report] path`: each run replaces the report when it has ended; what goes wrong with it is a warning."""

import json
import os
import re
import sys
from datetime import date
from unittest.mock import patch

import pytest
from pipeline_kit import Place, trading_days

from ingest.cache import lock
from ingest.cli.report import making, page
from ingest.files import durable

DAYS = trading_days(date(2025, 3, 3), 3)
RUN = ("run", "--quiet", "--start", DAYS[0], "--end", DAYS[-1])


@pytest.fixture
def place(server, loopback_keys, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url, source={"attempts": 1, "down_after_s": 1})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "morning" / "report.html"


def exits(file):
    return [int(code) for code in re.findall(r'<span class="exit \w+">(\d+)</span>', file.read_text("utf-8"))]


def test_a_run_that_is_complete_is_in_it(place, file):
    done = place.here(*RUN, INGEST_REPORT__PATH=str(file))
    assert (done.code, done.err) == (0, "")
    assert exits(file) == [0]
    assert file.read_text("utf-8").count('<button class="day h"') == 3


def test_so_is_a_run_that_failed(place, file):
    assert place.here(*RUN, INGEST_REPORT__PATH=str(file)).code == 0
    away = Place(place.root, "http://127.0.0.1:9", source=place.source)
    assert away.here(*RUN, INGEST_REPORT__PATH=str(file)).code == 4
    assert exits(file) == [4, 0]


def test_it_is_relative_to_the_file_that_sets_it(place, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.toml").write_text('[report]\npath = "r.html"\n')
    assert place.here(*RUN, "--config", "own/config.toml").code == 0
    assert exits(tmp_path / "own" / "r.html") == [0]
    told = place.here("report", "--config", "own/config.toml")
    assert told.out.startswith(str(tmp_path / "own" / "r.html"))


def test_one_that_fails_is_a_warning(place, tmp_path, file):
    done = place.here(*RUN, INGEST_REPORT__PATH=str(tmp_path))
    assert done.code == 0
    assert f"the report was not written: {tmp_path} is a folder" in done.err
    assert "the run itself is not affected" in done.err
    with patch.object(making, "charts", side_effect=ZeroDivisionError("odd")):
        done = place.here(*RUN, INGEST_REPORT__PATH=str(file))
    assert done.code == 0
    assert "the report was not written: ZeroDivisionError: odd" in done.err
    with patch.dict("sys.modules", {"ingest.cli.report.making": None}):  # as if memory were short
        done = place.here(*RUN, INGEST_REPORT__PATH=str(file))
    assert (done.code, "the report was not written: ModuleNotFoundError: " in done.err) == (0, True)
    page._environment.cache_clear()
    with patch.dict("sys.modules", {"jinja2": None}):
        done = place.here(*RUN, INGEST_REPORT__PATH=str(file))
    assert done.code == 0
    assert "pip install 'ingest[report]'" in done.err
    assert not file.exists()


def test_a_file_of_something_else_stays(place, tmp_path):
    (tmp_path / "stocks.txt").write_text("AAPL\n")
    done = place.here(*RUN, INGEST_REPORT__PATH=str(tmp_path / "stocks.txt"))
    assert done.code == 0
    assert "is no page of ingest, and stays as it is" in done.err
    assert (tmp_path / "stocks.txt").read_text() == "AAPL\n"
    assert place.here("report", "--out", "stocks.txt").code == 2
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert "pipe is a pipe" in place.here("report", "--out", "pipe").err
    assert place.here("show", "AAPL", "--html", "stocks.txt").code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a right there")
def test_a_link_stays_and_what_it_leads_to_is_replaced(place, file, tmp_path):
    file.parent.mkdir()
    file.symlink_to(tmp_path / "published.html")
    for _ in range(2):
        assert place.here("report", "--out", str(file)).code == 0
    assert file.is_symlink()
    assert b'name="generator" content="ingest"' in (tmp_path / "published.html").read_bytes()


def test_another_run_in_progress_and_a_dry_run_leave_it(place, file):
    with lock.hold(place.root):
        assert place.here(*RUN, INGEST_REPORT__PATH=str(file)).code == 6
    assert place.here(*RUN, "--dry-run", INGEST_REPORT__PATH=str(file)).code == 0
    assert not file.exists()


def test_a_run_without_it_imports_nothing_for_it(place):
    place.here(*RUN)
    assert "jinja2" not in place.imported(*RUN)


def test_a_report_beside_a_run_says_who_holds_the_cache(place, file):
    place.here(*RUN)
    with lock.hold(place.root):
        assert place.here("report", "--out", file).code == 0
    assert "in use: " in file.read_text("utf-8")


def test_what_a_killed_report_left_is_removed_later(place, file):
    file.parent.mkdir()
    old, new = durable.another(file), durable.another(file)
    for left in (old, new):
        left.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert place.here("report", "--out", file).code == 0
    assert {path.name for path in file.parent.iterdir()} == {file.name, new.name}


def test_check_says_whether_it_can_be_written(place, tmp_path, file):
    def said(path):
        told = place.here("check", "--json", INGEST_REPORT__PATH=str(path))
        (one,) = (line for line in map(json.loads, told.out.splitlines()) if line.get("name") == "report")
        return one["passed"], one["found"]

    assert said(file) == (True, f"each run replaces {file}")
    assert said(tmp_path) == (False, f"{tmp_path} is a folder: name the file to write")
    with patch.object(making, "find_spec", return_value=None):
        assert said(file) == (False, "the report needs Jinja2: `pip install 'ingest[report]'`")
    assert '"report"' not in place.here("check", "--json").out
