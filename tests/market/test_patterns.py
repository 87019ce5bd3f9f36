"""Patterns in lists: what they match, the same in Python and in polars, and wherever a tracked set is asked."""

from datetime import date

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pipeline_kit import flat
from splitting_kit import parted

from ingest.cache.layout import MemberIndex, PartsOf
from ingest.cache.manifest.records import Coverage, Held
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY, foreign_tickers, named, of_ticker
from ingest.market.patterns import (
    covered,
    covers,
    is_pattern,
    matching,
    meant,
    patterns_in,
    prefix_of,
    regexes,
    written,
)
from ingest.planning.plan import Stored, Wanted, make_plan
from ingest.settings.lists import read_list, tracked
from ingest.sources.base import RemoteObject
from ingest.splitting.parsing import is_tracked

DAY = date(2025, 11, 11)
CLOSE = st.text("ABa:*?-.[]!^$()|\\\n é+{}", max_size=7)
NAMES = st.frozensets(CLOSE.filter(bool), max_size=4)


def matches(pattern, ticker):
    """The meaning of a pattern, letter by letter."""
    if not pattern:
        return not ticker
    if pattern[0] == "*":
        return any(matches(pattern[1:], ticker[n:]) for n in range(len(ticker) + 1))
    return (
        bool(ticker)
        and (ticker[0] != "*" if pattern[0] == "?" else pattern[0] == ticker[0])
        and matches(pattern[1:], ticker[1:])
    )


def is_among(names, ticker):
    return ticker in names or any(matches(name, ticker) for name in names if is_pattern(name))


@example(frozenset({"O:SPY*"}), ["O:SPY251219C00650000", "O:SP", "XO:SPY", "O:spy", "O:SPY", "O:SPY*"])
@example(frozenset({"X:*-USD", "[A]*"}), ["X:BTC-USD", "X:BTC-USDT", "A", "[A]", "X:-USD"])
@example(frozenset({"AB*", "AB?", "A?"}), ["ABA", "AB", "AC", "ACC", "A*"])
@example(frozenset({"?A"}), ["*A", "A", "\nA", "éA"])
@given(NAMES, st.lists(CLOSE.filter(bool), min_size=1, max_size=6))
def test_a_pattern_matches_whole_tickers_alike_in_python_and_in_polars(names, tickers):
    expected = [is_among(names, ticker) for ticker in tickers]
    assert [covers(names, ticker) for ticker in tickers] == expected
    assert covered(names, frozenset(tickers)) == {one for one, is_in in zip(tickers, expected, strict=True) if is_in}
    frame = pl.DataFrame({"ticker": [*tickers, None]}, {"ticker": pl.String})
    assert frame.select(is_tracked(names)).to_series().to_list() == [*expected, False]


@given(CLOSE.filter(is_pattern), CLOSE.filter(is_pattern), st.lists(CLOSE, max_size=8))
def test_what_covers_a_pattern_matches_all_that_the_pattern_matches(wide, narrow, tickers):
    if covers(frozenset({wide}), narrow):
        assert all(matches(wide, one) for one in tickers if "*" not in one and "?" not in one and matches(narrow, one))


@given(CLOSE.filter(is_pattern), CLOSE)
def test_all_that_matches_a_pattern_begins_with_its_prefix(pattern, ticker):
    assert not matches(pattern, ticker) or ticker.startswith(prefix_of(pattern))


def test_a_pattern_of_many_stars_meets_a_long_ticker_without_a_way_back():
    """A matcher that goes back over each star would be at it for longer than anybody waits."""
    names = frozenset({"*A" * 40 + "B"})
    assert not covers(names, "A" * 5000)
    assert covers(names, "A" * 5000 + "B")


def test_thousands_of_patterns_are_more_than_one_automaton():
    names = frozenset(f"O:{number:04d}*" for number in range(2000))
    assert len(regexes(names)) == 4
    found = pl.DataFrame({"ticker": ["O:0000C", "O:1999P1", "O:2000C"]}).select(is_tracked(names)).to_series()
    assert found.to_list() == [True, True, False]


CONTRACTS = st.builds(
    "O:{}{}{}{}".format,
    st.sampled_from(["SPY", "SPYD", "SPYG", "SPY1", "SP", "S", "BRKB", "SPXW", "A12"]),
    st.from_regex(r"\A[0-9]{6}\Z"),
    st.sampled_from("CP"),
    st.from_regex(r"\A[0-9]{8}\Z"),
)


