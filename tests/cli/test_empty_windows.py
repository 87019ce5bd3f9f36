"""Windows without a session, and names that are not known: each command says why it has nothing."""

import json
from datetime import date

import pytest
from pipeline_kit import Place, market_objects, trading_days, write_keys

from ingest.demo.servers import loopback

DAYS = trading_days(date(2025, 11, 3), 8)
SUNDAY = ("--start", "2025-11-09", "--end", "2025-11-09")
WEEKEND = ("--start", "2025-11-08", "--end", "2025-11-09")
CLOSED = "2025-11-09 is no session of stocks-day: the market was closed"
BOTH = "no day from 2025-11-08 to 2025-11-09 is a session of stocks-day: the market was closed"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("windows")
    write_keys(folder / "credentials")
    with pytest.MonkeyPatch.context() as patch, loopback.serve(market_objects(DAYS)) as server:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
        place = Place(folder / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[-1])
        yield place


COMMANDS = {
    "run": (("run",), 0),
    "run -n": (("run", "-n"), 0),
    "list": (("list",), 0),
    "findings": (("findings",), 0),
    "corrections": (("corrections",), 0),
    "export": (("export", "AAPL", "--out", "files"), 4),
    "show": (("show", "AAPL", "--no-fetch"), 4),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(("window", "told"), [(SUNDAY, CLOSED), (WEEKEND, BOTH)])
def test_a_window_without_a_session_is_called_that(place, name, window, told):
    arguments, code = COMMANDS[name]
    found = place.here(*arguments, *window)
    assert (found.code, told in found.out + found.err) == (code, True), found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_window_with_a_session_is_not(place, name):
    found = place.here(*COMMANDS[name][0], "--start", "2025-11-07", "--end", "2025-11-09")
    assert "session of" not in found.out + found.err


@pytest.mark.parametrize("name", ["findings", "corrections", "export"])
def test_a_start_in_the_future_is_said(place, name):
    arguments, code = COMMANDS[name]
    found = place.here(*arguments, "--start", "2099-01-01")
    assert (found.code, "2099-01-01 is after today (" in found.err) == (code, True), found


@pytest.mark.parametrize("name", ["findings", "corrections"])
def test_an_end_before_the_first_file_is_said(place, name):
    assert "stocks-day begins on 2003-09-10" in place.here(name, "--end", "2000-01-01").err


def test_json_has_it_as_a_warning(place):
    found = place.here("corrections", "--json", *SUNDAY)
    assert f'"message": "{CLOSED}"' in found.out


def test_coins_have_weekends(place):
    assert "market was closed" not in place.here("findings", "-d", "crypto-day", *SUNDAY).err


@pytest.mark.parametrize(
    "command", [("corrections", "--ticker", "APPL"), ("track", "remove", "APPL", "--list", "mine.txt")]
)
def test_a_misspelt_ticker_is_asked_about(place, command):
    (place.root.parent / "mine.txt").write_text("AAPL\n")
    found = place.here(*command)
    assert "APPL (did you mean AAPL?)" in found.out + found.err


ABOUT_STORED = (
    "corrections",
    "findings",
    "lake build",
    "lake drop --yes",
    "lake snapshots",
    "lake status",
    "list --parts",
    "tickers",
    "verify",
)
"""Commands about what is stored of datasets."""

FAULTLESS = ("up to date", "Nothing is missing")


@pytest.mark.parametrize("command", ABOUT_STORED)
def test_a_dataset_of_which_nothing_is_stored_is_said_to_have_none(place, command):
    told = place.here(*command.split(), "-d", "forex-day")
    none = f"no session of forex-day is stored in {place.root}. Run `ingest run --dataset forex-day` to download some."
    assert (told.code, told.err) == (0, f"warning: {none}\n")
    assert not any(words in told.out for words in FAULTLESS)
    found = [json.loads(line) for line in place.here(*command.split(), "-d", "forex-day", "--json").out.splitlines()]
    assert [one["message"] for one in found if one["kind"] == "warning"] == [none]


@pytest.mark.parametrize("command", ABOUT_STORED)
def test_a_dataset_of_which_something_is_stored_is_not(place, command):
    assert place.here(*command.split()).err == ""
