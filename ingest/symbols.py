"""Massive's spelling of a ticker → Yahoo's, where the two are known to mean the same; a function a market."""

import re
from collections.abc import Callable, Sequence

Spelling = Callable[[str], str | None]
"""Yahoo's symbol of a ticker; None where no spelling is known to be right."""

_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

_STOCKS: Sequence[_Rule] = (
    # Common stock and funds, Nasdaq's five letters among them.
    (re.compile(r"[A-Z]{1,5}"), lambda found: found[0]),
    # Classes of shares, BRK.B. U, W and R would be units, when-issued and rights.
    (re.compile(r"([A-Z]{1,4})\.([A-QSTVXYZ])"), lambda found: f"{found[1]}-{found[2]}"),
    # Preferred stock, BACpL and BACp.
    (re.compile(r"([A-Z]{1,5})p([A-Z]?)"), lambda found: f"{found[1]}-P{found[2]}"),
    (re.compile(r"([A-Z]{1,5})\.U"), lambda found: f"{found[1]}-UN"),
    (re.compile(r"([A-Z]{1,5})\.WS(?:\.([A-Z]))?"), lambda found: f"{found[1]}-WT{found[2] or ''}"),
    (re.compile(r"([A-Z]{1,5})r"), lambda found: f"{found[1]}-RI"),
    (re.compile(r"([A-Z]{1,5})w"), lambda found: f"{found[1]}-WI"),
)

_CRYPTO: Sequence[_Rule] = ((re.compile(r"X:([A-Z0-9]{1,12}-(?:USD|EUR|GBP))"), lambda found: found[1]),)

_FOREX: Sequence[_Rule] = ((re.compile(r"C:([A-Z]{3})-([A-Z]{3})"), lambda found: f"{found[1]}{found[2]}=X"),)

# Yahoo's own names, which follow no rule.
_INDICES = {"I:SPX": "^GSPC", "I:NDX": "^NDX", "I:COMP": "^IXIC", "I:DJI": "^DJI", "I:RUT": "^RUT", "I:VIX": "^VIX"}


def stock_symbol(ticker: str) -> str | None:
    """`BRK.B` → `BRK-B`, `BACpL` → `BAC-PL`, `AAC.U` → `AAC-UN`; None where no spelling is known to be right.

    Only what is mapped is asked for: yfinance turns a ticker into capitals, so `BCpC`, asked for as it is, would bring
    the prices of Balchem (`BCPC`).
    """
    return _spelled(_STOCKS, ticker)


def crypto_symbol(ticker: str) -> str | None:
    """`X:BTC-USD` → `BTC-USD`; None for what is quoted in a currency that Yahoo does not have."""
    return _spelled(_CRYPTO, ticker)


def forex_symbol(ticker: str) -> str | None:
    """`C:EUR-USD` → `EURUSD=X`."""
    return _spelled(_FOREX, ticker)


def index_symbol(ticker: str) -> str | None:
    """`I:SPX` → `^GSPC`; None for all but the best known."""
    return _INDICES.get(ticker)


def _spelled(rules: Sequence[_Rule], ticker: str) -> str | None:
    for shape, spelled in rules:
        if found := shape.fullmatch(ticker):
            return spelled(found)
    return None
