"""Names that are none, and the tickers that may have been meant by them."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.market.catalogue import named
from ingest.reading.known import Spellings

STOCKS = ["A", "AA", "AAPL", "APP", "APPN", "BACpL", "BRK.A", "BRK.B", "GOOG", "GOOGL", "MSFT", "NVDA", "TSLA", "TpC"]
PAIRS = ["X:BTC-EUR", "X:BTC-USD", "X:ETH-USD"]
MEANT = {
    "APPL": "AAPL",
    "MFST": "MSFT",
    "aapl": "AAPL",
    "BRK-B": "BRK.B",
    "BRK/B": "BRK.B",
    "BRKB": "BRK.B",
    "BAC-PL": "BACpL",
    "TSAL": "TSLA",
    "NVDIA": "NVDA",
    "GOOGEL": "GOOGL",
    "TPC": "TpC",
}
TICKERS = st.text(string.ascii_uppercase, min_size=4, max_size=5)


@pytest.mark.parametrize(("name", "ticker"), MEANT.items())
def test_who_was_meant_comes_first(name, ticker):
    assert Spellings(STOCKS, named("stocks-day").yahoo_symbol).near(name)[0] == ticker


@pytest.mark.parametrize("name", ["X:BTCUSD", "BTC-USD", "BTCUSD", "x:btc-usd", "X:BTC/USD"])
def test_pairs_are_found_without_their_signs(name):
    assert Spellings(PAIRS, named("crypto-day").yahoo_symbol).near(name) == ["X:BTC-USD"]


def test_yahoos_own_names_are_found():
    assert Spellings(["I:SPX", "I:DJI"], named("indices-day").yahoo_symbol).near("^GSPC") == ["I:SPX"]
    assert Spellings(["AAC.U", "AACT"], named("stocks-day").yahoo_symbol).near("AAC-UN") == ["AAC.U"]


@pytest.mark.parametrize("name", ["AAPL", "ZZZZ", "X", "", "***", "O:SPY251219C00650000", "A" * 5000])
def test_who_is_known_or_like_nobody_is_not_guessed_at(name):
    assert Spellings([*STOCKS, "O:SPY251219C00655000"]).near(name) == []


@given(st.sets(TICKERS, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_a_letter_off_is_found(tickers, chance: random.Random):
    ticker = chance.choice(sorted(tickers))
    at, letter = chance.randrange(len(ticker) - 1), chance.choice(string.ascii_uppercase)
    wrong = chance.choice(
        [
            ticker[:at] + ticker[at + 1] + ticker[at] + ticker[at + 2 :],
            ticker[:at] + letter + ticker[at + 1 :],
            ticker[:at] + letter + ticker[at:],
            ticker[:at] + ticker[at + 1 :],
        ]
    )
    near = Spellings(tickers).near(wrong)
    assert near == [] if wrong in tickers else ticker in near or len(near) == 3
