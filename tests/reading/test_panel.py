"""`ingest.panel`: dates × tickers, compared with `yfinance.download` and with the rows of `history`."""

import warnings

import pandas as pd
import pytest
from minutes_kit import minutes_text, some_minutes
from pipeline_kit import write_keys
from reading_kit import security, world
from yahoo_kit import fresh_yfinance, past_sessions

import ingest
from ingest.demo.files.market import pack
from ingest.errors import ActionsUnknown, IngestWarning, UsageError
from ingest.market.catalogue import STOCKS_MINUTE

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

DAYS = past_sessions(30)
AAPL = security(DAYS, {DAYS[20]: (4, 1)}, {DAYS[10]: 0.82})
MSFT = security(DAYS[5:], dividends={DAYS[25]: 1.5}, first=300.0)
EVERYONE = {"MSFT": MSFT, "AAPL": AAPL, "TB": security(DAYS[:3]), "TA": security(DAYS[2:4])}
MINUTES = {day: some_minutes(day, share=0.05) for day in DAYS[:2]}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    home = tmp_path_factory.mktemp("panel")
    write_keys(home / "credentials")
    with (
        pytest.MonkeyPatch.context() as patch,
        world(patch, home, EVERYONE, {"AAPL": AAPL, "MSFT": MSFT}, DAYS) as here,
    ):
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        here.place.run(DAYS[0], DAYS[-1], tracked={"AAPL"})
        for day, found in MINUTES.items():
            here.server.put(
                STOCKS_MINUTE.key(day), pack(minutes_text({"AAPL": found, "TB": dict([*found.items()][::7])}))
            )
        ingest.run(start=DAYS[0], end=DAYS[1], dataset="stocks-minute", config=here.config())
        yield here.config()


def downloaded(**arguments):
    """What `yfinance.download` has for the same tickers and days."""
    import yfinance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        end = DAYS[-1] + pd.Timedelta(days=1)
        return yfinance.download(["MSFT", "AAPL"], DAYS[0], end, threads=False, progress=False, **arguments)


def test_it_is_what_yfinance_downloads(config):
    mine = ingest.panel(["AAPL", "MSFT"], ["close", "volume"], adjust="all", config=config)
    theirs = downloaded(auto_adjust=True)
    assert mine.columns.nlevels == theirs.columns.nlevels == 2
    assert (mine.index.name, mine.index.dtype) == (theirs.index.name, theirs.index.dtype)
    pd.testing.assert_index_equal(mine.index, theirs.index, check_names=True)
    for name in ("close", "volume"):
        frame = theirs[name.title()].astype(float)  # a volume, too: sessions may be missing
        pd.testing.assert_frame_equal(mine[name], frame, check_names=False, check_exact=False, rtol=3e-7)
    unadjusted = ingest.panel(["AAPL", "MSFT"], adjust="splits", config=config)
    pd.testing.assert_frame_equal(unadjusted, downloaded(auto_adjust=False)["Close"], check_names=False, rtol=3e-7)


def test_each_value_is_that_of_its_row_and_the_rest_is_missing(config):
    mine = ingest.panel(["MSFT", "AAPL"], "close", config=config)
    assert (list(mine.columns), mine.columns.name) == (["MSFT", "AAPL"], "ticker")
    assert [mine[one].tolist() for one in ("AAPL",)] == [[AAPL.bars[day][3] for day in DAYS]]
    assert mine["MSFT"].isna().tolist() == [True] * 5 + [False] * 25
    assert mine["MSFT"].tolist()[5:] == [MSFT.bars[day][3] for day in DAYS[5:]]
    assert mine.index.tz is None


def test_tickers_come_in_the_order_asked_and_those_of_a_pattern_in_theirs(config):
    with pytest.warns(IngestWarning, match="no data for NOSUCH"):
        mine = ingest.panel(["MSFT", "NOSUCH", "T*", "TA", "AAPL"], config=config)
    assert list(mine.columns) == ["MSFT", "NOSUCH", "TA", "TB", "AAPL"]
    assert mine["NOSUCH"].isna().all()
    assert mine["NOSUCH"].dtype == float
    assert mine["TB"].count() == 3


def test_dates_are_those_on_which_one_of_them_has_a_row(config):
    mine = ingest.panel(["TA", "TB"], config=config)
    assert [day.date() for day in mine.index] == DAYS[:4]
    with pytest.warns(IngestWarning, match="no data for TB"):
        window = ingest.panel(["TA", "TB"], start=DAYS[3], end=str(DAYS[5]), config=config)
    assert [day.date() for day in window.index] == [DAYS[3]]


def test_texts_and_counts_are_values_too(config):
    mine = ingest.panel(["AAPL", "TB"], ["source", "transactions"], config=config)
    assert [one if isinstance(one, str) else None for one in mine["source"]["TB"]] == ["massive"] * 3 + [None] * 27
    assert mine["transactions"]["TB"].sum() == 21
    assert mine.columns.names == ["column", "ticker"]


def test_nothing_at_all_is_an_empty_panel_and_a_warning(config):
    with pytest.warns(IngestWarning, match="no data for NOSUCH"):
        mine = ingest.panel("NOSUCH", config=config)
    assert (mine.shape, list(mine.columns)) == ((0, 1), ["NOSUCH"])
    assert isinstance(mine.index, pd.DatetimeIndex)


def test_a_pattern_that_nothing_matches_has_no_column(config):
    with pytest.warns(IngestWarning, match=r"no data for NOSUCH\*"):
        mine = ingest.panel("NOSUCH*", config=config)
    assert mine.shape == (0, 0)
    assert ingest.panel([], ["close"], config=config).shape == (0, 0)


def test_minutes_are_in_new_york(config):
    mine = ingest.panel(["TB", "AAPL"], interval="1m", prepost=True, config=config)
    begins = sorted(begin for found in MINUTES.values() for begin in found)
    assert (mine.index.name, str(mine.index.tz)) == ("Datetime", "America/New_York")
    assert list(mine.index) == begins
    assert mine["AAPL"].tolist() == [MINUTES[one.date()][one][3] for one in begins]
    hours = ingest.panel("AAPL", ["open", "volume"], interval="1h", config=config)
    frame = ingest.get_smart_data(
        "AAPL", data_source="massive", interval="1h", start=DAYS[0], end=DAYS[2], fetch=False,
        config=config, auto_adjust=False,
    )  # fmt: skip
    assert list(hours.index) == list(frame.index)


@pytest.mark.parametrize(
    ("columns", "words"),
    [([], "name at least one"), ("date", "'date' is an axis"), (["close", "ticker"], "'ticker' is an axis"),
     ("Close", "'Close' is unknown; choose from"), (["close", "close"], "names one twice")],
)  # fmt: skip
def test_what_is_no_column_is_named(config, columns, words):
    with pytest.raises(UsageError, match=words):
        ingest.panel("AAPL", columns, config=config)


def test_what_cannot_be_adjusted_is_an_error_or_missing_with_a_warning(config):
    with pytest.raises(ActionsUnknown, match="TB"):
        ingest.panel(["AAPL", "TB"], adjust="splits", config=config)
    with pytest.warns(IngestWarning, match="TB"):
        mine = ingest.panel(["AAPL", "TB"], adjust="splits", errors="skip", config=config)
    assert (mine["AAPL"].count(), mine["TB"].count()) == (30, 0)
