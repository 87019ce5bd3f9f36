"""What the commands do, as Python functions: the same effect, and values in place of text."""

import json
from datetime import date

import polars as pl
import pytest
from pipeline_kit import Place, flat, key, market_objects, trading_days, window

import ingest
from ingest import events
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import IngestWarning, NotFound, UsageError

DAYS = trading_days(date(2025, 3, 3), 6)
HELD = flat([(f"T{n:02}", f"{n + 1}") for n in range(40)])
FEWER = b"".join(line for n, line in enumerate(HELD.splitlines(keepends=True)) if not 0 < n < 6)


@pytest.fixture
def server(loopback_keys):
    with loopback.serve(market_objects(DAYS), forbidden={key(DAYS[0])}) as running:
        yield running


@pytest.fixture
def place(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url)
    place.run(*window(DAYS), tracked={"AAPL"})
    return place


@pytest.fixture
def config(place, tmp_path):
    """The settings of the place, for functions: one list, and no Yahoo."""
    (tmp_path / "stocks.txt").write_text("AAPL\n")
    return place.config(lists=[tmp_path / "stocks.txt"])


def test_tickers_are_followed_listed_and_left(place, config, tmp_path):
    (one,) = ingest.track.add("BRK.B", config=config)
    assert (one.ticker, one.rows, one.first) == ("BRK.B", 5, str(DAYS[1]))
    assert list(place.csv("BRK.B")) == [str(day) for day in DAYS[1:]]
    assert [(one.ticker, one.rows) for one in ingest.track.list(config=config)] == [("AAPL", 5), ("BRK.B", 5)]
    assert ingest.track.remove(["AAPL", "NEVER"], config=config) == ("AAPL",)
    assert (tmp_path / "stocks.txt").read_text() == "BRK.B\n"


def test_a_list_that_no_run_reads_is_named(config, tmp_path):
    with pytest.warns(IngestWarning, match=r"more\.txt is not among \[tracked\] lists"):
        ingest.track.add("TRUE", list_file=tmp_path / "more.txt", config=config)
    assert (tmp_path / "more.txt").read_text() == "TRUE\n"


def test_without_a_list_the_argument_is_named_and_no_flag(place):
    config = place.config()
    with pytest.raises(UsageError, match=r"no list is set in \[tracked\] lists\. Pass list_file to name one\."):
        ingest.track.add("AAPL", config=config)


def test_the_files_of_a_window_are_a_frame(place, config):
    frame = ingest.list_files(DAYS[0], DAYS[-1], config=config)
    assert frame.schema == {
        "date": pl.Date, "bytes": pl.Int64, "published": pl.String, "held": pl.String, "permitted": pl.Boolean
    }  # fmt: skip
    assert frame["date"].to_list() == DAYS
    assert frame["permitted"].to_list() == [False] + [True] * 5
    assert frame["held"].to_list() == ["none"] + ["committed"] * 5
    shown = place.here("list", "--json", "--start", DAYS[0], "--end", DAYS[-1]).out.splitlines()
    assert frame["bytes"].to_list() == [json.loads(line)["bytes"] for line in shown]


def test_a_dataset_without_any_file_is_named(config):
    with pytest.warns(IngestWarning, match="crypto-day"):
        frame = ingest.list_files(DAYS[0], DAYS[-1], dataset="crypto-day", config=config)
    assert frame.is_empty()


def test_what_a_run_needs_is_checked_one_after_the_other(config):
    found = ingest.check(config=config)
    names = ["settings", "cache", "keys", "connection", "clock", "listing", "plan", "download", "yahoo"]
    assert [one.name for one in found] == names
    assert all(one.passed for one in found if one.needed)


def test_inside_an_event_loop_too(config):
    """As in a notebook."""
    import anyio

    async def cell():
        return ingest.check(config=config), ingest.list_files(DAYS[0], DAYS[0], config=config)

    checked, listed = anyio.run(cell)
    assert (len(checked), listed.height) == (9, 1)


class TestQuarantine:
    @pytest.fixture
    def refused(self, server, place, config):
        server.put(key(DAYS[2]), pack(HELD))
        place.run(*window(DAYS), accept=True)
        server.put(key(DAYS[2]), pack(FEWER))
        assert place.run(*window(DAYS)).finished.exit_code == 3
        return config

    def test_what_is_refused_is_listed_and_accepted(self, refused, place):
        (one,) = ingest.quarantine.list(config=refused)
        assert (one.session, one.acceptable, one.held, one.size) == (DAYS[2], True, True, len(pack(FEWER)))
        (done,) = ingest.quarantine.accept(str(DAYS[2]), config=refused)
        assert (done.session, done.went, done.came) == (DAYS[2], 5, 0)
        assert ingest.quarantine.list(config=refused) == ()
        assert ingest.quarantine.accept([DAYS[2]], config=refused) == ()  # done already
        assert place.reassembled(DAYS[2]) == FEWER

    def test_what_is_refused_is_downloaded_again(self, refused, server, place):
        server.put(key(DAYS[2]), pack(HELD))
        seen = []
        done = ingest.quarantine.retry(DAYS[2], config=refused, on_event=seen.append)
        assert (done.exit_code, done.start, done.end) == (0, DAYS[2], DAYS[2])
        assert [one.session for one in seen if isinstance(one, events.FetchStarted)] == [DAYS[2]]
        assert ingest.quarantine.list(config=refused) == ()
        assert ingest.quarantine.retry(config=refused) is None

    def test_a_session_that_is_not_there_is_named_with_the_function_that_lists_them(self, refused):
        for function in (ingest.quarantine.accept, ingest.quarantine.retry):
            with pytest.raises(UsageError, match=r"2025-06-02 is not in quarantine. Call ingest\.quarantine\.list\("):
                function("2025-06-02", config=refused)


class TestExport:
    def test_files_are_as_the_command_writes_them(self, place, config, tmp_path):
        written = ingest.export(["AAPL", "BACpL"], tmp_path / "mine", config=config)
        assert [(one.ticker, one.path.name, one.rows) for one in written] == [
            ("AAPL", "AAPL_1d.csv", 5),
            ("BACpL", "BAC_pL_1d.csv", 5),
        ]
        assert place.here("export", "AAPL", "BACpL", "--out", "theirs").code == 0
        for one in written:
            assert one.path.read_bytes() == (tmp_path / "theirs" / one.path.name).read_bytes()

    def test_what_makes_no_sense_is_named(self, config, tmp_path):
        with pytest.raises(UsageError, match="format 'xlsx': csv or parquet"):
            ingest.export("AAPL", tmp_path / "out", format="xlsx", config=config)
        with pytest.warns(IngestWarning, match="NOSUCH"), pytest.raises(NotFound, match="nothing to export"):
            ingest.export("NOSUCH", tmp_path / "out", config=config)


@pytest.mark.parametrize("wait", ["6", "six hours", "31d", "0m", 6, ""])
def test_what_is_no_time_to_wait_is_named(config, wait):
    with pytest.raises(UsageError, match=r"^wait .*: must be a duration"):
        ingest.run(wait=wait, config=config)
