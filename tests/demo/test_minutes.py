"""Minute bars of any day's bars add up to them."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.demo.files.maker import Hours, Tape
from ingest.demo.files.minutes import minute_bars

NEW_YORK = ZoneInfo("America/New_York")
OPENS, CLOSES = datetime(2025, 11, 11, 4, tzinfo=NEW_YORK), datetime(2025, 11, 11, 20, tzinfo=NEW_YORK)

cents = st.integers(-2_000, 200_000)
bars = st.tuples(cents, cents, st.integers(0, 300), st.integers(0, 300), st.integers(0, 2_000), st.integers(0, 10**7))
outsides = st.sampled_from([(0, 960), (330, 720), (0, 1), (959, 960)])


def day_of(rows):
    """Bars of a day: of open, close, what the high is above and the low below them, trades, and a volume in tenths."""
    made = [
        {
            "ticker": f"T{number:03}",
            "open": opened / 100,
            "close": close / 100,
            "high": (max(opened, close) + above) / 100,
            "low": (min(opened, close) - below) / 100,
            "transactions": trades,
            "volume": tenths / 10,
            "grid": 100.0,
        }
        for number, (opened, close, above, below, trades, tenths) in enumerate(rows)
    ]
    return pl.DataFrame(made)


@settings(max_examples=40)
@given(st.lists(bars, min_size=1, max_size=20), outsides, st.floats(0.001, 5), st.integers(0, 2**32))
def test_minutes_add_up_to_any_bars(rows, regular, busy, seed):
    day, hours = day_of(rows), Hours(OPENS, CLOSES, regular)
    found = minute_bars(day, hours, Tape(busy, outside=0.1, grain=0.1), np.random.default_rng(seed))
    place = (pl.col("window_start") // 10**9 - int(OPENS.timestamp())) // 60
    timed = found.with_columns(place.alias("minute"), inside=place.is_between(*regular, closed="left"))
    assert timed["minute"].is_between(0, 959).all()
    assert timed.select("ticker", "minute").equals(timed.select("ticker", "minute").unique().sort("ticker", "minute"))
    prices = timed.filter("inside").group_by("ticker", maintain_order=True)
    whole = prices.agg(pl.col("open").first(), pl.col("close").last(), pl.col("high").max(), pl.col("low").min())
    assert whole.equals(day.select(whole.columns))
    sums = timed.group_by("ticker", maintain_order=True).agg(pl.col("transactions").sum(), pl.col("volume").sum())
    assert sums["transactions"].equals(day["transactions"])
    assert ((sums["volume"] - day["volume"]).abs() < 1e-6).all()
    assert (timed.group_by("ticker", maintain_order=True).len()["len"] <= day["transactions"].clip(1)).all()
    assert (found["volume"] >= 0).all()
    assert (found["low"] <= found.select(pl.min_horizontal("open", "close")).to_series()).all()
    assert (found["high"] >= found.select(pl.max_horizontal("open", "close")).to_series()).all()
    assert (found.filter(pl.col("volume").floor() != pl.col("volume"))["ticker"].is_in(_broken(day))).all()


def _broken(day):
    """Tickers whose volume of the day is no whole number: those of the others are whole in each minute."""
    return day.filter(pl.col("volume").floor() != pl.col("volume"))["ticker"].to_list()
