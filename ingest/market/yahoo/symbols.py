"""Massive's spelling of a ticker → Yahoo's, where both are known to mean the same; one function per market."""

import re
from collections.abc import Callable, Sequence

Spelling = Callable[[str], str | None]
"""Yahoo's symbol of a ticker; None if no spelling is known to be right."""

_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

_STOCKS: Sequence[_Rule] = (
    # Common stock and funds, including Nasdaq's five letters.
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

# Coins share symbols: at Yahoo the first one has the plain symbol, any other a number after it (its number at
# CoinMarketCap). UNI-USD is not Uniswap. So only coins are mapped whose Yahoo symbol is certain.
_PLAIN_COINS = (
    "AAVE|ADA|ALGO|ATOM|AVAX|BAT|BCH|BNB|BSV|BTC|CHZ|CRO|CRV|DASH|DOGE|DOT|EGLD|ENJ|EOS|ETC|ETH|FIL|HBAR|ICP|KSM|LINK"
    "|LTC|MANA|MKR|NEAR|NEO|QNT|SHIB|SNX|SOL|THETA|TRX|USDC|USDT|VET|XLM|XMR|XRP|XTZ|YFI|ZEC"
)
_NUMBERED_COINS = {
    "APT": "APT21794",
    "ARB": "ARB11841",
    "COMP": "COMP5692",
    "GRT": "GRT6719",
    "IMX": "IMX10603",
    "PEPE": "PEPE24478",
    "STX": "STX4847",
    "SUI": "SUI20947",
    "TON": "TON11419",
    "UNI": "UNI7083",
}
_CRYPTO: Sequence[_Rule] = (
    (re.compile(rf"X:((?:{_PLAIN_COINS})-(?:USD|EUR|GBP))"), lambda found: found[1]),
    (
        re.compile(rf"X:({'|'.join(_NUMBERED_COINS)})-(USD|EUR|GBP)"),
        lambda found: f"{_NUMBERED_COINS[found[1]]}-{found[2]}",
    ),
)

# Massive's currencies include metals (XAU, XAG, XPD, XPT); Yahoo no longer has them there.
_FOREX: Sequence[_Rule] = (
    (
        re.compile(r"C:(?!XA[UG]|XP[DT])([A-Z]{3})-(?!\1|XA[UG]|XP[DT])([A-Z]{3})"),
        lambda found: f"{found[1]}{found[2]}=X",
    ),
)

# Yahoo's own names, which follow no rule. Yields are left out, because one source may have ten times the other's.
_INDICES = {
    "I:COMP": "^IXIC",
    "I:DJI": "^DJI",
    "I:DJT": "^DJT",
    "I:DJU": "^DJU",
    "I:NDX": "^NDX",
    "I:OEX": "^OEX",
    "I:RUA": "^RUA",
    "I:RUI": "^RUI",
    "I:RUT": "^RUT",
    "I:SKEW": "^SKEW",
    "I:SOX": "^SOX",
    "I:SPX": "^GSPC",
    "I:VIX": "^VIX",
    "I:VVIX": "^VVIX",
    "I:VXN": "^VXN",
}


def stock_symbol(ticker: str) -> str | None:
    """`BRK.B` → `BRK-B`, `BACpL` → `BAC-PL`, `AAC.U` → `AAC-UN`; None if no spelling is known to be right.

    Only mapped tickers are looked up: yfinance turns a ticker into capitals, so `BCpC`, passed as it is, would return
    the prices of Balchem (`BCPC`).
    """
    return _spelled(_STOCKS, ticker)


def crypto_symbol(ticker: str) -> str | None:
    """`X:BTC-USD` → `BTC-USD`; None for coins whose Yahoo symbol is not known."""
    return _spelled(_CRYPTO, ticker)


def forex_symbol(ticker: str) -> str | None:
    """`C:EUR-USD` → `EURUSD=X`; None for metals."""
    return _spelled(_FOREX, ticker)


def index_symbol(ticker: str) -> str | None:
    """`I:SPX` → `^GSPC`; None for all but the best-known indices."""
    return _INDICES.get(ticker)


def _spelled(rules: Sequence[_Rule], ticker: str) -> str | None:
    for shape, spelled in rules:
        if found := shape.fullmatch(ticker):
            return spelled(found)
    return None
