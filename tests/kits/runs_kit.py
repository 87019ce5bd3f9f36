"""The sessions of whole runs, and the expected rows of their CSVs."""

import csv
import io
from datetime import date

from pipeline_kit import market_day, pointed, trading_days, window

DAYS = trading_days(date(2025, 3, 3), 8)
SPAN = window(DAYS)
ROWS = [("AAPL", "100.5"), ("MSFT", "20.25"), ("NVDA", "3"), ("ZVZZT", "1")]


def rows_of(ticker, days):
    """The expected rows of a tracked CSV, read from the market's text by the standard library."""
    found = {}
    for day in days:
        for row in csv.DictReader(io.StringIO(market_day(day).decode())):
            if row["ticker"] == ticker:
                numbers = (pointed(row[name]) for name in ("open", "high", "low", "close", "volume"))
                found.setdefault(str(day), ",".join(numbers))
    return found


def dates(days):
    return [str(day) for day in days]
