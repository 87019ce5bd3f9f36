"""How each public function handles names, dates and windows; a new function that falls short fails here."""

import inspect
from datetime import date, datetime
from typing import get_overloads

import numpy as np
import pandas as pd
import pytest
from functions_kit import public_functions
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.settings import arguments

FUNCTIONS = public_functions()
DATES = ("start", "end", "session", "listed_on", "on", "expiry")
NAMES = ("tickers", "datasets", "columns", "sources")
SEVERAL_DATES = ("sessions",)
TEXTS = {"ticker", "dataset", "period", "interval", "data_source", "adjust", "kind", "config"}
TEXTS |= {"wait", "out", "list_file", "format", "errors", "shape", "name", "engine", "to", "query", "underlying"}
"""Arguments that are a single string: the name of one thing, or a choice."""
WINDOWS = [name for name, one in FUNCTIONS.items() if {"start", "end"} <= inspect.signature(one).parameters.keys()]


def parameters():
    return [(name, one) for name, function in FUNCTIONS.items() for one in inspect.signature(function).parameters]


def annotation(function, argument):
    told = str(inspect.signature(FUNCTIONS[function]).parameters[argument].annotation)
    return told.replace("datetime.", "").replace("collections.abc.", "")


@pytest.fixture
def call(tmp_path):
    """Calls a public function on an empty cache, with its required arguments."""
    config = tmp_path / "config.toml"
    config.write_text(f'[cache]\nroot = "{tmp_path}/none"\n[fallback]\nenabled = false\n')
    needed = {"ticker": "AAPL", "tickers": "AAPL", "session": "2025-03-03", "sessions": "2025-03-03"}
    needed |= {"out": tmp_path / "files", "underlying": "SPY"}

    def called(function, **given):
        known = inspect.signature(FUNCTIONS[function]).parameters
        required = {name: needed[name] for name, one in known.items() if one.default is one.empty}
        fetched = {"fetch": False, "data_source": "massive"} if function == "get_smart_data" else {}
        needs = {"list_file": tmp_path / "stocks.txt"} if "list_file" in known else {}
        return FUNCTIONS[function](**(required | needs | fetched | given), config=config)

    return called


@pytest.mark.parametrize(("function", "argument"), parameters())
def test_each_argument_is_of_a_kind_that_is_looked_after(function, argument):
    told = annotation(function, argument)
    if argument in DATES:
        assert told.startswith("date | str"), "a date may be text"
    elif argument in SEVERAL_DATES:
        assert told.startswith("date | str | Iterable[date | str]"), "one date needs no list around it"
    elif argument in NAMES:
        assert told.startswith("str | Iterable[str]"), "one name needs no list around it"
    elif argument not in TEXTS:
        assert not any(word in told for word in ("str", "Iterable", "Sequence", "date")), "name its kind in this file"


@pytest.mark.parametrize(
    "overloaded", [one for one in FUNCTIONS.values() if inspect.getdoc(one)], ids=lambda one: one.__name__
)
def test_what_a_type_checker_sees_is_what_can_be_called(overloaded):
    names = set(inspect.signature(overloaded).parameters)
    for one in get_overloads(overloaded):
        assert set(inspect.signature(one).parameters) == names


@pytest.mark.parametrize(("function", "argument"), [one for one in parameters() if one[1] in (*DATES, *SEVERAL_DATES)])
@pytest.mark.parametrize("text", ["2025-13-01", "yesterday", "", "11/11/2025", 5, pd.NaT, np.datetime64("NaT", "D")])
def test_what_is_no_date_is_named_with_its_argument(call, function, argument, text):
    with pytest.raises(UsageError, match=rf"{argument} .*: a date, or text such as 2025-11-11"):
        call(function, **{argument: text})


@pytest.mark.parametrize("few", [-1, 1.5, "2", True])
def test_how_many_files_is_a_whole_number(call, few):
    with pytest.raises(UsageError, match=r"^max_files .*: must be a whole number, 0 or more"):
        call("run", max_files=few)


@pytest.mark.parametrize("function", WINDOWS)
@pytest.mark.parametrize("turn", [str, date.fromisoformat, datetime.fromisoformat, pd.Timestamp, np.datetime64])
def test_a_window_the_wrong_way_round_is_an_error(call, function, turn):
    with pytest.raises(UsageError, match="wrong way round: start 2025-03-04 is after end 2025-03-03"):
        call(function, start=turn("2025-03-04"), end=turn("2025-03-03"))


@pytest.mark.parametrize(("function", "argument"), [one for one in parameters() if one[1] in NAMES])
def test_a_text_is_one_name_and_not_its_letters(call, function, argument):
    with pytest.raises(UsageError, match="NONE-SUCH") if argument != "tickers" else pytest.raises(UsageError) as told:
        call(function, **{argument: "NONE-SUCH" if argument != "tickers" else ["NONE", 5]})
    if argument == "tickers":
        assert "tickers: 5 is not a ticker" in str(told.value)


@pytest.mark.parametrize(("function", "argument"), [one for one in parameters() if one[1] in (*NAMES, "ticker")])
@pytest.mark.parametrize("value", [5, [5], [None], [""], ["\ud800"], b"AAPL", np.array("AAPL")])
def test_what_is_no_name_is_an_error_that_says_so(call, function, argument, value):
    with pytest.raises(UsageError, match=argument):
        call(function, **{argument: value})


def test_an_unknown_kind_of_finding_is_an_error(call):
    with pytest.raises(UsageError, match="finding 'low abvoe high'; did you mean 'low above high'"):
        call("findings", kind="low abvoe high")
    with pytest.raises(UsageError, match=r"finding 'x'; .*low above high"):
        call("findings", kind="x")


def test_one_dataset_and_several_exclude_each_other(call):
    with pytest.raises(UsageError, match="dataset and datasets"):
        call("run", dataset="stocks-day", datasets=["crypto-day"])


@given(st.text(min_size=1).filter(str.isprintable))
def test_a_text_in_place_of_names_is_a_list_of_it(name):
    assert arguments.parse_names("tickers", name) == [name] == arguments.parse_names("tickers", (name,))


@given(st.datetimes(timezones=st.none() | st.timezones()))
def test_a_day_is_the_same_however_it_is_said(moment):
    numpys = np.datetime64(moment.replace(tzinfo=None)), np.datetime64(moment.date())
    told = [moment, moment.date(), moment.isoformat(), moment.date().isoformat(), *numpys]
    assert {arguments.parse_day("start", one) for one in told} == {moment.date()}
