"""Whole runs with patterns in the lists: which tickers get a CSV, where they are looked for, what is reported."""

from datetime import date
from unittest.mock import patch

import pytest
from kills import Killed
from pipeline_kit import Place, assert_same, flat

from ingest.cache.manifest.csvs import Csvs
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.maintenance.verify import verify
from ingest.market.catalogue import named
from ingest.tracked import csv_lines as rows
from ingest.tracked import expand, projection

CRYPTO, OPTIONS = named("crypto-day"), named("options-day")
DAYS = [date(2025, 3, day) for day in (7, 8, 9, 10)]
SPAN = (DAYS[0], DAYS[-1])
COINS = [("X:BTC-EUR", 9), ("X:BTC-USD", 10), ("X:ETH-USD", 2), ("X:ETH-USDT", 2)]


@pytest.fixture
def bucket(loopback_keys):
    with loopback.serve({}) as server:
        yield server


def put(server, dataset, day, rows):
    server.objects[dataset.key(day)] = pack(flat(sorted(rows)))


@pytest.fixture
def place(bucket, tmp_path):
    for day in DAYS:
        put(bucket, CRYPTO, day, COINS)
    return Place(tmp_path / "cache", bucket.endpoint_url, dataset=CRYPTO)


def csvs(place):
    return sorted(path.name.removesuffix("_1d_data.csv") for path in place.tracked.glob("*.csv"))


def dates(days):
    return [str(day) for day in days]


def test_all_that_match_a_pattern_get_a_csv_and_the_rest_is_archived(place):
    ran = place.run(*SPAN, tracked={"X:*-USD"})
    assert csvs(place) == ["BTC-USD", "ETH-USD"]
    assert place.closes("BTC-USD") == dict.fromkeys(dates(DAYS), "10.0")
    assert place.archived(DAYS[0]) == ["X:BTC-EUR", "X:ETH-USDT"]
    assert "X:*-USD: 2 tickers that match have a CSV each" in ran.notices
    assert place.query("SELECT tickers FROM tracked_sets") == [("X:*-USD",)]
    again = place.run(*SPAN, tracked={"X:*-USD"})
    assert (again.gets, again.finished.files_projected, again.notices) == ([], 0, [])


def test_a_new_match_gets_a_csv_and_a_vanished_one_keeps_its_own(place, bucket):
    place.run(DAYS[0], DAYS[1], tracked={"X:*-USD"})
    put(bucket, CRYPTO, DAYS[2], [("X:BTC-USD", 11), ("X:NEW-USD", 1)])
    place.run(DAYS[0], DAYS[2], tracked={"X:*-USD"})
    assert csvs(place) == ["BTC-USD", "ETH-USD", "NEW-USD"]
    assert list(place.csv("ETH-USD")) == dates(DAYS[:2])
    assert list(place.csv("NEW-USD")) == dates(DAYS[2:3])
    assert list(place.csv("BTC-USD")) == dates(DAYS[:3])


def test_a_pattern_that_comes_later_is_found_in_the_archive_without_the_network(place, tmp_path, bucket):
    place.run(*SPAN, tracked={"X:BTC-USD"})
    ran = place.run(*SPAN, tracked={"X:*-USD*"})
    assert (ran.gets, csvs(place)) == ([], ["BTC-USD", "ETH-USD", "ETH-USDT"])
    assert list(place.csv("ETH-USDT")) == dates(DAYS)
    straight = Place(tmp_path / "other", bucket.endpoint_url, dataset=CRYPTO)
    straight.run(*SPAN, tracked={"X:*-USD*"})
    assert {name: place.csv(name) for name in csvs(place)} == {name: straight.csv(name) for name in csvs(straight)}


def test_a_pattern_that_left_and_returns_knows_what_was_fetched_meanwhile(place, bucket):
    put(bucket, CRYPTO, DAYS[3], [*COINS, ("X:NEW-USD", 5)])
    place.run(*DAYS[:2], tracked={"X:*-USD"})
    place.run(*SPAN, tracked={"X:BTC-EUR"})
    assert "NEW-USD" not in csvs(place)
    place.run(*SPAN, tracked={"X:*-USD"})
    assert list(place.csv("NEW-USD")) == dates(DAYS[3:])
    assert list(place.csv("ETH-USD")) == dates(DAYS)


def test_without_the_rest_a_wider_pattern_is_fetched_and_a_narrower_one_is_not(place):
    place.run(*SPAN, tracked={"X:*-USD"}, save_others=False)
    for narrower in ({"X:BTC-USD"}, {"X:B*-USD"}, {"X:*-USD"}):
        assert place.run(*SPAN, tracked=narrower, save_others=False).gets == []
    ran = place.run(*SPAN, tracked={"X:*"}, save_others=False)
    assert ran.reasons == {"fetch: lacks X:*": 4}
    assert csvs(place) == ["BTC-EUR", "BTC-USD", "ETH-USD", "ETH-USDT"]


def test_a_pattern_that_nothing_matches_is_reported(place):
    assert any(
        "no stored session contains a ticker that matches X:*-UDS" in one
        for one in place.run(*SPAN, {"X:*-UDS"}).notices
    )


