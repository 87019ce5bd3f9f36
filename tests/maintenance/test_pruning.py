"""Removing what is no longer wanted: what goes, what stays, what the next run makes of it, and who is asked."""

import json
from datetime import date

import pytest
from monthly_kit import objects, stock_minutes
from pipeline_kit import TRACKED, Place, assert_same, flat, pack, window
from runs_kit import DAYS, SPAN, rows_of
from tuning_kit import tune

import ingest
from ingest.cache.cache import Cache
from ingest.cache.commit import for_writing
from ingest.cache.parts.local import LocalParts
from ingest.demo.servers import loopback
from ingest.errors import NotFound
from ingest.maintenance.verify import verify
from ingest.market.calendars import Calendar
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE
from ingest.market.permission import Permission

CUT = DAYS[3]


def prune(place, *arguments, code=0, **environment):
    done = place.here("prune", *arguments, "--json", **environment)
    assert done.code == code, done
    return {(line["kind"], line["what"]): line for line in map(json.loads, done.out.splitlines())}


def sound(place, dataset=STOCKS_DAY):
    assert verify(place.settings(), deep=True, dataset=dataset).problems == ()


def test_sessions_before_a_date_go_with_their_rows_in_the_csvs(place, server, tmp_path):
    found = prune(place, "--before", CUT, "--yes")
    assert found["pruned", "sessions"]["stored"] == 3
    assert found["pruned", "sessions"]["files"] == 6
    assert place.csv("AAPL") == rows_of("AAPL", DAYS[3:])
    sound(place)
    other = Place(tmp_path / "other", server.endpoint_url)
    other.run(CUT, DAYS[-1])
    assert_same(place, other)


def test_a_dry_run_and_a_missing_yes_remove_nothing(place):
    before = place.tiers()
    assert prune(place, "--before", CUT, "-n")["prunable", "sessions"]["stored"] == 3
    done = place.here("prune", "--before", CUT)
    assert (done.code, done.err.splitlines()[-1]) == (2, "error: Nothing was removed. Use `--yes` to remove it.")
    assert "sessions, 2025-03-03 to 2025-03-05" in done.out
    assert place.tiers() == before


def test_the_next_run_downloads_what_its_window_still_includes(place):
    prune(place, "--before", CUT, "--yes")
    assert place.run(CUT, DAYS[-1]).gets == []
    assert sorted(place.run(*SPAN).gets) == DAYS[:3]
    assert place.csv("AAPL") == rows_of("AAPL", DAYS)


def test_sessions_that_the_next_run_would_download_again_are_said(place):
    shorter, longer = {"INGEST_RUN__MONTHS": "1"}, {"INGEST_RUN__MONTHS": "600"}
    assert prune(place, "--before", CUT, "-n", **shorter)["prunable", "sessions"]["again"] == 0
    assert prune(place, "--before", CUT, "-n", **longer)["prunable", "sessions"]["again"] == 3
    done = place.here("prune", "--before", CUT, "-n", **longer)
    assert "the next `ingest run` would download 3 of these sessions again: set [run] months to" in done.out
    done = place.here("prune", "--before", date(2999, 1, 1), "-n", **longer)
    assert f"would download {len(DAYS)} of these sessions again: give it --start 2999-01-01." in done.out


def test_only_copies_are_named_before_they_go(place):
    with for_writing(place.settings(), STOCKS_DAY) as cache:
        cache.manifest.source.permit(Permission(DAYS[2], DAYS[-1], below=DAYS[1]))
    assert prune(place, "--before", CUT, "-n")["prunable", "sessions"]["only_copies"] == [str(day) for day in DAYS[:2]]
    done = place.here("prune", "--before", CUT, "-n")
    assert f"no longer allows 2 sessions of these ({DAYS[0]} to {DAYS[1]})" in done.out


def test_csvs_of_tickers_that_are_on_no_list_go(place):
    assert place.csv("AAPL")
    lists = {"INGEST_TRACKED__TICKERS": '["TRUE", "BRK*"]'}
    found = prune(place, "--untracked", "--yes", **lists)
    assert found["pruned", "untracked"]["tickers"] == ["AAPL", "BACpL"]
    assert (place.csv("AAPL"), place.csv("BACpL")) == (None, None)
    assert place.csv("BRK.B") == rows_of("BRK.B", DAYS)
    sound(place)
    place.here("track", "list")
    assert place.run(*SPAN, tracked=TRACKED).gets == []
    assert place.csv("AAPL") == rows_of("AAPL", DAYS)


