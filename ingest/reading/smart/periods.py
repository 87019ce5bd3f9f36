"""Weeks and months of a daily frame, as yfinance makes them with `repair=True`: from days that are adjusted already."""

from typing import TYPE_CHECKING

from ingest.market.windows import first_of_bar

if TYPE_CHECKING:
    import pandas as pd

_MADE = {
    "Open": "first",
    "High": "max",
    "Low": "min",
    "Close": "last",
    "Adj Close": "last",
    "Volume": "sum",
    "Dividends": "sum",
    "Stock Splits": "prod",
    "Capital Gains": "sum",
}


def resampled(frame: "pd.DataFrame", interval: str) -> "pd.DataFrame":
    """Bars of an `interval` of weeks ("1wk") or months ("1mo"), by their first day; any other frame is returned.

    A bar without a row is left out. Splits within a bar are multiplied, payouts are added.
    """
    import pandas as pd

    if interval not in ("1wk", "1mo"):
        return frame
    begins = [first_of_bar(stamp.date(), interval) for stamp in frame.index]
    index = pd.DatetimeIndex(pd.to_datetime(begins), name=frame.index.name).tz_localize(frame.index.tz)
    splits = {"Stock Splits": frame["Stock Splits"].replace(0.0, 1.0)} if "Stock Splits" in frame else {}
    bars = frame.assign(**splits).groupby(index).agg({name: _MADE[name] for name in frame.columns})
    if splits:
        bars["Stock Splits"] = bars["Stock Splits"].replace(1.0, 0.0)
    return bars
