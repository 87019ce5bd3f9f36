"""Minutes of a market for tests: as traded, as a flat file, and added up into bars between given edges."""

import random
from datetime import datetime, timedelta
from datetime import time as clock
from zoneinfo import ZoneInfo

import polars as pl
from pipeline_kit import HEADER

from ingest.market.catalogue import STOCKS_MINUTE
from ingest.reading.rows import rows_schema

NEW_YORK = ZoneInfo("America/New_York")
UTC = ZoneInfo("UTC")


def at(day, hour, minute=0, zone=NEW_YORK):
    return datetime.combine(day, clock(hour, minute), zone)


def some_minutes(day, level=100.0, share=0.6, seed=0, first=4 * 60, last=20 * 60):
    """Bars by minute, in New York's time of a day, for a share of all minutes; prices in cents, volumes whole."""
    chance, found = random.Random(f"{day} {seed}"), {}
    for minute in range(first, last):
        if chance.random() < share:
            level = round(max(level + chance.randint(-3, 3) / 100, 0.05), 2)
            opened, closed = level, round(level + chance.randint(-2, 2) / 100, 2)
            high, low = round(max(opened, closed) + 0.01, 2), round(min(opened, closed) - 0.01, 2)
            found[at(day, *divmod(minute, 60))] = (opened, high, low, closed, float(chance.randint(1, 5000)))
    return found


def minutes_text(traded, header=HEADER):
    """A day's file of tickers with their bars by minute, sorted by ticker."""
    lines = [
        f"{ticker},{v:g},{o},{c},{h},{low},{int(begin.timestamp()) * 10**9},{7}"
        for ticker, minutes in sorted(traded.items())
        for begin, (o, h, low, c, v) in sorted(minutes.items())
    ]
    return "\n".join([header, *lines, ""]).encode()


def rows_of(minutes, session, dataset=STOCKS_MINUTE, ticker="AAPL"):
    """The same minutes of one session as reading returns them."""
    names = ("ticker", "date", "time", "open", "high", "low", "close", "volume", "transactions", "source")
    rows = [(ticker, session, begin, *bar, 1, "massive") for begin, bar in sorted(minutes.items())]
    schema = rows_schema(dataset)
    frame = pl.DataFrame(rows, schema={name: schema[name] for name in names}, orient="row")
    others = [pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in names]
    return frame.with_columns(others).select(schema.names())


def added_up(minutes, edges):
    """Bars between edges (begin, end), added up minute by minute, without empty bars."""
    found = {}
    for begin, end in edges:
        inside = [minutes[one] for one in sorted(minutes) if begin <= one < end]
        if inside:
            opens, highs, lows, closes, volumes = zip(*inside, strict=True)
            found[begin] = (opens[0], max(highs), min(lows), closes[-1], sum(volumes))
    return found


def edges_of(day, size, prepost, close=16):
    """(begin, end) of each bar of `size` minutes in a stock's day."""
    spans = [(at(day, 9, 30), at(day, close))]
    if prepost:
        spans = [(at(day, 4), at(day, 9, 30)), *spans, (at(day, close), at(day, 20))]
    return [
        (begin, min(begin + timedelta(minutes=size), end))
        for start, end in spans
        for begin in (start + n * timedelta(minutes=size) for n in range(1 + (end - start) // timedelta(minutes=size)))
        if begin < end
    ]


def bars_in(frame):
    """A polars frame in the form of `added_up`."""
    names = ("time", "open", "high", "low", "close", "volume")
    return {row[0]: row[1:] for row in frame.select(names).iter_rows()}