def test_refused_files_and_unfinished_downloads_go(place, server):
    server.put(STOCKS_DAY.key(DAYS[0]), pack(flat([("AAPL", "1")])))
    assert place.run(*SPAN).finished.quarantined == 1
    (place.root / "spool").mkdir(exist_ok=True)
    (place.root / "spool" / f"{DAYS[0]}.csv.gz.part").write_bytes(b"12345")
    (place.root / "spool" / f"{DAYS[0]}.csv.gz.part.json").write_bytes(b"[]")
    found = prune(place, "--quarantine", "--spool", "--yes")
    assert (found["pruned", "quarantine"]["files"], found["pruned", "spool"]["bytes"]) == (1, 5)
    left = [path for name in ("quarantine", "spool") for path in (place.root / name).rglob("*")]
    assert (left, place.query("SELECT * FROM quarantine")) == ([], [])
    sound(place)
    assert place.run(*SPAN).finished.quarantined == 1


def test_without_flags_it_says_what_could_go_and_how(place):
    found = place.here("prune", "--json").out.splitlines()
    (line,) = map(json.loads, found)
    sizes = [path.stat().st_size for path in place.root.rglob("*.csv.gz")]
    assert (line["what"], line["stored"], line["bytes"]) == ("sessions", len(DAYS), sum(sizes))
    assert "--before 2026-01-01" in place.here("prune").out


def test_nothing_to_remove_takes_no_lock_and_makes_no_cache(tmp_path):
    place = Place(tmp_path / "none", "http://127.0.0.1:1")
    done = place.here("prune", "--before", CUT, "--untracked", "--yes")
    assert (done.code, done.out, place.root.exists()) == (0, "There is nothing to remove.\n", False)


def test_what_a_killed_command_left_is_removed_by_whoever_writes_next(place):
    with Cache.read(place.settings(), STOCKS_DAY) as cache:
        assert cache.manifest.replacements.pruning() is None
    with for_writing(place.settings(), STOCKS_DAY) as cache:
        cache.manifest.replacements.prune(CUT)
    found = verify(place.settings())
    assert (found.broken, {one.about for one in found.problems}) == ((), {"leftover"})
    assert place.run(CUT, DAYS[-1]).gets == []
    assert not place.part(DAYS[0]).exists()
    assert place.csv("AAPL") == rows_of("AAPL", DAYS[3:])
    sound(place)


def test_what_yahoo_said_of_earlier_days_goes_and_may_be_asked_again(place):
    asked = "2025-11-12T06:00:00+00:00"
    for day in (DAYS[0], DAYS[3]):
        place.execute(
            "INSERT INTO yahoo_rows (dataset, ticker, session, close, asked_at) "
            f"VALUES ('{STOCKS_DAY.name}', 'AAPL', '{day}', 1.0, '{asked}')"
        )
    for ticker, last in (("AAPL", DAYS[-1]), ("MSFT", DAYS[1])):
        place.execute(
            "INSERT INTO askings (dataset, ticker, first, last, asked_at) "
            f"VALUES ('{STOCKS_DAY.name}', '{ticker}', '{DAYS[0]}', '{last}', '{asked}')"
        )
    prune(place, "--before", CUT, "--yes")
    assert place.query("SELECT session FROM yahoo_rows") == [(str(DAYS[3]),)]
    assert place.query("SELECT ticker, first, last FROM askings") == [("AAPL", str(CUT), str(DAYS[-1]))]
    sound(place)


MONTHS = list(Calendar.of(STOCKS_MINUTE.calendar).between(date(2025, 3, 28), date(2025, 4, 2)))


