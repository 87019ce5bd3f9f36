"""Small files of minutes, made by rule, and what is to come of them as the standard library reads them."""

import csv
import io
import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pipeline_kit import pointed

from ingest.demo.files.market import pack
from ingest.market.catalogue import CATALOGUE, STOCKS_MINUTE

NEW_YORK = ZoneInfo("America/New_York")
CRYPTO_MINUTE = CATALOGUE["crypto-minute"]
INDICES_MINUTE = CATALOGUE["indices-minute"]
COLUMNS = "ticker,volume,open,close,high,low,window_start,transactions"
OCTOBER = [date(2025, 10, 30), date(2025, 10, 31)]
NOVEMBER = [date(2025, 11, 3), date(2025, 11, 4)]
"""Sessions around the night in which clocks were set back, on 2025-11-02."""
DAYS = [*OCTOBER, *NOVEMBER]
LISTED = frozenset({"AAPL", "BACpL", "ONE", "TRUE"})


def at(moment):
    """Nanoseconds since the epoch, as a file has them."""
    return str(int(moment.timestamp()) * 1_000_000_000)


def opening(day):
    """When stocks begin to trade."""
    return datetime.combine(day, time(9, 30), NEW_YORK).astimezone(UTC)


def midnight(day):
    """When a day of coins begins."""
    return datetime.combine(day, time(), UTC)


def bar(ticker, stamp, seed=0):
    """A line, whose numbers follow from what it is about."""
    numbers = random.Random(f"{ticker} {stamp} {seed}")
    low = numbers.randint(100, 900)
    high = low + numbers.randint(0, 50)
    prices = [f"{numbers.randint(low, high) / 10:.2f}" for _ in range(2)]
    volume = f"{numbers.randint(1, 9999)}{numbers.choice(['', '.0', '.25'])}"
    return ",".join([ticker, volume, *prices, f"{high / 10:.2f}", f"{low / 10:.2f}", stamp, "7"])


def bars(ticker, start, count, every=1, seed=0):
    """Lines of so many bars, some minutes apart."""
    return [bar(ticker, at(start + timedelta(minutes=every * number)), seed) for number in range(count)]


def text_of(lines, columns=COLUMNS):
    return "\n".join([columns, *lines, ""]).encode()


def stock_minutes(day, seed=0):
    """A day of stocks: one with a single bar, one with repeats, stamps that are no time, one that nobody tracks."""
    start = opening(day)
    repeated = bars("BACpL", start, 6)
    return text_of(
        [
            *bars("AAPL", start, 20, seed=seed),
            *(bar("AAPL", odd) for odd in ("", "soon", "9" * 30)),
            *repeated,
            repeated[2],  # the same once more
            bar("BACpL", at(start), seed=1),  # and another one of a minute that was there
            *bars("MSFT", start, 15),
            bar("ONE", at(start + timedelta(hours=3))),
            *bars("TRUE", start - timedelta(hours=5), 8, every=90),
        ]
    )


def coin_minutes(day, seed=0):
    """A day of coins, which begins in the evening before in New York: a bar each half hour."""
    return text_of([*bars("X:BTC-USD", midnight(day), 48, every=30, seed=seed), *bars("X:ETH-USD", midnight(day), 3)])


def expected(texts, ticker, volume=True):
    """Lines of a ticker's CSVs by month, out of (session, text) pairs.

    Of several lines of a minute the first one counts that is of its session's date in New York, else the first one.
    """
    found, own = {}, set()
    for session, text in sorted(texts):
        for row in csv.DictReader(io.StringIO(text.decode())):
            if row["ticker"] == ticker and (second := _second(row["window_start"], session)) is not None:
                numbers = [pointed(row[name]) for name in ("open", "high", "low", "close")]
                volumes = [pointed(row["volume"])] if volume else []
                local = datetime.fromtimestamp(second, NEW_YORK)
                month = found.setdefault(f"{session:%Y-%m}", {})
                if second not in month or (local.date() == session and second not in own):
                    month[second] = ",".join([str(local), *numbers, *volumes])
                if local.date() == session:
                    own.add(second)
    return {month: [lines[second] for second in sorted(lines)] for month, lines in found.items()}


def _second(stamp, session):
    """Seconds since the epoch; None for what is no time, or one of another week."""
    try:
        moment = datetime.fromtimestamp(int(stamp.removesuffix(".0")) // 1_000_000_000, UTC)
    except (ValueError, OverflowError):
        return None
    return moment.timestamp() if -1 <= (moment.date() - session).days <= 2 else None


def objects(texts, dataset=STOCKS_MINUTE):
    """Key and packed file of (session, text) pairs."""
    return {dataset.key(session): pack(text) for session, text in texts}
