"""Whole runs with lists of tickers that change from one to the next."""

from pipeline_kit import TRACKED, flat, market_day, window
from runs_kit import DAYS, ROWS, SPAN, rows_of

from ingest import events
from ingest.market.catalogue import STOCKS_DAY
from ingest.planning.request import Flags, request_of
from ingest.settings import load


def test_a_ticker_that_joins_leaves_and_comes_back_is_projected_from_the_parts(filled):
    without = TRACKED - {"TRUE"}
    filled.run(*window(DAYS[:3]), tracked=without)
    parts = {name: data for name, data in filled.tiers().items() if name.endswith(".gz")}

    joined = filled.run(*window(DAYS[:3]))
    assert joined.gets == []
    assert filled.csv("TRUE") == rows_of("TRUE", DAYS[:3])
    assert {name: data for name, data in filled.tiers().items() if name.endswith(".gz")} == parts

    filled.run(*window(DAYS[:5]))  # in the tracked parts
    left = filled.run(*window(DAYS[:7]), tracked=without)
    assert left.gets == DAYS[5:7]
    assert filled.csv("TRUE") == rows_of("TRUE", DAYS[:5])
    assert "TRUE" in filled.archived(DAYS[6])
    assert b"\nTRUE," in filled.part_text(DAYS[4])

    back = filled.run(*window(DAYS[:7]))
    assert back.gets == []
    assert filled.csv("TRUE") == rows_of("TRUE", DAYS[:7])
    assert filled.csv("AAPL") == rows_of("AAPL", DAYS[:7])


def test_without_the_rest_a_new_ticker_is_fetched_again_and_nothing_held_is_given_up(filled_here, put):
    days = DAYS[:3]
    first = filled_here.run(*window(days), tracked={"AAPL", "TRUE"}, save_others=False)
    assert (first.finished.archive_rows, list(filled_here.archive.iterdir())) == (0, [])
    assert first.finished.dropped_rows == first.finished.source_rows - first.finished.tracked_rows > 0

    other = filled_here.run(*window(days), tracked={"AAPL", "BRK.B"}, save_others=False)
    assert (other.gets, other.reasons) == (days, {"fetch: lacks BRK.B": 3})
    assert filled_here.csv("BRK.B") == rows_of("BRK.B", days)
    assert b"\nTRUE," in filled_here.part_text(days[0])
    assert filled_here.run(*window(days), tracked={"AAPL", "TRUE"}, save_others=False).gets == []
    assert filled_here.corrections() == []

    rest = filled_here.run(*window(days), tracked={"AAPL"})
    assert (rest.gets, rest.reasons) == (days, {"fetch: lacks archive": 3})
    assert all(filled_here.reassembled(day) == market_day(day) for day in days)
    assert b"\nTRUE," in filled_here.part_text(days[0])
    assert filled_here.run(*window(days), tracked=TRACKED, save_others=False).gets == []
    assert filled_here.csv("BAC_pL") == rows_of("BACpL", days)
    put(DAYS[1], flat(ROWS))
    filled_here.run(*window(days), tracked={"AAPL"}, save_others=False, accept=True)
    assert filled_here.reassembled(DAYS[1]) == flat(ROWS)


def test_without_any_ticker_all_goes_into_the_archive_and_the_user_learns_how_to_add_some(filled):
    ran = filled.run(*SPAN, tracked=())
    assert (ran.finished.exit_code, ran.finished.tracked_rows) == (0, 0)
    assert all(filled.part_text(day, "archive") == market_day(day) for day in DAYS)
    assert list(filled.tracked.glob("*.csv")) == []
    done = filled.here("run", "--start", DAYS[0], "--end", DAYS[0], INGEST_TRACKED__TICKERS="[]")
    assert done.code == 0
    assert "no tickers are tracked; everything goes to the archive" in done.out


def test_a_missing_list_is_reported_only_if_somebody_named_it(tmp_path, monkeypatch):
    (tmp_path / "stocks.txt").write_text("AAPL\n")
    (tmp_path / "named.toml").write_text('[tracked]\nlists = ["stocks.txt", "other.txt"]\n')
    (tmp_path / "usual.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    said = {name: [] for name in ("named.toml", "usual.toml")}
    for name, told in said.items():
        request = request_of(Flags(), load(tmp_path / name), told.append, STOCKS_DAY)
        assert request.tracked == {"AAPL"}
    assert said == {
        "named.toml": [events.Notice(f"ticker list {tmp_path / 'other.txt'} not found (optional)")],
        "usual.toml": [],
    }
