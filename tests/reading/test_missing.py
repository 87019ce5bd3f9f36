"""Warnings name the dates that are missing from an answer, at its start, in the middle and at its end."""

import warnings
from datetime import date

import pytest
from pipeline_kit import key
from reading_kit import security, world
from yahoo_kit import fresh_yfinance, past_sessions

import ingest
from ingest.reading import gaps

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

DAYS = past_sessions(60)
AAPL = security(DAYS)
MASSIVE = {
    "AAPL": AAPL,
    "META": security(DAYS[40:]),
    "FB": security(DAYS[:40]),
    "THIN": security([*DAYS[5:30], *DAYS[35:55]]),
}


@pytest.fixture
def here(monkeypatch, tmp_path):
    with world(monkeypatch, tmp_path, MASSIVE, {"AAPL": AAPL, "META": AAPL}, DAYS) as found:
        found.place.run(DAYS[0], DAYS[-1], tracked={"AAPL"})
        yield found


def told(ask):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = ask()
    return found, [str(one.message) for one in caught]


def smart(here, ticker, start=DAYS[0], **named):
    config = here.config(["AAPL"])
    return told(
        lambda: ingest.get_smart_data(
            ticker, data_source="massive", auto_adjust=False, start=start, fetch=False, config=config, **named
        )
    )


def history(here, ticker, *window):
    return told(lambda: ingest.history(ticker, *window, config=here.config(["AAPL"])))


def spans(*pairs):
    return [(str(first), str(last)) for first, last in pairs]


def test_a_rename_gives_a_warning_on_both_sides(here):
    frame, words = smart(here, "META")
    assert len(frame) == 20
    assert any(f"META has no rows from {DAYS[0]} to {DAYS[39]}, in 40 sessions" in one for one in words)
    assert frame.attrs["sources"] == {"massive": spans((DAYS[40], DAYS[-1])), "missing": spans((DAYS[0], DAYS[39]))}
    frame, words = smart(here, "FB")
    assert any(f"FB has no rows from {DAYS[40]} to {DAYS[-1]}, in 20 sessions" in one for one in words)
    assert frame.attrs["sources"]["missing"] == spans((DAYS[40], DAYS[-1]))
    _, words = history(here, ["META", "FB", "AAPL"], DAYS[0], DAYS[-1])
    assert [one.partition(" although")[0] for one in words] == [
        f"no rows of META before {DAYS[40]}",
        f"no rows of FB after {DAYS[39]}",
    ]


def test_sessions_without_a_trade_are_not_missing(here):
    frame, words = smart(here, "THIN")
    assert [one for one in words if "no rows" in one or "missing" in one] == []
    assert list(frame.attrs["sources"]) == ["massive"]
    assert history(here, "THIN", DAYS[0], DAYS[-1])[1] == history(here, MASSIVE)[1] == []


def test_a_request_for_everything_misses_nothing_before_the_first_row(here):
    _, words = smart(here, "META", start=None, period="max")
    assert [one for one in words if "META has no rows" in one or "missing" in one] == []


@pytest.mark.parametrize("fetch", [True, False])
def test_sessions_that_no_source_has_are_named_wherever_they_are(here, fetch):
    gone = [*DAYS[:2], DAYS[20], *DAYS[50:53], DAYS[-1]]
    for day in gone:
        here.server.objects.pop(key(day))
    here.place.execute("DELETE FROM sessions WHERE session IN ({})".format(", ".join(f"'{day}'" for day in gone)))
    here.yahoo.securities["AAPL"] = security([day for day in DAYS if day not in gone])
    config = here.config(["AAPL"])
    expected = f"6 sessions are missing ({DAYS[0]} to {DAYS[1]}, {DAYS[20]}, {DAYS[50]} to {DAYS[52]}): "
    for _ in range(2):
        frame, words = told(
            lambda: ingest.get_smart_data(
                "AAPL", data_source="massive", start=DAYS[0], auto_adjust=False, fetch=fetch, config=config
            )
        )
        assert [one.partition(": ")[0] + ": " for one in words if "missing" in one] == [
            expected,
            f"1 session from {DAYS[-1]} on is missing: ",
        ]
        assert frame.attrs["sources"]["missing"] == spans(
            (DAYS[0], DAYS[1]), (DAYS[20], DAYS[20]), (DAYS[50], DAYS[52]), (DAYS[-1], DAYS[-1])
        )
        assert spans((DAYS[2], DAYS[19]), (DAYS[21], DAYS[49])) == frame.attrs["sources"]["massive"][:2]
    _, words = history(here, ["AAPL", "META"], DAYS[0], DAYS[-1])
    dates = f"({DAYS[0]} to {DAYS[1]}, {DAYS[20]}, {DAYS[50]} to {DAYS[52]}, {DAYS[-1]})"
    assert words[0] == f"7 sessions are missing for AAPL, META {dates}: no file is stored"
    # Without a window, missing sessions at the edges do not count.
    assert f"({DAYS[20]}, {DAYS[50]} to {DAYS[52]})" in history(here, "AAPL")[1][0]


def test_a_window_before_the_first_file_gives_a_warning(here):
    for ask in (
        lambda: smart(here, "AAPL", start="2001-01-01"),
        lambda: history(here, "AAPL", "2001-01-01"),
    ):
        _, words = ask()
        assert "the window begins on 2001-01-01, but the first files are from 2003-09-10" in words
    frame, _ = smart(here, "AAPL", start="2001-01-01")
    assert frame.attrs["sources"]["missing"][0] == ("2001-01-01", "2003-09-09")


def test_dates_are_missing_once(here):
    """A session without a file lies among those before the ticker was listed."""
    here.place.execute(f"UPDATE sessions SET held = 'none' WHERE session = '{DAYS[10]}'")
    frame, words = smart(here, "META")
    assert frame.attrs["sources"]["missing"] == spans((DAYS[0], DAYS[39]))
    assert any(str(DAYS[10]) in one for one in words)


def test_stretches_are_told_apart():
    days = [date(2025, 3, day) for day in range(1, 20)]
    whole = [(days[0], days[8]), (days[12], days[12])]
    assert gaps.merge_spans([whole[1], (days[3], days[8]), (days[0], days[5]), (days[4], days[4])]) == whole
    assert gaps.merge_spans([]) == []


def test_stretches_are_of_neighbouring_sessions():
    days = [date(2025, 3, 3 + n) for n in range(9)]
    assert gaps.spans([], days) == []
    assert gaps.spans([days[0], days[1], days[4], days[8]], days) == [
        (days[0], days[1]),
        (days[4], days[4]),
        (days[8], days[8]),
    ]
    seven = [(day, day) for day in days[:7]]
    assert gaps.spans_in_words(seven).endswith("2025-03-07 and 2 more stretches")
