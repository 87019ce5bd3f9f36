"""`ingest track`: lists that change, and CSVs that follow at once, with no network."""

import json
import re
import shutil
from datetime import date

import pytest
from pipeline_kit import Place, market_objects, trading_days, window

from ingest.cache import lock
from ingest.cli.commands import track as commands
from ingest.demo.servers import loopback
from ingest.maintenance.verify import verify

DAYS = trading_days(date(2025, 3, 3), 6)


@pytest.fixture
def place(loopback_keys, tmp_path):
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(*window(DAYS), tracked={"AAPL"})
    (tmp_path / "stocks.txt").write_text("# mine\nAAPL  # apples\n")
    return place


def track(place, *arguments, **named):
    """The command, with the server gone."""
    environment = {"INGEST_TRACKED__LISTS": '["stocks.txt"]', "INGEST_TRACKED__TICKERS": "[]", **named}
    return place.here("track", *arguments, **environment)


def stocks(place):
    return (place.root.parent / "stocks.txt").read_text()


def test_a_ticker_that_is_added_has_its_csv_at_once(place):
    done = track(place, "add", "BRK.B", "AAPL", "BACpL")
    assert (done.code, done.err) == (0, "")
    assert stocks(place) == "# mine\nAAPL  # apples\nBRK.B\nBACpL\n"
    assert list(place.csv("BRK.B")) == [str(day) for day in DAYS]
    assert "2 added to" in done.out
    assert f"BRK.B: 6 rows, {DAYS[0]} to {DAYS[-1]}" in done.out


def test_one_that_leaves_keeps_its_csv(place):
    done = track(place, "remove", "AAPL")
    assert (done.code, stocks(place)) == (0, "# mine\n")
    assert len(place.csv("AAPL")) == 6
    again = track(place, "remove", "AAPL", "MSFT")  # removing it twice is not an error
    assert (again.code, stocks(place)) == (0, "# mine\n")
    assert again.out.splitlines()[-1] == "Not in it: AAPL, MSFT."


def test_a_whole_list_is_imported(place):
    (place.root.parent / "more.txt").write_text("TRUE\nBRK.B # b\n")
    assert track(place, "import", "more.txt").code == 0
    listed = [json.loads(line) for line in track(place, "list", "--json").out.splitlines()]
    assert [(row["ticker"], row["rows"]) for row in listed] == [("AAPL", 6), ("BRK.B", 6), ("TRUE", 6)]
    shown = track(place, "list").out
    assert "3 tickers tracked." in shown


def test_sessions_that_were_kept_without_the_rest_are_named(loopback_keys, tmp_path):
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(*window(DAYS), tracked={"AAPL"}, save_others=False)
    (tmp_path / "stocks.txt").write_text("AAPL\n")
    done = track(place, "add", "BRK.B")
    assert f"BRK.B: no rows stored; 6 sessions were stored without it: `ingest run --start {DAYS[0]}" in done.out


def test_a_ticker_without_stored_rows_is_added_with_a_suggestion(place):
    done = track(place, "add", "APPL", "ZZZZ")
    assert [line for line in done.out.splitlines() if "no row" in line] == [
        "APPL: no rows stored (did you mean AAPL?)",
        "ZZZZ: no rows stored",
    ]


def test_a_new_list_in_an_empty_cache(tmp_path):
    place = Place(tmp_path / "cache", "http://127.0.0.1:9")
    assert track(place, "add", "AAPL").code == 0
    assert stocks(place) == "AAPL\n"
    assert not (tmp_path / "cache" / "manifest.sqlite").exists()


def test_a_list_that_runs_do_not_read_is_said(place):
    done = track(place, "add", "MSFT", "--list", "other.txt")
    assert (done.code, (place.root.parent / "other.txt").read_text()) == (0, "MSFT\n")
    assert "is not among [tracked] lists" in done.out


def test_while_a_run_holds_the_cache_nothing_changes(place):
    before = stocks(place)
    with lock.hold(place.root):
        done = track(place, "add", "MSFT")
    assert (done.code, stocks(place)) == (6, before)


