"""A cache with a day of each kind that a report shows, and a ticker that is markup."""

import csv
import html
import io
import json
import re
from datetime import date

from pipeline_kit import HEADER, key, trading_days, window

from ingest.cache.commit import for_writing
from ingest.cache.manifest.yahoo import ActionCoverage
from ingest.demo.files.market import pack
from ingest.market.calendars import today
from ingest.market.corporate_actions import Actions, Dividend, StockSplit

HOSTILE = "</script><script>document.title='taken'</script>\"'&amp;\u202e<b>"
"""A ticker that ends scripts, closes attributes and turns the direction of text."""

TRACKED = {"AAPL", HOSTILE}
DAYS = trading_days(date(2025, 5, 19), 10)
"""Memorial Day is among their weekdays."""

SPAN = window(DAYS)
CORRECTED, SHORTENED, DAMAGED, ABSENT, UNREADABLE = DAYS[1], DAYS[3], DAYS[4], DAYS[5], DAYS[6]
FORBIDDEN = DAYS[8:]
HOLIDAY = date(2025, 5, 26)
ACTIONS = Actions((StockSplit(DAYS[2], 4.0),), (Dividend(DAYS[5], 1.0, close_before=105.0),))
"""Of AAPL; those of the other ticker are not known."""

OTHERS = [f"T{n:02}" for n in range(30)]


def text(number, *changes, without=()):
    """The file of a day: its prices rise with its number; `changes` are other prices, by ticker."""
    file = io.StringIO(f"{HEADER}\n")
    file.seek(0, io.SEEK_END)
    lines = csv.writer(file, lineterminator="\n")
    prices = {ticker: 100 + number for ticker in ["AAPL", HOSTILE, *OTHERS] if ticker not in without} | dict(changes)
    for ticker, price in sorted(prices.items()):
        lines.writerow([ticker, 1000 + number, price, price + 1, price + 2, price - 1, 1, 10])
    return pack(file.getvalue().encode())


def filled(place, server):
    """Run, republish, run again, and lose a part."""
    server.objects.update({key(day): text(n) for n, day in enumerate(DAYS) if day != ABSENT})
    server.put(key(DAYS[2]), text(2, without=[HOSTILE]))
    server.put(key(UNREADABLE), b"no gzip")
    server.forbidden.update(map(key, FORBIDDEN))
    place.run(*SPAN, tracked=TRACKED)
    server.put(key(CORRECTED), text(1, ("AAPL", 77), (HOSTILE, 78)))
    server.put(key(SHORTENED), text(3, without=OTHERS[:10]))
    place.run(*SPAN, tracked=TRACKED)
    asking = ActionCoverage(first=place.dataset.first_session, last=today())
    with for_writing(place.settings(), place.dataset) as cache:
        cache.manifest.yahoo.keep("AAPL", asking, ACTIONS, [])
    (place.root / "massive_cache" / f"{DAMAGED}.csv.gz").unlink()
    return place


def data_of(page):
    """The values that a page hands to its scripts."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def counts_of(page, dataset="stocks-day"):
    """Days of a dataset by state, as its legend counts them."""
    part = re.search(rf'<article [^>]*data-dataset="{dataset}".*?</article>', page, re.DOTALL)[0]
    return {state: int(count) for state, count in re.findall(r'data-state="(\w+)" data-count="(\d+)"', part)}


def squares_of(page, dataset="stocks-day"):
    """The sign of each day that a dataset's calendar draws, by its date."""
    part = re.search(rf'<article [^>]*data-dataset="{dataset}".*?</article>', page, re.DOTALL)[0]
    found = {}
    for month, cells in re.findall(r'data-month="(\d{4}-\d\d)">(.*?)</div></div>', part, re.DOTALL):
        for sign, day in re.findall(r'<button class="day (\w)"[^>]*>(\d+)</button>', cells):
            found[date.fromisoformat(f"{month}-{int(day):02}")] = sign
    return found


def unescaped(page):
    return html.unescape(page)
