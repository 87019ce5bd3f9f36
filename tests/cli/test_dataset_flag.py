"""`--dataset` and [run] datasets: which are used, in which order, what ends them all, and what each reports."""

import json
import os
import subprocess
import sys
from datetime import date
from unittest.mock import patch

import anyio
import pytest
from pipeline_kit import Place, flat
from tuning_kit import tune

import ingest
from ingest import events
from ingest.cache import lock
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.demo.servers.faults import Status
from ingest.errors import CacheLocked, IngestWarning, UsageError
from ingest.finding import IDENTICAL
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY, named
from ingest.market.datasets import Dataset
from ingest.market.row_kinds import DAY_BARS
from ingest.market.windows import Window
from ingest.pipeline import run
from ingest.planning.request import Request

CRYPTO, FOREX = named("crypto-day"), named("forex-day")
DAYS = [date(2025, 3, day) for day in (6, 7)]
SPAN = ("--start", str(DAYS[0]), "--end", str(DAYS[-1]))
ROWS = {
    STOCKS_DAY: [("AAPL", 100), ("MSFT", 20)],
    CRYPTO: [("X:BTC-EUR", 9), ("X:BTC-USD", 10)],
    FOREX: [("C:EUR-USD", 1)],
}
BOTH = ("--dataset", "stocks-day", "-d", "crypto-day")


@pytest.fixture
def server(loopback_keys):
    with loopback.serve({}) as server:
        for dataset, rows in ROWS.items():
            for day in DAYS:
                server.put(dataset.key(day), pack(flat(rows)))
        yield server


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url, source={"attempts": 1, "down_after_s": 5})


def lines(told):
    """Its records, without the times of writing."""
    return [json.loads(line) | {"time": None} for line in told.out.splitlines()]


def unlistable(*datasets, code="AccessDenied"):
    """A script that refuses to list these datasets."""
    prefixes = tuple(f"{one.prefix}/" for one in datasets)
    return lambda asked: Status(403, code) if not asked.key and asked.query["prefix"].startswith(prefixes) else None


def finished(told):
    return [(one["dataset"], one["exit_code"], one["committed"]) for one in lines(told) if one["kind"] == "finished"]


