"""Massive's spelling of a ticker and Yahoo's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.market.catalogue import CATALOGUE, named
from ingest.market.yahoo.symbols import stock_symbol


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


@pytest.mark.parametrize(
    ("short", "ticker", "symbol"),
    [
        ("crypto-day", "X:BTC-USD", "BTC-USD"),
        ("crypto-day", "X:SOL-EUR", "SOL-EUR"),
        ("crypto-day", "X:UNI-USD", "UNI7083-USD"),  # UNI-USD is another coin
        *(("crypto-day", odd, None) for odd in ("X:BTC-XYZ", "X:WIF-USD", "X:BTCUSD", "BTC-USD", "X:btc-USD", "X:")),
        ("forex-day", "C:EUR-USD", "EURUSD=X"),
        ("forex-day", "C:USD-XAF", "USDXAF=X"),
        *(("forex-day", odd, None) for odd in ("C:XAU-USD", "C:USD-XAG", "C:EUR-EUR", "EUR-USD", "C:EURUSD", "C:")),
        ("indices-day", "I:SPX", "^GSPC"),
        *(("indices-day", odd, None) for odd in ("I:TNX", "SPX", "I:AAVE100", "I:spx")),
        *((short, "O:SPY251219C00650000", None) for short in ("options-day", "options-minute")),
        ("futures-cme-day", "ESZ5", None),
    ],
)
def test_each_market_has_its_own_spelling(short, ticker, symbol):
    assert named(short).yahoo_symbol(ticker) == symbol


MARKETS = [one for one in CATALOGUE.values() if one.is_filled_from_yahoo]
NAMES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["X:", "C:", "I:", ""]),
    st.sampled_from(["BTC", "UNI", "UNI7083", "EUR", "XAU", "SPX", "DJI", "usd"]),
    st.sampled_from(["-", "", "."]),
    st.sampled_from(["USD", "EUR", "GBP", "A", ""]),
)


@given(st.sampled_from(MARKETS), NAMES, NAMES)
def test_no_two_tickers_of_a_market_are_asked_for_as_one(dataset, one, other):
    symbols = [dataset.yahoo_symbol(one), dataset.yahoo_symbol(other)]
    assert one == other or not all(symbols) or symbols[0].upper() != symbols[1].upper()


@given(st.text(st.sampled_from("ABCpruwWSU.-:1"), max_size=9), st.text(st.sampled_from("ABCpruwWSU.-:1"), max_size=9))
def test_no_two_tickers_are_asked_for_as_one(one, other):
    """yfinance asks in capitals: BCpC and BCPC are different securities."""
    symbols = [stock_symbol(one), stock_symbol(other)]
    if one != other and all(symbols):
        assert symbols[0].upper() != symbols[1].upper()
