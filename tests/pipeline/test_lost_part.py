"""Runs over a missing part of a session that the source no longer has."""

import pytest
from pipeline_kit import Place, key, window
from runs_kit import DAYS

from ingest import events
from ingest.cli.rendering.words import outcome
from ingest.errors import CacheError

pytestmark = pytest.mark.usefixtures("loopback_keys")


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url)


@pytest.mark.parametrize("repaired", [False, True])
def test_a_lost_part_stops_only_csvs_that_are_built_from_it(place, server, repaired):
    """The subscription no longer covers its session, so each run says so; new rows reach all CSVs that can be built."""
    place.run(*window(DAYS[:6]))
    server.forbidden.update(map(key, DAYS[:2]))
    place.part(DAYS[1]).unlink()
    (place.tracked / "AAPL_1d_data.csv").unlink()
    if repaired:
        assert place.here("verify", "--repair").code == 5
    for until in (7, 8, 8):
        ran = place.run(*window(DAYS[:until]), fails=CacheError)
        assert str(place.part(DAYS[1])) in str(ran.error)
        assert place.csv("AAPL") is None
        assert list(place.csv("BRK.B")) == [str(day) for day in DAYS[:until]]
    server.forbidden.clear()
    place.run(*window(DAYS))
    for ticker in ("AAPL", "BRK.B", "TRUE"):
        assert list(place.csv(ticker)) == [str(day) for day in DAYS]


def test_a_repair_does_not_count_refused_sessions_as_restored(place, server):
    place.run(*window(DAYS))
    server.forbidden.update(map(key, DAYS[:2]))
    place.part(DAYS[1]).unlink()
    told = place.here("verify", "--repair")
    assert (told.code, "1 session downloaded again: some failed" in told.out) == (3, True)
    server.forbidden.clear()
    told = place.here("verify", "--repair")
    assert (told.code, "1 session downloaded again: all succeeded" in told.out) == (0, True)


@pytest.mark.parametrize("tier", ["tracked", "archive"])
@pytest.mark.parametrize(("known", "refused"), [("gone", "forbidden"), ("distrusted", "unlisted")])
def test_a_damaged_session_that_cannot_be_downloaded_again_is_named_each_night(place, server, tier, known, refused):
    place.run(*window(DAYS))
    lost, kept = DAYS[1], dict(server.objects)
    place.part(lost, tier).unlink()
    server.forbidden.update({key(lost)} if refused == "forbidden" else ())
    if refused == "unlisted":
        del server.objects[key(lost)]
    if known == "distrusted":
        assert place.here("verify", "--repair").code in (3, 5)
    for _ in range(2):
        ran = place.run(*window(DAYS))
        assert (ran.finished.exit_code, ran.finished.damaged, ran.finished.committed) == (3, 1, len(DAYS) - 1)
        (said,) = [one.message for one in ran.of(events.Notice) if one.level == "warning"]
        assert said.startswith(f"{lost}: a part is missing or damaged")
        assert outcome(ran.finished) == "Finished, but some stored sessions are damaged: see above."
    assert place.status().not_whole == (lost,)
    assert f"A part is missing or damaged: {lost}" in place.here("status").out
    assert "committed" not in place.here("run", "--dry-run", "--start", lost, "--end", lost).out
    server.forbidden.clear()
    server.objects.update(kept)
    ran = place.run(*window(DAYS))
    assert (ran.finished.exit_code, ran.committed, place.status().not_whole) == (0, [lost], ())


def test_sessions_left_for_later_or_outside_the_window_do_not_count_as_damaged(place, server):
    place.run(*window(DAYS))
    place.part(DAYS[1]).unlink()
    assert place.run(DAYS[2], DAYS[3]).finished.exit_code == 0
    done = place.run(*window(DAYS), max_files=0).finished
    assert (done.exit_code, done.not_attempted, done.damaged) == (0, 1, 0)