class TestRun:
    def test_each_dataset_has_its_turn_with_a_record_and_a_summary_of_its_own(self, place):
        told = place.here("run", *BOTH, *SPAN, "--json")
        assert (told.code, told.err) == (0, "")
        assert finished(told) == [(STOCKS_DAY.name, 0, 2), (CRYPTO.name, 0, 2)]
        assert place.query("SELECT dataset, exit_code FROM runs ORDER BY run") == [
            (STOCKS_DAY.name, 0),
            (CRYPTO.name, 0),
        ]
        turns = [one["dataset"] for one in lines(told)]
        assert turns == sorted(turns, reverse=True)
        assert set(turns) == {STOCKS_DAY.name, CRYPTO.name}
        assert (place.root / "massive_cache" / CRYPTO.name / f"{DAYS[0]}.csv.gz").exists()
        for_people = place.here("run", *BOTH, *SPAN)
        assert for_people.out.count("Nothing to download: everything available is stored.") == 2
        assert f"dataset: {CRYPTO.name}" in for_people.out

    def test_those_of_the_settings_are_taken_unless_others_are_named(self, place):
        both = {"INGEST_RUN__DATASETS": '["crypto-day", "us_stocks_sip/day_aggs_v1"]'}
        told = place.here("run", *SPAN, "--json", **both)
        assert [one[0] for one in finished(told)] == [CRYPTO.name, STOCKS_DAY.name]
        assert [one[0] for one in finished(place.here("run", "-d", "forex-day", *SPAN, "--json", **both))] == [
            FOREX.name
        ]
        assert [one[0] for one in finished(place.here("run", *SPAN, "--json"))] == [STOCKS_DAY.name]

    def test_failed_sessions_do_not_keep_the_next_dataset_from_its_turn(self, place, server):
        server.faults = lambda asked: Status(500, "InternalError") if asked.key == STOCKS_DAY.key(DAYS[0]) else None
        told = place.here("run", *BOTH, *SPAN, "--json")
        assert told.code == 3
        assert finished(told) == [(STOCKS_DAY.name, 3, 1), (CRYPTO.name, 0, 2)]

    def test_a_source_that_refuses_the_keys_ends_all(self, place, server):
        server.faults = unlistable(STOCKS_DAY, code="InvalidAccessKeyId")
        told = place.here("run", *BOTH, *SPAN, "--json")
        assert told.code == 4
        assert [one[:2] for one in finished(told)] == [(STOCKS_DAY.name, 4)]

    def test_a_dataset_that_may_not_be_listed_is_said_and_passed_over(self, place, server):
        server.faults = unlistable(STOCKS_DAY)
        told = place.here("run", *BOTH, *SPAN)
        assert (told.code, told.err) == (0, "")
        assert "stocks-day was skipped: " in told.out
        assert place.query("SELECT dataset FROM sessions") == [(CRYPTO.name,)] * 2
        server.faults = unlistable(STOCKS_DAY, CRYPTO)
        assert place.here("run", *BOTH, *SPAN).code == 4

    def test_a_dataset_of_which_no_file_is_allowed_is_said_and_no_error(self, place, server):
        server.forbidden |= {STOCKS_DAY.key(day) for day in DAYS}
        told = place.here("run", *BOTH, *SPAN, "--json")
        assert told.code == 0
        assert finished(told) == [(STOCKS_DAY.name, 0, 0), (CRYPTO.name, 0, 2)]

    def test_no_other_run_comes_in_between(self, place):
        held = []

        def look(event):
            if isinstance(event, events.RunStarted):
                with pytest.raises(CacheLocked), lock.hold(place.root):
                    pass
                held.append(event.dataset)

        with patch.dict(os.environ, place.environment(), clear=True):
            done = ingest.run(start=DAYS[0], end=DAYS[1], datasets=["stocks-day", "crypto-day"], on_event=look)
        assert held == [one.dataset for one in done] == [STOCKS_DAY.name, CRYPTO.name]

    def test_an_interruption_ends_all(self, place):
        requests = [Request(Window(*DAYS), frozenset(), dataset=dataset) for dataset in (STOCKS_DAY, CRYPTO)]

        async def stopped_at_the_first_commit():
            stop = anyio.Event()

            def note(event):
                if isinstance(event, events.Committed):
                    stop.set()

            return await run.run(place.settings(), requests, note, stop)

        done = anyio.run(stopped_at_the_first_commit)
        assert (done.exit_code, [one.dataset for one in done.finished]) == (130, [STOCKS_DAY.name])
        assert place.query("SELECT dataset, exit_code FROM runs") == [(STOCKS_DAY.name, 130)]

    def test_a_large_download_waits_for_confirmation_while_the_others_have_their_turn(self, place):
        large, small = (2 * len(pack(flat(ROWS[one]))) for one in (STOCKS_DAY, FOREX))
        with pytest.MonkeyPatch.context() as patched:
            tune(patched, ask_from=(large + small) // 2)
            told = place.here("run", "-d", "stocks-day", "-d", "forex-day", *SPAN, "--json")
            assert (told.code, "Use `--yes` to confirm" in told.err) == (2, True)
            assert place.query("SELECT DISTINCT dataset FROM sessions WHERE held = 'committed'") == [(FOREX.name,)]
            assert place.here("run", *SPAN, "--yes").code == 0

    def test_a_dry_run_tells_the_plan_of_each(self, place):
        told = place.here("run", *BOTH, *SPAN, "--dry-run", "--json")
        plans = [(one["dataset"], one["fetch"]) for one in lines(told) if one["kind"] == "plan"]
        assert plans == [(STOCKS_DAY.name, 2), (CRYPTO.name, 2)]
        assert not place.root.exists()

    def test_a_list_stands_for_datasets_of_one_market_alone(self, place, tmp_path):
        (tmp_path / "mine.txt").write_text("AAPL\n")
        told = place.here("run", *BOTH, *SPAN, "--tickers", "mine.txt")
        assert told.code == 2
        assert "a list of tickers belongs to one market" in told.err
        told = place.here("run", "-d", "stocks-day", "-d", "stocks-minute", *SPAN, "--tickers", "mine.txt")
        assert told.code == 3, "there are no minutes at this source"
        assert (tmp_path / "cache" / "data_cache" / "AAPL_1d_data.csv").exists()

    @pytest.mark.parametrize("command", ["run", "status", "list", "check", "verify", "findings", "corrections"])
    def test_a_dataset_that_does_not_exist_is_named_with_what_is_near(self, place, command):
        told = place.here(command, "-d", "crypto-days")
        assert told.code == 2
        assert "unknown dataset 'crypto-days': did you mean crypto-day" in told.err

    def test_each_dataset_has_its_own_list(self, place, tmp_path):
        (tmp_path / "crypto-day.txt").write_text("X:*-USD\nAAPL\n")
        told = place.here("run", *BOTH, *SPAN)
        assert (tmp_path / "cache" / "data_cache" / "AAPL_1d_data.csv").exists()
        coins = place.root / "data_cache" / CRYPTO.name
        assert [path.name for path in coins.glob("*.csv")] == ["BTC-USD_1d_data.csv"]
        assert "AAPL: all tickers of crypto-day begin with X:" in told.out
        named_list = {"INGEST_TRACKED__DATASETS": '{"crypto-day": ["coins.txt"]}'}
        (tmp_path / "coins.txt").write_text("X:BTC-EUR\n")
        assert place.here("run", "-d", "crypto-day", *SPAN, **named_list).code == 0
        assert len(list(coins.glob("*.csv"))) == 2


class TestStoredDatasets:
    @pytest.fixture(autouse=True)
    def filled(self, place):
        assert place.here("run", *BOTH, *SPAN).code == 0

    def test_status_reports_all_stored_datasets(self, place):
        both = lines(place.here("status", "--json"))
        assert [(one["dataset"], one["source_rows"]) for one in both] == [(STOCKS_DAY.name, 4), (CRYPTO.name, 4)]
        (one,) = lines(place.here("status", "--json", "-d", "crypto-day"))
        assert one == both[1]
        three = lines(place.here("status", "--json", INGEST_RUN__DATASETS='["forex-day"]'))
        assert [one["dataset"] for one in three] == [FOREX.name, STOCKS_DAY.name, CRYPTO.name]
        assert place.here("status").out.count("tracked parts") == 2

    def test_age_counts_only_for_the_requested_datasets(self, place):
        with patch("ingest.maintenance.status.last_due", return_value=DAYS[-1]):
            assert place.here("status", "--max-age", "0").code == 0
            stale = place.here("status", "--max-age", "0", "-d", "forex-day", "-d", "crypto-day")
            assert (stale.code, stale.err.splitlines()) == (
                3,
                [f"stale: {FOREX.name}: no session is stored"],
            )
        with patch(
            "ingest.maintenance.status.last_due", return_value=date(2025, 3, 8)
        ):  # a Saturday: only crypto has a session
            assert place.here("status", "--max-age", "0").code == 0
            assert place.here("status", "--max-age", "0", "-d", "crypto-day").code == 3

    def test_list_names_the_dataset_of_each_file(self, place):
        found = lines(place.here("list", *BOTH, "-d", "forex-day", *SPAN, "--json"))
        assert [(one["dataset"], one["held"]) for one in found] == [
            *[(STOCKS_DAY.name, "committed")] * 2,
            *[(CRYPTO.name, "committed")] * 2,
            *[(FOREX.name, "none")] * 2,
        ]
        assert f"crypto-day ({CRYPTO.name})" in place.here("list", *BOTH, *SPAN).out

    def test_check_looks_at_what_the_source_has_of_each(self, place):
        with patch("ingest.maintenance.check._yahoo", lambda: ingest.maintenance.check.Check("yahoo", True, "")):
            found = lines(place.here("check", *BOTH, "--json"))
        about = [(one["name"], one["dataset"]) for one in found]
        for dataset in (STOCKS_DAY, CRYPTO):
            assert [name for name, which in about if which == dataset.name] == ["listing", "plan", "download"]
        (cache,) = [one["found"] for one in found if one["name"] == "cache"]
        assert "stocks-day: 2 sessions stored; crypto-day: 2 sessions stored" in cache

    def test_verify_tells_of_each_and_the_worst_counts(self, place):
        (place.root / "massive_cache" / CRYPTO.name / f"{DAYS[0]}.csv.gz").unlink()
        told = place.here("verify", *BOTH, "--json")
        assert told.code == 3
        assert [(one["dataset"], one["ok"]) for one in lines(told)] == [(STOCKS_DAY.name, True), (CRYPTO.name, False)]
        beside = place.here("verify", "--json")
        assert (beside.code, [one["dataset"] for one in lines(beside)]) == (3, [STOCKS_DAY.name, CRYPTO.name])
        assert place.here("verify", "--json", "-d", "stocks-day").code == 0
        assert place.here("verify", "-d", "crypto-day", "--repair").code == 0

    def test_what_was_republished_and_refused_is_told_by_dataset(self, place, server):
        server.put(CRYPTO.key(DAYS[0]), pack(flat([("X:BTC-EUR", 9), ("X:BTC-USD", 11)])))
        server.put(CRYPTO.key(DAYS[1]), b"nonsense")
        assert place.here("run", *BOTH, *SPAN).code == 3
        (change,) = [one for one in lines(place.here("corrections", *BOTH, "--json")) if one["column"] == "open"]
        assert (change["dataset"], change["ticker"], change["new"]) == (CRYPTO.name, "X:BTC-USD", "11")
        assert {one["dataset"] for one in lines(place.here("corrections", "--json"))} == {CRYPTO.name}
        assert place.here("corrections", "--json", "-d", "stocks-day").out == ""
        (refused,) = lines(place.here("quarantine", "list", *BOTH, "--json"))
        assert lines(place.here("quarantine", "list", "--json")) == [refused]
        assert (refused["dataset"], refused["session"]) == (CRYPTO.name, str(DAYS[1]))
        shown = place.here("quarantine", "show", DAYS[1], "-d", "crypto-day")
        assert f"`ingest quarantine retry {DAYS[1]} --dataset crypto-day`" in shown.out
        assert place.here("quarantine", "show", DAYS[1]).code == 2
        server.put(CRYPTO.key(DAYS[1]), pack(flat(ROWS[CRYPTO])))
        assert place.here("quarantine", "retry", "-d", "crypto-day").code == 0
        assert lines(place.here("quarantine", "list", *BOTH, "--json")) == []

    def test_findings_are_told_by_dataset(self, place, server):
        text = flat(ROWS[CRYPTO])
        server.put(CRYPTO.key(DAYS[0]), pack(text + text.splitlines(keepends=True)[-1]))
        place.here("run", *BOTH, *SPAN)
        found = lines(place.here("findings", *BOTH, "--json", "--kind", IDENTICAL))
        assert [(one["dataset"], one["date"], one["examples"]) for one in found] == [
            (CRYPTO.name, str(DAYS[0]), ["X:BTC-USD"])
        ]
        assert lines(place.here("findings", "--json", "--kind", IDENTICAL)) == found
        assert place.here("findings", "--json", "--kind", IDENTICAL, "-d", "stocks-day").out == ""
        with patch.dict(os.environ, place.environment(), clear=True):
            assert ingest.findings(IDENTICAL, dataset="crypto-day").height == 1
            assert ingest.findings(IDENTICAL).height == 0
            assert ingest.corrections(dataset="global_crypto/day_aggs_v1").height > 0
            assert ingest.status(dataset="crypto-day").dataset == CRYPTO.name
            assert ingest.verify(dataset="crypto-day").sessions == 2

    def test_a_ticker_finds_its_dataset_and_another_can_be_named(self, place):
        bare = ("--no-fetch", "--adjust", "none", "--csv", "--start", DAYS[0])
        assert place.here("show", "X:BTC-USD", *bare).out.count("massive") == 2
        assert place.here("show", "X:BTC-USD", "-d", "stocks-day", *bare).code == 4
        mixed = place.here("export", "X:BTC-USD", "AAPL", "--out", "files")
        assert mixed.code == 2
        assert "X:BTC-USD belongs to crypto-day and AAPL belongs to stocks-day" in mixed.err
        assert place.here("export", "X:BTC-USD", "--out", "files").code == 0

    def test_track_changes_the_list_of_the_dataset_that_a_name_tells(self, place, tmp_path):
        added = place.here("track", "add", "X:*-USD")
        assert (added.code, (tmp_path / "crypto-day.txt").read_text()) == (0, "X:*-USD\n")
        assert "X:*-USD (1 match): 2 rows, 2025-03-06 to 2025-03-07" in added.out
        assert (place.root / "data_cache" / CRYPTO.name / "BTC-USD_1d_data.csv").exists()
        (held,) = lines(place.here("track", "list", "-d", "crypto-day", "--json"))
        assert (held["dataset"], held["ticker"], held["matches"], held["rows"]) == (CRYPTO.name, "X:*-USD", 1, 2)
        strange = place.here("track", "add", "AAPL", "-d", "crypto-day")
        assert (strange.code, "all tickers of crypto-day begin with X:" in strange.err) == (2, True)
        (tmp_path / "more.txt").write_text("X:BTC-EUR\n")
        assert place.here("track", "import", "more.txt").code == 0
        assert (tmp_path / "crypto-day.txt").read_text() == "X:*-USD\nX:BTC-EUR\n"
        assert place.here("track", "remove", "X:*-USD").code == 0
        assert (tmp_path / "crypto-day.txt").read_text() == "X:BTC-EUR\n"
        assert (place.root / "data_cache" / CRYPTO.name / "BTC-USD_1d_data.csv").exists()


class TestCompletion:
    def completed(self, words, shell="zsh"):
        """The completions of a shell after these words, requested as Typer's scripts do: bash sends a word a line."""
        asked = {"_INGEST_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": words}
        asked |= {"COMP_WORDS": words.replace(" ", "\n"), "COMP_CWORD": str(len(words.split(" ")) - 1)}
        code = "from ingest.__main__ import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.argv = ['ingest']; {code}"],
            env={**os.environ, **asked},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout

    def test_a_shell_is_offered_the_short_names_with_a_word_of_help(self):
        offered = self.completed("ingest run --dataset ")
        for dataset in CATALOGUE.values():
            assert f'"{dataset.short}"' in offered
            assert f"{'minute' if dataset.interval == '1m' else 'day'} bars, {dataset.name}" in offered

    @pytest.mark.parametrize(
        "command", ["run -d", "status -d", "show AAPL --dataset", "quarantine list -d", "track add X -d"]
    )
    def test_what_is_begun_is_finished(self, command):
        assert self.completed(f"ingest {command} cry", "bash").split() == ["crypto-day", "crypto-minute"]

    def test_the_start_of_a_full_name_is_completed_with_full_names(self):
        assert self.completed("ingest run -d us_options", "bash").split() == [
            "us_options_opra/day_aggs_v1",
            "us_options_opra/minute_aggs_v1",
        ]


