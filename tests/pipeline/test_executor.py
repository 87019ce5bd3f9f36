"""What a run does many times it does together: commits are shared, an endpoint is resolved once."""

from datetime import date
from threading import Barrier
from unittest.mock import patch

import pytest
from botocore.endpoint_provider import RuleSet
from pipeline_kit import Place, flat, key, market_objects, pack, trading_days, window
from tuning_kit import tune

from ingest.cache.manifest.sessions import KnownSessions
from ingest.demo.servers import loopback
from ingest.pipeline import executor, worker

FORTY = trading_days(date(2025, 3, 3), 40)


@pytest.fixture(scope="module")
def server():
    with loopback.serve(market_objects(FORTY)) as started:
        yield started


@pytest.fixture
def place(server, loopback_keys, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url)


def committing():
    """Watch the transactions that commit sessions."""
    return patch.object(KnownSessions, "commit", autospec=True, side_effect=KnownSessions.commit)


def test_sessions_share_their_commits(place):
    with committing() as commits:
        assert place.run(*window(FORTY)).finished.committed == 40
    assert commits.call_count <= 20


@pytest.mark.parametrize(("per_byte", "batches"), [(1 << 30, 3), (6, 1)], ids=["one at a time", "all at once"])
def test_no_commit_waits_for_others_where_none_is_under_way(place, monkeypatch, per_byte, batches):
    tune(monkeypatch, gather_s=3600, in_flight_per_packed=per_byte)
    with committing() as commits:
        ran = place.run(*window(FORTY[:3]))
    assert (ran.finished.committed, commits.call_count) == (3, batches)


def test_large_files_are_split_side_by_side_whatever_they_hold_together(place, monkeypatch):
    """Each waits for another one, so alone none would end."""
    tune(monkeypatch, alone=1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    both = Barrier(2)

    def prepare(*arguments):
        both.wait(timeout=20)
        return worker.prepare(*arguments)

    monkeypatch.setattr(executor, "prepare", prepare)
    assert place.run(*window(FORTY[:4])).finished.committed == 4


def test_the_endpoint_is_resolved_once_for_all_objects(place):
    with patch.object(RuleSet, "evaluate", autospec=True, side_effect=RuleSet.evaluate) as evaluated:
        assert place.run(*window(FORTY)).finished.committed == 40
    assert evaluated.call_count <= 2  # for the listing, and for the objects


@pytest.mark.timeout(20)
def test_a_session_that_needs_more_twice_does_not_wait_for_itself(loopback_keys, tmp_path, monkeypatch):
    """First for its text, then to compare it with what is stored: each alone is more than the whole budget."""
    tune(monkeypatch, ordinary=1000)
    day, rows = FORTY[0], [(f"T{number:04}", 10) for number in range(5000)]
    with loopback.serve({key(day): pack(flat(rows))}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(day, day, in_flight=1 << 20)
        server.put(key(day), pack(flat([*rows[1:], ("ZZZ", 11)])))
        assert place.run(day, day, refresh=True, in_flight=1 << 20).finished.committed == 1
