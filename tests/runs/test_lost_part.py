"""Runs over a part that is gone, of a session that the source gives no more."""

import pytest
from pipeline_kit import Place, key, market_objects, window
from runs_kit import DAYS

from ingest.demo import loopback
from ingest.errors import CacheError

pytestmark = pytest.mark.usefixtures("loopback_keys")


@pytest.fixture
def server():
    with loopback.serve(market_objects(DAYS)) as running:
        yield running


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url)


@pytest.mark.parametrize("repaired", [False, True])
def test_a_part_that_cannot_be_had_again_stops_no_csv_that_is_not_made_of_it(place, server, repaired):
    """The plan has moved past its session, so each run says so; rows that are new reach all CSVs that can be made."""
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


def test_a_repair_does_not_call_here_what_the_source_has_refused(place, server):
    place.run(*window(DAYS))
    server.forbidden.update(map(key, DAYS[:2]))
    place.part(DAYS[1]).unlink()
    told = place.here("verify", "--repair")
    assert (told.code, "1 session asked for again: not all could be had" in told.out) == (3, True)
    server.forbidden.clear()
    told = place.here("verify", "--repair")
    assert (told.code, "1 session asked for again: all are here" in told.out) == (0, True)