@given(st.lists(CONTRACTS, max_size=8), st.sampled_from(["SPY", "SPYD", "SPY1", "SP", "A12", "A"]))
def test_a_root_of_options_is_all_of_its_contracts_and_of_no_other_root(contracts, root):
    names = frozenset(meant([f"O:{root}"]))
    expected = [contract[2:-15] == root for contract in contracts]
    assert [covers(names, contract) for contract in contracts] == expected
    frame = pl.DataFrame({"ticker": contracts}, {"ticker": pl.String})
    assert frame.select(is_tracked(names)).to_series().to_list() == expected
    assert set(matching(*names, sorted(contracts))) == {one for one in contracts if one[2:-15] == root}


def test_what_a_root_is_and_what_it_covers():
    (spy,) = meant(["O:SPY"])
    assert (is_pattern(spy), written(spy), prefix_of(spy)) == (True, "O:SPY", "O:SPY")
    assert covers(frozenset({"O:SPY*"}), spy)
    assert not any(covers(frozenset({name}), spy) for name in ("O:S?Y", "O:SPY", "O:SPYD*", *meant(["O:SPYD"])))
    plain = ["O:SPY251219C00650000", "O:SPY*", "X:BTC-USD", "SPY", "O:spy", "O:", "O:TOOLONGROOT", "O:SPY???"]
    assert meant(plain) == plain == [written(name) for name in plain]
    assert foreign_tickers(named("options-day"), [spy]) == []


def test_a_list_holds_patterns_and_they_are_kept_as_they_are_written(tmp_path):
    (tmp_path / "options.txt").write_text("O:SPY*  # all of them\nX:?TC-USD\nAAPL\n")
    assert read_list(tmp_path / "options.txt") == ("O:SPY*", "X:?TC-USD", "AAPL")
    long = "A" * 300 + "*"
    found = tracked(STOCKS_DAY.csv_name, required=[tmp_path / "options.txt"], extra=[long])
    assert found.tickers == (long, "AAPL", "O:SPY*", "X:?TC-USD")
    assert patterns_in(found.tickers) == {long, "O:SPY*", "X:?TC-USD"}


def test_a_split_puts_what_a_pattern_matches_into_the_tracked_part():
    text = flat([("A", 1), ("AA", 2), ("B", 3), ("BA", 4)])
    cut = parted(text, frozenset({"A*", "B"}), True)
    assert cut.tracked_rows.tolist() == [0, 1, 2]
    assert cut.tracked.tickers.to_list() == ["A", "AA", "B"]
    assert cut.archive.tickers.to_list() == ["BA"]


def test_a_reader_looks_for_what_a_pattern_matched_in_the_tracked_part_alone():
    index = MemberIndex((0, 1), ("A",), True)
    parts = PartsOf(DAY, frozenset({"O:SPY*", "B"}), "lines", ("ticker",), {"tracked": index, "archive": index})
    wanted = frozenset({"O:SPY1", "O:QQQ1", "B"})
    assert parts.tickers_in("tracked", wanted) == {"O:SPY1", "B"}
    assert parts.tickers_in("archive", wanted) == {"O:QQQ1"}


def test_a_session_without_its_rest_can_tell_of_what_its_patterns_match():
    coverage = Coverage(frozenset(), {DAY: frozenset({"X:*-USD"})})
    assert coverage.has("X:BTC-USD", DAY)
    assert coverage.of("X:BTC-USD") == {DAY}
    assert not coverage.has("X:BTC-EUR", DAY)
    assert coverage.of("X:BTC-EUR") == frozenset()


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"X:*-USD"}, "committed"),
        ({"X:BTC-USD"}, "committed"),
        ({"X:B*-USD"}, "committed"),
        ({"X:?-USD"}, "committed"),
        ({"X:BTC-EUR"}, "lacks X:BTC-EUR"),
        ({"X:*", "X:BTC-USD"}, "lacks X:*"),
    ],
)
def test_a_name_that_a_held_pattern_covers_is_not_missing(wanted, reason):
    held = {DAY: Held("committed", "listed", etag="e", tracked=frozenset({"X:*-USD"}))}
    listing = {DAY: RemoteObject("key", 1, "e", "")}
    wishes = Wanted(frozenset(wanted), save_others=False)
    (decision,) = make_plan((DAY, DAY), listing, Stored(held), lambda day: True, wishes).decisions
    assert decision.reason == reason


@pytest.mark.parametrize("dataset", CATALOGUE.values(), ids=lambda one: one.short)
def test_a_ticker_finds_its_dataset_by_its_sigil(dataset):
    if dataset.sigil:
        assert of_ticker(f"{dataset.sigil}SPX", dataset.interval) is dataset


def test_a_ticker_without_a_sigil_is_a_stock():
    assert of_ticker("AAPL") is STOCKS_DAY
    assert of_ticker("XOM") is STOCKS_DAY
    assert of_ticker("AAPL", "5m") is named("stocks-minute")
    assert of_ticker("X:BTC-USD", "1h") is named("crypto-minute")
