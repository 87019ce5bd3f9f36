"""Massive's spelling of a ticker → Yahoo's, where the two are known to mean the same security."""

import re
from collections.abc import Callable, Sequence

_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

_RULES: Sequence[_Rule] = (
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


def yahoo_symbol(ticker: str) -> str | None:
    """`BRK.B` → `BRK-B`, `BACpL` → `BAC-PL`, `AAC.U` → `AAC-UN`; None where no spelling is known to be right.

    Only what is mapped is asked for: yfinance turns a ticker into capitals, so `BCpC`, asked for as it is, would bring
    the prices of Balchem (`BCPC`).
    """
    for shape, spelled in _RULES:
        if found := shape.fullmatch(ticker):
            return spelled(found)
    return None
