"""A large download is agreed to before it begins: on a terminal by an answer, elsewhere by --yes."""

import io
import os
import pty
import select
import subprocess
import time
from datetime import date
from functools import partial

import anyio
import pytest
from pipeline_kit import TRACKED, Place, market_objects, trading_days, window
from tuning_kit import tune

from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.lines import Lines
from ingest.cli.rendering.terminal import Terminal
from ingest.demo.servers import loopback
from ingest.errors import NotConfirmed
from ingest.market.windows import Window
from ingest.pipeline import run as runs
from ingest.planning.estimate import Estimate, in_words
from ingest.planning.request import Request

DAYS = trading_days(date(2025, 3, 3), 24)


@pytest.fixture
def place(loopback_keys, tmp_path, monkeypatch):
    tune(monkeypatch, ask_from=100_000)
    with loopback.serve(market_objects(DAYS)) as server:
        yield Place(tmp_path / "cache", server.endpoint_url)


def run(place, days, confirmed, refresh=False):
    request = Request(Window(*window(days)), TRACKED, refresh=refresh, confirmed=confirmed)
    seen = []
    anyio.run(partial(runs.run, place.settings(), [request], seen.append, anyio.Event())).only()
    return seen[-1]


def test_nothing_is_downloaded_before_it_is_agreed_to(place):
    with pytest.raises(NotConfirmed, match=r"24 files, 0\.0 GB to download; .* Nothing was downloaded"):
        run(place, DAYS, confirmed=False)
    assert place.tiers() == {}
    assert run(place, DAYS, confirmed=True).committed == 24


def test_a_small_download_needs_no_agreement(place):
    assert run(place, DAYS[:3], confirmed=False).committed == 3


def test_the_time_is_that_of_the_last_run(place):
    run(place, DAYS, confirmed=True)
    with pytest.raises(NotConfirmed, match="about 1 min at the rate of the last run"):
        run(place, DAYS, confirmed=False, refresh=True)


def test_the_estimate_in_words():
    words = in_words(Estimate(5_800, 1_260_000_000, 1_386_000_000, 50_000_000_000, 252.0))
    assert words == (
        "5,800 files, 1.3 GB to download, about 4 min at the rate of the last run; "
        "they take 1.4 GB of disk, 50.0 GB are free"
    )
    assert in_words(Estimate(2, 10**9, 10**9, 10**8, None)).endswith("0.1 GB are free, which is not enough")


@pytest.mark.parametrize(("answer", "agreed"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_a_terminal_asks(monkeypatch, answer, agreed):
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    out = io.StringIO()
    with Terminal(Answers(file=out, force_terminal=True, width=100)) as terminal:
        assert terminal.confirm("5 files") is agreed
    assert "5 files" in out.getvalue()


def test_a_log_does_not_ask():
    assert Lines(io.StringIO()).confirm("5 files") is False


def test_on_a_terminal_the_run_goes_on_after_yes(place, tmp_path):
    """The whole command on a pseudo-terminal, with a threshold of its own."""
    tuned = "from ingest.settings import tuning; tuning.DEFAULT = tuning.Tuning(ask_from=1)"
    script = f"{tuned}; from ingest.__main__ import main; main()"
    days = [text for name, day in zip(("--start", "--end"), window(DAYS), strict=True) for text in (name, str(day))]
    command = [place.command()[0], "-c", script, "run", *days]
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=place.environment(TERM="xterm"), cwd=tmp_path
    )
    os.close(follower)
    seen = _until(leader, b"[y/n]")
    assert b"24 files" in seen
    os.write(leader, b"y\n")
    after = _until(leader, b"Complete.")
    assert b"24/24" in after
    assert b"/48" not in after
    assert process.wait(20) == 0
    os.close(leader)
    assert len(list((place.root / "massive_cache").glob("*.csv.gz"))) == 24


def _until(leader, words, seconds=30):
    seen, end = b"", time.monotonic() + seconds
    while words not in seen and time.monotonic() < end:
        if select.select([leader], [], [], 0.2)[0]:
            seen += os.read(leader, 4096)
    assert words in seen, seen
    return seen
