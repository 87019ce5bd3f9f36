"""The sessions of the lake's tests."""

from datetime import date

from pipeline_kit import trading_days

DAYS = trading_days(date(2025, 2, 27), 4)
"""Two sessions of February, two of March."""
