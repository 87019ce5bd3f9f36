"""Closing prices and volumes as a text chart."""

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from ingest.market.adjust import Floats

_PRICE_LINES = 14
_VOLUME_LINES = 8
_PRICE_TICKS = 6
_VOLUME_TICKS = 4
"""The ticks fall on whole lines: inside their frames the panels have 11 and 4."""

_LABEL = 10
"""Columns for a label on the left, the same in both panels, so that their days line up."""

_DATE_EVERY = 16
"""Columns for a date: ten, and the space between two dates."""

_WHOLE = 100
"""Numbers from here on are written without decimals."""

_UNITS = ((1e9, "bn"), (1e6, "m"), (1e3, "k"))


def chart(rows: pl.DataFrame, width: int, title: str, colour: bool) -> str:
    """Draw rows with the columns date or time, close and volume in `width` characters (40 or more read well).

    Sessions or bars stand side by side, without gaps for nights and weekends. Rows without a close are left out; the
    chart is empty if none remain. The last line has no line end.
    """
    import plotext

    rows = rows.filter(pl.col("close").is_finite())
    if rows.is_empty():
        return ""
    figure = plotext.figure  # plotext has only this one
    plotext.terminal.limit(width=False, height=False)  # else plotext squeezes the chart into the terminal's height
    figure.clear()
    figure.plot_size(width, _PRICE_LINES + _VOLUME_LINES)
    figure.subplots(2, 1)
    _draw_prices(figure.subplot(1, 1).plot_size(width, _PRICE_LINES), rows, title)
    _draw_volumes(figure.subplot(2, 1).plot_size(width, _VOLUME_LINES), rows, width)
    text: str = figure.build().string(colorless=not colour)
    figure.clear()
    return "\n".join(line.rstrip() for line in text.splitlines())


def _draw_prices(panel: Any, rows: pl.DataFrame, title: str) -> None:
    closes = rows["close"].to_list()
    low, high = min(closes), max(closes)
    if low == high:
        low, high = low * 0.99, high * 1.01
    _dress(panel, title, _steps(low, high, _PRICE_TICKS), lambda close: f"{close:,.2f}")
    panel.draw(panel.signal(list(range(len(closes))), closes, marker="braille").lines())
    panel.ruler("x").lim(0, max(len(closes) - 1, 1)).frequency(0)  # the dates are below the volumes


def _draw_volumes(panel: Any, rows: pl.DataFrame, width: int) -> None:
    days, canvas = rows["time" if "time" in rows.columns else "date"].to_list(), width - _LABEL - 2
    volumes, size = _bins(rows["volume"].fill_nan(None).fill_null(0).to_numpy(), 2 * canvas)
    noun = "bars" if "time" in rows.columns else "sessions"
    title = "volume" if size == 1 else f"volume, mean of each {size} {noun}"
    _dress(panel, title, _steps(0.0, max(*volumes, 1.0), _VOLUME_TICKS), short)
    centres = [min(n * size + (size - 1) / 2, len(days) - 1) for n in range(len(volumes))]
    panel.draw(panel.signal(centres, volumes, marker="hd").fillx())
    places = sorted({round(at) for at in _steps(0, len(days) - 1, canvas // _DATE_EVERY + 1)})
    panel.ruler("x").lim(0, max(len(days) - 1, 1)).ticks(places, [stamped(days[at]) for at in places])


def _bins(values: Floats, most: int) -> tuple[list[float], int]:
    """Average neighbouring values so that at most `most` remain; returns the means and how many values each covers."""
    size = max(1, math.ceil(len(values) / most))
    return [float(values[at : at + size].mean()) for at in range(0, len(values), size)], size


def _dress(panel: Any, title: str, ticks: Sequence[float], words: Callable[[float], str]) -> None:
    panel.theme("simple")  # no background: good on dark and light
    panel.title(title)
    panel.ruler("y").lim(ticks[0], ticks[-1]).ticks(ticks, [words(tick).rjust(_LABEL) for tick in ticks])


def _steps(first: float, last: float, count: int) -> list[float]:
    return [float(step) for step in np.linspace(first, last, count)]


def stamped(day: date) -> str:
    """A date, or a time within a day without its year and seconds."""
    return f"{day:%m-%d %H:%M}" if isinstance(day, datetime) else day.isoformat()


def short(amount: float) -> str:
    """A number with few digits and a unit: 0.0879, 12.5, 999, 1.2k, 34.6m, 1.9bn."""
    for unit, name in _UNITS:
        if abs(amount) >= unit:
            return f"{amount / unit:,.1f}{name}"
    return f"{amount:.0f}" if abs(amount) >= _WHOLE or amount == round(amount) else f"{amount:.3g}"
