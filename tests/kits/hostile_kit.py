"""Helpers for whole runs with hostile content."""

import os

from ingest.market.tickers import file_stem

LONG_EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "20000"))
"""Inputs of each kind in the long runs, which also try a fiftieth as many whole runs with a corrupted listing:
`HOSTILE_EXAMPLES=100000 python -m pytest -m long tests/hostile`."""

LONG = "X" * 10_000

TICKERS = (
    "../../etc/x",
    "/abs",
    "..",
    ".",
    ".hidden",
    "C:\\x",
    "CON",
    "con",
    "CON.A",
    "NUL.txt",
    "TpC",
    "TPC",
    "BACpL",
    "BACPL",
    "😀",
    "A\u200fB",
    "\u202eLPAA",
    "e\u0301",
    "é",
    "A\0B",
    " ",
    "   ",
    "A B",
    " AAPL",
    "=HYPERLINK(1)",
    "=1+1",
    "+1",
    "-1",
    "@SUM",
    "\tTAB",
    "~",
    "~root",
    "*",
    "?",
    "|x",
    ">x",
    "$HOME",
    "`x`",
    "%2E",
    "%00",
    "A_p",
    "_p",
    "NA",
    "1E5",
    "[red]x[/red]",
    "\x1b[31mx",
    "A\u200b",
    LONG,
)
"""Each may be a ticker of the source. Some can be tracked, some only archived; none may write outside the cache."""


def row(ticker: str, close: str = "2.5") -> str:
    field = '"' + ticker.replace('"', '""') + '"' if any(char in ticker for char in ',"\r\n') else ticker
    return f"{field},1000,{close},{close},{close},{close},1,7"


def command(place, *arguments, **environment):
    """Run a command in this process; returns how it ended, and its output."""
    return place.here(*arguments, **environment)


def csv_path(place, ticker):
    return place.tracked / f"{file_stem(ticker)}_1d_data.csv"
