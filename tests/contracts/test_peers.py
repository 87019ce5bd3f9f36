"""The scripts that the benchmarks compare with `ingest run` do the same job: each row is in one tier, in its order."""

import csv
import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="the sdist has no benchmarks")

SCRIPTS = ("s5cmd_polars", "s5cmd_sink", "s5cmd_duckdb", "rclone_duckdb")
COPY = "import shutil, sys; shutil.copytree(*sys.argv[1:], dirs_exist_ok=True)"
COLUMNS = "ticker,volume,open,close,high,low,window_start,transactions"
OPENED = 1_767_364_200_000_000_000
"""09:30 in New York on 2026-01-02; a day later is the 3rd, and 31 days later another month."""
DAY = 86_400_000_000_000


def row(ticker, day, minute=0):
    """A row whose numbers tell its day and minute."""
    volume, when = day + minute / 4, OPENED + day * DAY + minute * 60_000_000_000
    return f"{ticker},{volume},1.5,2.5,3.5,0.5,{when},7"


DAYS = {
    "2026/01/2026-01-02": [row("C:ZAR", 0), row("C:EUR", 0), row("C:AUD", 0), row("C:EUR", 0, 1)],
    "2026/01/2026-01-03": [row("C:AUD", 1), row("C:GBP", 1)],
    "2026/02/2026-02-02": [row("C:EUR", 31), row("C:EURX", 31)],
}
ARCHIVED = {
    "2026-01-02": [row("C:ZAR", 0), row("C:AUD", 0)],
    "2026-01-03": [row("C:AUD", 1)],
    "2026-02-02": [row("C:EURX", 31)],
}
DAILY = {
    "EUR_1d_data.csv": [("2026-01-02", 0.0), ("2026-01-02", 0.25), ("2026-02-02", 31.0)],
    "GBP_1d_data.csv": [("2026-01-03", 1.0)],
}
MINUTES = {
    "EUR_1m_data/2026-01.csv": [("2026-01-02 09:30:00-05", 0.0), ("2026-01-02 09:31:00-05", 0.25)],
    "EUR_1m_data/2026-02.csv": [("2026-02-02 09:30:00-05", 31.0)],
    "GBP_1m_data/2026-01.csv": [("2026-01-03 09:30:00-05", 1.0)],
}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """A folder that stands for the bucket: its files are copied, not downloaded."""
    folder = tmp_path_factory.mktemp("bucket")
    for name, rows in DAYS.items():
        path = folder / f"{name}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("\n".join([COLUMNS, *rows, ""]).encode()))
    return folder


def archived(folder):
    """The rows of each day; DuckDB's partitions have the day in the name of a folder."""
    found = {}
    for path in folder.rglob("*.csv.gz"):
        (day,) = re.findall(r"\d{4}-\d\d-\d\d", str(path.relative_to(folder)))
        header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
        assert (header, day in found) == (COLUMNS, False)
        found[day] = rows
    return found


def tracked(folder):
    """The time and volume of each row; polars writes New York's offset as -05:00, DuckDB as -05."""
    found = {}
    for path in folder.rglob("*.csv"):
        _, *rows = csv.reader(path.read_text().splitlines())
        found[path.relative_to(folder).as_posix()] = [(one[0].removesuffix(":00"), float(one[-1])) for one in rows]
        assert {tuple(one[1:-1]) for one in rows} == {("1.5", "3.5", "0.5", "2.5")}
    return found


@pytest.mark.parametrize(("flags", "expected"), [((), DAILY), (("--minutes",), MINUTES)], ids=["days", "minutes"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_splits_as_we_do(bucket, tmp_path, script, flags, expected):
    tickers = tmp_path / "tickers.txt"
    tickers.write_text("C:EUR\nC:GBP\nC:NONE\n")
    cache = tmp_path / "a cache"
    cache.mkdir()
    told = [str(cache), str(tickers), "--columns", COLUMNS, "--sigil", "C:", *flags]
    command = [sys.executable, "-W", "error", "-m", f"benchmarks.{script}", *told, "--"]
    done = subprocess.run(
        [*command, sys.executable, "-c", COPY, str(bucket)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert archived(cache / "archive") == ARCHIVED
    assert tracked(cache / "tracked") == expected


class TestTheReport:
    @pytest.fixture(autouse=True)
    def _from_the_checkout(self, monkeypatch):
        monkeypatch.syspath_prepend(ROOT)

    @pytest.mark.parametrize(("rows", "said"), [((3, 5), "are the same"), ((3, 4), "are NOT THE SAME")])
    def test_it_says_when_the_rows_of_any_script_differ_from_ours(self, rows, said):
        from benchmarks.report import Results, markdown

        found = {"ours": (3, 5), "s5cmd": (3, 5), "rclone-duckdb": rows}
        assert f"{said}: ours 3 + 5; s5cmd 3 + 5; rclone-duckdb {rows[0]} + {rows[1]}." in markdown(
            Results(1, 1, 1, rows=found)
        )

    def test_each_contender_has_a_name_there(self):
        from benchmarks.race import CONTENDERS
        from benchmarks.report import NAMES

        assert CONTENDERS.keys() <= NAMES.keys()