@pytest.mark.parametrize("ticker", ["A B", "", "X" * 300, "A\u200b"])
def test_an_invalid_ticker_changes_nothing(place, ticker):
    before = stocks(place)
    assert track(place, "add", "MSFT", ticker).code == 2
    assert stocks(place) == before


def test_what_looks_like_markup_is_a_ticker_like_others(place):
    assert track(place, "add", "[/b]").code == 0
    shown = track(place, "list")
    assert (shown.code, "[/b]" in shown.out, shown.err) == (0, True, "")


def test_a_comment_is_no_ticker(place):
    before = stocks(place)
    assert (track(place, "add", "A#B").code, stocks(place)) == (2, before)


def test_a_ticker_of_an_empty_dataset_goes_into_its_list(place):
    done = track(place, "add", "C:EUR-USD", "C:*-JPY")
    assert (done.code, done.err) == (0, "")
    assert (place.root.parent / "forex-day.txt").read_text() == "C:EUR-USD\nC:*-JPY\n"
    assert "C:EUR-USD: no rows stored" in done.out


# CSVs that go, and CSVs that would come


def test_the_csv_of_one_that_leaves_can_go_with_it(place):
    track(place, "add", "TRUE")
    done = track(place, "remove", "AAPL", "--delete", "--yes")
    assert (done.code, stocks(place), place.csv("AAPL")) == (0, "# mine\nTRUE\n", None)
    assert "1 removed from" in done.out
    assert "1 CSV (AAPL)," in done.out
    assert verify(place.settings(), deep=True).problems == ()
    assert len(place.csv("TRUE")) == 6
    track(place, "add", "AAPL")
    assert len(place.csv("AAPL")) == 6


def test_a_csv_that_was_edited_goes_too_and_one_that_another_name_covers_stays(place):
    track(place, "add", "BRK*", "BRK.B", "BACpL")
    (place.tracked / "BAC_pL_1d_data.csv").write_text("edited")
    done = track(place, "remove", "BRK.B", "BACpL", "--delete", "--yes")
    assert (done.code, place.csv("BAC_pL"), len(place.csv("BRK.B"))) == (0, None, 6)
    assert "BRK.B" not in done.out
    done = track(place, "remove", "BRK*", "--delete", "--yes")
    assert (done.code, place.csv("BRK.B")) == (0, None)


def test_the_csv_of_one_that_left_before_goes(place):
    track(place, "remove", "AAPL")
    assert track(place, "remove", "AAPL", "--delete", "--yes").code == 0
    assert place.csv("AAPL") is None


def test_nothing_is_deleted_that_nobody_confirmed(place):
    dry = track(place, "remove", "AAPL", "--delete", "-n")
    assert (dry.code, dry.out.splitlines()[1]) == (0, "Would delete 1 CSV (AAPL), 328 B.")
    done = track(place, "remove", "AAPL", "--delete")
    assert done.code == 2
    assert "Nothing was changed. Use `--yes` to delete them." in done.err
    assert (stocks(place), len(place.csv("AAPL"))) == ("# mine\nAAPL  # apples\n", 6)


def test_very_many_csvs_are_not_made_unasked(place, monkeypatch):
    monkeypatch.setattr(commands, "_MANY", 100)
    done = track(place, "add", "*")
    assert done.code == 2
    assert re.search(r"2\d\d tickers of the newest stored session match and have no CSV yet", done.err)
    assert (stocks(place), place.csv("TRUE")) == ("# mine\nAAPL  # apples\n", None)
    assert track(place, "add", "BRK*").code == 0
    assert track(place, "add", "*", "--yes").code == 0
    assert len(place.csv("TRUE")) == 6


def test_a_pattern_for_all_is_asked_about_although_nothing_is_stored(tmp_path):
    empty = Place(tmp_path / "empty", "http://127.0.0.1:1")
    done = track(empty, "add", "*")
    assert (done.code, (tmp_path / "stocks.txt").exists()) == (2, False)
    assert "* matches every ticker" in done.err


def test_a_cache_whose_folder_is_gone_names_the_missing_part(place):
    shutil.rmtree(place.tracked)
    done = track(place, "add", "TRUE")
    assert done.code == 5
    assert f"{DAYS[0]}.csv.gz" in done.err