def test_a_missing_manifest_is_rebuilt_with_its_patterns(place):
    place.run(*SPAN, tracked={"X:*-USD"})
    before = place.logical_manifest()
    for path in place.root.glob("manifest.sqlite*"):
        path.unlink()
    ran = place.run(*SPAN, tracked={"X:*-USD"})
    assert ran.gets == []
    assert place.logical_manifest()["sessions"] == before["sessions"]
    assert place.logical_manifest()["projections"] == before["projections"]


def test_a_kill_between_the_tickers_and_the_note_of_their_pattern_loses_none(place, tmp_path, bucket):
    place.run(*DAYS[:2], tracked={"X:BTC-EUR"})
    with patch.object(Csvs, "remember_patterns", side_effect=Killed), pytest.raises(Killed):
        place.run(*SPAN, tracked={"X:*"})
    place.run(*SPAN, tracked={"X:*"})
    straight = Place(tmp_path / "other", bucket.endpoint_url, dataset=CRYPTO)
    straight.run(*DAYS[:2], tracked={"X:BTC-EUR"})
    straight.run(*SPAN, tracked={"X:*"})
    assert_same(place, straight)


def test_only_new_sessions_and_the_members_that_may_match_are_read(bucket, tmp_path):
    place = Place(tmp_path / "cache", bucket.endpoint_url, dataset=OPTIONS)
    day, later = date(2025, 3, 7), date(2025, 3, 10)
    others = [(f"O:{name}250321C{strike:08d}", 1) for name in ("AAPL", "QQQ", "TSLA") for strike in range(1500)]
    rows = [*others, ("O:SPY250321C00500000", 7), ("O:SPY250321P00500000", 8)]
    for session in (day, later):
        put(bucket, OPTIONS, session, rows)
    read, matching = [], expand._matching

    def looking(folders, parts, tier, patterns):
        index = parts.index[tier]
        read.append((parts.session, tier, len(index.beginning("O:SPY")) / len(index.firsts)))
        return matching(folders, parts, tier, patterns)

    with patch.object(expand, "_matching", looking):
        place.run(day, day, tracked={"O:AAPL250321C00000000"})
        assert read == []
        place.run(day, day, tracked={"O:SPY*"})
        assert [(session, tier) for session, tier, _ in read] == [(day, "tracked"), (day, "archive")]
        assert read[1][2] < 0.4
        read.clear()
        place.run(day, later, tracked={"O:SPY*"})
        assert [(session, tier) for session, tier, _ in read] == [(later, "tracked")]
    assert csvs(place) == ["AAPL250321C00000000", "SPY250321C00500000", "SPY250321P00500000"]
    assert list(place.csv("SPY250321P00500000")) == [str(day), str(later)]


def test_a_cache_split_by_patterns_is_whole_and_can_be_repaired(place):
    place.run(*SPAN, tracked={"X:*-USD"})
    before = place.tiers()
    assert verify(place.settings(), deep=True, dataset=CRYPTO).problems == ()
    (place.tracked / "BTC-USD_1d_data.csv").write_text("no rows")
    (place.archive / f"{DAYS[1]}.csv.gz").unlink()
    assert len(verify(place.settings(), deep=True, dataset=CRYPTO).broken) == 2
    ran = place.run(*SPAN, tracked={"X:*-USD"})
    assert (ran.gets, place.tiers()) == ([DAYS[1]], before)


def test_suspiciously_many_csvs_are_a_warning(place):
    with patch.object(expand, "_MANY", 2):
        ran = place.run(*SPAN, tracked={"X:*-USD"})
    (told,) = [one for one in ran.events if getattr(one, "message", "").startswith("X:*-USD")]
    assert told.level == "warning"


def test_contracts_of_a_few_sessions_each_are_made_in_few_passes_over_the_sessions(bucket, tmp_path, monkeypatch):
    """If each were expected in every session, as the first one is, each would need its own pass."""
    for row, day in enumerate(DAYS):
        put(bucket, OPTIONS, day, [(f"O:SPY{row}C{number:08}", 1) for number in range(50)])
    passes = []
    extract = rows.extract
    monkeypatch.setattr(rows, "extract", lambda *asked: passes.append(asked[2]) or extract(*asked))
    monkeypatch.setattr(projection, "_MAX_ROWS", len(DAYS) * 5)
    place = Place(tmp_path / "cache", bucket.endpoint_url, dataset=OPTIONS)
    place.run(*SPAN, tracked={"O:SPY*"})
    assert len(csvs(place)) == 200
    assert list(map(len, passes)) == [5, *[20] * 9, 15]


def test_a_new_session_is_read_once_for_all_csvs_that_it_extends(bucket, tmp_path, monkeypatch):
    names = [f"O:SPY1C{number:08}" for number in range(50)]
    for day in DAYS:
        put(bucket, OPTIONS, day, [(name, 1) for name in names])
    place = Place(tmp_path / "cache", bucket.endpoint_url, dataset=OPTIONS)
    place.run(DAYS[0], DAYS[-2], tracked={"O:SPY*"})
    passes = []
    extract = rows.extract
    monkeypatch.setattr(rows, "extract", lambda *asked: passes.append(asked[2]) or extract(*asked))
    monkeypatch.setattr(projection, "_MAX_ROWS", len(names))  # fewer rows than the CSVs have
    place.run(*SPAN, tracked={"O:SPY*"})
    assert passes == [frozenset(names)]
    assert len(csvs(place)) == len(names)
