"""Massive's spelling of a ticker and Yahoo's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.symbols import stock_symbol


@pytest.mark.parametrize(
    ("ticker", "symbol"),
    [
        ("AAPL", "AAPL"),
        ("GOOGL", "GOOGL"),
        ("BRK.B", "BRK-B"),
        ("MKC.V", "MKC-V"),
        ("BACpL", "BAC-PL"),
        ("BACp", "BAC-P"),
        ("AAC.U", "AAC-UN"),
        ("ACHR.WS", "ACHR-WT"),
        ("NE.WS.A", "NE-WTA"),
        ("AIIAr", "AIIA-RI"),
        ("ADSw", "ADS-WI"),
        *((odd, None) for odd in ("MTBpC.CL", "FTV.WD", "PTEST.X", "O:SPY251219C00650000", "X:BTC-USD", "I:SPX")),
        *((odd, None) for odd in ("", "aapl", "AB.W", "AB.R", "ABCDEF", "../x", "AAPL ", "Ä", "BRK-B", "7203.T")),
    ],
)
def test_what_is_known_is_mapped_and_nothing_else(ticker, symbol):
    assert stock_symbol(ticker) == symbol


@given(st.text(st.sampled_from("ABCpruwWSU.-:1"), max_size=9), st.text(st.sampled_from("ABCpruwWSU.-:1"), max_size=9))
def test_no_two_tickers_are_asked_for_as_one(one, other):
    """yfinance asks in capitals: BCpC and BCPC are different securities."""
    symbols = [stock_symbol(one), stock_symbol(other)]
    if one != other and all(symbols):
        assert symbols[0].upper() != symbols[1].upper()