def test_months_without_a_session_go_and_the_month_of_the_date_is_rebuilt(tmp_path, loopback_keys):
    texts = {day: stock_minutes(day) for day in MONTHS}
    with loopback.serve(objects(texts.items())) as server:
        places = [Place(tmp_path / name, server.endpoint_url, dataset=STOCKS_MINUTE) for name in ("one", "other")]
        for place, days in zip(places, (MONTHS, MONTHS[3:]), strict=True):
            place.run(*window(days))
    assert sorted(places[0].months("AAPL")) == ["2025-03", "2025-04"]
    (tmp_path / "minutes.txt").write_text("\n".join(sorted(TRACKED)))
    lists = {"INGEST_TRACKED__DATASETS": '{"stocks-minute": ["minutes.txt"]}'}
    prune(places[0], "-d", "stocks-minute", "--before", MONTHS[3], "--yes", **lists)
    assert sorted(places[0].months("AAPL")) == ["2025-04"]
    assert_same(*places)
    sound(places[0], STOCKS_MINUTE)


def test_months_of_a_ticker_that_is_followed_no_more_stay_and_are_no_strangers(tmp_path, loopback_keys):
    place, texts = Place(tmp_path / "cache", "", dataset=STOCKS_MINUTE), {day: stock_minutes(day) for day in MONTHS}
    with loopback.serve(objects(texts.items())) as server:
        place.endpoint_url = server.endpoint_url
        place.run(*window(MONTHS))
    before = place.months("AAPL")
    prune(place, "-d", "stocks-minute", "--before", MONTHS[1], "--yes")  # nothing is followed
    assert place.months("AAPL") == before
    sound(place, STOCKS_MINUTE)
    (tmp_path / "stocks-minute.txt").touch()
    prune(place, "-d", "stocks-minute", "--untracked", "--yes")
    assert place.months("AAPL") == {}


def test_no_csv_goes_while_a_list_is_missing(place, tmp_path):
    lists = {"INGEST_TRACKED__LISTS": '["mine.txt"]', "INGEST_TRACKED__TICKERS": '["TRUE"]'}
    before = place.tiers()
    for flags in (["--untracked", "--yes"], ["--untracked", "-n"]):
        done = place.here("prune", *flags, **lists)
        assert (done.code, done.out) == (2, "")
        assert f"the ticker list {tmp_path / 'mine.txt'} is missing" in done.err
    assert place.tiers() == before
    assert prune(place, **lists)["prunable", "untracked"]["files"] == 3
    (tmp_path / "mine.txt").write_text("AAPL\nBR*\n")
    assert prune(place, "--untracked", "--yes", **lists)["pruned", "untracked"]["tickers"] == ["BACpL"]


def test_of_the_usual_lists_one_is_enough(place, tmp_path, monkeypatch):
    """stocks.txt and ibd.txt are looked for by default; hardly anybody has both."""
    usual = place.environment()
    del usual["INGEST_TRACKED__LISTS"], usual["INGEST_TRACKED__TICKERS"]
    monkeypatch.setattr(Place, "environment", lambda self, **more: usual)
    missing = place.here("prune", "--untracked", "-n")
    assert (missing.code, "stocks.txt is missing" in missing.err) == (2, True)
    (tmp_path / "stocks.txt").write_text("AAPL\n")
    assert prune(place, "--untracked", "-n")["prunable", "untracked"]["tickers"]


@pytest.fixture
def pruned_on_reading(place, monkeypatch):
    """Sessions are removed once the first part is about to be read."""
    original, done = LocalParts.open, []

    def late(parts, part):
        if not done:
            done.append(CUT)
            prune(place, "--before", CUT, "--yes")
        return original(parts, part)

    monkeypatch.setattr(LocalParts, "open", late)
    monkeypatch.setattr(LocalParts, "read", lambda parts, part: late(parts, part).read())
    return done


def test_a_check_meanwhile_finds_nothing_missing(place, pruned_on_reading, monkeypatch):
    tune(monkeypatch, look_again_s=0)
    found = verify(place.settings())
    assert pruned_on_reading
    assert found.problems == ()


def test_a_session_that_is_removed_while_it_is_read_is_not_an_empty_one(place, pruned_on_reading):
    with pytest.raises(NotFound, match=f"the file of {DAYS[0]} is not stored"):
        ingest.day(DAYS[0], config=place.config())
    assert pruned_on_reading
