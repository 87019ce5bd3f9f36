"""A user without a home folder, and a yfinance that cannot be imported: neither ends a run."""

import importlib.abc
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pipeline_kit import Place, market_objects, trading_days, window

from ingest.demo.servers import loopback
from ingest.errors import Disrupted, SourceUnavailable
from ingest.settings.tuning import Tuning
from ingest.sources import yahoo

DAYS = trading_days(date(2025, 3, 3), 3)
SPAN = tuple(map(str, window(DAYS)))

HOMELESS = """
import os, sys
os.environ.pop("HOME", None)
if sys.platform != "win32":
    import pwd

    def nobody(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    pwd.getpwuid = nobody
from ingest.__main__ import main
main()
"""


@pytest.fixture
def place(loopback_keys: Path, tmp_path: Path) -> Iterator[Place]:
    with loopback.serve(market_objects(DAYS)) as server:
        yield Place(tmp_path / "cache", server.endpoint_url, yahoo=True)


def homeless(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of a user who stands in no list of users and has no HOME, as in many containers."""
    return place.ended([sys.executable, "-W", "error", "-c", HOMELESS, *arguments])


@pytest.mark.skipif(sys.platform == "win32", reason="uids of POSIX")
def test_a_run_of_a_user_without_a_home_makes_its_csvs_and_says_why_yahoo_was_not_asked(place: Place) -> None:
    done = homeless(place, "run", "--start", SPAN[0], "--end", SPAN[1])
    assert (done.returncode, done.stderr) == (0, "")
    assert "Yahoo was not asked for AAPL" in done.stdout  # the libraries of some versions do without a home
    assert len(place.csv("AAPL") or ()) == len(DAYS)
    told = homeless(place, "status")
    assert (told.returncode, told.stderr) == (0, "")
    assert SPAN[1] in told.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="uids of POSIX")
def test_a_folder_below_a_home_that_is_not_known_is_refused_by_name(place: Place) -> None:
    done = homeless(place, "demo", "--dir", "~/demo")
    assert (done.returncode, done.stderr) == (2, "error: --dir ~/demo: the home folder is not known\n")


class Broken(importlib.abc.MetaPathFinder):
    """What importing yfinance ends in."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "yfinance":
            raise self.error


@pytest.mark.parametrize(
    "error", [ImportError("no wheel"), RuntimeError("no home"), OSError(24, "too many files"), SystemExit(3)], ids=repr
)
def test_whatever_importing_yfinance_raises_is_yahoo_out_of_reach(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [one for one in sys.modules if one.partition(".")[0] == "yfinance"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(error), *sys.meta_path])
    with pytest.raises(SourceUnavailable, match=f"yfinance cannot be used: {type(error).__name__}"):
        yahoo.Yahoo(Tuning(yahoo_pause_s=0)).daily("AAPL", DAYS[0])


def test_a_frame_of_another_shape_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    monkeypatch.setattr(yahoo, "_ask", lambda symbol, arguments: pd.DataFrame({"Close": [1.0]}))
    with pytest.raises(Disrupted, match="AAPL: an answer that cannot be read"):
        yahoo.Yahoo(Tuning(yahoo_pause_s=0)).daily("AAPL", DAYS[0])