def test_a_dataset_of_a_name_that_is_wrong_is_a_usage_error_in_python(place):
    with patch.dict(os.environ, place.environment(), clear=True):
        for call in (ingest.run, ingest.status, ingest.findings, ingest.corrections, ingest.verify):
            with pytest.raises(UsageError, match="unknown dataset 'stock-day'"):
                call(dataset="stock-day")


def test_a_history_that_is_empty_since_the_name_is_of_another_dataset_says_so(place):
    words = 'X:BTC-USD belongs to crypto-day, not to stocks-day. Pass dataset="crypto-day"'
    with patch.dict(os.environ, place.environment(), clear=True):
        with pytest.warns(IngestWarning, match=words):
            assert ingest.history("X:BTC-USD").is_empty()
        for dataset, ticker in (("stocks-day", "BTC-USD"), ("crypto-day", "X:BTC-USD")):
            with pytest.warns(IngestWarning, match=f"no data for {dataset}. Call ingest.run"):
                assert ingest.history(ticker, dataset=dataset).is_empty()


def test_the_invented_dataset_of_a_test_is_offered_and_taken(place, server):
    """Commands take everything about datasets from the catalogue."""
    invented = Dataset("moon_rocks/day_aggs_v1", "moon-day", DAY_BARS, "daily", "UTC", date(2020, 1, 1), sigil="M:")
    for day in DAYS:
        server.put(invented.key(day), pack(flat([("M:A", 1)])))
    with patch.dict(CATALOGUE, {"moon-day": invented}):
        assert finished(place.here("run", "-d", "moon-day", *SPAN, "--json")) == [(invented.name, 0, 2)]
        assert [one["dataset"] for one in lines(place.here("status", "--json"))] == [STOCKS_DAY.name, invented.name]
        assert (
            place.here("show", "M:A", "--no-fetch", "--adjust", "none", "--csv", "--start", DAYS[0]).out.count(
                "massive"
            )
            == 2
        )
