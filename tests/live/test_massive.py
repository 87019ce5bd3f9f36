"""The real endpoint, with your own keys: `pytest -m live -n 0 -v`. Read-only and small: 20 files, a folder of its own.

The keys are those of the profile `massive` (INGEST_SOURCE__PROFILE names another one) in ~/.aws/credentials.
"""

import csv
from datetime import date

import anyio
import pytest

from ingest import events, settings
from ingest.cache.parts import members
from ingest.errors import UsageError
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.windows import Window
from ingest.pipeline import run as runs
from ingest.planning.request import Request
from ingest.planning.survey import asking, fetch_listing
from ingest.sources.massive.origins import credentials_file

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

MARCH = Window(date(2024, 3, 1), date(2024, 3, 31))
SESSIONS = 20
TICKER = "T"


def keys_exist(chosen):
    async def connect():
        async with asking(chosen, lambda event: None, anyio.Event()):
            return True

    try:
        return anyio.run(connect)
    except UsageError:
        return False


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """The user's own settings of the source, and a cache in a temporary folder."""
    loaded = settings.load(None, {"cache": {"root": str(tmp_path_factory.mktemp("live"))}})
    if not keys_exist(loaded):
        pytest.skip(f"no keys under [{loaded.source.profile}] in {credentials_file()}")
    return loaded


def ask(chosen, question):
    """The answer to a question that takes a connected source."""

    async def work():
        async with asking(chosen, lambda event: None, anyio.Event()) as source:
            return await question(source)

    return anyio.run(work)


@pytest.fixture(scope="module")
def march(chosen):
    return ask(chosen, lambda source: fetch_listing(source, STOCKS_DAY, MARCH.start, MARCH.end))


@pytest.fixture(scope="module")
def run(chosen):
    """A month, end to end: its events, and the cache that it made."""
    seen = []
    request = Request(MARCH, frozenset({TICKER}))
    anyio.run(runs.run, chosen, [request], seen.append, anyio.Event())
    return seen


def test_the_year_is_listed(march):
    assert len([day for day in march if day.month == 3]) == SESSIONS
    assert len(march) > 240


def test_this_computer_s_clock_is_right(chosen):
    assert abs(ask(chosen, lambda source: source.clock_skew(STOCKS_DAY.prefix))) < 60


def test_one_file_is_what_it_should_be(chosen, march):
    day = date(2024, 3, 7)

    async def download(source):
        await source.limit.acquire()
        return await source.fetch(day, march[day])

    lines = members.unpack(ask(chosen, download).data).splitlines()
    assert set(STOCKS_DAY.required) <= set(lines[0].decode().split(","))
    assert 9_000 < len(lines) < 15_000


def test_a_month_ends_up_in_both_tiers(chosen, run):
    finished = run[-1]
    assert (finished.exit_code, finished.committed) == (0, SESSIONS)
    assert not [event for event in run if isinstance(event, events.Failed | events.Quarantined)]
    with (chosen.tracked_path / f"{TICKER}_1d_data.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == SESSIONS
    assert len(list(chosen.archive_path.glob("*.csv.gz"))) == SESSIONS


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of yfinance's own use of pandas
def test_yahoo_has_the_same_closes(chosen, run):
    """T had no split since then, so what Yahoo says without dividends is what was traded."""
    import yfinance

    rows = yfinance.Ticker(TICKER).history(start="2024-03-01", end="2024-04-01", auto_adjust=False)
    theirs = {stamp.date().isoformat(): round(close, 2) for stamp, close in rows["Close"].items()}
    with (chosen.tracked_path / f"{TICKER}_1d_data.csv").open(newline="") as file:
        ours = {row["Date"]: round(float(row["Close"]), 2) for row in csv.DictReader(file)}
    assert ours == theirs
